//! The real store, driven step by step and held against the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::strategy::{BoxedStrategy, Just, Strategy as _};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use sunaba_runtime::store::{
    Activation, CancelWish, DeleteError, EmbeddedStore, EventQuery, LeaseRequest, Leased, ManualClock, MemoryEngine,
    Queues, Rerun, RerunError, SettleError, Settlement, SledEngine, Store as _, StoreError, SubmitError, Submitted,
    TaskQuery,
};
use sunaba_runtime::task::{
    AttemptDetail, Decision, Digest, Ending, HandlerChange, Happening, LeaseToken, Origin as RealOrigin, Policy,
    QueueChange, Retention, SessionId, State, StateName, Task, TaskId, Timestamp, Verdict as Real,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::item::{Item, Origin, Place, Refusal};
use super::real::{
    COMPONENTS, PACKAGE, component, digest, handler, input, ms, new_task, output, package, queue, real_verdict,
};
use super::reference::{self, Answer, Model, START_MS, pick};
use super::step::{Control, Step, Verdict, any_step};

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
    /// In the order in which the feed tells of their submit.
    tasks: Vec<TaskId>,
    /// What the feed has told of each, and how far it was read.
    told: Vec<Vec<&'static str>>,
    read_until: u64,
    sessions: Vec<SessionId>,
    tokens: Vec<LeaseToken>,
    /// What there are components of.
    digests: BTreeMap<Digest, u32>,
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
            told: Vec::new(),
            read_until: 0,
            sessions: Vec::new(),
            tokens: Vec::new(),
            digests: (0..COMPONENTS).map(|number| (digest(number), number)).collect(),
        };
        system.open();
        let kept = |kept| Some(ms(kept));
        let retention = Retention {
            result: ms(reference::RESULT_MS),
            succeeded: kept(reference::SUCCEEDED_MS),
            cancelled: kept(reference::CANCELLED_MS),
            expired: kept(reference::EXPIRED_MS),
            dead: None,
        };
        system.ask(async |store| store.set_retention(retention).await).expect("the store works");
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
        self.handles = Some([store.clone(), store]);
        self.read_until = 0;
        self.told.iter_mut().for_each(Vec::clear);
    }

    /// Has one of the handles do something.
    fn ask<T>(&mut self, call: impl AsyncFnOnce(&EmbeddedStore) -> T) -> T {
        self.turn += 1;
        let store = self.handles.as_ref().expect("it is open")[self.turn % 2].clone();
        self.runtime.block_on(call(&store))
    }

    /// Reads what the feed has told since.
    fn read_feed(&mut self) {
        loop {
            let query = EventQuery { after: Some(self.read_until), limit: 1_000, ..EventQuery::default() };
            let page = self.ask(async |store| store.events(query).await).expect("the store works");
            assert!(!page.missed, "events are missing");
            if page.events.is_empty() {
                return;
            }
            for event in page.of_tasks() {
                assert_eq!(event.sequence, self.read_until + 1, "events are counted");
                self.read_until = event.sequence;
                if event.what == Happening::Submitted && !self.tasks.contains(&event.task) {
                    self.tasks.push(event.task);
                    self.told.push(Vec::new());
                }
                let position = self.position(event.task);
                self.told[position].push(event.what.word());
            }
        }
    }

    /// Has one of the handles change something.
    fn act<T>(&mut self, call: impl AsyncFnOnce(&EmbeddedStore) -> T) -> T {
        let answer = self.ask(call);
        self.read_feed();
        answer
    }

    fn position(&self, id: TaskId) -> usize {
        self.tasks.iter().position(|known| *known == id).expect("the store gives no task that nobody submitted")
    }

    fn take(&mut self, step: Step, model: &Model) -> Answer {
        match step {
            Step::Submit(wishes) => {
                let tasks = wishes.iter().map(new_task).collect();
                let answers = self.act(async |store| store.submit(tasks).await).expect("the store works");
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
                        let answer = |leased: &Leased| {
                            let task = &leased.task;
                            (self.position(task.id), task.attempts_started, self.component(task.spec.component))
                        };
                        Answer::Leased(leased.iter().map(answer).collect())
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
                // What was given back may have expired meanwhile.
                self.look();
                match settled.expect("the store works").remove(0) {
                    Ok(_) => Answer::Settled,
                    Err(SettleError::LeaseLost) => Answer::LeaseLost,
                    Err(SettleError::Stale(_)) => Answer::Stale,
                    Err(error) => panic!("a new error: {error}"),
                }
            }
            Step::Cancel { task } => self.known(task, async |store, id| {
                store.cancel(vec![id], CancelWish::default()).await.expect("the store works").remove(0)
            }),
            Step::RunNow { task } => {
                self.known(task, async |store, id| store.run_now(vec![id]).await.expect("the store works").remove(0))
            }
            Step::Rerun { task, body } => {
                let Some(task) = pick(task, self.tasks.len()) else { return Answer::Done };
                let mut request = Rerun { task: self.tasks[task], input: body.map(input), checked: None, once: false };
                let mut again = self.rerun(&request);
                if let Err(RerunError::Unchecked { active, .. }) = &again {
                    // All versions take the same.
                    request.checked = Some(active.component);
                    again = self.rerun(&request);
                }
                Answer::Rerun(match again {
                    Ok(task) => Ok(self.position(task.id)),
                    Err(RerunError::Unknown(_)) => Err(Refusal::Unknown),
                    Err(RerunError::NotEnded { .. }) => Err(Refusal::NotEnded),
                    Err(error) => panic!("a new error: {error}"),
                })
            }
            Step::Delete { task } => {
                let Some(task) = pick(task, self.tasks.len()) else { return Answer::Done };
                let id = self.tasks[task];
                let deleted = self.ask(async |store| store.delete(vec![id]).await).expect("the store works").remove(0);
                Answer::Deleted(deleted.map_err(|error| match error {
                    DeleteError::Unknown(_) => Refusal::Unknown,
                    DeleteError::NotEnded { .. } => Refusal::NotEnded,
                    error => panic!("a new error: {error}"),
                }))
            }
            Step::SetQueue { queue: of, control } => {
                let change = match control {
                    Control::Pause(paused) => QueueChange::Paused(paused),
                    Control::Concurrency(limit) => QueueChange::Concurrency(limit.map(u32::from)),
                    Control::KeyConcurrency(limit) => QueueChange::KeyConcurrency(limit.map(u32::from)),
                    Control::MaxDepth(limit) => QueueChange::MaxDepth(limit.map(u64::from)),
                };
                self.ask(async |store| store.set_queue(queue(of), vec![change]).await).expect("the store works");
                Answer::Done
            }
            Step::SetHandler { handler: of, control } => {
                let change = match control {
                    Control::Pause(paused) => HandlerChange::Paused(paused),
                    Control::Concurrency(limit) => HandlerChange::Concurrency(limit.map(u32::from)),
                    Control::KeyConcurrency(_) | Control::MaxDepth(_) => unreachable!("no handler has that"),
                };
                self.ask(async |store| store.set_handler(handler(of), vec![change]).await).expect("the store works");
                Answer::Done
            }
            Step::Deploy { component } => self.deploy(&[u32::from(component)]),
            Step::DeployMany => self.deploy(&model.shelf.fresh()),
            Step::Activate { version } => {
                let versions = self.ask(async |store| store.versions(PACKAGE.into()).await).expect("the store works");
                let version = version.and_then(|index| Some(versions[pick(index, versions.len())?].version));
                let wish = Activation { package: PACKAGE.into(), version, allow_signature_change: false };
                Answer::Active(vec![match self.ask(async |store| store.activate(wish).await) {
                    Ok(package) => Some(package.version),
                    Err(StoreError::Version(_)) => None,
                    Err(error) => panic!("the store works: {error}"),
                }])
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

    fn rerun(&mut self, request: &Rerun) -> Result<Task, RerunError> {
        let requests = vec![request.clone()];
        self.act(async |store| store.rerun(requests).await).expect("the store works").remove(0)
    }

    fn deploy(&mut self, components: &[u32]) -> Answer {
        let mut versions = Vec::new();
        for number in components {
            let deployed = self.ask(async |store| store.deploy(package(*number), component(*number)).await);
            versions.push(Some(deployed.expect("the store works").package.version));
            self.digests.insert(digest(*number), *number);
        }
        Answer::Active(versions)
    }

    /// The number of a component.
    fn component(&self, digest: Digest) -> u32 {
        *self.digests.get(&digest).expect("nobody has asked for any other")
    }

    /// The store looks at its clock whenever it is asked for anything.
    fn look(&mut self) {
        self.ask(async |store| store.packages().await).expect("the store works");
    }

    fn known(&mut self, index: u8, call: impl AsyncFnOnce(&EmbeddedStore, TaskId) -> Option<Task>) -> Answer {
        let Some(task) = pick(index, self.tasks.len()) else { return Answer::Done };
        let id = self.tasks[task];
        Answer::Known(self.act(async |store| call(store, id).await).is_some())
    }

    fn submitted(&self, answer: Result<Submitted, SubmitError>) -> Result<(usize, bool), Refusal> {
        match answer {
            Ok(Submitted::Created(task)) => Ok((self.position(task.id), true)),
            Ok(Submitted::Existing(task)) => Ok((self.position(task.id), false)),
            Err(SubmitError::Conflict { task, .. }) => Err(Refusal::Conflict(self.position(task))),
            Err(SubmitError::Taken { task, .. }) => Err(Refusal::Taken(self.position(task))),
            Err(SubmitError::QueueFull { .. }) => Err(Refusal::Full),
            Err(SubmitError::Unchecked { active }) => Err(Refusal::Unchecked(self.component(active.component))),
            Err(error) => panic!("a submit was refused: {error}"),
        }
    }

    fn settlement(&mut self, token: LeaseToken, is_behind: bool, verdict: Verdict, charged: bool) -> Settlement {
        let task = self.ask(async |store| store.task(token.task).await).expect("the store works");
        // Nobody knows better of one that has gone.
        let (revision, attempt) = task.map_or((1, 0), |task| (task.revision, task.attempts_started));
        let ending = if verdict == Verdict::NotReady { Ending::HandedBack } else { Ending::Completed };
        let verdict = real_verdict(verdict);
        Settlement {
            token,
            revision: revision - u64::from(is_behind),
            ending,
            decision: Decision { verdict, charged, policy: Policy::Retry, reason: "by the model".into() },
            receipt: None,
            output: (verdict == Real::Succeed).then(|| output(token.task, attempt)),
            detail: AttemptDetail::default(),
            plan: None,
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
            State::Blocked(_) => panic!("a task of no job waits for others"),
            State::Queued => Place::Queued,
            State::Running(_) => match item.place {
                Place::Running(session) => Place::Running(session),
                _ => Place::Running(usize::MAX),
            },
            State::RetryScheduled { until } => Place::RetryScheduled(until.unix_ms()),
            State::Succeeded => Place::Succeeded,
            State::Dead => Place::Dead,
            State::Cancelled => Place::Cancelled,
            State::Expired => Place::Expired,
        };
        assert_eq!(place, item.place, "task {position}: {task:?} at {}", model.wall_ms);
        let counts = (task.attempts_started, task.failures_charged, task.hosts_lost, task.revision);
        assert_eq!(counts, (item.attempts, item.failures, item.lost, item.revision), "task {position}: {task:?}");
        assert_eq!(task.begun, item.begun, "task {position}: {task:?}");
        assert_eq!(task.spec.component, digest(item.component), "task {position}: {task:?}");
        assert_eq!(task.cancel.is_some(), item.cancelled, "task {position}: {task:?}");
        assert_eq!(task.submitted_at.unix_ms(), item.submitted_ms);
        assert_eq!(task.expires_at.map(Timestamp::unix_ms), item.expires_ms, "task {position}");
        assert_eq!(task.successor.map(|id| self.position(id)), item.successor, "task {position}: {task:?}");
        let origin = match task.origin {
            None => Origin::Submit,
            Some(RealOrigin::Rerun(of)) => Origin::Rerun(self.position(of)),
            Some(RealOrigin::Replaces(of)) => Origin::Replaces(self.position(of)),
            Some(RealOrigin::Callback(_)) => Origin::Callback,
            Some(RealOrigin::Reuses(of)) => panic!("task {position} stands for {of}, and the model has no jobs"),
        };
        assert_eq!(origin, item.origin, "task {position}: {task:?}");
        assert_eq!(task.followers.len(), item.followers, "task {position}: {task:?}");
        if let Some(body) = item.body {
            assert_eq!(task.input.size_bytes, u64::from(body) + 1, "task {position}");
        }
    }

    /// The versions are those of the model, and a component is there as long as one of them needs it.
    fn check_versions(&self, model: &Model) {
        let store = &self.handles.as_ref().expect("it is open")[0];
        let versions = self.runtime.block_on(store.versions(PACKAGE.into())).expect("the store works");
        let found: Vec<_> =
            versions.iter().map(|one| (one.version, self.component(one.component), one.is_active)).collect();
        assert_eq!(found, model.shelf.list());
        for number in 0..COMPONENTS {
            let kept = self.runtime.block_on(store.component(digest(number))).expect("the store works");
            assert_eq!(kept, model.shelf.has(number).then(|| component(number)), "component {number}");
        }
    }

    /// Each follows the end of the one that it was made from.
    fn check_followers(&self, task: &Task) {
        let store = &self.handles.as_ref().expect("it is open")[1];
        for id in &task.followers {
            let (follower, input) = self.runtime.block_on(async { (store.task(*id).await, store.input(*id).await) });
            // It may have gone before the one that it follows.
            let Some(follower) = follower.expect("the store works") else { continue };
            assert_eq!(follower.origin, Some(RealOrigin::Callback(task.id)));
            let told = input.expect("the store works").expect("it is there");
            let told: serde_json::Value = serde_json::from_slice(&told.bytes).expect("JSON");
            assert_eq!(told["task"], task.id.to_string());
            assert_eq!(told["state"], task.state.name().to_string());
        }
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
        state.read_feed();
        state
    }

    fn check_invariants(state: &Self, model: &Model) {
        let store = &state.handles.as_ref().expect("it is open")[0];
        state.check_versions(model);
        let (tasks, items) = (&state.tasks, model.items.len());
        assert_eq!((tasks.len(), tasks.iter().collect::<BTreeSet<_>>().len()), (items, items));
        for (position, (id, item)) in state.tasks.iter().zip(&model.items).enumerate() {
            let (task, kept) = state.runtime.block_on(async { (store.task(*id).await, store.output(*id).await) });
            assert_eq!(state.told[position], item.told, "what the feed tells of task {position}");
            let task = task.expect("the store works");
            assert_eq!(task.is_none(), item.place == Place::Gone, "task {position} at {}: {task:?}", model.wall_ms);
            if let Some(task) = task {
                state.check(&task, item, model, position);
                state.check_followers(&task);
            }
            let has_result = item.place == Place::Succeeded && model.wall_ms < item.result_until_ms;
            let expected = has_result.then(|| output(*id, item.attempts));
            assert_eq!(kept.expect("the store works"), expected, "task {position}");
        }
    }
}
