//! What a task costs does not depend on how many wait: counted, not timed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::{
    EmbeddedStore, Engine, EngineError, LeaseRequest, Leased, ManualClock, MemoryEngine, Pair, PlanQuery, Queues,
    Readiness, Settlement, Store, Writes,
};
use sunaba_task::job::{NewJob, Node, NodeName};
use sunaba_task::{
    AttemptDetail, BoxFuture, Clock, Decision, Digest, Ending, FuelMode, HandlerChange, NewTask, Payload, Policy,
    QueueChange, SessionId, TaskSpec, Timestamp, Verdict,
};

/// What the engine was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    gets: u64,
    scans: u64,
    /// Keys that scans went over, deleted ones too: an engine may still have them.
    steps: u64,
    writes: u64,
}

#[derive(Default)]
struct Counts {
    gets: AtomicU64,
    scans: AtomicU64,
    steps: AtomicU64,
    writes: AtomicU64,
    deleted: Mutex<BTreeSet<Vec<u8>>>,
}

impl Counts {
    fn take(&self) -> Cost {
        let take = |count: &AtomicU64| count.swap(0, Ordering::SeqCst);
        let (gets, scans) = (take(&self.gets), take(&self.scans));
        Cost { gets, scans, steps: take(&self.steps), writes: take(&self.writes) }
    }
}

/// An engine in memory that counts.
#[derive(Clone, Default)]
struct Counting {
    inner: MemoryEngine,
    counts: Arc<Counts>,
}

impl Engine for Counting {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.counts.gets.fetch_add(1, Ordering::SeqCst);
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.counts.scans.fetch_add(1, Ordering::SeqCst);
        let (mut at, end) = (from.to_vec(), to.to_vec());
        let mut pairs = self.inner.scan(from, to, reverse);
        Box::new(std::iter::from_fn(move || {
            let pair = pairs.next();
            let deleted = self.counts.deleted.lock().expect("no test panicked");
            let until = pair.as_ref().and_then(|pair| pair.as_ref().ok()).map_or(&*end, |(key, _)| key);
            let passed = if *at < *until && !reverse { deleted.range(at.clone()..until.to_vec()).count() } else { 0 };
            self.counts.steps.fetch_add(1 + passed as u64, Ordering::SeqCst);
            at = until.to_vec();
            pair
        }))
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        self.counts.writes.fetch_add(writes.len() as u64, Ordering::SeqCst);
        let mut deleted = self.counts.deleted.lock().expect("no test panicked");
        for (key, value) in writes {
            match value {
                Some(_) => deleted.remove(key),
                None => deleted.insert(key.clone()),
            };
        }
        self.inner.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.inner.barrier()
    }
}

struct House {
    store: EmbeddedStore,
    counts: Arc<Counts>,
    session: SessionId,
}

fn new_task(handler: &str, key: Option<String>) -> NewTask {
    let mut spec = TaskSpec::new(handler.parse().expect("a name"), Digest::of(b"component"));
    spec.key = key;
    NewTask::new(spec, Payload::json("{}"))
}

fn plain() -> NewTask {
    new_task("words/word-count", None)
}

impl House {
    async fn new() -> Self {
        let engine = Counting::default();
        let counts = Arc::clone(&engine.counts);
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(engine, Arc::new(clock)).expect("memory opens");
        let session = store.open_session("w".into(), Duration::from_secs(60)).await.expect("it works");
        Self { store, counts, session }
    }

    async fn fill(&self, count: usize, new: impl Fn(usize) -> NewTask) {
        for start in (0..count).step_by(10_000) {
            let batch = (start..count.min(start + 10_000)).map(&new).collect();
            self.store.submit(batch).await.expect("it works");
        }
    }

    async fn lease(&self, slots: usize) -> Vec<Leased> {
        let request = LeaseRequest { session: self.session, queues: Queues::All, slots, wait: Duration::ZERO };
        self.store.lease(request).await.expect("the session lives")
    }

    async fn settle(&self, leased: &Leased) {
        let decision = Decision::uncharged(Verdict::Succeed, Policy::Success, "r".into());
        let settlement = Settlement {
            token: leased.token,
            revision: leased.task.revision,
            ending: Ending::Completed,
            decision,
            receipt: None,
            output: None,
            detail: AttemptDetail::default(),
            plan: None,
        };
        self.store.settle(vec![settlement]).await.expect("it works").remove(0).expect("it has the lease");
    }

