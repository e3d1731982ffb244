//! A shard: one OS thread that runs attempts, with an engine and a pool for each fuel mode.
//!
//! An engine and a pool for each thread scale better than shared ones, and a guest that computes holds up only the
//! attempts of its own shard, and these for one epoch tick.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sunaba_task::{AttemptHost, AttemptRequest, BoxFuture, FuelMode};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc, oneshot};
use wasmtime::component::Linker;

use crate::attempt::{self, Prepared};
use crate::bindings::handlers;
use crate::component::{self, Code};
use crate::engine;
use crate::error::LoadError;
use crate::http::Client;
use crate::outbox::{Outbox, Report};
use crate::reply::Sender;
use crate::scratch::Scratch;
use crate::state::State;
use crate::ticker::TickerHandle;

/// Scheduler turns between two looks at timers. Guests wake themselves at each yield; with tokio's default of 61, the
/// timers of a busy shard would be up to 61 yields late.
const EVENT_INTERVAL: u32 = 8;

/// Threads of a shard that wait for disks. Attempts beyond wait for one, within their own time.
const BLOCKING_THREADS: usize = 32;
/// How long such a thread is kept when nobody needs it.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(2);

/// What a shard is asked to do.
pub(crate) enum Work {
    Attempt {
        prepared: Prepared,
        request: Box<AttemptRequest>,
        host: Arc<dyn AttemptHost>,
        /// Held until whoever asked is told.
        slot: OwnedSemaphorePermit,
        reply: Sender<Report>,
    },
    /// Something that runs attempts here, one after another ([`here`]).
    Other(BoxFuture<'static, ()>),
    Describe {
        prepared: Prepared,
        mode: FuelMode,
        /// Held until the sandbox is taken down, whoever still waits for the reply.
        place: OwnedMutexGuard<()>,
        reply: oneshot::Sender<Result<handlers::PackageInfo, LoadError>>,
    },
}

/// The engines of a shard, made when first needed.
#[derive(Clone)]
pub(crate) struct Engines(Arc<EnginesInner>);

struct EnginesInner {
    slots: u32,
    ticker: TickerHandle,
    made: Mutex<HashMap<FuelMode, Arc<Linker<State>>>>,
}

impl Engines {
    pub(crate) fn new(slots: u32, ticker: TickerHandle) -> Self {
        Self(Arc::new(EnginesInner { slots, ticker, made: Mutex::new(HashMap::new()) }))
    }

    /// The engine of this mode, with all that a component can import.
    ///
    /// # Errors
    /// The system has no room for the pool's address space.
    fn linker(&self, mode: FuelMode) -> wasmtime::Result<Arc<Linker<State>>> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linker) = made.get(&mode) {
            return Ok(Arc::clone(linker));
        }
        let engine = engine::engine(mode, self.0.slots)?;
        let linker = Arc::new(component::linker(&engine)?);
        self.0.ticker.watch(&engine);
        made.insert(mode, Arc::clone(&linker));
        Ok(linker)
    }

    /// Makes code ready to be instantiated here. Large code takes long, and no shard waits for it.
    ///
    /// # Errors
    /// As [`Code::prepare`], or there is no engine.
    pub(crate) fn prepare(&self, code: &Code, mode: FuelMode) -> Result<Prepared, LoadError> {
        let internal = |error: wasmtime::Error| LoadError::Internal(error.to_string());
        code.prepare(&*self.linker(mode).map_err(internal)?)
    }
}

thread_local! {
    /// The shard whose thread this is.
    static HERE: RefCell<Option<Arc<Shard>>> = const { RefCell::new(None) };
}

/// The shard with these engines, on whose thread this runs.
pub(crate) fn here(engines: &Engines) -> Option<Arc<Shard>> {
    HERE.with_borrow(|here| here.clone().filter(|shard| Arc::ptr_eq(&shard.engines.0, &engines.0)))
}

/// Starts a shard. It ends when the sender of its work is dropped.
pub(crate) fn start(
    index: usize,
    engines: Engines,
    client: Arc<Client>,
    scratch: Arc<Scratch>,
    work: mpsc::Receiver<Work>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let outbox = Outbox::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .enable_io()
        .on_thread_park({
            let outbox = outbox.clone();
            move || outbox.flush()
        })
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .thread_name(format!("sunaba-io-{index}"))
        .build()?;
    thread::Builder::new().name(format!("sunaba-shard-{index}")).spawn(move || {
        let shard = Arc::new(Shard { engines, client, scratch, outbox });
        HERE.set(Some(Arc::clone(&shard)));
        runtime.block_on(shard.serve(work));
        // Not a plain drop: that would wait for a thread that hangs in a slow file system.
        runtime.shutdown_background();
        HERE.set(None);
    })
}

/// What attempts of one shard share.
pub(crate) struct Shard {
    engines: Engines,
    client: Arc<Client>,
    scratch: Arc<Scratch>,
    outbox: Outbox,
}

impl Shard {
    async fn serve(self: &Arc<Self>, mut work: mpsc::Receiver<Work>) {
        while let Some(work) = work.recv().await {
            match work {
                // Nobody waits for it any more.
                Work::Attempt { reply, .. } if reply.is_closed() => {}
                Work::Attempt { prepared, request, host, slot, reply } => {
                    let shard = Arc::clone(self);
                    tokio::spawn(async move {
                        let report = shard.attempt(&prepared, *request, host, reply.closed()).await;
                        shard.outbox.put(reply, report, slot);
                    });
                }
                Work::Other(work) => drop(tokio::spawn(work)),
                Work::Describe { prepared, mode, place, mut reply } => {
                    let shard = Arc::clone(self);
                    tokio::spawn(async move {
                        let _ticking = shard.engines.0.ticker.ticking();
                        let described = shard.outbox.beside(attempt::describe(&prepared, mode, reply.closed())).await;
                        drop(place);
                        let _ = reply.send(described);
                    });
                }
            }
        }
    }

    /// Runs an attempt, on the thread of this shard and no other.
    pub(crate) async fn attempt(
        &self,
        prepared: &Prepared,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
        abandoned: impl Future<Output = ()> + Send,
    ) -> Report {
        let _ticking = self.engines.0.ticker.ticking();
        // Boxed: it has some kilobytes, which would be moved once more for each step of whoever runs it.
        let attempt = Box::pin(attempt::run(prepared, request, host, &self.client, &self.scratch, abandoned));
        self.outbox.beside(attempt).await
    }
}
