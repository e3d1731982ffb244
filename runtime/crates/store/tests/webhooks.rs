//! What deliveries may take up: of a turn, of the disk, and once they have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::{
    EmbeddedStore, Engine, EngineError, Expected, LeaseRequest, Leased, MAX_KEPT_BYTES, MAX_KEPT_DELIVERIES,
    MAX_MADE_DELIVERIES, MAX_WEBHOOKS, ManualClock, MemoryEngine, NewWebhook, Pair, Queues, Settlement, Store as _,
    TaskQuery, WebhookStore as _, Writes,
};
use sunaba_task::webhook::{SigningSecret, WEBHOOK_QUEUE, Webhook, WebhookSpec};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, QueueChange, TaskSpec, Timestamp, Verdict,
};

const ROOM: u64 = 1 << 40;

/// An engine in memory, with a disk that may be full, that knows the most that one turn has written.
struct Watched {
    inner: MemoryEngine,
    most: Arc<AtomicUsize>,
    free_bytes: Arc<AtomicU64>,
}

impl Engine for Watched {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
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
        self.most.fetch_max(writes.len(), Ordering::SeqCst);
        self.inner.apply(writes)
    }

    fn free_bytes(&self) -> Option<u64> {
        Some(self.free_bytes.load(Ordering::SeqCst))
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.inner.barrier()
    }
}

struct House {
    store: EmbeddedStore,
    most: Arc<AtomicUsize>,
    free_bytes: Arc<AtomicU64>,
}

impl House {
    fn new() -> Self {
        let (most, free_bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(ROOM)));
        let engine =
            Watched { inner: MemoryEngine::default(), most: Arc::clone(&most), free_bytes: Arc::clone(&free_bytes) };
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = EmbeddedStore::open(engine, Arc::new(clock)).expect("memory opens");
        Self { store, most, free_bytes }
    }

    async fn put(&self, name: &str, event: &str) {
        let events = vec![event.parse().expect("an event")];
        let (queues, handlers, tags) = (Vec::new(), Vec::new(), Vec::new());
        let spec = WebhookSpec { url: "https://example.com/hooks".into(), events, queues, handlers, tags };
        let (name, secret) = (name.parse().expect("a name"), SigningSecret::new(&[1; 32]));
        let new = NewWebhook { name, spec, enabled: None, secret, expected: Expected::Any };
        self.store.put_webhook(new).await.expect("the store works").expect("it can be");
    }

    async fn get(&self, name: &str) -> Webhook {
        let found = self.store.webhook(name.parse().expect("a name")).await;
        found.expect("the store works").expect("it is there")
    }

    async fn submit(&self, tasks: usize, input: &str) {
        let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
        let new = NewTask::new(spec, Payload::json(input.to_owned()));
        let taken = self.store.submit(vec![new; tasks]).await.expect("the store works");
        assert!(taken.iter().all(Result::is_ok));
    }

    /// Leases all that there is and settles it as succeeded, with this output.
    async fn finish(&self, queues: Queues, output: &Payload) {
        let session = self.store.open_session("w".into(), Duration::from_secs(60)).await.expect("it works");
        loop {
            let request = LeaseRequest { session, queues: queues.clone(), slots: 500, wait: Duration::ZERO };
            let leased = self.store.lease(request).await.expect("the session lives");
            if leased.is_empty() {
                return self.store.close_session(session).await.expect("it works");
            }
            let settled = leased.iter().map(|leased| settlement(leased, output)).collect();
            let settled = self.store.settle(settled).await.expect("the store works");
            assert!(settled.iter().all(Result::is_ok));
        }
    }

    /// As many deliveries as are in the store.
    async fn deliveries(&self) -> u64 {
        let (mut found, mut before) = (0, None);
        loop {
            let query = TaskQuery { queue: Some(WEBHOOK_QUEUE.into()), before, limit: 1_000, ..TaskQuery::default() };
            let page = self.store.tasks(query).await.expect("the store works");
            found += page.tasks.len() as u64;
            before = page.next;
            if before.is_none() {
                return found;
            }
        }
    }

    async fn unlimited(&self) {
        let all = vec![QueueChange::KeyConcurrency(None)];
        self.store.set_queue(WEBHOOK_QUEUE.into(), all).await.expect("it can be");
    }
}