    /// What one more task costs: its submit, its lease and its end; and a lease that may find nothing.
    async fn costs(&self, new: NewTask) -> [Cost; 4] {
        self.counts.take();
        self.store.submit(vec![new]).await.expect("it works").remove(0).expect("it is taken on");
        let submit = self.counts.take();
        let leased = self.lease(1).await;
        let lease = self.counts.take();
        self.settle(&leased[0]).await;
        let settle = self.counts.take();
        self.lease(0).await;
        self.store.queues(None).await.expect("it works");
        self.counts.take();
        let rest = self.lease(1).await;
        let again = self.counts.take();
        for leased in rest {
            self.settle(&leased).await;
        }
        [submit, lease, settle, again]
    }
}

/// Not a multiple of what is reserved at a time, so that no reservation falls into what is counted.
const FEW: usize = 1_001;
const MANY: usize = 100_001;

fn test(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(case);
}

/// Both cost the same, and little.
fn assert_flat(few: [Cost; 4], many: [Cost; 4]) {
    assert_eq!(few, many, "submit, lease, settle and another lease, with few and with many that wait");
    for cost in few {
        assert!(cost.gets <= 8 && cost.scans <= 8 && cost.steps <= 16 && cost.writes <= 8, "{cost:?}");
    }
}

#[test]
fn costs_are_flat_without_keys() {
    test(async {
        let mut costs = Vec::new();
        for count in [FEW, MANY] {
            let house = House::new().await;
            house.fill(count, |_| plain()).await;
            costs.push(house.costs(plain()).await);
        }
        assert_flat(costs[0], costs[1]);
    });
}

#[test]
fn costs_are_flat_with_a_key_for_each() {
    test(async {
        let mut costs = Vec::new();
        for count in [FEW, MANY] {
            let house = House::new().await;
            let limits = vec![QueueChange::KeyConcurrency(Some(1)), QueueChange::Concurrency(Some(50))];
            house.store.set_queue("default".into(), limits).await.expect("it is in range");
            house.fill(count, |number| new_task("words/word-count", Some(number.to_string()))).await;
            costs.push(house.costs(new_task("words/word-count", Some("one more".into()))).await);
        }
        assert_flat(costs[0], costs[1]);
    });
}

#[test]
fn costs_are_flat_behind_a_paused_handler() {
    test(async {
        let mut costs = Vec::new();
        for count in [FEW, MANY] {
            let house = House::new().await;
            let paused = vec![HandlerChange::Paused(true)];
            house.store.set_handler("slow/one".parse().expect("a name"), paused).await.expect("it is in range");
            house.fill(count, |_| new_task("slow/one", None)).await;
            costs.push(house.costs(plain()).await);
        }
        assert_flat(costs[0], costs[1]);
    });
}

#[test]
fn costs_are_flat_behind_a_key_that_is_full() {
    test(async {
        let mut costs = Vec::new();
        for count in [FEW, MANY] {
            let house = House::new().await;
            let limits = vec![QueueChange::KeyConcurrency(Some(1))];
            house.store.set_queue("default".into(), limits).await.expect("it is in range");
            house.fill(count, |_| new_task("words/word-count", Some("full".into()))).await;
            assert_eq!(house.lease(9).await.len(), 1);
            costs.push(house.costs(plain()).await);
        }
        assert_flat(costs[0], costs[1]);
    });
}

#[test]
fn costs_are_flat_behind_a_version_that_cannot_be_compiled() {
    test(async {
        let mut costs = Vec::new();
        for count in [FEW, MANY] {
            let house = House::new().await;
            let stuck = Digest::of(b"stuck");
            let why = Readiness::Failed("too large".into());
            let unready = Arc::new([((stuck, FuelMode::Exact), why)].into_iter().collect());
            house.store.set_unready(house.session, unready).await.expect("the session lives");
            let new = |number: usize| {
                let mut new = new_task("words/word-count", Some(number.to_string()));
                new.spec.component = stuck;
                new
            };
            house.fill(count, new).await;
            costs.push(house.costs(plain()).await);
        }
        assert_flat(costs[0], costs[1]);
    });
}

