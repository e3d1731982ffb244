//! Deciders that are slow, late or wrong, with functions in place of their packages: each attempt is settled all the same, and says
//! by whom it was decided.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sunaba_store::{CancelWish, EmbeddedStore, ManualClock, MemoryEngine, NewCompletion, Store, Unready};
use sunaba_task::job::{After, NewPlan, Node};
use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Child, DeciderAnswer, DeciderRecord,
    DeciderVerdict, Decision, Digest, Disposition, ExecuteError, Executor, Failure, NewTask, NotDecided, Outcome,
    Payload, Plan, Policy, Receipt, Situation, Snooze, StateName, Task, TaskDecider, TaskSpec, Timestamp,
};
use sunaba_worker::{Admission, NotAdmitted, Worker, WorkerConfig};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

/// Long enough for anything, and no reason to wait for it.
const WAIT: Duration = Duration::from_secs(60);

/// What a decider does that is asked.
enum Says {
    /// This, when it is let.
    Verdict(DeciderVerdict),
    Nothing,
    Panics,
}

/// Every attempt ends at once, in the same way; its decider says one thing after the other.
struct House {
    ends: AttemptResult,
    says: Mutex<VecDeque<Says>>,
    asked: Mutex<Vec<Situation>>,
    is_asked: Notify,
    /// Each answer waits for one of these.
    may_answer: Semaphore,
}

impl Executor for House {
    fn execute(
        &self,
        request: AttemptRequest,
        _: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        let (result, receipt) = (self.ends.clone(), Receipt::unmeasured(request.component));
        Box::pin(async move { Ok(AttemptReport { result, receipt, logs: Vec::new() }) })
    }

    fn decide(&self, decider: Digest, situation: Situation) -> BoxFuture<'_, Result<DeciderAnswer, NotDecided>> {
        assert_eq!(decider, Digest::of(b"calm"));
        self.asked.lock().expect("no test panicked").push(situation);
        let says = self.says.lock().expect("no test panicked").pop_front().expect("it is asked no more than that");
        self.is_asked.notify_one();
        Box::pin(async move {
            match says {
                Says::Nothing => std::future::pending().await,
                Says::Panics => panic!("host code panics"),
                Says::Verdict(verdict) => {
                    self.may_answer.acquire().await.expect("it is open").forget();
                    Ok(DeciderAnswer { verdict, reason: "it is calm".into(), fuel: 7 })
                }
            }
        })
    }
}

/// Makes the same of every plan.
struct Admits(Result<NewPlan, NotAdmitted>);

impl Admission for Admits {
    fn plan<'a>(&'a self, _: &'a Task, _: Plan) -> BoxFuture<'a, Result<NewPlan, NotAdmitted>> {
        let plan = self.0.clone();
        Box::pin(async move { plan })
    }

    fn child<'a>(&'a self, _: &'a Task, _: Child) -> BoxFuture<'a, Result<Node, NotAdmitted>> {
        Box::pin(async { Err(NotAdmitted::Refused("there are no children".into())) })
    }
}

/// A store on this runtime, whose time stands still, and a worker with one slot.
struct Life {
    store: EmbeddedStore,
    house: Arc<House>,
    _worker: Worker,
}

fn failure() -> AttemptResult {
    let (kind, message) = ("error".into(), "it fails".into());
    AttemptResult::Failed(Failure { kind, message, detail: None, disposition: Disposition::ByPolicy })
}

fn begin(ends: AttemptResult, says: impl IntoIterator<Item = Says>, admits: Result<NewPlan, NotAdmitted>) -> Life {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
    let opened = EmbeddedStore::open_step_by_step(MemoryEngine::default(), clock, 1, 1_000);
    let (store, serve) = opened.expect("memory opens");
    tokio::spawn(serve);
    let house = Arc::new(House {
        ends,
        says: Mutex::new(says.into_iter().collect()),
        asked: Mutex::default(),
        is_asked: Notify::new(),
        may_answer: Semaphore::new(0),
    });
    let unready = watch::channel(Unready::default()).1;
    let (executor, admission) = (Arc::clone(&house) as Arc<dyn Executor>, Arc::new(Admits(admits)));
    let config = WorkerConfig::default();
    let _worker = Worker::start_admitting(Arc::new(store.clone()), executor, config, unready, admission);
    Life { store, house, _worker }
}

impl Life {
    /// A task with one attempt, and a decider.
    async fn submit(&self) -> Task {
        let mut spec = TaskSpec::new("guests/any".parse().expect("a name"), Digest::of(b"guests"));
        spec.max_attempts = 1;
        spec.decider = Some(TaskDecider { package: "calm".into(), component: Digest::of(b"calm") });
        let new = NewTask::new(spec, Payload::json("7"));
        self.store.submit(vec![new]).await.expect("it works").remove(0).expect("it is taken on").into_task()
    }

    async fn end(&self, task: &Task) -> (Task, Decision, Option<Box<DeciderRecord>>) {
        let task = self.store.wait(task.id, WAIT).await.expect("it works").expect("it is there");
        let last = task.attempts.last().expect("it was tried").decision.clone();
        let detail = self.store.attempt_detail(task.id, task.attempts_started).await.expect("it works");
        (task, last, detail.and_then(|detail| detail.decider))
    }

