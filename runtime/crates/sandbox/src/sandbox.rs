//! The sandbox as others see it: components are loaded once, attempts name them by digest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, BoxFuture, DeciderAnswer, DeciderInfo, Digest, ExecuteError, Executor,
    FuelMode, NotDecided, Situation,
};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

use crate::artifacts::Artifacts;
use crate::attempt::Prepared;
use crate::bindings::handlers;
use crate::compiler::{Cancel, Compiler};
use crate::component::{self, Code, ComponentInfo};
use crate::decider::{Deciders, Ready};
use crate::engine::{self, PageReset};
use crate::error::LoadError;
use crate::http::{self, Client, Trust};
use crate::inspect;
use crate::library::{Library, OnShards};
use crate::reply;
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
    roots: Vec<Vec<u8>>,
    scratch: Option<PathBuf>,
    compiler: Compiler,
    artifacts: Option<PathBuf>,
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

    /// Certificate authorities that outgoing requests believe beside the system's: a company's own, say. A text of PEM
    /// blocks. Default none.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Where the scratch directories of attempts are: made if it is not there, private, and swept of what killed processes
    /// left. Default: the system's place for temporary files, where something is made only when an attempt needs it.
    #[must_use]
    pub fn scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch = Some(directory.into());
        self
    }

    /// Where components are compiled. Default: in this process, which is for those who trust them.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// A directory for compiled code, which no other process uses at the same time; made if it is not there. Default: code
    /// is gone with the process.
    #[must_use]
    pub fn artifacts(mut self, directory: impl Into<PathBuf>) -> Self {
        self.artifacts = Some(directory.into());
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread, a root certificate is none, nothing can be made in the directory for scratch directories,
    /// or the directory for compiled code is not one of this user alone ([`ArtifactsError`](crate::ArtifactsError)).
    pub fn start(self) -> std::io::Result<Sandbox> {
        let mut roots = Vec::new();
        for pem in &self.roots {
            roots.extend(http::root_certificates(pem)?);
        }
        let client = Arc::new(Client::new(Trust::new(roots)));
        let artifacts = self.artifacts.map(|directory| Artifacts::open(&directory)).transpose();
        let artifacts = artifacts.map_err(std::io::Error::other)?.map(Arc::new);
        let scratch = Arc::new(Scratch::new(self.scratch));
        scratch.start()?;
        let ticker = Ticker::start()?;
        let shared = MAX_SLOTS / u32::try_from(self.shards).unwrap_or(u32::MAX);
        let slots = self.slots.min(shared).max(1);
        let mut shards = Vec::with_capacity(self.shards);
        for index in 0..self.shards {
            // One more than there are slots: a component can be described while all of them are taken.
            let engines = Engines::new(slots + 1, ticker.handle());
            let (work, receiver) = mpsc::channel(slots as usize + 1);
            let (client, scratch) = (Arc::clone(&client), Arc::clone(&scratch));
            let thread = shard::start(index, engines.clone(), client, scratch, receiver)?;
            shards.push(Shard {
                work: Some(work),
                engines,
                slots: Arc::new(Semaphore::new(slots as usize)),
                running: Arc::default(),
                thread: Some(thread),
            });
        }
        tracing::debug!(shards = self.shards, slots, reset = ?PageReset::of_this_machine(), "sandbox started");
        Ok(Sandbox {
            library: Library::default(),
            shards,
            compiler: self.compiler,
            artifacts,
            compiling: Mutex::new(()),
            compilations: AtomicU64::new(0),
            describing: Arc::default(),
            deciders: Arc::new(Deciders::new(ticker.handle())),
            _ticker: ticker,
        })
    }
}