#[test]
fn costs_are_flat_after_many_have_gone() {
    test(async {
        let mut costs = Vec::new();
        for count in [1_001, 20_001] {
            let house = House::new().await;
            house.fill(count + 100, |_| plain()).await;
            for start in (0..count).step_by(5_000) {
                assert!(!house.lease((count - start).min(5_000)).await.is_empty());
            }
            costs.push(house.costs(plain()).await);
        }
        assert_flat(costs[0], costs[1]);
    });
}

#[test]
fn page_of_a_group_leaps_over_the_groups_within_it() {
    test(async {
        let house = House::new().await;
        let long = (0..5_000).map(|number| format!("a/b/{number}"));
        let many = (0..1_200).map(|number| format!("c/{number:04}/x"));
        let names = long.chain(many).chain(["a/a", "a/b", "a/b-c", "a/c", "c/z"].map(String::from));
        let nodes = names.map(|name| Node::new(name.parse().expect("a name"), plain())).collect();
        let new = NewJob { nodes, ..NewJob::default() };
        let job = house.store.submit_job(new).await.expect("it works").expect("it is taken on").into_job().id;
        while house.store.job(job).await.expect("it works").expect("it is there").tasks.planned > 0 {}
        let page = async |group: &str, after: Option<NodeName>| {
            house.counts.take();
            let only = Some(group.parse().expect("a group"));
            let page = house.store.plan(PlanQuery { only, after, ..PlanQuery::of(job, 100) }).await.expect("it works");
            let names = page.tasks.into_iter().map(|task| task.job.expect("it is of a job").name.to_string());
            (names.collect::<Vec<_>>(), page.next, house.counts.take())
        };
        let (names, next, cost) = page("a/*", None).await;
        assert_eq!((names.join(" "), next), ("a/a a/b a/b-c a/c".into(), None));
        assert!(cost.scans <= 8 && cost.steps <= 20, "{cost:?}");
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let (names, next, cost) = page("c/*", after).await;
            assert!(cost.scans <= 510 && cost.steps <= 1_100, "{cost:?}");
            found.extend(names);
            pages += 1;
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!((found.join(" "), pages), ("c/z".into(), 3));
    });
}

/// A clock that counts how often the commit thread lies down.
struct Watched {
    inner: ManualClock,
    sleeps: Arc<AtomicU64>,
}

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn elapsed(&self) -> Duration {
        self.inner.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleeps.fetch_add(1, Ordering::SeqCst);
        self.inner.sleep(duration)
    }
}

#[test]
fn time_that_has_come_wakes_the_commit_thread_once() {
    const CALLS: u64 = 2_000;
    test(async {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let sleeps = Arc::new(AtomicU64::new(0));
        let watched = Watched { inner: clock.clone(), sleeps: Arc::clone(&sleeps) };
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(watched)).expect("memory opens");
        let rate = Some("1/10s".parse().expect("a rate"));
        let rates = vec![QueueChange::Rate(rate), QueueChange::KeyRate(rate)];
        store.set_queue("default".into(), rates).await.expect("it is in range");
        let keyed = new_task("words/word-count", Some("x".into()));
        store.submit(vec![keyed, plain(), plain()]).await.expect("it works");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let lease = |wait| {
            let (store, queues) = (store.clone(), Queues::All);
            async move { store.lease(LeaseRequest { session, queues, slots: 9, wait }).await.expect("it lives").len() }
        };
        assert_eq!(lease(Duration::ZERO).await, 1);
        let waiting = tokio::spawn(lease(Duration::from_secs(60)));
        tokio::task::yield_now().await;
        store.packages().await.expect("it works");
        clock.advance(Duration::from_secs(10));
        assert_eq!(waiting.await.expect("it ends"), 1);
        clock.advance(Duration::from_secs(10));
        sleeps.store(0, Ordering::SeqCst);
        for _ in 0..CALLS {
            store.packages().await.expect("it works");
        }
        let sleeps = sleeps.load(Ordering::SeqCst);
        assert!(sleeps <= CALLS + 10, "{sleeps} turns for {CALLS} calls");
    });
}