    fn asked(&self) -> usize {
        self.house.asked.lock().expect("no test panicked").len()
    }
}

fn plan() -> DeciderVerdict {
    DeciderVerdict::Decompose(Plan { children: Vec::new(), join: None, settings: Vec::new() })
}

fn no_plan() -> Result<NewPlan, NotAdmitted> {
    Err(NotAdmitted::Refused("there are no plans".into()))
}

#[tokio::test(start_paused = true)]
async fn decider_is_asked_again_when_the_record_has_moved_meanwhile() {
    let snooze = Snooze { delay: WAIT, reason: String::new(), until_completed: true };
    let accepts = || Says::Verdict(DeciderVerdict::Accept);
    let life = begin(AttemptResult::Returned(Outcome::Snooze(snooze)), [accepts(), accepts()], no_plan());
    let task = life.submit().await;
    life.house.is_asked.notified().await;
    let given = NewCompletion { output: Payload::json("\"given\""), by: None, with_token: false };
    life.store.complete(task.id, given).await.expect("it works").expect("it runs");
    life.house.may_answer.add_permits(1);
    // It has answered about a record that is another by now.
    life.house.is_asked.notified().await;
    life.house.may_answer.add_permits(1);
    let (task, last, record) = life.end(&task).await;
    assert_eq!((task.state.name(), last.verdict.word()), (StateName::Succeeded, "succeed"));
    assert_eq!((last.policy, life.asked()), (Policy::Completed, 2));
    assert_eq!(record.expect("it was asked").verdict.as_deref(), Some("accept"));
    let output = life.store.output(task.id).await.expect("it works");
    assert_eq!(output, Some(Payload::json("\"given\"")));
}

#[tokio::test(start_paused = true)]
async fn cancel_comes_before_the_answer_of_a_decider_that_is_being_asked() {
    let life = begin(failure(), [Says::Verdict(DeciderVerdict::RetryAfter(1))], no_plan());
    let task = life.submit().await;
    life.house.is_asked.notified().await;
    life.store.cancel(vec![task.id], CancelWish::default()).await.expect("it works");
    life.house.may_answer.add_permits(1);
    let (task, last, record) = life.end(&task).await;
    assert_eq!((task.state.name(), last.policy), (StateName::Cancelled, Policy::Cancel));
    assert_eq!((record, life.asked()), (None, 1), "of what is cancelled nobody is asked");
}

/// The rules decide about the attempt as it was, and the decider is not asked again: it would say the same.
async fn falls_back(life: Life, why: &str, fuel: Option<u64>) {
    let task = life.submit().await;
    life.house.may_answer.add_permits(1);
    let (task, last, record) = life.end(&task).await;
    assert_eq!((task.state.name(), last.policy, last.charged), (StateName::Dead, Policy::Retry, true));
    let expected = format!("failure 1 of at most 1; its decider `calm` did not decide: {why}");
    assert!(last.reason.starts_with(&expected), "{}", last.reason);
    let record = record.expect("it was asked");
    assert!(record.reason.starts_with(why), "{record:?}");
    assert_eq!((record.verdict, record.fuel, life.asked()), (None, fuel, 1));
    assert!(record.situation.contains("\"it fails\""), "{}", record.situation);
}

#[tokio::test(start_paused = true)]
async fn plan_of_a_decider_that_the_store_refuses_is_no_decision() {
    let node = |name: &str, after: &str| {
        let spec = TaskSpec::new("guests/any".parse().expect("a name"), Digest::of(b"guests"));
        let task = NewTask::new(spec, Payload::json("7"));
        let after = vec![After::new(after.parse().expect("a name"))];
        Node { after, ..Node::new(name.parse().expect("a name"), task) }
    };
    let circle = NewPlan { nodes: vec![node("a", "b"), node("b", "a")], ..NewPlan::default() };
    let life = begin(failure(), [Says::Verdict(plan())], Ok(circle));
    falls_back(life, "its plan cannot be run: tasks of the plan wait for each other in a circle: ", None).await;
}

#[tokio::test(start_paused = true)]
async fn plan_of_a_decider_that_is_not_admitted_is_no_decision() {
    let life = begin(failure(), [Says::Verdict(plan())], no_plan());
    falls_back(life, "its plan cannot be run: there are no plans", Some(7)).await;
}

#[tokio::test(start_paused = true)]
async fn time_of_a_decider_obeyed() {
    let life = begin(failure(), [Says::Verdict(DeciderVerdict::GiveUp)], no_plan());
    let task = life.submit().await;
    life.house.is_asked.notified().await;
    tokio::time::advance(Duration::from_millis(9_990)).await;
    life.house.may_answer.add_permits(1);
    let (task, last, _) = life.end(&task).await;
    assert_eq!(
        (task.state.name(), last.policy, last.reason.as_str()),
        (StateName::Dead, Policy::Decider, "it is calm")
    );
}

#[tokio::test(start_paused = true)]
async fn time_of_a_decider_violated() {
    let begun = Instant::now();
    let life = begin(failure(), [Says::Nothing], no_plan());
    falls_back(life, "there was no answer after 10s", None).await;
    assert!((10..60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn panic_over_a_decision_is_no_decision() {
    falls_back(begin(failure(), [Says::Panics], no_plan()), "host code panicked over the decision", None).await;
}
