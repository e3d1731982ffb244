//! Advances the epoch of every engine while an attempt runs.
//!
//! It is an OS thread of its own: a guest that computes without end holds its shard's thread, and with it every timer
//! of that runtime, until the epoch makes it yield. The thread parks while nothing runs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// How often a guest that computes yields and looks at its deadline.
pub(crate) const TICK: Duration = Duration::from_millis(10);

struct Shared {
    engines: Mutex<Vec<EngineWeak>>,
    running: AtomicUsize,
    /// Whether the thread sleeps without a timeout, or is about to.
    idle: AtomicBool,
    closed: AtomicBool,
}

/// The thread; it ends when this is dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Lets attempts keep the ticker awake.
#[derive(Clone)]
pub(crate) struct TickerHandle {
    shared: Arc<Shared>,
    thread: Thread,
}

/// The ticker ticks while this lives.
pub(crate) struct Ticking<'a>(&'a TickerHandle);

impl Ticker {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            engines: Mutex::new(Vec::new()),
            running: AtomicUsize::new(0),
            idle: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let thread = thread::Builder::new().name("sunaba-epoch".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.tick()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn handle(&self) -> TickerHandle {
        let thread = self.thread.as_ref().expect("only taken in drop").thread().clone();
        TickerHandle { shared: Arc::clone(&self.shared), thread }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It holds no lock and calls nothing that panics; there is nothing to do about it if it did.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn tick(&self) {
        while !self.closed.load(Ordering::SeqCst) {
            if self.running.load(Ordering::SeqCst) == 0 {
                self.idle.store(true, Ordering::SeqCst);
                // Looked at again: who came since the first look may have seen that nobody was idle.
                if self.running.load(Ordering::SeqCst) == 0 {
                    // An unpark between the load and here makes this return at once.
                    thread::park();
                }
                self.idle.store(false, Ordering::SeqCst);
                continue;
            }
            thread::park_timeout(TICK);
            let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
            engines.retain(|engine| match engine.upgrade() {
                Some(engine) => {
                    engine.increment_epoch();
                    true
                }
                None => false,
            });
        }
    }
}

impl TickerHandle {
    /// From now on the epoch of this engine advances too.
    pub(crate) fn watch(&self, engine: &Engine) {
        self.shared.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    }

    /// Keeps the ticker awake.
    pub(crate) fn ticking(&self) -> Ticking<'_> {
        let first = self.shared.running.fetch_add(1, Ordering::SeqCst) == 0;
        // Attempts that come one after the other find it awake between two ticks: waking it each time would cost as much as
        // a small attempt, and each time it would tick.
        if first && self.shared.idle.swap(false, Ordering::SeqCst) {
            self.thread.unpark();
        }
        Ticking(self)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}
