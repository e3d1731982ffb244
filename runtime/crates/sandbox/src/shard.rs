//! A shard: one OS thread that runs attempts, with an engine, a pool and prepared components for each fuel mode.
//!
//! An engine and a pool for each thread scale better than shared ones, and a guest that computes holds up only the
//! attempts of its own shard, and these for one epoch tick.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sunaba_task::{AttemptHost, AttemptReport, AttemptRequest, Digest, ExecuteError, FuelMode};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::attempt::{self, Prepared};
use crate::bindings::handlers;
use crate::component::{self, Artifact};
use crate::engine;
use crate::error::LoadError;
use crate::library::Library;
use crate::scratch::Scratch;
use crate::state::State;
use crate::ticker::TickerHandle;

/// Scheduler turns between two looks at timers. Guests wake themselves at each yield; with tokio's default of 61, the
/// timers of a busy shard would be up to 61 yields late.
const EVENT_INTERVAL: u32 = 8;

/// What a shard is asked to do.
pub(crate) enum Work {
    Attempt {
        request: Box<AttemptRequest>,
        host: Arc<dyn AttemptHost>,
        /// Held until the sandbox is taken down.
        slot: OwnedSemaphorePermit,
        reply: oneshot::Sender<Result<AttemptReport, ExecuteError>>,
    },
    Describe {
        component: Digest,
        mode: FuelMode,
        reply: oneshot::Sender<Result<handlers::PackageInfo, LoadError>>,
    },
}

/// The engines of a shard, made when first needed.
#[derive(Clone)]
pub(crate) struct Engines(Arc<EnginesInner>);

struct EnginesInner {
    slots: u32,
    ticker: TickerHandle,
    made: Mutex<HashMap<FuelMode, Engine>>,
}

impl Engines {
    pub(crate) fn new(slots: u32, ticker: TickerHandle) -> Self {
        Self(Arc::new(EnginesInner { slots, ticker, made: Mutex::new(HashMap::new()) }))
    }

    /// The engine of this mode.
    ///
    /// # Errors
    /// The system has no room for the pool's address space.
    pub(crate) fn get(&self, mode: FuelMode) -> wasmtime::Result<Engine> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = made.get(&mode) {
            return Ok(engine.clone());
        }
        let engine = engine::engine(mode, self.0.slots)?;
        self.0.ticker.watch(&engine);
        made.insert(mode, engine.clone());
        Ok(engine)
    }
}

/// Starts a shard. It ends when the sender of its work is dropped.
pub(crate) fn start(
    index: usize,
    engines: Engines,
    library: Arc<Library>,
    scratch: Arc<Scratch>,
    work: mpsc::Receiver<Work>,
) -> std::io::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .event_interval(EVENT_INTERVAL)
        .thread_name(format!("sunaba-io-{index}"))
        .build()?;
    thread::Builder::new().name(format!("sunaba-shard-{index}")).spawn(move || {
        let mut shard = Shard { engines, library, scratch, linkers: HashMap::new(), prepared: HashMap::new() };
        runtime.block_on(shard.serve(work));
        // Not a plain drop: that would wait for a thread that hangs in a slow file system.
        runtime.shutdown_background();
    })
}

struct Shard {
    engines: Engines,
    library: Arc<Library>,
    scratch: Arc<Scratch>,
    linkers: HashMap<FuelMode, Linker<State>>,
    prepared: HashMap<(Digest, FuelMode), Prepared>,
}

impl Shard {
    async fn serve(&mut self, mut work: mpsc::Receiver<Work>) {
        while let Some(work) = work.recv().await {
            match work {
                // Nobody waits for it any more.
                Work::Attempt { reply, .. } if reply.is_closed() => {}
                Work::Attempt { request, host, slot, mut reply } => {
                    let mode = request.limits.fuel.mode();
                    let prepared = match self.prepare(request.component, mode) {
                        Ok(prepared) => prepared,
                        Err(error) => {
                            // Whoever asked may have gone.
                            let _ = reply.send(Err(ExecuteError::Internal(error.to_string())));
                            continue;
                        }
                    };
                    let (ticker, scratch) = (self.engines.0.ticker.clone(), Arc::clone(&self.scratch));
                    tokio::spawn(async move {
                        let _ticking = ticker.ticking();
                        let report = attempt::run(&prepared, *request, host, &scratch, reply.closed()).await;
                        drop(slot);
                        let _ = reply.send(report);
                    });
                }
                Work::Describe { component, mode, reply } => {
                    // Not kept: a component whose description is refused leaves nothing behind.
                    let prepared = self.load(component, mode);
                    let ticker = self.engines.0.ticker.clone();
                    tokio::spawn(async move {
                        let _ticking = ticker.ticking();
                        let description = match prepared {
                            Ok(prepared) => attempt::describe(&prepared, mode).await,
                            Err(error) => Err(error),
                        };
                        let _ = reply.send(description);
                    });
                }
            }
        }
    }

    /// The component, ready to be instantiated here. Loads it at its first use.
    fn prepare(&mut self, component: Digest, mode: FuelMode) -> Result<Prepared, LoadError> {
        if let Some(prepared) = self.prepared.get(&(component, mode)) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = self.load(component, mode)?;
        self.prepared.insert((component, mode), Arc::clone(&prepared));
        Ok(prepared)
    }

    fn load(&mut self, component: Digest, mode: FuelMode) -> Result<Prepared, LoadError> {
        let artifact: Arc<Artifact> = self
            .library
            .artifact(component, mode)
            .ok_or_else(|| LoadError::Internal(format!("component {component} is not compiled with fuel {mode}")))?;
        artifact.prepare(self.linker(mode)?)
    }

    fn linker(&mut self, mode: FuelMode) -> Result<&Linker<State>, LoadError> {
        use std::collections::hash_map::Entry;
        let internal = |error: wasmtime::Error| LoadError::Internal(error.to_string());
        Ok(match self.linkers.entry(mode) {
            Entry::Occupied(linker) => linker.into_mut(),
            Entry::Vacant(vacant) => {
                let engine = self.engines.get(mode).map_err(internal)?;
                vacant.insert(component::linker(&engine).map_err(internal)?)
            }
        })
    }
}
