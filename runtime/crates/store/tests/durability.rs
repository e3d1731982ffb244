//! What an answer promises: that it comes after the barrier, that many share one, and that a failure is told to everybody.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sunaba_store::{
    EmbeddedStore, Engine, EngineError, EventQuery, LeaseRequest, Leased, ManualClock, MemoryEngine, OpenError, Pair,
    Queues, Settlement, SledEngine, Store, StoreError, SystemClock, Writes,
};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, MAX_KEPT_ATTEMPTS, NewTask, Payload, Policy, SessionId, State, TaskSpec,
    Timestamp, Verdict, When,
};

/// What the next barrier shall do.
enum Order {
    Pass,
    Fail,
}

/// An engine whose barriers wait for an order each, once it is armed.
struct Slow {
    inner: MemoryEngine,
    orders: Arc<Mutex<Option<Receiver<Order>>>>,
    barriers: Arc<AtomicUsize>,
    free_bytes: Arc<AtomicU64>,
}

impl Engine for Slow {
    fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::SeqCst))
    }

    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, EngineError> {
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.inner.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        self.inner.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.barriers.fetch_add(1, Ordering::SeqCst);
        match self.orders.lock().expect("no test panicked").as_ref().map(|orders| orders.recv().expect("an order")) {
            Some(Order::Fail) => Err(EngineError::new("cannot sync", "the disk is gone")),
            Some(Order::Pass) | None => Ok(()),
        }
    }
}

struct House {
    store: EmbeddedStore,
    orders: Sender<Order>,
    barriers: Arc<AtomicUsize>,
    free_bytes: Arc<AtomicU64>,
}

/// A store whose barriers wait from now on.
fn house() -> House {
    let (armed, barriers) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let free_bytes = Arc::new(AtomicU64::new(u64::MAX));
    let engine = Slow {
        inner: MemoryEngine::default(),
        orders: Arc::clone(&armed),
        barriers: Arc::clone(&barriers),
        free_bytes: Arc::clone(&free_bytes),
    };
    let store = EmbeddedStore::open(engine, Arc::new(SystemClock::new())).expect("memory opens");
    let (orders, receiver) = channel();
    *armed.lock().expect("no test panicked") = Some(receiver);
    barriers.store(0, Ordering::SeqCst);
    House { store, orders, barriers, free_bytes }
}

fn new_task() -> NewTask {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::json("{}"))
}

fn test(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(case);
}

/// Waits until the commit thread is in its barrier.
async fn until_barriers(house: &House, count: usize) {
    while house.barriers.load(Ordering::SeqCst) < count {
        tokio::task::yield_now().await;
    }
}

#[test]
fn answer_comes_after_the_barrier() {
    test(async {
        let house = house();
        let store = house.store.clone();
        let submit = tokio::spawn(async move { store.submit(vec![new_task()]).await });
        until_barriers(&house, 1).await;
        assert!(!submit.is_finished(), "nothing is durable yet");
        house.orders.send(Order::Pass).expect("the engine listens");
        assert!(submit.await.expect("it ends").is_ok());
    });
}

