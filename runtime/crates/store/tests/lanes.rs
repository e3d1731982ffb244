//! Whatever is set, paused, limited, cancelled and restarted: what waits is counted as it is, and nothing is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    CancelWish, EmbeddedStore, LeaseRequest, Leased, ManualClock, MemoryEngine, Queues, Settlement, Store, TaskQuery,
};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, HandlerChange, NewTask, Payload, Policy, QueueChange, SessionId,
    StateName, TaskId, TaskSpec, Timestamp, Verdict, When,
};

const SECOND: Duration = Duration::from_secs(1);
const QUEUES: [&str; 3] = ["a", "b", "c"];
const HANDLERS: [&str; 3] = ["h/one", "h/two", "h/three"];
const SEEDS: u64 = 60;
const STEPS: usize = 120;

struct World {
    random: fastrand::Rng,
    clock: ManualClock,
    engine: MemoryEngine,
    store: EmbeddedStore,
    session: SessionId,
    leased: Vec<Leased>,
    submitted: Vec<TaskId>,
}

async fn session(store: &EmbeddedStore) -> SessionId {
    store.open_session("w".into(), SECOND * 1_000_000).await.expect("it works")
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let engine = MemoryEngine::default();
        let store = EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("memory opens");
        let session = session(&store).await;
        let random = fastrand::Rng::with_seed(seed);
        Self { random, clock, engine, store, session, leased: Vec::new(), submitted: Vec::new() }
    }

    fn some<T: Clone>(&mut self, value: T) -> Option<T> {
        self.random.bool().then_some(value)
    }

    async fn submit(&mut self) {
        let mut tasks = Vec::new();
        for _ in 0..self.random.usize(1..6) {
            let handler = HANDLERS[self.random.usize(..3)].parse().expect("a name");
            let mut spec = TaskSpec::new(handler, Digest::of(b"component"));
            spec.queue = QUEUES[self.random.usize(..3)].into();
            spec.priority = self.random.i32(-2..3);
            spec.key = [None, Some("x".into()), Some("y".into())][self.random.usize(..3)].clone();
            spec.max_hosts_lost = u32::MAX;
            let mut new = NewTask::new(spec, Payload::json("{}"));
            let delay = SECOND * self.random.u32(0..20);
            new.start = self.some(When::After(delay));
            tasks.push(new);
        }
        for answer in self.store.submit(tasks).await.expect("it works") {
            // One that is refused, because its queue is full, was never there.
            self.submitted.extend(answer.ok().map(|submitted| submitted.into_task().id));
        }
    }

    async fn lease(&mut self, slots: usize) {
        let queues = if self.random.bool() { Queues::All } else { Queues::Only(vec!["a".into(), "c".into()]) };
        let request = LeaseRequest { session: self.session, queues, slots, wait: Duration::ZERO };
        self.leased.extend(self.store.lease(request).await.expect("the session lives"));
    }

    async fn settle(&mut self, verdict: Verdict) {
        if self.leased.is_empty() {
            return;
        }
        let leased = self.leased.swap_remove(self.random.usize(..self.leased.len()));
        let charged = matches!(verdict, Verdict::Retry(_));
        let settlement = Settlement {
            token: leased.token,
            revision: leased.task.revision,
            ending: Ending::Completed,
            decision: Decision { verdict, charged, policy: Policy::Retry, reason: "r".into() },
            receipt: None,
            output: None,
            detail: AttemptDetail::default(),
            plan: None,
        };
        let settled = self.store.settle(vec![settlement]).await.expect("it works").remove(0);
        // A cancel came first; it will be back after a restart, or is settled at the end.
        if let Err(sunaba_store::SettleError::Stale(task)) = settled {
            self.leased.push(Leased { task: *task, ..leased });
        }
    }

    async fn set(&mut self) {
        let limit = self.random.u32(1..4);
        let limit = self.some(limit);
        let rate = self.some("2/3s".parse().expect("a rate"));
        let aging = self.some(SECOND * 2);
        let change = [
            QueueChange::Paused(self.random.bool()),
            QueueChange::Weight(limit),
            QueueChange::Concurrency(limit),
            QueueChange::KeyConcurrency(limit),
            QueueChange::Rate(rate),
            QueueChange::KeyRate(rate),
            QueueChange::MaxDepth(limit.map(|limit| u64::from(limit) * 10)),
            QueueChange::Aging(aging),
        ][self.random.usize(..8)]
        .clone();
        let queue = QUEUES[self.random.usize(..3)].to_owned();
        self.store.set_queue(queue, vec![change]).await.expect("it is in range");
        let breaker = self.some("50%/4, 3s".parse().expect("a breaker"));
        let change = [
            HandlerChange::Paused(self.random.bool()),
            HandlerChange::Concurrency(limit),
            HandlerChange::Breaker(breaker),
        ][self.random.usize(..3)]
        .clone();
        let handler = HANDLERS[self.random.usize(..3)].parse().expect("a name");
        self.store.set_handler(handler, vec![change]).await.expect("it is in range");
    }

    /// What the queues say of themselves: queued, scheduled, running.
    async fn counts(&self) -> BTreeMap<String, [u64; 3]> {
        let queues = self.store.queues(None).await.expect("it works").into_iter();
        let counts = queues.map(|queue| (queue.name, [queue.queued, queue.scheduled, queue.running]));
        counts.filter(|(_, counts)| *counts != [0; 3]).collect()
    }

    /// What the records say.
    async fn counted(&self) -> BTreeMap<String, [u64; 3]> {
        let mut counted = BTreeMap::<_, [u64; 3]>::new();
        let mut query = TaskQuery { limit: 1_000, ..TaskQuery::default() };
        loop {
            let page = self.store.tasks(query.clone()).await.expect("it works");
            for task in page.tasks {
                let place = match task.state.name() {
                    StateName::Queued => 0,
                    StateName::Scheduled | StateName::RetryScheduled => 1,
                    StateName::Running => 2,
                    _ => continue,
                };
                counted.entry(task.spec.queue.clone()).or_default()[place] += 1;
            }
            query.before = page.next;
            if query.before.is_none() {
                return counted;
            }
        }
    }

    async fn restart(self) -> Self {
        let Self { random, clock, engine, store, submitted, .. } = self;
        drop(store);
        let store = EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("memory opens");
        let session = session(&store).await;
        Self { random, clock, engine, store, session, leased: Vec::new(), submitted }
    }

    async fn step(mut self) -> Self {
        match self.random.u32(0..20) {
            0..6 => self.submit().await,
            6..10 => {
                let slots = self.random.usize(1..5);
                self.lease(slots).await;
            }
            10 => self.settle(Verdict::Retry(SECOND)).await,
            11 => self.settle(Verdict::Requeue).await,
            12..14 => self.settle(Verdict::Succeed).await,
            14 if !self.submitted.is_empty() => {
                let id = self.submitted[self.random.usize(..self.submitted.len())];
                self.store.cancel(vec![id], CancelWish::default()).await.expect("it works");
            }
            15..17 => self.clock.advance(SECOND * self.random.u32(1..4)),
            17 => return self.restart().await,
            _ => self.set().await,
        }
        self
    }

    /// Ends every pause and runs what is left, under the limits that there are: none may hold anything for ever.
    async fn finish(&mut self) {
        for queue in QUEUES {
            self.store.set_queue(queue.into(), vec![QueueChange::Paused(false)]).await.expect("it is in range");
        }
        for handler in HANDLERS {
            let handler = handler.parse().expect("a name");
            self.store.set_handler(handler, vec![HandlerChange::Paused(false)]).await.expect("it is in range");
        }
        // More rounds than there are tasks: in each of them one may start.
        for _ in 0..STEPS * 6 {
            let request = LeaseRequest { session: self.session, queues: Queues::All, slots: 99, wait: Duration::ZERO };
            self.leased.extend(self.store.lease(request).await.expect("the session lives"));
            while !self.leased.is_empty() {
                self.settle(Verdict::Succeed).await;
            }
            if self.counts().await.is_empty() {
                return;
            }
            self.clock.advance(SECOND * 4);
        }
    }
}

#[test]
fn counts_are_right_and_everything_ends_whatever_happens() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        for seed in 0..SEEDS {
            let mut world = World::new(seed).await;
            for step in 0..STEPS {
                world = world.step().await;
                assert_eq!(world.counts().await, world.counted().await, "seed {seed}, step {step}");
            }
            world.finish().await;
            for id in &world.submitted {
                let task = world.store.task(*id).await.expect("it works").expect("it is there");
                assert!(task.state.is_terminal(), "seed {seed}: {task:?}");
            }
            assert_eq!(world.counts().await, BTreeMap::new(), "seed {seed}");
        }
    });
}
