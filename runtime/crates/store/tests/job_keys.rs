//! What is left of jobs that have ended, once their time is over.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{EmbeddedStore, Engine, LeaseRequest, ManualClock, MemoryEngine, Queues, Settlement, Store};
use sunaba_task::job::{After, JobSpec, NewJob, Node, OnFailure};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, Retention, TaskSpec, Timestamp, Verdict,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn node(name: &str, after: &[&str]) -> Node {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    let task = NewTask::new(spec, Payload::json("{}"));
    let after = after.iter().map(|text| After::new(text.parse().expect("it can be awaited"))).collect();
    Node { after, compensation: Some(task.clone()), ..Node::new(name.parse().expect("a name"), task) }
}

/// The letters of the keys that there are. Events, and how the store was opened, are kept by measures of their own.
fn kinds(engine: &MemoryEngine) -> String {
    let keys = engine.scan(&[0], &[255], false).map(|pair| pair.expect("memory works").0);
    let mut kinds: Vec<_> = keys.map(|key| char::from(key[0])).filter(|kind| !"hv".contains(*kind)).collect();
    kinds.dedup();
    kinds.into_iter().collect()
}

/// Ends everything that can be had, in this way for this name.
async fn end_all(store: &dyn Store, dead: &str) {
    let session = store.open_session("w".into(), HOUR).await.expect("the store works");
    for _ in 0..20 {
        let request = LeaseRequest { session, queues: Queues::All, slots: 100, wait: Duration::ZERO };
        for leased in store.lease(request).await.expect("the session lives") {
            let is_dead = leased.task.job.as_ref().is_some_and(|link| link.name.as_str() == dead);
            let verdict = if is_dead { Verdict::GiveUp } else { Verdict::Succeed };
            let settlement = Settlement {
                token: leased.token,
                revision: leased.task.revision,
                ending: Ending::Completed,
                decision: Decision { verdict, charged: false, policy: Policy::Retry, reason: "r".into() },
                receipt: None,
                output: Some(Payload::json("1")),
                detail: AttemptDetail::default(),
                plan: None,
            };
            store.settle(vec![settlement]).await.expect("the store works").remove(0).expect("it has the lease");
        }
    }
    store.close_session(session).await.expect("the store works");
}

#[test]
fn jobs_that_have_ended_and_gone_leave_no_key() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let engine = MemoryEngine::default();
        let store = EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("it opens");
        let hour = Some(HOUR);
        let retention = Retention { result: HOUR, succeeded: hour, cancelled: hour, expired: hour, dead: hour };
        store.set_retention(retention).await.expect("the store works");
        for (dead, rule) in [("nobody", OnFailure::Fail), ("c", OnFailure::Fail), ("c", OnFailure::Compensate)] {
            let spec =
                JobSpec { on_failure: rule, idempotency_key: Some(format!("{dead} {rule}")), ..JobSpec::default() };
            let group = (0..5).map(|number| node(&format!("x/{number}"), &["a"]));
            let nodes = [node("a", &[]), node("b", &["x/*"]), node("c", &["b"]), node("d", &["c", "a"])];
            let new = NewJob { spec, nodes: group.chain(nodes).collect(), fingerprint: None };
            let id = store.submit_job(new).await.expect("the store works").expect("it is taken on").into_job().id;
            end_all(&store, dead).await;
            let job = store.job(id).await.expect("the store works").expect("it is there");
            assert!(job.state.is_terminal(), "{job:#?}");
        }
        for kind in "ENjt".chars() {
            assert!(kinds(&engine).contains(kind), "{kind} in {}", kinds(&engine));
        }
        clock.advance(HOUR + Duration::from_secs(120));
        for _ in 0..20 {
            store.packages().await.expect("the store works");
        }
        // The format, the key of tokens, the retention, the count and the sums; and nothing is planned any more.
        assert_eq!(kinds(&engine), "fmrsw");
    });
}
