//! The real store, driven step by step and held against the model.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::strategy::{BoxedStrategy, Just, Strategy as _};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use sunaba_runtime::store::{
    CancelWish, EmbeddedStore, LeaseRequest, ManualClock, MemoryEngine, Queues, SettleError, Settlement, SledEngine,
    Store as _, StoreError, SubmitError, Submitted, TaskQuery,
};
use sunaba_runtime::task::{
    AttemptDetail, Decision, Digest, Ending, LeaseToken, NewTask, Payload, Policy, Retention, SessionId, State,
    StateName, Task, TaskId, TaskSpec, Timestamp, Verdict as Real, When,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::reference::{Answer, Item, MAX_HOSTS_LOST, Model, Place, START_MS, pick};
use super::step::{Step, Verdict, Wish, any_step};

const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Steps that were taken, and restarts among them.
pub(super) static STEPS: AtomicU64 = AtomicU64::new(0);
pub(super) static RESTARTS: AtomicU64 = AtomicU64::new(0);

/// The model as proptest wants it.
#[derive(Debug)]
pub(super) struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Step> {
        any_step()
    }

    fn apply(state: Model, step: &Step) -> Model {
        state.after(step)
    }
}

/// A real store, on disk or in memory.
pub(super) struct System<const ON_DISK: bool> {
    runtime: Runtime,
    clock: ManualClock,
    memory: MemoryEngine,
    folder: Option<TempDir>,
    /// Two hands on one store; they take turns.
    handles: Option<[EmbeddedStore; 2]>,
    serve: Option<JoinHandle<()>>,
    turn: usize,
    /// Each opening has chances of its own.
    openings: u64,
    tasks: Vec<TaskId>,
    sessions: Vec<SessionId>,
    tokens: Vec<LeaseToken>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn new_task(wish: &Wish) -> NewTask {
    let mut spec = TaskSpec::new("model/task".parse().expect("a name"), Digest::of(b"model"));
    spec.queue = queue(wish.queue);
    spec.priority = wish.priority;
    spec.max_hosts_lost = MAX_HOSTS_LOST;
    spec.idempotency_key = wish.key.map(|key| format!("key {key}"));
    let input = Payload::json(vec![b'7'; usize::from(wish.body) + 1]);
    NewTask { start: wish.delay_ms.map(|delay| When::After(ms(delay))), ..NewTask::new(spec, input) }
}

fn queue(queue: u8) -> String {
    format!("q{queue}")
}

fn output(task: TaskId, attempt: u32) -> Payload {
    Payload::json(format!("\"{task} {attempt}\""))
}

impl<const ON_DISK: bool> System<ON_DISK> {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let mut system = Self {
            runtime,
            clock: ManualClock::at(Timestamp::from_unix_ms(START_MS)),
            memory: MemoryEngine::default(),
            folder: ON_DISK.then(|| tempfile::tempdir().expect("a folder")),
            handles: None,
            serve: None,
            turn: 0,
            openings: 0,
            tasks: Vec::new(),
            sessions: Vec::new(),
            tokens: Vec::new(),
        };
        system.open();
        system
    }

    fn open(&mut self) {
        self.handles = None;
        self.openings += 1;
        if let Some(serve) = self.serve.take() {
            serve.abort();
            // It was aborted; what matters is that it is gone.
            let _ = self.runtime.block_on(serve);
        }
        let clock = Arc::new(self.clock.clone());
        let (store, serve) = match &self.folder {
            Some(folder) => {
                let engine = SledEngine::open(&folder.path().join("data")).expect("it opens again");
                let (store, serve) = EmbeddedStore::open_seeded(engine, clock, self.openings).expect("it opens again");
                (store, self.runtime.spawn(serve))
            }
            None => {
                let opened = EmbeddedStore::open_seeded(self.memory.clone(), clock, self.openings);
                let (store, serve) = opened.expect("it opens again");
                (store, self.runtime.spawn(serve))
            }
        };
        self.serve = Some(serve);
        // Longer than any step of the clock: what is deleted in time has cases of its own.
        let kept = Some(KEPT);
        let retention = Retention { result: KEPT, succeeded: kept, cancelled: kept, expired: kept, dead: kept };
        self.runtime.block_on(store.set_retention(retention)).expect("the store works");
        self.handles = Some([store.clone(), store]);
    }