fn settlement(leased: &Leased, output: &Payload) -> Settlement {
    Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending: Ending::Completed,
        decision: Decision::uncharged(Verdict::Succeed, Policy::Success, "r".into()),
        receipt: None,
        output: Some(output.clone()),
        detail: AttemptDetail::default(),
        plan: None,
    }
}

fn deliveries() -> Queues {
    Queues::Only(vec![WEBHOOK_QUEUE.into()])
}

/// Every one that there may be wants all that happens, and a batch comes: no turn makes all of it.
#[tokio::test]
async fn turn_makes_no_more_deliveries_than_it_may_and_the_next_ones_make_the_others() {
    const TASKS: usize = 300;
    let house = House::new();
    for number in 0..MAX_WEBHOOKS {
        house.put(&format!("w-{number}"), "task.submitted").await;
    }
    house.most.store(0, Ordering::SeqCst);
    house.submit(TASKS, "{}").await;
    let all = (TASKS * MAX_WEBHOOKS) as u64;
    while house.deliveries().await < all {
        tokio::task::yield_now().await;
    }
    // A task and a delivery are a few keys each.
    let most = house.most.load(Ordering::SeqCst);
    assert!(most < 4 * (TASKS + MAX_MADE_DELIVERIES + MAX_WEBHOOKS) + 100, "{most}");
    for number in 0..MAX_WEBHOOKS {
        let standing = house.get(&format!("w-{number}")).await.standing;
        assert_eq!((standing.pending, standing.dropped), (TASKS as u64, 0));
    }
}

#[tokio::test]
async fn disk_without_room_takes_no_deliveries_on_and_tasks_end_nevertheless() {
    let house = House::new();
    house.put("a", "task.succeeded").await;
    house.submit(3, "{}").await;
    house.free_bytes.store(1, Ordering::SeqCst);
    house.finish(Queues::All, &Payload::json("1")).await;
    let standing = house.get("a").await.standing;
    assert_eq!((standing.pending, standing.dropped, house.deliveries().await), (0, 3, 0));
    house.free_bytes.store(ROOM, Ordering::SeqCst);
    house.submit(1, "{}").await;
    house.finish(Queues::All, &Payload::json("1")).await;
    assert_eq!(house.get("a").await.standing.pending, 1);
}

async fn kept(deliveries: u64) -> u64 {
    let house = House::new();
    house.put("a", "task.submitted").await;
    house.unlimited().await;
    for _ in 0..deliveries / 500 {
        house.submit(500, "{}").await;
        house.finish(self::deliveries(), &Payload::json("1")).await;
    }
    house.submit(usize::try_from(deliveries % 500).expect("small"), "{}").await;
    house.finish(self::deliveries(), &Payload::json("1")).await;
    assert_eq!(house.get("a").await.standing.delivered, deliveries);
    house.deliveries().await
}

#[tokio::test]
async fn number_of_deliveries_that_are_kept_obeyed() {
    assert_eq!(kept(1_000).await, 1_000);
}

#[tokio::test]
async fn number_of_deliveries_that_are_kept_violated() {
    assert_eq!(kept(MAX_KEPT_DELIVERIES + 700).await, MAX_KEPT_DELIVERIES);
}

#[tokio::test]
async fn bytes_of_deliveries_that_are_kept_are_bounded() {
    let house = House::new();
    house.put("a", "task.succeeded").await;
    house.unlimited().await;
    let (size, tasks) = (15 << 10, 1_300);
    let output = Payload::json(format!("\"{}\"", "x".repeat(size)));
    house.submit(tasks, "{}").await;
    house.finish(Queues::All, &output).await;
    assert_eq!(house.deliveries().await, tasks as u64, "what has not ended does not count");
    house.finish(deliveries(), &Payload::json("1")).await;
    let kept = house.deliveries().await;
    assert!(kept * (size as u64) < MAX_KEPT_BYTES && kept > 500, "{kept}");
}
