//! The store under measurement, on an engine that counts what it is given.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sunaba_bench::{Bench, Figures, Stopwatch, Unit};
use sunaba_store::{
    Barrier, BlobPlace, EmbeddedStore, Engine, EngineError, LeaseRequest, Leased, Pair, Queues, Settlement, SledEngine,
    Store, SystemClock, Writes,
};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, Receipt, SessionId, TaskSpec, Verdict,
};
use tokio::runtime::Runtime;

use crate::{LONGEST, WAITERS};

/// To hash one for each task would be a cost of the benchmark's own.
fn component() -> Digest {
    Digest::from_bytes([7; 32])
}

/// Tasks of one submit while a backlog is made.
const FILL: usize = 5_000;

/// What a life writes, in the mean. Keys that a turn writes once for all of it are a part of one for each task; their bytes are
/// those of the others here, so that the sum is the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    puts: usize,
    removals: usize,
    key_bytes: usize,
    value_bytes: usize,
}

impl Written {
    /// One of three steps of a life: a third of its keys and of its bytes.
    pub(crate) fn step(self, task: u64, step: usize) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let Self { puts, removals, .. } = self;
        let key = |number: usize| {
            let mut key = vec![b'k'; self.key_bytes.max(10)];
            key[0] = number as u8;
            key[1..9].copy_from_slice(&task.to_be_bytes());
            key
        };
        let value = vec![task as u8; self.value_bytes];
        let puts_here = (0..puts).filter(|number| number % 3 == step).map(|number| (key(number), Some(value.clone())));
        let removals_here = (0..removals).filter(|number| (number + 1) % 3 == step).map(|number| (key(number), None));
        puts_here.chain(removals_here).collect()
    }
}

#[derive(Default)]
struct Counts {
    puts: AtomicU64,
    removals: AtomicU64,
    key_bytes: AtomicU64,
    value_bytes: AtomicU64,
}

/// sled, and what it was given.
struct Counting {
    inner: SledEngine,
    counts: Arc<Counts>,
}

impl Counting {
    fn open(folder: &Path) -> (Self, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        (Self { inner: SledEngine::open(folder).expect("the folder is ours"), counts: Arc::clone(&counts) }, counts)
    }
}

impl Engine for Counting {
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
        let add = |count: &AtomicU64, more: usize| count.fetch_add(more as u64, Ordering::Relaxed);
        for (key, value) in writes {
            match value {
                Some(value) => {
                    add(&self.counts.puts, 1);
                    add(&self.counts.value_bytes, value.len());
                }
                None => {
                    add(&self.counts.removals, 1);
                }
            }
            add(&self.counts.key_bytes, key.len());
        }
        self.inner.apply(writes)
    }

    fn blobs(&self) -> BlobPlace {
        self.inner.blobs()
    }

    fn barrier_beside(&mut self) -> Option<Barrier> {
        self.inner.barrier_beside()
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.inner.barrier()
    }
}

pub(crate) struct Ours {
    store: EmbeddedStore,
    counts: Arc<Counts>,
    /// One for each waiter.
    sessions: Vec<SessionId>,
}

impl Ours {
    pub(crate) fn open(runtime: &Runtime, folder: &Path) -> Self {
        let (engine, counts) = Counting::open(folder);
        let store = EmbeddedStore::open(engine, Arc::new(SystemClock::new())).expect("it opens");
        Self::with_sessions(runtime, store, counts)
    }

    /// The same, and whoever runs the waiters runs the store too.
    pub(crate) fn on_this_thread(runtime: &Runtime, folder: &Path) -> Self {
        let (engine, counts) = Counting::open(folder);
        let (store, serve) = EmbeddedStore::open_seeded(engine, Arc::new(SystemClock::new()), 7).expect("it opens");
        runtime.spawn(serve);
        Self::with_sessions(runtime, store, counts)
    }

    fn with_sessions(runtime: &Runtime, store: EmbeddedStore, counts: Arc<Counts>) -> Self {
        let sessions = runtime.block_on(async {
            let mut sessions = Vec::new();
            for number in 0..WAITERS {
                sessions.push(store.open_session(format!("w{number}"), LONGEST).await.expect("it works"));
            }
            sessions
        });
        Self { store, counts, sessions }
    }

