//! The worker on a real store in memory, with functions in place of a sandbox.

#[path = "worker/ahead.rs"]
mod ahead;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sunaba_store::{CancelWish, EmbeddedStore, EventQuery, EventsOf, ManualClock, MemoryEngine, Store};
use sunaba_task::{
    AskErrorKind, AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Cause, Clock as _, Digest,
    Disposition, Ending, ExecuteError, Executor, Failure, Happening, MAX_CHECKPOINT_BYTES, NewTask, Outcome, Payload,
    Progress, Receipt, State, StateName, Stop, Task, TaskId, TaskSpec, Timestamp,
};
use sunaba_worker::{Worker, WorkerConfig};
use tokio::sync::Semaphore;

/// Long enough for anything, and no reason to wait for it.
const WAIT: Duration = Duration::from_secs(60);

/// Does what the handler's name says.
struct Guests {
    /// Whoever runs `gated` waits for one of these.
    gate: Semaphore,
    running: AtomicUsize,
    most: AtomicUsize,
    echoed: AtomicUsize,
    seen: Mutex<BTreeSet<TaskId>>,
    /// Attempts of `gated`, as they began.
    begun: Mutex<Vec<(TaskId, u32)>>,
}

impl Guests {
    fn new() -> Arc<Self> {
        let gate = Semaphore::new(0);
        Arc::new(Self {
            gate,
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            echoed: AtomicUsize::new(0),
            seen: Mutex::default(),
            begun: Mutex::default(),
        })
    }

    async fn run(&self, request: &AttemptRequest, host: &dyn AttemptHost) -> AttemptResult {
        let stopped =
            |cause: Cause| AttemptResult::Stopped(Stop { cause, message: "stopped".into(), backtrace: Vec::new() });
        match request.handler.as_str() {
            "echo" => drop(self.echoed.fetch_add(1, Ordering::SeqCst)),
            "fail" => {
                let (kind, message) = ("error".into(), "it fails".into());
                let disposition = Disposition::ByPolicy;
                return AttemptResult::Failed(Failure { kind, message, detail: None, disposition });
            }
            "careful" => return careful(request, host).await,
            "panic" => panic!("host code panics"),
            "gated" => {
                let (task, attempt) = (request.context.task_id, request.context.attempt);
                self.begun.lock().expect("no test panicked").push((task, attempt));
                self.seen.lock().expect("no test panicked").insert(task);
                tokio::select! {
                    permit = self.gate.acquire() => permit.expect("it is open").forget(),
                    cause = host.stopped() => return stopped(cause),
                }
            }
            "talkative" => {
                for step in 1..=1_000_u32 {
                    let fraction = Some(f64::from(step) / 1_000.0);
                    host.on_progress(Progress { fraction, message: format!("step {step}") });
                }
                self.gate.acquire().await.expect("it is open").forget();
                host.on_progress(Progress { fraction: None, message: "the last word".into() });
            }
            "polite" => {
                self.seen.lock().expect("no test panicked").insert(request.context.task_id);
                while !host.is_cancelled() {
                    tokio::task::yield_now().await;
                }
            }
            "deaf" => std::future::pending().await,
            other => panic!("no such guest: {other}"),
        }
        AttemptResult::Returned(Outcome::Complete(request.input.clone()))
    }
}

/// Gives what an attempt before it has kept, if one has; else keeps something, and fails.
async fn careful(request: &AttemptRequest, host: &dyn AttemptHost) -> AttemptResult {
    if let Some(kept) = host.last_checkpoint().await.expect("there is a store") {
        return AttemptResult::Returned(Outcome::Complete(Payload::json(kept)));
    }
    let too_large = host.checkpoint(vec![0; MAX_CHECKPOINT_BYTES + 1].into()).await.expect_err("it is too large");
    assert_eq!(too_large.kind, AskErrorKind::Limit);
    let kept = format!("{}", request.context.attempt);
    host.checkpoint(kept.into_bytes().into()).await.expect("it is kept");
    let disposition = Disposition::RetryAfter(Duration::ZERO);
    let failure = Failure { kind: "error".into(), message: "half way".into(), detail: None, disposition };
    AttemptResult::Failed(failure)
}