    /// Has one of the handles do something.
    fn ask<T>(&mut self, call: impl AsyncFnOnce(&EmbeddedStore) -> T) -> T {
        self.turn += 1;
        let store = self.handles.as_ref().expect("it is open")[self.turn % 2].clone();
        self.runtime.block_on(call(&store))
    }

    fn position(&self, id: TaskId) -> usize {
        self.tasks.iter().position(|known| *known == id).expect("the store gives no task that nobody submitted")
    }

    fn take(&mut self, step: Step, model: &Model) -> Answer {
        match step {
            Step::Submit(wishes) => {
                let tasks = wishes.iter().map(new_task).collect();
                let answers = self.ask(async |store| store.submit(tasks).await).expect("the store works");
                Answer::Submitted(answers.into_iter().map(|answer| self.submitted(answer)).collect())
            }
            Step::OpenSession { lease_ms } => {
                let opened = self.ask(async |store| store.open_session("model".into(), ms(lease_ms)).await);
                self.sessions.push(opened.expect("the store works"));
                Answer::Done
            }
            Step::Lease { session, slots, queue: of } => {
                let Some(session) = pick(session, self.sessions.len()) else { return Answer::SessionLost };
                let queues = of.map_or(Queues::All, |of| Queues::Only(vec![queue(of)]));
                let request = LeaseRequest { session: self.sessions[session], queues, slots, wait: Duration::ZERO };
                match self.ask(async |store| store.lease(request).await) {
                    Ok(leased) => {
                        self.tokens.extend(leased.iter().map(|leased| leased.token));
                        let tasks =
                            leased.iter().map(|leased| (self.position(leased.task.id), leased.task.attempts_started));
                        Answer::Leased(tasks.collect())
                    }
                    Err(StoreError::SessionLost) => Answer::SessionLost,
                    Err(error) => panic!("the store works: {error}"),
                }
            }
            Step::Renew { session } => {
                let Some(session) = pick(session, self.sessions.len()) else { return Answer::SessionLost };
                let session = self.sessions[session];
                match self.ask(async |store| store.renew(session, Duration::ZERO).await) {
                    Ok(news) => Answer::Renewed(news.iter().map(|news| self.position(news.task)).collect()),
                    Err(StoreError::SessionLost) => Answer::SessionLost,
                    Err(error) => panic!("the store works: {error}"),
                }
            }
            Step::CloseSession { session } => {
                if let Some(session) = pick(session, self.sessions.len()) {
                    let session = self.sessions[session];
                    self.ask(async |store| store.close_session(session).await).expect("the store works");
                }
                Answer::Done
            }
            Step::Settle { token, is_behind, verdict, charged } => {
                let Some(token) = pick(token, self.tokens.len()) else { return Answer::Done };
                let settlement = self.settlement(self.tokens[token], is_behind, verdict, charged);
                let settled = self.ask(async |store| store.settle(vec![settlement]).await);
                match settled.expect("the store works").remove(0) {
                    Ok(_) => Answer::Settled,
                    Err(SettleError::LeaseLost) => Answer::LeaseLost,
                    Err(SettleError::Stale(_)) => Answer::Stale,
                    Err(error) => panic!("a new error: {error}"),
                }
            }
            Step::Cancel { task } => {
                if let Some(task) = pick(task, self.tasks.len()) {
                    let id = self.tasks[task];
                    let cancelled = self.ask(async |store| store.cancel(vec![id], CancelWish::default()).await);
                    assert!(cancelled.expect("the store works")[0].is_some());
                }
                Answer::Done
            }
            Step::Pass { ms: passed } => {
                self.clock.advance(ms(passed));
                self.look();
                Answer::Done
            }
            Step::SetClock { .. } => {
                self.clock.set(Timestamp::from_unix_ms(model.wall_ms));
                self.look();
                Answer::Done
            }
            Step::Restart => {
                RESTARTS.fetch_add(1, Ordering::Relaxed);
                self.open();
                self.look();
                Answer::Done
            }
            Step::List { ended, queue: of } => Answer::Listed(self.list(ended, of)),
        }
    }

    /// The store looks at its clock whenever it is asked for anything.
    fn look(&mut self) {
        self.ask(async |store| store.packages().await).expect("the store works");
    }