#[test]
fn many_callers_share_one_barrier_and_a_read_needs_none() {
    test(async {
        let house = house();
        let submit = |store: EmbeddedStore| async move { store.submit(vec![new_task()]).await };
        let first = tokio::spawn(submit(house.store.clone()));
        until_barriers(&house, 1).await;
        // They come while the first is made durable, and are gathered meanwhile.
        let others: Vec<_> = (0..50).map(|_| tokio::spawn(submit(house.store.clone()))).collect();
        tokio::task::yield_now().await;
        house.orders.send(Order::Pass).expect("the engine listens");
        house.orders.send(Order::Pass).expect("the engine listens");
        let task = first.await.expect("it ends").expect("it is durable").remove(0).expect("taken on").into_task();
        for other in others {
            assert!(other.await.expect("it ends").is_ok());
        }
        assert_eq!(house.barriers.load(Ordering::SeqCst), 2);
        assert!(house.store.task(task.id).await.expect("the store works").is_some());
        assert_eq!(house.barriers.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn failed_barrier_acknowledges_nothing_and_stops_the_store() {
    test(async {
        let house = house();
        house.orders.send(Order::Fail).expect("the engine listens");
        let failed = house.store.submit(vec![new_task()]).await;
        assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
        for _ in 0..3 {
            let later = house.store.submit(vec![new_task()]).await;
            assert!(matches!(later, Err(StoreError::Failed(_))), "{later:?}");
            assert!(matches!(house.store.packages().await, Err(StoreError::Failed(_))));
        }
        assert_eq!(house.barriers.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn event_is_shown_after_the_barrier_of_its_change_and_never_without_it() {
    test(async {
        let house = house();
        let follow = |after| {
            let query = EventQuery { after: Some(after), limit: 10, wait: Duration::from_secs(60), task: None };
            let store = house.store.clone();
            tokio::spawn(async move { store.events(query).await })
        };
        // Lets the reader reach the store.
        let settle_down = async || {
            tokio::task::yield_now().await;
            house.store.packages().await.expect("it still works");
        };
        let reader = follow(0);
        settle_down().await;
        let store = house.store.clone();
        let submit = tokio::spawn(async move { store.submit(vec![new_task()]).await });
        until_barriers(&house, 1).await;
        assert!(!reader.is_finished(), "nothing is durable yet");
        house.orders.send(Order::Pass).expect("the engine listens");
        assert_eq!(reader.await.expect("it ends").expect("it is durable").events.len(), 1);
        assert!(submit.await.expect("it ends").is_ok());

        let reader = follow(1);
        settle_down().await;
        house.orders.send(Order::Fail).expect("the engine listens");
        assert!(house.store.submit(vec![new_task()]).await.is_err());
        let told = reader.await.expect("it ends");
        assert!(matches!(told, Err(StoreError::Failed(_))), "{told:?}");
    });
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

#[test]
fn directory_has_one_host_at_a_time() {
    let folder = Folder::new();
    let first = SledEngine::open(&folder.0).expect("it is free");
    let second = SledEngine::open(&folder.0).map(|_| ()).expect_err("it is held");
    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    assert!(second.to_string().contains(&format!("(process {})\nhint: ", std::process::id())), "{second}");
    drop(first);
    assert!(SledEngine::open(&folder.0).is_ok());
}

#[test]
fn empty_snapshot_of_a_full_disk_does_not_keep_the_store_from_opening() {
    let folder = Folder::new();
    drop(SledEngine::open(&folder.0).expect("it is free"));
    let left = folder.0.join("sled/snap.0000000000000000.generating");
    std::fs::write(&left, "").expect("written");
    assert!(SledEngine::open(&folder.0).is_ok());
    assert!(!left.exists());
}

#[test]
fn damaged_record_is_told_and_the_others_are_served() {
    test(async {
        let engine = MemoryEngine::default();
        let open = || EmbeddedStore::open(engine.clone(), Arc::new(SystemClock::new())).expect("memory opens");
        let submitted = open().submit(vec![new_task(), new_task()]).await.expect("the store works");
        let ids: Vec<_> = submitted.into_iter().map(|task| task.expect("taken on").into_task().id).collect();
        let key = [b"t", ids[0].as_bytes().as_slice()].concat();
        let mut record = engine.get(&key).expect("memory works").expect("it is there").to_vec();
        *record.last_mut().expect("not empty") ^= 1;
        engine.clone().apply(&Writes::from([(key, Some(record.into()))])).expect("memory works");

        let store = open();
        let damaged = store.task(ids[0]).await;
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
        let session = store.open_session("w".into(), Duration::from_secs(9)).await.expect("it works");
        let leased = lease(&store, session).await;
        assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [ids[1]]);
    });
}

#[test]
fn store_of_a_newer_format_is_refused_and_left_alone() {
    let engine = MemoryEngine::default();
    let open = || EmbeddedStore::open(engine.clone(), Arc::new(SystemClock::new()));
    drop(open().expect("memory opens"));
    let format = engine.get(b"f").expect("memory works").expect("it is there");
    // The same head, a larger number, and the checksum of that.
    let mut newer = format.to_vec();
    newer[5] = 99;
    let checksum = crc32fast::hash(&newer[5..]).to_be_bytes();
    newer[1..5].copy_from_slice(&checksum);
    engine.clone().apply(&Writes::from([(b"f".to_vec(), Some(newer.clone().into()))])).expect("memory works");
    let refused = open().map(|_| ()).expect_err("it is newer");
    assert!(matches!(refused, OpenError::Newer { found: 99, known: 2 }), "{refused}");
    assert_eq!(engine.get(b"f").expect("memory works").expect("it is there"), newer);
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
    }
}

/// A power cut can take what sled keeps outside its log, and then the store cannot be opened any more.
#[test]
fn nothing_is_ever_too_large_for_the_log() {
    let folder = Folder::new();
    test(async {
        let mut random = fastrand::Rng::with_seed(7);
        let store = EmbeddedStore::sled(&folder.0).expect("it is free");
        let session = store.open_session("w".repeat(60), Duration::from_secs(900)).await.expect("it works");
        for _ in 0..60 {
            let new = |random: &mut fastrand::Rng| {
                let size = [10, 300, 700, 800, 2_500, 4_000, 20_000, 60_000, 70_000][random.usize(..9)];
                let mut new = new_task();
                new.input = Payload::new("a/b", vec![random.u8(..); random.usize(..size)]);
                new.spec.queue = format!("{}{}", "q".repeat(60), random.u8(..30));
                new.spec.idempotency_key = Some(format!("{}{:032x}", "k".repeat(200), random.u128(..)));
                new
            };
            let many = (0..50).map(|_| new(&mut random)).collect();
            store.submit(many).await.expect("the store works");
            let leased = lease(&store, session).await;
            let settled = leased.iter().map(|leased| {
                let output = Payload::new("a/b", vec![1; random.usize(..8_000)]);
                settlement(leased, Verdict::Succeed, Some(output))
            });
            store.settle(settled.collect()).await.expect("the store works");
        }
    });
    assert_eq!(std::fs::read_dir(folder.0.join("sled/blobs")).expect("it is there").count(), 0);
}

#[test]
fn task_whose_input_is_gone_is_dead_and_says_why() {
    let folder = Folder::new();
    test(async {
        let store = EmbeddedStore::sled(&folder.0).expect("it is free");
        let mut large = new_task();
        large.input = Payload::new("a/b", vec![7; 100_000]);
        let submitted = store.submit(vec![large, new_task()]).await.expect("the store works");
        let ids: Vec<_> = submitted.into_iter().map(|task| task.expect("taken on").into_task().id).collect();
        drop(store);
        for file in std::fs::read_dir(folder.0.join("files")).expect("it is there") {
            std::fs::remove_file(file.expect("readable").path()).expect("removed");
        }
        let store = EmbeddedStore::sled(&folder.0).expect("it is free");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        // One slot, and the first in the queue is the one that cannot be run.
        let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
        let leased = store.lease(request).await.expect("the session lives");
        assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [ids[1]]);
        let dead = store.task(ids[0]).await.expect("the store works").expect("it is there");
        let ending = &dead.attempts[0].ending;
        assert_eq!(dead.state, State::Dead);
        assert!(matches!(ending, Ending::HostFailed { message } if message.starts_with("its input is damaged: ")));
    });
}

#[test]
fn lease_that_was_answered_and_not_received_is_given_back() {
    test(async {
        let House { store, orders, .. } = house();
        orders.send(Order::Pass).expect("the engine listens");
        let id = store.submit(vec![new_task()]).await.expect("it works").remove(0).expect("taken on").into_task().id;
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let asking = tokio::spawn({
            let store = store.clone();
            async move { lease(&store, session).await }
        });
        tokio::task::yield_now().await;
        // The answer comes while this thread looks on, and so is not received.
        let elsewhere = store.clone();
        let answered = move || {
            orders.send(Order::Pass).expect("the engine listens");
            // One for what is given back, one for the lease after that.
            orders.send(Order::Pass).expect("the engine listens");
            orders.send(Order::Pass).expect("the engine listens");
            test(async {
                while elsewhere.task(id).await.expect("it works").expect("it is there").lease().is_none() {}
            });
            orders
        };
        let _orders = std::thread::spawn(answered).join().expect("it runs");
        asking.abort();
        assert!(asking.await.is_err());
        let again = loop {
            let leased = lease(&store, session).await;
            if !leased.is_empty() {
                break leased;
            }
        };
        assert_eq!((again[0].task.id, again[0].task.failures_charged, again[0].task.hosts_lost), (id, 0, 0));
    });
}

#[test]
fn callers_that_have_gone_keep_nobody_from_waiting() {
    test(async {
        let store = EmbeddedStore::memory().expect("memory opens");
        let id = store.submit(vec![new_task()]).await.expect("it works").remove(0).expect("taken on").into_task().id;
        let hour = Duration::from_secs(3600);
        for _ in 0..110 {
            let gone: Vec<_> = (0..100)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move { store.wait(id, hour).await })
                })
                .collect();
            tokio::task::yield_now().await;
            store.packages().await.expect("the store works");
            gone.iter().for_each(|gone| gone.abort());
            tokio::task::yield_now().await;
        }
        let waiting = store.wait(id, Duration::from_millis(1)).await;
        assert!(waiting.is_ok(), "{waiting:?}");
        let session = store.open_session("w".into(), hour).await.expect("it works");
        assert_eq!(lease(&store, session).await.len(), 1);
    });
}

#[test]
fn what_the_record_forgets_is_forgotten() {
    test(async {
        let engine = MemoryEngine::default();
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("memory opens");
        store.submit(vec![new_task()]).await.expect("it works");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        for _ in 0..MAX_KEPT_ATTEMPTS + 20 {
            let leased = lease(&store, session).await.remove(0);
            let snooze = settlement(&leased, Verdict::Snooze(Duration::from_millis(1)), None);
            store.settle(vec![snooze]).await.expect("it works").remove(0).expect("it has the lease");
            clock.advance(Duration::from_millis(1));
        }
        assert_eq!(engine.scan(b"a", b"b", false).count(), MAX_KEPT_ATTEMPTS);
    });
}

#[test]
fn nearly_full_disk_takes_nothing_on_and_lets_the_rest_end() {
    test(async {
        let House { store, orders, free_bytes, .. } = house();
        (0..9).for_each(|_| orders.send(Order::Pass).expect("the engine listens"));
        let submit = async || store.submit(vec![new_task()]).await;
        assert!(submit().await.is_ok());
        free_bytes.store(10 << 20, Ordering::SeqCst);
        let full = submit().await.expect_err("there is no room");
        assert!(full.to_string().starts_with("the disk of the data directory has 10.0 MiB left, "), "{full}");
        assert!(full.is_retryable());
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let leased = lease(&store, session).await.remove(0);
        let done = settlement(&leased, Verdict::Succeed, Some(Payload::json("1")));
        let done = store.settle(vec![done]).await.expect("it works").remove(0).expect("it has the lease");
        assert_eq!(done.state, State::Succeeded);
        free_bytes.store(1 << 30, Ordering::SeqCst);
        assert!(submit().await.is_ok());
    });
}

#[test]
fn wall_clock_that_jumps_makes_tasks_due_and_loses_no_lease() {
    test(async {
        let start = Timestamp::from_unix_ms(1_767_225_600_000);
        let clock = ManualClock::at(start);
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("memory opens");
        let delayed = NewTask { start: Some(When::After(Duration::from_secs(3600))), ..new_task() };
        store.submit(vec![new_task(), delayed]).await.expect("it works");
        let session = store.open_session("w".into(), Duration::from_secs(900)).await.expect("it works");
        let first = lease(&store, session).await.remove(0);
        clock.set(start.after(Duration::from_secs(7200)));
        // Nobody asks the store for anything: it looks at the clock by itself, within a minute.
        clock.advance(Duration::from_secs(60));
        let second = lease(&store, session).await.remove(0);
        assert_eq!(second.task.attempts_started, 1);
        clock.set(start);
        let done = settlement(&first, Verdict::Succeed, Some(Payload::json("1")));
        store.settle(vec![done]).await.expect("it works").remove(0).expect("it still has the lease");
    });
}