impl Executor for Guests {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        assert_ne!(request.handler, "panic-early", "host code panics before it has begun");
        Box::pin(async move {
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(running, Ordering::SeqCst);
            let result = self.run(&request, &*host).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            Ok(AttemptReport { result, receipt: Receipt::unmeasured(request.component), logs: Vec::new() })
        })
    }
}

struct House {
    clock: ManualClock,
    store: Arc<EmbeddedStore>,
    guests: Arc<Guests>,
}

impl House {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("memory opens");
        Self { clock, store: Arc::new(store), guests: Guests::new() }
    }

    fn worker(&self, slots: usize) -> Worker {
        let short = Duration::from_millis(10);
        let config = WorkerConfig {
            name: "w".into(),
            slots,
            cancel_grace: short,
            progress_interval: short,
            ..WorkerConfig::default()
        };
        Worker::start(Arc::clone(&self.store) as _, Arc::clone(&self.guests) as _, config)
    }

    async fn submit(&self, handler: &str) -> Task {
        let name = format!("guests/{handler}").parse().expect("a name");
        let spec = TaskSpec { max_attempts: 3, ..TaskSpec::new(name, Digest::of(b"guests")) };
        let new = NewTask::new(spec, Payload::json("7"));
        let submitted = self.store.submit(vec![new]).await.expect("the store works").remove(0);
        submitted.expect("it is taken on").into_task()
    }

    async fn end(&self, task: &Task) -> Task {
        self.store.wait(task.id, WAIT).await.expect("the store works").expect("it is there")
    }

    /// The first event of a task after a place that is of this kind, and the words of those before it.
    async fn told(&self, task: &Task, word: &str) -> (Vec<&'static str>, Happening) {
        let (mut place, mut before) = (0, Vec::new());
        loop {
            let query = EventQuery { after: Some(place), of: Some(EventsOf::Task(task.id)), limit: 100, wait: WAIT };
            let page = self.store.events(query).await.expect("the store works");
            place = page.next;
            for event in page.of_tasks() {
                if event.what.word() == word {
                    return (before, event.what.clone());
                }
                before.push(event.what.word());
            }
        }
    }

    async fn now(&self, task: &Task) -> Task {
        self.store.task(task.id).await.expect("the store works").expect("it is there")
    }

    /// Waits until a task is in this state.
    async fn until(&self, task: &Task, state: StateName) -> Task {
        loop {
            let now = self.now(task).await;
            if now.state.name() == state {
                return now;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many gated guests run.
    async fn until_running(&self, count: usize) {
        while self.guests.seen.lock().expect("no test panicked").len() < count {
            tokio::task::yield_now().await;
        }
    }
}

fn test(case: impl AsyncFnOnce(House)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(WAIT, case(House::new())).await.expect("it ends") });
}

#[test]
fn task_succeeds_with_its_output() {
    test(async |house| {
        let _worker = house.worker(1);
        let task = house.submit("echo").await;
        let done = house.end(&task).await;
        assert_eq!((&done.state, done.attempts_started), (&State::Succeeded, 1));
        assert_eq!(done.attempts[0].worker, "w");
        assert_eq!(house.store.output(task.id).await.expect("the store works"), Some(Payload::json("7")));
    });
}

#[test]
fn attempt_goes_on_from_the_checkpoint_of_the_one_before() {
    test(async |house| {
        let _worker = house.worker(1);
        let task = house.submit("careful").await;
        let done = house.end(&task).await;
        assert_eq!((&done.state, done.attempts_started), (&State::Succeeded, 2));
        assert_eq!(house.store.output(task.id).await.expect("the store works"), Some(Payload::json("1")));
        assert_eq!(house.store.last_checkpoint(task.id).await.expect("the store works"), None);
    });
}

