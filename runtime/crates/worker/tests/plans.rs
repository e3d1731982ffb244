//! Plans that are long in being checked: that is a part of the attempt.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{CancelWish, EmbeddedStore, Store, Unready};
use sunaba_task::job::{NewPlan, Node};
use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Cause, Child, Digest, Ending, ExecuteError,
    Executor, NewTask, Outcome, Payload, Plan, Receipt, StateName, Task, TaskSpec,
};
use sunaba_worker::{Admission, NotAdmitted, Worker, WorkerConfig};
use tokio::sync::{Notify, watch};

/// Long enough for anything, and no reason to wait for it.
const WAIT: Duration = Duration::from_secs(60);

/// Every task returns a plan, at once.
struct Planners;

impl Executor for Planners {
    fn execute<'a>(
        &'a self,
        request: AttemptRequest,
        _: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'a, Result<AttemptReport, ExecuteError>> {
        let plan = Plan { children: Vec::new(), join: None, settings: Vec::new() };
        let result = AttemptResult::Returned(Outcome::Decompose(plan));
        let receipt = Receipt::unmeasured(request.component);
        Box::pin(async move { Ok(AttemptReport { result, receipt, logs: Vec::new() }) })
    }
}

/// Never done with a plan.
#[derive(Default)]
struct Slow {
    begun: Notify,
}

impl Admission for Slow {
    fn plan<'a>(&'a self, _: &'a Task, _: Plan) -> BoxFuture<'a, Result<NewPlan, NotAdmitted>> {
        self.begun.notify_one();
        Box::pin(std::future::pending())
    }

    fn child<'a>(&'a self, _: &'a Task, _: Child) -> BoxFuture<'a, Result<Node, NotAdmitted>> {
        Box::pin(std::future::pending())
    }
}

async fn submit(store: &EmbeddedStore, timeout: Duration) -> Task {
    let mut spec = TaskSpec::new("plans/slow".parse().expect("a name"), Digest::of(b"component"));
    spec.limits.timeout = timeout;
    spec.max_attempts = 1;
    let new = NewTask::new(spec, Payload::json("null"));
    store.submit(vec![new]).await.expect("it works").remove(0).expect("it is taken on").into_task()
}

/// A store, and a worker on it whose plans are never checked.
fn start() -> (EmbeddedStore, Worker, Arc<Slow>) {
    let store = EmbeddedStore::memory().expect("it opens");
    let (slow, config) =
        (Arc::new(Slow::default()), WorkerConfig { cancel_grace: Duration::ZERO, ..WorkerConfig::default() });
    let unready = watch::channel(Unready::default()).1;
    let admission = Arc::clone(&slow) as Arc<dyn Admission>;
    let worker = Worker::start_admitting(Arc::new(store.clone()), Arc::new(Planners), config, unready, admission);
    (store, worker, slow)
}

async fn ended(store: &EmbeddedStore, task: &Task) -> Task {
    let task = store.wait(task.id, WAIT).await.expect("it works").expect("it is there");
    assert!(task.state.is_terminal(), "{task:#?}");
    task
}

#[tokio::test]
async fn time_limit_holds_while_a_plan_is_checked() {
    let (store, worker, _slow) = start();
    let task = ended(&store, &submit(&store, Duration::from_millis(50)).await).await;
    assert_eq!(task.state.name(), StateName::Dead);
    let ending = &task.attempts.last().expect("it was tried").ending;
    let Ending::Stopped { cause: Cause::Timeout, message } = ending else { panic!("{ending:?}") };
    assert_eq!(message, "its plan was being checked");
    worker.stop(WAIT).await.expect("the store is there");
}

#[tokio::test]
async fn cancel_is_heard_while_a_plan_is_checked() {
    let (store, worker, slow) = start();
    let task = submit(&store, WAIT).await;
    slow.begun.notified().await;
    let wish = CancelWish { reason: "nobody needs it".into(), grace: None };
    store.cancel(vec![task.id], wish).await.expect("it works");
    assert_eq!(ended(&store, &task).await.state.name(), StateName::Cancelled);
    worker.stop(WAIT).await.expect("the store is there");
}

#[tokio::test]
async fn worker_that_stops_hands_back_what_is_checked() {
    let (store, worker, slow) = start();
    let task = submit(&store, WAIT).await;
    slow.begun.notified().await;
    worker.force();
    worker.ended().await.expect("the store is there");
    let task = store.task(task.id).await.expect("it works").expect("it is there");
    assert_eq!((task.state.name(), task.failures_charged), (StateName::Queued, 0), "{task:#?}");
}