struct Shard {
    /// None only while the sandbox is dropped.
    work: Option<mpsc::Sender<Work>>,
    engines: Engines,
    /// Taken before work is sent, so that the shard never waits for one.
    slots: Arc<Semaphore>,
    /// Attempts, and whatever runs some of them one after another.
    running: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Runs attempts in fresh WebAssembly sandboxes. Its threads end when it is dropped.
pub struct Sandbox {
    pub(crate) library: Library,
    shards: Vec<Shard>,
    compiler: Compiler,
    artifacts: Option<Arc<Artifacts>>,
    /// One at a time: what it takes of the machine is taken once.
    compiling: Mutex<()>,
    compilations: AtomicU64,
    /// One at a time: there is one place for it beside the slots.
    describing: Arc<Mutex<()>>,
    deciders: Arc<Deciders>,
    _ticker: Ticker,
}

impl Sandbox {
    /// A sandbox with one shard, unless told otherwise.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            shards: 1,
            slots: DEFAULT_SLOTS,
            roots: Vec::new(),
            scratch: None,
            compiler: Compiler::in_process(),
            artifacts: None,
        }
    }

    /// Whether a component is loaded in this fuel mode.
    pub fn is_loaded(&self, component: Digest, mode: FuelMode) -> bool {
        self.library.get(component, mode).is_some()
    }

    /// How often it has compiled something since it was started.
    pub fn compilations(&self) -> u64 {
        self.compilations.load(Ordering::Relaxed)
    }

    /// What a loaded component is and asks for.
    pub fn info(&self, component: Digest) -> Option<Arc<ComponentInfo>> {
        self.library.info(component)
    }

    /// Checks a component, compiles it for this fuel mode, asks it for its handlers, and keeps it.
    ///
    /// Loading a component again costs nothing, nor does compiling one whose code is kept on disk; otherwise it takes from a
    /// tenth of a second to many seconds, and one is compiled at a time. Dropping the future stops the compiler, where that
    /// is a child.
    ///
    /// # Errors
    /// It is no component of ours, or does not fit this host. Nothing of it stays behind.
    pub async fn load(&self, bytes: impl Into<bytes::Bytes>, mode: FuelMode) -> Result<Arc<ComponentInfo>, LoadError> {
        let bytes = bytes.into();
        let (digest, interfaces, bytes) =
            on_thread(move || Ok((Digest::of(&bytes), inspect::inspect(&bytes)?, bytes))).await?;
        if let Some(info) = self.load_known(digest, mode).await? {
            return Ok(info);
        }
        let _one = self.compiling.lock().await;
        if let Some((info, _)) = self.library.get(digest, mode) {
            return Ok(info);
        }
        let size_bytes = bytes.len() as u64;
        let code = Code::Compiled(self.compile(bytes, mode).await?);
        let (code, policy) = match interfaces.has_policy() && mode == FuelMode::Exact {
            true => self.prepare_decider(code, interfaces.imports.len(), true).await?,
            false => (code, None),
        };
        let (ready, decider) = policy.unzip();
        let (code, prepared) = match interfaces.has_handlers() {
            true => self.prepare(code, mode).await?,
            false => (code, OnShards::from([])),
        };
        let info = match self.library.info(digest) {
            // Known in the mode in which nobody decides.
            Some(info) if info.decider.is_some() || decider.is_none() => info,
            _ if !interfaces.has_handlers() => {
                Arc::new(ComponentInfo { decider, ..component::of_no_handlers(digest, size_bytes, interfaces) })
            }
            _ => {
                let described = self.describe(Arc::clone(&prepared[0]), mode).await?;
                let info = component::accept(digest, size_bytes, interfaces, described)?;
                Arc::new(ComponentInfo { decider, ..info })
            }
        };
        self.keep(Arc::clone(&info), mode, code).await;
        self.library.add(Arc::clone(&info), mode, prepared, ready);
        Ok(info)
    }

    /// Loads a component whose code is kept on disk, without its bytes. None: it is not there, or is not believed; then it
    /// was deleted.
    ///
    /// # Errors
    /// The host could not do its part.
    pub async fn load_known(&self, component: Digest, mode: FuelMode) -> Result<Option<Arc<ComponentInfo>>, LoadError> {
        if let Some((info, _)) = self.library.get(component, mode) {
            return Ok(Some(info));
        }
        let Some(artifacts) = self.artifacts.clone() else { return Ok(None) };
        let known = on_thread(move || Ok(artifacts.get(component, mode, compiled_by(mode)?))).await?;
        let Some(known) = known else { return Ok(None) };
        let info = Arc::new(known.info.clone());
        let code = Code::Known(known);
        // What was checked when it was kept is not run again for that.
        let (code, policy) = match info.decider {
            Some(decider) if mode == FuelMode::Exact => {
                self.prepare_decider(code, decider.imports as usize, false).await?
            }
            _ => (code, None),
        };
        let prepared = match info.handlers.is_empty() {
            true => OnShards::from([]),
            false => self.prepare(code, mode).await?.1,
        };
        self.library.add(Arc::clone(&info), mode, prepared, policy.map(|(ready, _)| ready));
        Ok(Some(info))
    }

    /// Makes code ready to decide, and checks that it can.
    async fn prepare_decider(
        &self,
        code: Code,
        imports: usize,
        is_new: bool,
    ) -> Result<(Code, Option<(Ready, DeciderInfo)>), LoadError> {
        let deciders = Arc::clone(&self.deciders);
        on_thread(move || {
            let (ready, info) = deciders.prepare(&code, imports)?;
            if is_new {
                deciders.check(&ready)?;
            }
            Ok((code, Some((ready, info))))
        })
        .await
    }

    async fn ask(&self, decider: Digest, situation: Situation) -> Result<DeciderAnswer, NotDecided> {
        let Some(ready) = self.library.decider(decider) else {
            return Err(NotDecided::because(format!("the component {decider} is not loaded, or has no policy")));
        };
        self.deciders.decide(ready, situation).await
    }

    /// Forgets a component in memory, if its code is kept on disk. Attempts that run go on.
    pub fn unload(&self, component: Digest) {
        if self.artifacts.is_some() {
            self.library.remove(component);
        }
    }

    /// How many components are loaded.
    pub fn loaded(&self) -> usize {
        self.library.len()
    }

    /// Forgets a component, in memory and on disk. Attempts that run go on.
    pub async fn forget(&self, component: Digest) {
        self.library.remove(component);
        if let Some(artifacts) = self.artifacts.clone() {
            let forget = move || {
                artifacts.forget(component);
                Ok(())
            };
            let _ = on_thread(forget).await;
        }
    }

    /// Removes from disk the code of all but these components, and what another engine has compiled.
    pub async fn prune(&self, components: BTreeSet<Digest>) {
        let Some(artifacts) = self.artifacts.clone() else { return };
        let pruned = on_thread(move || {
            let engine = |mode| Ok::<_, LoadError>((mode, compiled_by(mode)?));
            artifacts.prune(&components, &[engine(FuelMode::Exact)?, engine(FuelMode::Off)?]);
            Ok(())
        });
        if let Err(error) = pruned.await {
            tracing::warn!(%error, "old compiled code was not removed");
        }
    }

    async fn compile(&self, bytes: bytes::Bytes, mode: FuelMode) -> Result<Vec<u8>, LoadError> {
        self.compilations.fetch_add(1, Ordering::Relaxed);
        let (compiler, cancel) = (self.compiler.clone(), Cancel::default());
        let _cancelled = CancelOnDrop(cancel.clone());
        on_thread(move || compiler.compile(&bytes, mode, &cancel)).await
    }

    /// Makes code ready on every shard.
    async fn prepare(&self, code: Code, mode: FuelMode) -> Result<(Code, OnShards), LoadError> {
        let engines: Vec<_> = self.shards.iter().map(|shard| shard.engines.clone()).collect();
        on_thread(move || {
            let prepared = engines.iter().map(|engines| engines.prepare(&code, mode)).collect::<Result<_, _>>()?;
            Ok((code, prepared))
        })
        .await
    }

    /// Keeps code on disk. Without that it is compiled again at the next start, which is no reason to refuse it now.
    async fn keep(&self, info: Arc<ComponentInfo>, mode: FuelMode, code: Code) {
        let Some(artifacts) = self.artifacts.clone() else { return };
        let kept = on_thread(move || {
            let engine = compiled_by(mode)?;
            artifacts.put(&info, mode, engine, code.bytes()).map_err(|error| LoadError::Internal(error.to_string()))
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "compiled code is not kept on disk");
        }
    }

    async fn describe(&self, prepared: Prepared, mode: FuelMode) -> Result<handlers::PackageInfo, LoadError> {
        let place = Arc::clone(&self.describing).lock_owned().await;
        let (reply, described) = oneshot::channel();
        let closed = || LoadError::Internal("the shard ended".into());
        let work = self.shards[0].work.as_ref().ok_or_else(closed)?;
        work.send(Work::Describe { prepared, mode, place, reply }).await.map_err(|_| closed())?;
        described.await.map_err(|_| closed())?
    }

    async fn run(&self, request: AttemptRequest, host: Arc<dyn AttemptHost>) -> Result<AttemptReport, ExecuteError> {
        request.limits.check()?;
        request.grants.check()?;
        http::check(&request.secrets, &request.grants.secrets)?;
        let (component, mode) = (request.component, request.limits.fuel.mode());
        let Some((info, prepared)) = self.library.get(component, mode) else {
            return Err(ExecuteError::NotLoaded { component, mode });
        };
        if info.handler(&request.handler).is_none() {
            return Err(ExecuteError::UnknownHandler { component, handler: request.handler });
        }
        let closed = |_| ExecuteError::Closed;
        // Whoever is on the thread of a shard stays there.
        if let Some((shard, prepared, here)) = self.here(&prepared) {
            let _slot = shard.slots.acquire().await.map_err(closed)?;
            return here.attempt(prepared, request, host, std::future::pending()).await;
        }
        let (index, shard) = self.idlest();
        let _running = Running::on(&shard.running);
        let slot = Arc::clone(&shard.slots).acquire_owned().await.map_err(closed)?;
        let (reply, report) = reply::reply();
        let work = shard.work.as_ref().ok_or(ExecuteError::Closed)?;
        // While we are borrowed nobody closes us: the shard's thread has panicked.
        let ended = |_| ExecuteError::Internal("a shard of the sandbox has ended".into());
        let (prepared, request) = (Arc::clone(&prepared[index]), Box::new(request));
        work.send(Work::Attempt { prepared, request, host, slot, reply }).await.map_err(ended)?;
        let panicked = || Err(ExecuteError::Internal("host code panicked during the attempt".into()));
        report.await.unwrap_or_else(panicked)
    }

    /// The shard that has the least to do.
    fn idlest(&self) -> (usize, &Shard) {
        let shards = self.shards.iter().enumerate();
        shards.min_by_key(|(_, shard)| shard.running.load(Ordering::Relaxed)).expect("at least one")
    }

    /// The shard on whose thread this runs.
    fn here<'a>(&self, prepared: &'a OnShards) -> Option<(&Shard, &'a Prepared, Arc<shard::Shard>)> {
        self.shards.iter().zip(prepared.iter()).find_map(|(of, ready)| Some((of, ready, shard::here(&of.engines)?)))
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

    fn spawn(&self, work: BoxFuture<'static, ()>) -> Result<(), BoxFuture<'static, ()>> {
        let (_, shard) = self.idlest();
        let Some(place) = shard.work.as_ref().and_then(|sender| sender.try_reserve().ok()) else { return Err(work) };
        let running = Running::on(&shard.running);
        place.send(Work::Other(Box::pin(async move {
            let _running = running;
            work.await;
        })));
        Ok(())
    }

    fn decide(&self, decider: Digest, situation: Situation) -> BoxFuture<'_, Result<DeciderAnswer, NotDecided>> {
        Box::pin(self.ask(decider, situation))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            shard.work = None;
        }
        let myself = thread::current().id();
        for thread in self.shards.iter_mut().filter_map(|shard| shard.thread.take()) {
            // What ran on a shard may have been the last to know the sandbox; its thread ends when this has returned.
            if thread.thread().id() != myself {
                // A panic on a shard was reported where it happened.
                let _ = thread.join();
            }
        }
    }
}

/// Does what takes long on a thread of its own: it holds up neither guests nor the caller's runtime.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    let (reply, done) = oneshot::channel();
    let no_thread = |error| LoadError::Internal(format!("no thread to load a component on: {error}"));
    // Whoever asked may have gone.
    let work = move || drop(reply.send(work()));
    thread::Builder::new().name("sunaba-load".into()).spawn(work).map_err(no_thread)?;
    done.await.unwrap_or_else(|_| Err(LoadError::Internal("the compiler panicked".into())))
}

/// The hash of the engines that we compile with and run. It is the same as long as the process lives.
fn compiled_by(mode: FuelMode) -> Result<[u8; 32], LoadError> {
    static HASHES: std::sync::Mutex<BTreeMap<FuelMode, [u8; 32]>> = std::sync::Mutex::new(BTreeMap::new());
    let mut hashes = HASHES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(hash) = hashes.get(&mode) {
        return Ok(*hash);
    }
    let engine = engine::compiling_engine(mode).map_err(|error| LoadError::Internal(error.to_string()))?;
    Ok(*hashes.entry(mode).or_insert(engine::engine_hash(&engine)))
}

/// Ends a compilation that nobody waits for.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Counts an attempt on its shard, or what runs some of them there, however it ends.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn on(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
