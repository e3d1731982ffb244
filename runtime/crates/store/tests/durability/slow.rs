//! An engine whose barriers do as they are told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use sunaba_store::{Barrier, EmbeddedStore, Engine, EngineError, ManualClock, MemoryEngine, Options, Pair, Writes};
use sunaba_task::Timestamp;

/// What the next barrier shall do.
pub(crate) enum Order {
    Pass,
    Fail,
    Panic,
}

/// What a test sees of its engine, and has it do.
#[derive(Clone, Default)]
pub(crate) struct Strings {
    orders: Arc<Mutex<Option<Receiver<Order>>>>,
    barriers: Arc<AtomicUsize>,
    applies: Arc<AtomicUsize>,
    applies_fail: Arc<AtomicBool>,
    gets: Arc<Mutex<VecDeque<Order>>>,
    free_bytes: Arc<AtomicU64>,
}

/// An engine whose barriers wait for an order each, once it is armed.
struct Slow {
    inner: MemoryEngine,
    /// Whether it can do something else meanwhile.
    is_beside: bool,
    strings: Strings,
}

impl Engine for Slow {
    fn free_bytes(&self) -> Option<u64> {
        Some(self.strings.free_bytes.load(Ordering::SeqCst))
    }

    fn get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, EngineError> {
        let order = self.strings.gets.lock().expect("no test panicked").pop_front();
        match order {
            Some(Order::Fail) => Err(EngineError::new("cannot read a value", "the disk is gone")),
            Some(Order::Panic) => panic!("sled did not expect that"),
            Some(Order::Pass) | None => self.inner.get(key),
        }
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
        if self.strings.applies_fail.load(Ordering::SeqCst) {
            return Err(EngineError::new("cannot write", "the disk is gone"));
        }
        self.strings.applies.fetch_add(1, Ordering::SeqCst);
        self.inner.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.strings.barrier()
    }

    fn barrier_beside(&mut self) -> Option<Barrier> {
        let strings = self.strings.clone();
        self.is_beside.then(|| Box::new(move || strings.barrier()) as Barrier)
    }
}

impl Strings {
    fn barrier(&self) -> Result<(), EngineError> {
        self.barriers.fetch_add(1, Ordering::SeqCst);
        let orders = self.orders.lock().expect("no test panicked");
        match orders.as_ref().map(|orders| orders.recv().expect("an order")) {
            Some(Order::Fail) => Err(EngineError::new("cannot sync", "the disk is gone")),
            Some(Order::Panic) => {
                drop(orders);
                panic!("sled did not expect that")
            }
            Some(Order::Pass) | None => Ok(()),
        }
    }
}

pub(crate) struct House {
    pub(crate) store: EmbeddedStore,
    pub(crate) engine: MemoryEngine,
    pub(crate) clock: ManualClock,
    pub(crate) orders: Sender<Order>,
    pub(crate) strings: Strings,
}

/// A store whose barriers wait from now on.
pub(crate) fn house() -> House {
    house_with(Options::default())
}

pub(crate) fn house_with(options: Options) -> House {
    house_of(options, false)
}

/// The same, of an engine whose barriers others can do meanwhile.
pub(crate) fn beside() -> House {
    house_of(Options::default(), true)
}

fn house_of(options: Options, is_beside: bool) -> House {
    let (strings, engine) = (Strings::default(), MemoryEngine::default());
    let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
    strings.free_bytes.store(u64::MAX, Ordering::SeqCst);
    let slow = Slow { inner: engine.clone(), is_beside, strings: strings.clone() };
    let store = EmbeddedStore::open_with(slow, Arc::new(clock.clone()), options).expect("memory opens");
    let (orders, receiver) = channel();
    *strings.orders.lock().expect("no test panicked") = Some(receiver);
    strings.barriers.store(0, Ordering::SeqCst);
    strings.applies.store(0, Ordering::SeqCst);
    House { store, engine, clock, orders, strings }
}

impl Strings {
    pub(crate) fn barriers(&self) -> usize {
        self.barriers.load(Ordering::SeqCst)
    }
}

impl House {
    /// Gives the next barriers an order each.
    pub(crate) fn order(&self, orders: impl IntoIterator<Item = Order>) {
        orders.into_iter().for_each(|order| self.orders.send(order).expect("the engine listens"));
    }

    pub(crate) fn barriers(&self) -> usize {
        self.strings.barriers()
    }

    pub(crate) fn leave_free(&self, bytes: u64) {
        self.strings.free_bytes.store(bytes, Ordering::SeqCst);
    }

    /// What the next reads of a key shall do.
    pub(crate) fn order_gets(&self, orders: impl IntoIterator<Item = Order>) {
        self.strings.gets.lock().expect("no test panicked").extend(orders);
    }

    pub(crate) fn fail_applies(&self) {
        self.strings.applies_fail.store(true, Ordering::SeqCst);
    }

    /// Waits until so many turns were applied.
    pub(crate) async fn until_applies(&self, count: usize) {
        while self.strings.applies.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the commit thread is in its barrier.
    pub(crate) async fn until_barriers(&self, count: usize) {
        while self.barriers() < count {
            tokio::task::yield_now().await;
        }
    }
}