    fn submitted(&mut self, answer: Result<Submitted, SubmitError>) -> Result<(usize, bool), usize> {
        match answer {
            Ok(Submitted::Created(task)) => {
                assert!(!self.tasks.contains(&task.id), "an id was given twice");
                self.tasks.push(task.id);
                Ok((self.tasks.len() - 1, true))
            }
            Ok(Submitted::Existing(task)) => Ok((self.position(task.id), false)),
            Err(SubmitError::Conflict { task, .. }) => Err(self.position(task)),
            Err(error) => panic!("a submit was refused: {error}"),
        }
    }

    fn settlement(&mut self, token: LeaseToken, is_behind: bool, verdict: Verdict, charged: bool) -> Settlement {
        let task = self.ask(async |store| store.task(token.task).await).expect("the store works").expect("it is there");
        let verdict = match verdict {
            Verdict::Succeed => Real::Succeed,
            Verdict::Retry { ms: delay } => Real::Retry(ms(delay)),
            Verdict::Snooze { ms: delay } => Real::Snooze(ms(delay)),
            Verdict::Requeue => Real::Requeue,
            Verdict::GiveUp => Real::GiveUp,
            Verdict::Cancel => Real::Cancel,
        };
        Settlement {
            token,
            revision: task.revision - u64::from(is_behind),
            ending: Ending::Completed,
            decision: Decision { verdict, charged, policy: Policy::Retry, reason: "by the model".into() },
            receipt: None,
            output: (verdict == Real::Succeed).then(|| output(task.id, task.attempts_started)),
            detail: AttemptDetail::default(),
        }
    }

    fn list(&mut self, ended: Option<bool>, of: Option<u8>) -> Vec<usize> {
        let states = match ended {
            None => Vec::new(),
            Some(true) => vec![StateName::Succeeded, StateName::Dead, StateName::Cancelled, StateName::Expired],
            Some(false) => vec![StateName::Scheduled, StateName::Queued, StateName::Running, StateName::RetryScheduled],
        };
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let query =
                TaskQuery { states: states.clone(), queue: of.map(queue), before, limit: 3, ..TaskQuery::default() };
            let page = self.ask(async |store| store.tasks(query).await).expect("the store works");
            listed.extend(page.tasks.iter().map(|task| self.position(task.id)));
            before = page.next;
            if before.is_none() {
                return listed;
            }
        }
    }

    fn check(&self, task: &Task, item: &Item, model: &Model, position: usize) {
        let place = match &task.state {
            State::Scheduled { until } => Place::Scheduled(until.unix_ms()),
            State::Queued => Place::Queued,
            State::Running(_) => match item.place {
                Place::Running(session) => Place::Running(session),
                _ => Place::Running(usize::MAX),
            },
            State::RetryScheduled { until } => Place::RetryScheduled(until.unix_ms()),
            State::Succeeded => Place::Succeeded,
            State::Dead => Place::Dead,
            State::Cancelled => Place::Cancelled,
            State::Expired => panic!("nothing expires here"),
        };
        assert_eq!(place, item.place, "task {position}: {task:?} at {}", model.wall_ms);
        let counts = (task.attempts_started, task.failures_charged, task.hosts_lost, task.revision);
        assert_eq!(counts, (item.attempts, item.failures, item.lost, item.revision), "task {position}: {task:?}");
        assert_eq!(task.cancel.is_some(), item.cancelled, "task {position}: {task:?}");
        assert_eq!(task.submitted_at.unix_ms(), item.submitted_ms);
    }
}

impl<const ON_DISK: bool> StateMachineTest for System<ON_DISK> {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &Model) -> Self {
        Self::new()
    }

    fn apply(mut state: Self, model: &Model, step: Step) -> Self {
        STEPS.fetch_add(1, Ordering::Relaxed);
        let answer = state.take(step, model);
        assert_eq!(answer, model.answer);
        state
    }

    fn check_invariants(state: &Self, model: &Model) {
        let store = &state.handles.as_ref().expect("it is open")[0];
        assert_eq!(state.tasks.len(), model.items.len());
        assert_eq!(state.tasks.iter().collect::<BTreeSet<_>>().len(), state.tasks.len());
        for (position, (id, item)) in state.tasks.iter().zip(&model.items).enumerate() {
            let (task, kept) = state.runtime.block_on(async { (store.task(*id).await, store.output(*id).await) });
            let task = task.expect("the store works").expect("what was acknowledged is there");
            state.check(&task, item, model, position);
            let expected = (item.place == Place::Succeeded).then(|| output(*id, item.attempts));
            assert_eq!(kept.expect("the store works"), expected, "task {position}");
        }
    }
}