#[test]
fn failing_task_is_retried_after_its_backoff_and_dies() {
    test(async |house| {
        let _worker = house.worker(1);
        let task = house.submit("fail").await;
        for failures in 1..3 {
            let waiting = house.until(&task, StateName::RetryScheduled).await;
            assert_eq!(waiting.failures_charged, failures);
            let due = waiting.due_at().expect("it waits");
            let seconds = due.since(waiting.attempts.last().expect("it failed").ended_at).as_secs_f64();
            let planned = f64::from(5 << (failures - 1));
            assert!((planned * 0.9..=planned * 1.1).contains(&seconds), "{seconds}");
            house.clock.advance(due.since(house.clock.now()));
            // The next attempt is there before anybody looks for the state again.
            while house.now(&task).await.attempts_started == failures {
                tokio::task::yield_now().await;
            }
        }
        let dead = house.end(&task).await;
        assert_eq!((&dead.state, dead.failures_charged), (&State::Dead, 3));
        assert_eq!(dead.attempts[2].decision.reason, "failure 3 of at most 3");
    });
}

#[test]
fn no_more_run_than_there_are_slots() {
    test(async |house| {
        let mut tasks = Vec::new();
        for _ in 0..10 {
            tasks.push(house.submit("gated").await);
        }
        let worker = house.worker(3);
        house.until_running(3).await;
        assert_eq!(worker.running(), 3);
        house.guests.gate.add_permits(10);
        for task in &tasks {
            assert_eq!(house.end(task).await.state, State::Succeeded);
        }
        assert_eq!(house.guests.most.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn slots_that_are_changed_while_attempts_run_hold_for_what_comes_next() {
    test(async |house| {
        let mut tasks = Vec::new();
        for _ in 0..12 {
            tasks.push(house.submit("gated").await);
        }
        let config = WorkerConfig { slots: 1, max_slots: 4, ..WorkerConfig::default() };
        let worker = Worker::start(Arc::clone(&house.store) as _, Arc::clone(&house.guests) as _, config);
        house.until_running(1).await;
        assert_eq!((worker.slots(), worker.busy()), (1, 1));
        // No more than it was started for.
        assert_eq!(worker.set_slots(9), 4);
        house.until_running(4).await;
        // What runs beyond fewer slots ends by itself, and nothing takes its place.
        assert_eq!(worker.set_slots(1), 1);
        assert_eq!(worker.busy(), 4);
        house.guests.gate.add_permits(3);
        while worker.busy() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(house.guests.seen.lock().expect("no test panicked").len(), 4);
        house.guests.gate.add_permits(20);
        for task in &tasks {
            assert_eq!(house.end(task).await.state, State::Succeeded);
        }
        assert_eq!(house.guests.most.load(Ordering::SeqCst), 4);
    });
}

#[test]
fn panic_of_host_code_is_one_attempts_failure() {
    test(async |house| {
        let _worker = house.worker(1);
        for handler in ["panic", "panic-early"] {
            let (panics, echo) = (house.submit(handler).await, house.submit("echo").await);
            assert_eq!(house.end(&echo).await.state, State::Succeeded);
            let failed = house.until(&panics, StateName::RetryScheduled).await;
            assert!(matches!(failed.attempts[0].ending, Ending::HostFailed { .. }), "{failed:?}");
        }
    });
}

#[test]
fn cancelled_guest_may_end_by_itself_and_is_cancelled_all_the_same() {
    test(async |house| {
        let _worker = house.worker(1);
        let task = house.submit("polite").await;
        // A task runs in the store from its lease on; one that is cancelled before its guest begins is handed back.
        house.until_running(1).await;
        house.store.cancel(vec![task.id], CancelWish::default()).await.expect("the store works");
        let ended = house.end(&task).await;
        assert_eq!((&ended.state, &ended.attempts[0].ending), (&State::Cancelled, &Ending::Completed));
        assert_eq!(house.store.output(task.id).await.expect("the store works"), None);
    });
}

#[test]
fn cancelled_guest_that_does_not_listen_is_stopped() {
    test(async |house| {
        let _worker = house.worker(1);
        let task = house.submit("gated").await;
        house.until_running(1).await;
        house.store.cancel(vec![task.id], CancelWish::default()).await.expect("the store works");
        let ended = house.end(&task).await;
        assert_eq!(ended.state, State::Cancelled);
        let ending = &ended.attempts[0].ending;
        assert!(matches!(ending, Ending::Stopped { cause: Cause::Cancelled, .. }), "{ending:?}");
    });
}

#[test]
fn attempt_that_says_more_than_is_passed_on_is_told_by_its_last_word() {
    test(async |house| {
        let tasks = [house.submit("talkative").await, house.submit("talkative").await];
        let _worker = house.worker(2);
        for task in &tasks {
            let (before, told) = house.told(task, "progress").await;
            assert_eq!(before, ["submitted", "started"]);
            let progress = Progress { fraction: Some(1.0), message: "step 1000".into() };
            assert_eq!(told, Happening::Progress { attempt: 1, progress });
        }
        house.guests.gate.add_permits(2);
        for task in &tasks {
            house.end(task).await;
            // What it said last may have been told in time or not, and never after its end.
            let (before, _) = house.told(task, "succeeded").await;
            let progress = before.iter().filter(|word| **word == "progress").count();
            assert!(before.starts_with(&["submitted", "started", "progress"]) && progress <= 2, "{before:?}");
        }
    });
}

#[test]
fn graceful_stop_lets_attempts_end_and_takes_no_more() {
    test(async |house| {
        let worker = house.worker(1);
        let (first, second) = (house.submit("gated").await, house.submit("gated").await);
        house.until_running(1).await;
        let stopping = worker.stop(WAIT);
        let release = async {
            // Twice is once.
            tokio::time::timeout(Duration::from_millis(1), worker.stop(WAIT)).await.expect_err("it still runs");
            house.guests.gate.add_permits(2);
        };
        let (stopped, ()) = tokio::join!(stopping, release);
        stopped.expect("the store is there");
        assert_eq!(house.now(&first).await.state, State::Succeeded);
        let second = house.now(&second).await;
        assert_eq!((&second.state, second.attempts_started), (&State::Queued, 0));
    });
}

#[test]
fn what_does_not_end_in_the_grace_period_is_handed_back_uncharged() {
    for (handler, forced) in [("gated", false), ("deaf", false), ("gated", true)] {
        test(async |house| {
            let worker = house.worker(1);
            let task = house.submit(handler).await;
            house.until(&task, StateName::Running).await;
            if forced {
                worker.force();
            }
            worker.stop(if forced { WAIT } else { Duration::from_millis(1) }).await.expect("the store is there");
            let back = house.now(&task).await;
            assert_eq!((&back.state, back.attempts_started), (&State::Queued, 1), "{handler}");
            assert_eq!((back.failures_charged, back.hosts_lost), (0, 0), "{handler}");
        });
    }
}

#[test]
fn attempts_of_a_lost_session_are_stopped_and_the_worker_goes_on() {
    test(async |house| {
        let _worker = house.worker(1);
        let task = house.submit("gated").await;
        house.until_running(1).await;
        house.clock.advance(WorkerConfig::default().lease_time);
        while house.now(&task).await.attempts_started < 2 {
            tokio::task::yield_now().await;
        }
        house.guests.gate.add_permits(1);
        let ended = house.end(&task).await;
        assert_eq!((&ended.state, ended.attempts_started, ended.hosts_lost), (&State::Succeeded, 2, 1));
        assert_eq!(ended.attempts[0].ending, Ending::HostLost);
    });
}

#[test]
fn two_workers_share_the_work_and_run_nothing_twice() {
    test(async |house| {
        let _workers = [house.worker(2), house.worker(2)];
        let mut tasks = Vec::new();
        for _ in 0..50 {
            tasks.push(house.submit("echo").await);
        }
        for task in &tasks {
            let ended = house.end(task).await;
            assert_eq!((&ended.state, ended.attempts_started), (&State::Succeeded, 1));
        }
    });
}