    /// What each task wrote of so many lives; measured at the second time, since the first is a warm-up.
    pub(crate) fn writes_of(&self, runtime: &Runtime, waiters: usize, tasks: usize) -> Written {
        runtime.block_on(self.lives(waiters, tasks));
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed) as f64;
        let all =
            || [&self.counts.puts, &self.counts.removals, &self.counts.key_bytes, &self.counts.value_bytes].map(take);
        all();
        runtime.block_on(self.lives(waiters, tasks));
        let [puts, removals, key_bytes, value_bytes] = all();
        let of_task = |all: f64, parts: usize| (all / tasks as f64 / parts.max(1) as f64).round() as usize;
        let (puts, removals) = (of_task(puts, 1).max(1), of_task(removals, 1));
        Written {
            puts,
            removals,
            key_bytes: of_task(key_bytes, puts + removals),
            value_bytes: of_task(value_bytes, puts),
        }
    }

    pub(crate) async fn fill(&self, tasks: usize) {
        for start in (0..tasks).step_by(FILL) {
            let batch = vec![new_task(); FILL.min(tasks - start)];
            self.store.submit(batch).await.expect("it works");
        }
    }

    /// So many lives, a second.
    pub(crate) async fn lives(&self, waiters: usize, tasks: usize) -> f64 {
        let began = Stopwatch::start();
        let lives = tasks / waiters;
        self.each(waiters, |store, session| async move {
            for _ in 0..lives {
                submit(&store, 1).await;
                let leased = lease(&store, session, 1).await;
                settle(&store, leased).await;
            }
        })
        .await;
        began.rate(tasks)
    }

    /// The three operations, each alone, in batches: in every round so many tasks go through all three.
    pub(crate) fn phases(
        &self,
        bench: &mut Bench,
        runtime: &Runtime,
        names: [String; 3],
        waiters: usize,
        batch: usize,
        tasks: usize,
    ) {
        let steps = tasks / waiters / batch;
        let mut figures: [Figures; 3] = Default::default();
        for round in 0..bench.rounds() {
            let rates = runtime.block_on(async {
                let began = Stopwatch::start();
                self.each(waiters, |store, _| async move {
                    for _ in 0..steps {
                        submit(&store, batch).await;
                    }
                })
                .await;
                let submitted = began.rate(tasks);
                let began = Stopwatch::start();
                let leased = self.each(waiters, |store, session| async move {
                    let (mut all, mut left) = (Vec::new(), steps * batch);
                    while left > 0 {
                        let leased = lease(&store, session, batch.min(left)).await;
                        left -= leased.len();
                        all.push(leased);
                    }
                    all
                });
                let leased = leased.await;
                let taken = began.rate(tasks);
                let leased = Mutex::new(leased);
                let began = Stopwatch::start();
                self.each(waiters, |store, _| {
                    let leased = leased.lock().expect("nobody panicked").pop().expect("one for each");
                    async move {
                        for leased in leased {
                            settle(&store, leased).await;
                        }
                    }
                })
                .await;
                [submitted, taken, began.rate(tasks)]
            });
            for (figures, rate) in figures.iter_mut().zip(rates) {
                figures.push((round, rate));
            }
        }
        for (name, figures) in names.iter().zip(figures) {
            bench.note(name, Unit::PerSecond, Some(batch as f64), &[("sunaba".into(), figures)]);
        }
    }

    /// What each of so many waiters does, at the same time.
    async fn each<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        waiters: usize,
        run: impl Fn(EmbeddedStore, SessionId) -> F,
    ) -> Vec<T> {
        let running: Vec<_> =
            self.sessions[..waiters].iter().map(|session| tokio::spawn(run(self.store.clone(), *session))).collect();
        let mut done = Vec::new();
        for waiter in running {
            done.push(waiter.await.expect("it does not panic"));
        }
        done
    }
}

fn new_task() -> NewTask {
    let spec = TaskSpec::new("words/word-count".parse().expect("a name"), component());
    NewTask::new(spec, Payload::json(r#"{"name":"Ada"}"#))
}

async fn submit(store: &EmbeddedStore, count: usize) {
    for submitted in store.submit(vec![new_task(); count]).await.expect("it works") {
        submitted.expect("it is taken on");
    }
}

async fn lease(store: &EmbeddedStore, session: SessionId, slots: usize) -> Vec<Leased> {
    let request = LeaseRequest { session, queues: Queues::All, slots, wait: LONGEST };
    store.lease(request).await.expect("the session lives")
}

async fn settle(store: &EmbeddedStore, leased: Vec<Leased>) {
    let settlements = leased.iter().map(settlement).collect();
    for settled in store.settle(settlements).await.expect("it works") {
        settled.expect("it has the lease");
    }
}

fn settlement(leased: &Leased) -> Settlement {
    Settlement {
        token: leased.token,
        revision: leased.task.revision,
        ending: Ending::Completed,
        decision: Decision::uncharged(Verdict::Succeed, Policy::Success, "the handler completed".into()),
        receipt: Some(Receipt::unmeasured(component())),
        output: Some(Payload::json(r#""Hello, Ada!""#)),
        detail: AttemptDetail::default(),
        plan: None,
    }
}
