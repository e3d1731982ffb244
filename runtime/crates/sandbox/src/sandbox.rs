//! The sandbox as others see it: components are loaded once, attempts name them by digest.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use sunaba_task::{AttemptHost, AttemptReport, AttemptRequest, BoxFuture, Digest, ExecuteError, Executor, FuelMode};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

use crate::bindings::handlers;
use crate::component::{self, Artifact, ComponentInfo};
use crate::engine::PageReset;
use crate::error::LoadError;
use crate::inspect;
use crate::library::Library;
use crate::scratch::Scratch;
use crate::shard::{self, Engines, Work};
use crate::ticker::Ticker;

/// Attempts at a time on one shard, unless told otherwise.
const DEFAULT_SLOTS: u32 = 32;
/// Slots of all shards together: each reserves up to 128 GiB of address space, of the 128 TiB that a process has.
const MAX_SLOTS: u32 = 512;

/// How many attempts run at a time, and on how many threads.
#[derive(Debug, Clone)]
pub struct SandboxBuilder {
    shards: usize,
    slots: u32,
    scratch: Option<PathBuf>,
}

impl SandboxBuilder {
    /// OS threads that run guests. Default 1, at least 1.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards.max(1);
        self
    }

    /// Attempts at a time on one shard; more wait. Default 32, at least 1, and at most 512 on all shards together.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> Self {
        self.slots = slots;
        self
    }

    /// Where the scratch directories of attempts are: made if it is not there, private, and swept of what killed processes
    /// left. Default: the system's place for temporary files, where something is made only when an attempt needs it.
    #[must_use]
    pub fn scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch = Some(directory.into());
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread, or nothing can be made in the directory for scratch directories.
    pub fn start(self) -> std::io::Result<Sandbox> {
        let ticker = Ticker::start()?;
        let shared = MAX_SLOTS / u32::try_from(self.shards).unwrap_or(u32::MAX);
        let slots = self.slots.min(shared).max(1);
        let library = Arc::new(Library::default());
        let scratch = Arc::new(Scratch::new(self.scratch));
        scratch.start()?;
        let mut shards = Vec::with_capacity(self.shards);
        for index in 0..self.shards {
            // One more than there are slots: a component can be described while all of them are taken.
            let engines = Engines::new(slots + 1, ticker.handle());
            let (work, receiver) = mpsc::channel(slots as usize + 1);
            let thread = shard::start(index, engines.clone(), Arc::clone(&library), Arc::clone(&scratch), receiver)?;
            shards.push(Shard {
                work: Some(work),
                engines,
                slots: Arc::new(Semaphore::new(slots as usize)),
                running: AtomicUsize::new(0),
                thread: Some(thread),
            });
        }
        tracing::debug!(shards = self.shards, slots, reset = ?PageReset::of_this_machine(), "sandbox started");
        Ok(Sandbox { library, shards, describing: Mutex::new(()), _ticker: ticker })
    }
}

struct Shard {
    /// None only while the sandbox is dropped.
    work: Option<mpsc::Sender<Work>>,
    engines: Engines,
    /// Taken before work is sent, so that the shard never waits for one.
    slots: Arc<Semaphore>,
    running: AtomicUsize,
    thread: Option<JoinHandle<()>>,
}

/// Runs attempts in fresh WebAssembly sandboxes. Its threads end when it is dropped.
pub struct Sandbox {
    library: Arc<Library>,
    shards: Vec<Shard>,
    /// One at a time: there is one place for it beside the slots.
    describing: Mutex<()>,
    _ticker: Ticker,
}

