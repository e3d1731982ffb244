//! What cases do again and again, in a few words.

use std::time::Duration;

use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, HandlerChange, NewTask, Payload, Policy, QueueChange, SessionId, State,
    Task, TaskId, TaskSpec, Verdict,
};

use crate::{CancelWish, HandlerStatus, LeaseRequest, Leased, QueueStatus, Queues, SettleError, Settlement, Store};

pub(super) async fn set_queue(store: &dyn Store, queue: &str, changes: &[QueueChange]) -> QueueStatus {
    store.set_queue(queue.into(), changes.to_vec()).await.expect("it is in range")
}

pub(super) async fn set_handler(store: &dyn Store, handler: &str, changes: &[HandlerChange]) -> HandlerStatus {
    let handler = handler.parse().expect("a name");
    store.set_handler(handler, changes.to_vec()).await.expect("it is in range")
}

/// How long the leases of these tests live.
pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// How much longer than it was asked a store may keep what it is to delete.
pub(super) const SLACK: Duration = Duration::from_secs(60);

pub(super) fn new_task() -> NewTask {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::json("{}"))
}

pub(super) fn with(change: impl FnOnce(&mut NewTask)) -> NewTask {
    let mut new = new_task();
    change(&mut new);
    new
}

pub(super) async fn submit(store: &dyn Store, new: NewTask) -> Task {
    let mut submitted = store.submit(vec![new]).await.expect("the store works");
    submitted.remove(0).expect("it is taken on").into_task()
}

pub(super) async fn open(store: &dyn Store) -> SessionId {
    store.open_session("worker".into(), LEASE).await.expect("the store works")
}

pub(super) async fn lease(store: &dyn Store, session: SessionId, slots: usize) -> Vec<Leased> {
    let request = LeaseRequest { session, queues: Queues::All, slots, wait: Duration::ZERO };
    store.lease(request).await.expect("the session lives")
}

pub(super) async fn lease_one(store: &dyn Store, session: SessionId) -> Leased {
    lease(store, session, 1).await.pop().expect("there is one")
}

pub(super) fn settlement(leased: &Leased, verdict: Verdict) -> Settlement {
    let failed = Ending::Failed { kind: "error".into(), message: "m".into() };
    let ending = if verdict == Verdict::Succeed { Ending::Completed } else { failed };
    Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending,
        decision: Decision {
            verdict,
            charged: matches!(verdict, Verdict::Retry(_) | Verdict::GiveUp),
            policy: Policy::Retry,
            reason: "r".into(),
        },
        receipt: None,
        output: (verdict == Verdict::Succeed).then(|| Payload::json("1")),
        detail: AttemptDetail::default(),
        plan: None,
    }
}

pub(super) async fn settle(store: &dyn Store, settlement: Settlement) -> Result<Task, SettleError> {
    store.settle(vec![settlement]).await.expect("the store works").remove(0)
}

/// Leases a task and ends its attempt.
pub(super) async fn finish(store: &dyn Store, session: SessionId, verdict: Verdict) -> Task {
    let leased = lease_one(store, session).await;
    settle(store, settlement(&leased, verdict)).await.expect("it has the lease")
}

pub(super) async fn cancel(store: &dyn Store, id: TaskId) -> Task {
    store.cancel(vec![id], CancelWish::default()).await.expect("the store works").remove(0).expect("it is there")
}

pub(super) async fn find(store: &dyn Store, id: TaskId) -> Option<Task> {
    store.task(id).await.expect("the store works")
}

pub(super) async fn task(store: &dyn Store, task: &Task) -> Task {
    store.task(task.id).await.expect("the store works").expect("it is there")
}

/// Lets what was spawned reach the store.
pub(super) async fn settle_down(store: &dyn Store) {
    tokio::task::yield_now().await;
    store.packages().await.expect("the store works");
}

pub(super) fn is_running(task: &Task) -> bool {
    matches!(task.state, State::Running(_))
}
