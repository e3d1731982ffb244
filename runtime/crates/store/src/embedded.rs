//! The store that lives in the host's process: the planner behind a commit thread.

mod access_calls;
mod calls;
mod schedule_calls;
mod webhook_calls;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use sunaba_task::{Clock, Durability};
use tokio::sync::{mpsc, oneshot};

use crate::access;
use crate::beside;
use crate::blobs::LocalBlobs;
use crate::commit::{Commit, Request};
use crate::maintenance::{Backup, Copying, MAX_PARTS, MaintenanceError, write_parts};
use crate::planner::{Planner, Reply, Turn, answer};
use crate::{Engine, EngineError, MemoryEngine, OpenError, SledEngine, Store, StoreError, SystemClock};

/// Requests that wait for the commit thread; further callers wait to get in.
const MAX_WAITING: usize = 1_024;

/// How a store is to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// When what it answers is on stable storage.
    pub durability: Durability,
}

/// A queue in this process, on an engine of its own. Closed when the last clone is dropped.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// None only while the store is dropped.
    requests: Option<mpsc::Sender<Request>>,
    durability: Durability,
    failure: Arc<OnceLock<EngineError>>,
    blobs: LocalBlobs,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// A queue on disk, in this directory, by the machine's clock.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, the system did not let us, or it cannot be read.
    pub fn sled(directory: &Path) -> Result<Self, OpenError> {
        Self::sled_with(directory, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`sled`](Self::sled).
    pub fn sled_with(directory: &Path, options: Options) -> Result<Self, OpenError> {
        Self::open_with(SledEngine::open_compacted(directory)?, Arc::new(SystemClock::new()), options)
    }

    /// A queue that is gone with the process, by the machine's clock.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn memory() -> Result<Self, OpenError> {
        Self::open(MemoryEngine::default(), Arc::new(SystemClock::new()))
    }

    /// A queue on this engine, by this clock.
    ///
    /// # Errors
    /// [`OpenError`]: what the engine has cannot be read, or the system gives no thread.
    pub fn open(engine: impl Engine, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(engine, clock, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(engine: impl Engine, clock: Arc<dyn Clock>, options: Options) -> Result<Self, OpenError> {
        let (mut store, commit, receiver) = Self::open_without_thread(engine, clock, options, fastrand::Rng::new())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| OpenError::Unreadable(error.to_string()))?;
        let thread = thread::Builder::new()
            .name("sunaba-commit".into())
            .spawn(move || runtime.block_on(commit.serve(receiver)))
            .map_err(|error| OpenError::Unreadable(error.to_string()))?;
        // Nobody else has it yet.
        if let Some(inner) = Arc::get_mut(&mut store.inner) {
            inner.thread = Mutex::new(Some(thread));
        }
        Ok(store)
    }

    /// The same without a thread, and with a seed for all that is left to chance: whoever runs the future serves the store,
    /// until its last clone is dropped. For simulations.
    ///
    /// # Errors
    /// [`OpenError`]: what the engine has cannot be read.
    pub fn open_seeded(
        engine: impl Engine,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), OpenError> {
        let random = fastrand::Rng::with_seed(seed);
        let (store, commit, receiver) = Self::open_without_thread(engine, clock, Options::default(), random)?;
        Ok((store, commit.serve(receiver)))
    }

    /// The same, and of what is to be done for jobs only so many steps in a turn: so that a small one shows what may happen between
    /// two of them.
    ///
    /// # Errors
    /// [`OpenError`]: what the engine has cannot be read.
    pub fn open_step_by_step(
        engine: impl Engine,
        clock: Arc<dyn Clock>,
        seed: u64,
        steps: usize,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), OpenError> {
        let random = fastrand::Rng::with_seed(seed);
        let (store, mut commit, receiver) = Self::open_without_thread(engine, clock, Options::default(), random)?;
        commit.limit_chores(steps);
        Ok((store, commit.serve(receiver)))
    }

    /// Copies all that there is into a file while the store is served; the file has the store as it was at some instant
    /// after this was called. Of two backups at a time the earlier one fails.
    ///
    /// # Errors
    /// The file exists, the system did not let us, or the store failed or was closed meanwhile.
    pub async fn backup(&self, file: PathBuf) -> Result<Backup, MaintenanceError> {
        if let Some(failure) = self.failure() {
            return Err(failure.into());
        }
        let (sender, parts) = mpsc::channel(MAX_PARTS);
        let (reply, written) = oneshot::channel();
        let system = |problem: std::io::Error| OpenError::Unreadable(problem.to_string());
        // Before the first part: what its records name stays.
        let (blobs, hold) = (self.inner.blobs.clone(), self.inner.blobs.hold_all());
        let write = move || {
            let written = write_parts(file, parts, blobs.folder());
            drop(hold);
            let _ = reply.send(written);
        };
        thread::Builder::new().name("sunaba-backup".into()).spawn(write).map_err(system)?;
        let requests = self.inner.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(Request::Copy(Copying::new(sender))).await.map_err(|_| self.gone())?;
        let written = written.await.map_err(|_| self.gone())?;
        // Files that were held for it go now, and not when somebody comes by.
        if self.inner.blobs.has_to_sweep() {
            let _ = self.read(|_, _| Ok(())).await;
        }
        written
    }

    fn open_without_thread(
        engine: impl Engine,
        clock: Arc<dyn Clock>,
        Options { durability }: Options,
        random: fastrand::Rng,
    ) -> Result<(Self, Commit, mpsc::Receiver<Request>), OpenError> {
        let failure = Arc::new(OnceLock::new());
        let blobs = LocalBlobs::new(engine.blobs());
        let shared = (Arc::clone(&failure), blobs.clone());
        let commit = Commit::open(Box::new(engine), clock, random, durability, shared)?;
        let (requests, receiver) = mpsc::channel(MAX_WAITING);
        let inner = Inner { requests: Some(requests), durability, failure, blobs, thread: Mutex::default() };
        Ok((Self { inner: Arc::new(inner) }, commit, receiver))
    }

    /// Has the commit thread do something, and waits for its answer.
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let requests = self.inner.requests.as_ref().ok_or(StoreError::Closed)?;
        requests.send(request(Reply::new(sender))).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    fn gone(&self) -> StoreError {
        self.failure().unwrap_or(StoreError::Closed)
    }

    /// A change, or a wait, that is answered when it wants.
    async fn park<T>(
        &self,
        work: impl FnOnce(&mut Planner, &mut Turn<'_>, Reply<T>) + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        self.ask(|reply| Request::Change(Box::new(move |planner, turn| work(planner, turn, reply)))).await
    }

    /// After a failure there is nothing to wait for. What is there is shown if it is enough for the caller; otherwise he is
    /// told of the failure, so that he does not ask again at once.
    async fn or_what_is_there<T>(
        &self,
        told: Result<T, StoreError>,
        read: impl Future<Output = Result<T, StoreError>>,
        is_enough: impl FnOnce(&T) -> bool,
    ) -> Result<T, StoreError> {
        match told {
            Err(failed @ StoreError::Failed(_)) => read.await.ok().filter(is_enough).ok_or(failed),
            told => told,
        }
    }

    /// A change that is answered when its turn is durable.
    async fn change<T>(
        &self,
        work: impl FnOnce(&mut Planner, &mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        // Here, where whoever asks for it is known.
        let by = access::current();
        self.park(move |planner, turn, reply| {
            turn.begin_change(by);
            let done = work(planner, turn);
            planner.end_change(turn, done.is_ok());
            turn.answers.push(answer(reply, done));
        })
        .await
    }

    /// A read of records.
    async fn read<T>(
        &self,
        look: impl FnOnce(&Planner, &Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        self.ask(|reply| Request::Records(Box::new(move |planner, turn| reply.send(look(planner, turn))))).await
    }

    /// A read that needs to know every setting.
    async fn read_settings<T>(
        &self,
        look: impl FnOnce(&Planner, &Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        self.ask(|reply| Request::Settings(Box::new(move |planner, turn| reply.send(look(planner, turn))))).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last clone may be dropped on the commit thread itself, by an answer, or on that of its barriers, for which it waits.
        let is_own =
            |thread: &thread::JoinHandle<()>| thread.thread().id() == thread::current().id() || beside::is_here();
        if let Some(thread) = thread.filter(|thread| !is_own(thread)) {
            // A panic there was reported where it happened.
            let _ = thread.join();
        }
    }
}
