//! What an answer promises: that it comes after the barrier, that many share one, and that a failure is told to everybody.

mod barrier;
mod beside;
mod clock;
mod damage;
mod disk;
mod failure;
mod slow;

use std::time::Duration;

use sunaba_store::{LeaseRequest, Leased, Queues, Settlement, Store};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, SessionId, TaskId, TaskSpec, Verdict,
};

fn new_task() -> NewTask {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::json("{}"))
}

fn test(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(case);
}

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("sunaba-durability-{:016x}", fastrand::u64(..))))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn lease(store: &dyn Store, session: SessionId) -> Vec<Leased> {
    let request = LeaseRequest { session, queues: Queues::All, slots: 9, wait: Duration::ZERO };
    store.lease(request).await.expect("the session lives")
}

fn settlement(leased: &Leased, verdict: Verdict, output: Option<Payload>) -> Settlement {
    Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending: Ending::Snoozed { reason: "m".repeat(2_000) },
        decision: Decision { verdict, charged: false, policy: Policy::Retry, reason: "r".into() },
        receipt: None,
        output,
        detail: AttemptDetail { failure_detail: Some(Payload::json("{}")), ..AttemptDetail::default() },
        plan: None,
    }
}

/// Submits one task.
async fn submit(store: &dyn Store) -> TaskId {
    let mut submitted = store.submit(vec![new_task()]).await.expect("the store works");
    submitted.remove(0).expect("taken on").into_task().id
}
