//! sled, watched: how many barriers there were, how long they took, and, if it is asked for, what was written.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sunaba_bench::Stopwatch;
use sunaba_runtime::store::{Barrier, BlobPlace, Engine, EngineError, Pair, SledEngine, Writes};

/// What was written, in its order.
pub(crate) type Tape = Vec<(Vec<u8>, Option<Bytes>)>;

/// What was seen.
#[derive(Default)]
pub(crate) struct Seen {
    barriers: AtomicU64,
    barrier_nanos: AtomicU64,
    tapes: AtomicBool,
    tape: Mutex<Tape>,
}

impl Seen {
    /// Barriers until now, and what they took together in milliseconds.
    pub(crate) fn barriers(&self) -> (u64, f64) {
        let nanos = self.barrier_nanos.load(Ordering::Acquire);
        (self.barriers.load(Ordering::Acquire), nanos as f64 / 1e6)
    }

    /// Remembers all writes from here on.
    pub(crate) fn start_tape(&self) {
        self.take_tape();
        self.tapes.store(true, Ordering::Release);
    }

    pub(crate) fn take_tape(&self) -> Tape {
        std::mem::take(&mut *self.tape.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seen {
    fn barrier(&self, barrier: impl FnOnce() -> Result<(), EngineError>) -> Result<(), EngineError> {
        let began = Stopwatch::start();
        let done = barrier();
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.barrier_nanos.fetch_add(nanos, Ordering::AcqRel);
        self.barriers.fetch_add(1, Ordering::AcqRel);
        done
    }
}

/// The engine under a host's store.
pub(crate) struct Watched {
    engine: SledEngine,
    seen: Arc<Seen>,
}

impl Watched {
    pub(crate) fn open(folder: &Path) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        (Self { engine: SledEngine::open(folder).expect("the folder is ours"), seen: Arc::clone(&seen) }, seen)
    }
}

impl Engine for Watched {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.engine.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.engine.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        if self.seen.tapes.load(Ordering::Acquire) {
            let written = writes.iter().map(|(key, value)| (key.clone(), value.clone()));
            self.seen.tape.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
        }
        self.engine.apply(writes)
    }

    fn blobs(&self) -> BlobPlace {
        self.engine.blobs()
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.seen.barrier(|| self.engine.barrier())
    }

    fn barrier_beside(&mut self) -> Option<Barrier> {
        let (barrier, seen) = (self.engine.barrier_beside()?, Arc::clone(&self.seen));
        Some(Box::new(move || seen.barrier(barrier)))
    }
}