impl Sandbox {
    /// A sandbox with one shard, unless told otherwise.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder { shards: 1, slots: DEFAULT_SLOTS, scratch: None }
    }

    /// Whether a component is loaded in this fuel mode.
    pub fn is_loaded(&self, component: Digest, mode: FuelMode) -> bool {
        self.library.component(component).is_some() && self.library.artifact(component, mode).is_some()
    }

    /// Checks a component, compiles it for this fuel mode, asks it for its handlers, and keeps it.
    ///
    /// Loading a component again costs nothing; compiling takes from a tenth of a second to many seconds.
    ///
    /// # Errors
    /// It is no component of ours, or does not fit this host. Nothing of it stays behind.
    pub async fn load(&self, bytes: impl Into<bytes::Bytes>, mode: FuelMode) -> Result<Arc<ComponentInfo>, LoadError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let interfaces = inspect::inspect(&bytes)?;
        if self.library.artifact(digest, mode).is_none() {
            let artifact = self.compile(bytes.clone(), mode).await?;
            self.library.add_artifact(digest, mode, artifact);
        }
        if let Some(info) = self.library.component(digest) {
            return Ok(info);
        }
        let described = self
            .describe(digest, mode)
            .await
            .and_then(|described| component::accept(digest, bytes.len() as u64, interfaces, described));
        match described {
            Ok(info) => {
                let info = Arc::new(info);
                self.library.add_component(Arc::clone(&info));
                Ok(info)
            }
            Err(error) => {
                self.library.remove_artifact(digest, mode);
                Err(error)
            }
        }
    }

    /// Compiles on a thread of its own: it takes long, and holds up neither guests nor the caller's runtime.
    async fn compile(&self, bytes: bytes::Bytes, mode: FuelMode) -> Result<Artifact, LoadError> {
        let engines = self.shards[0].engines.clone();
        let (reply, compiled) = oneshot::channel();
        let compile = move || {
            let artifact = engines
                .get(mode)
                .map_err(|error| LoadError::Internal(error.to_string()))
                .and_then(|engine| Artifact::compile(&engine, &bytes));
            // Whoever asked may have gone.
            let _ = reply.send(artifact);
        };
        thread::Builder::new()
            .name("sunaba-compile".into())
            .spawn(compile)
            .map_err(|error| LoadError::Internal(format!("no thread to compile on: {error}")))?;
        compiled.await.unwrap_or_else(|_| Err(LoadError::Internal("the compiler panicked".into())))
    }

    async fn describe(&self, component: Digest, mode: FuelMode) -> Result<handlers::PackageInfo, LoadError> {
        let _describing = self.describing.lock().await;
        let (reply, described) = oneshot::channel();
        let closed = || LoadError::Internal("the shard ended".into());
        let work = self.shards[0].work.as_ref().ok_or_else(closed)?;
        work.send(Work::Describe { component, mode, reply }).await.map_err(|_| closed())?;
        described.await.map_err(|_| closed())?
    }

    async fn run(&self, request: AttemptRequest, host: Arc<dyn AttemptHost>) -> Result<AttemptReport, ExecuteError> {
        request.limits.check()?;
        request.grants.check()?;
        let (component, mode) = (request.component, request.limits.fuel.mode());
        let info = self.library.component(component);
        let (Some(info), Some(_)) = (info, self.library.artifact(component, mode)) else {
            return Err(ExecuteError::NotLoaded { component, mode });
        };
        if info.handler(&request.handler).is_none() {
            return Err(ExecuteError::UnknownHandler { component, handler: request.handler });
        }
        let shard = self.shards.iter().min_by_key(|shard| shard.running.load(Ordering::Relaxed)).expect("at least one");
        let _running = Running::on(&shard.running);
        let slot = Arc::clone(&shard.slots).acquire_owned().await.map_err(|_| ExecuteError::Closed)?;
        let (reply, report) = oneshot::channel();
        let work = shard.work.as_ref().ok_or(ExecuteError::Closed)?;
        // While we are borrowed nobody closes us: the shard's thread has panicked.
        let ended = |_| ExecuteError::Internal("a shard of the sandbox has ended".into());
        work.send(Work::Attempt { request: Box::new(request), host, slot, reply }).await.map_err(ended)?;
        report.await.unwrap_or_else(|_| Err(ExecuteError::Internal("host code panicked during the attempt".into())))
    }
}

impl Executor for Sandbox {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(self.run(request, host))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            shard.work = None;
        }
        for thread in self.shards.iter_mut().filter_map(|shard| shard.thread.take()) {
            // A panic on a shard was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Counts an attempt on its shard, however it ends.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn on(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
