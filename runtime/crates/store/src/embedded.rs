//! The store that lives in the host's process: the planner behind a commit thread.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use sunaba_task::{
    AttemptDetail, Clock, Digest, HandlerChange, HandlerName, LeaseToken, NewTask, Payload, Progress, QueueChange,
    Retention, SessionId, Task, TaskId,
};
use tokio::sync::{mpsc, oneshot};

use crate::commit::{self, Request};
use crate::planner::{Planner, Reply, Turn, answer};
use crate::{
    BulkAction, BulkPage, CancelWish, Cancelled, DeleteError, Engine, EventPage, EventQuery, HandlerStatus,
    LeaseRequest, Leased, MemoryEngine, NewPackage, OpenError, Package, QueueStatus, Rerun, RerunError, SettleError,
    Settlement, SledEngine, Standing, Store, StoreError, StoreFuture, SubmitError, Submitted, SystemClock, TaskPage,
    TaskQuery,
};

/// Requests that wait for the commit thread; further callers wait to get in.
const MAX_WAITING: usize = 1_024;

/// A queue in this process, on an engine of its own. Closed when the last clone is dropped.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// None only while the store is dropped.
    requests: Option<mpsc::Sender<Request>>,
    failure: Arc<OnceLock<StoreError>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedStore {
    /// A queue on disk, in this directory, by the machine's clock.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, the system did not let us, or it cannot be read.
    pub fn sled(directory: &Path) -> Result<Self, OpenError> {
        Self::open(SledEngine::open(directory)?, Arc::new(SystemClock::new()))
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
        let (mut store, serve) = Self::open_without_thread(engine, clock, fastrand::Rng::new())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| OpenError::Unreadable(error.to_string()))?;
        let thread = thread::Builder::new()
            .name("sunaba-commit".into())
            .spawn(move || runtime.block_on(serve))
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
        Self::open_without_thread(engine, clock, fastrand::Rng::with_seed(seed))
    }

    fn open_without_thread(
        mut engine: impl Engine,
        clock: Arc<dyn Clock>,
        random: fastrand::Rng,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), OpenError> {
        let (planner, returned) = commit::open(&mut engine, &clock, random)?;
        let (requests, receiver) = mpsc::channel(MAX_WAITING);
        let failure = Arc::new(OnceLock::new());
        let serve = commit::serve(planner, Box::new(engine), clock, receiver, returned, Arc::clone(&failure));
        let inner = Inner { requests: Some(requests), failure, thread: Mutex::default() };
        Ok((Self { inner: Arc::new(inner) }, serve))
    }

    /// Has the commit thread do something, and waits for its answer.
    async fn park<T>(
        &self,
        work: impl FnOnce(&mut Planner, &mut Turn<'_>, Reply<T>) + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        let gone = || self.inner.failure.get().cloned().unwrap_or(StoreError::Closed);
        let (reply, answer) = oneshot::channel();
        let requests = self.inner.requests.as_ref().ok_or(StoreError::Closed)?;
        let request: Request = Box::new(move |planner, turn| work(planner, turn, reply));
        requests.send(request).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The same for what can be answered in its turn.
    async fn call<T>(
        &self,
        work: impl FnOnce(&mut Planner, &mut Turn<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
    {
        self.park(move |planner, turn, reply| {
            let done = work(planner, turn);
            turn.answers.push(answer(reply, done));
        })
        .await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last clone may be dropped on the commit thread itself, by an answer.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            // A panic there was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Store for EmbeddedStore {
    fn is_in_process(&self) -> bool {
        true
    }

    fn submit(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, Vec<Result<Submitted, SubmitError>>> {
        Box::pin(self.call(|planner, turn| planner.submit(turn, tasks)))
    }

    fn open_session(&self, worker: String, lease_time: Duration) -> StoreFuture<'_, SessionId> {
        Box::pin(self.call(move |planner, turn| Ok(planner.open_session(turn, worker, lease_time))))
    }

    fn lease(&self, request: LeaseRequest) -> StoreFuture<'_, Vec<Leased>> {
        Box::pin(async {
            let granted = self.park(|planner, turn, reply| planner.park_lease(turn, request, reply)).await?;
            Ok(granted.take())
        })
    }

    fn renew(&self, session: SessionId, wait: Duration) -> StoreFuture<'_, Vec<Cancelled>> {
        Box::pin(self.park(move |planner, turn, reply| planner.park_renew(turn, session, wait, reply)))
    }

    fn settle(&self, settlements: Vec<Settlement>) -> StoreFuture<'_, Vec<Result<Task, SettleError>>> {
        Box::pin(self.call(|planner, turn| planner.settle(turn, settlements)))
    }

    fn close_session(&self, session: SessionId) -> StoreFuture<'_, ()> {
        Box::pin(self.call(move |planner, turn| planner.close_session(turn, session)))
    }

    fn progress(&self, reports: Vec<(LeaseToken, Progress)>) -> StoreFuture<'_, ()> {
        Box::pin(self.call(move |planner, turn| planner.progress(turn, reports)))
    }

    fn cancel(&self, tasks: Vec<TaskId>, wish: CancelWish) -> StoreFuture<'_, Vec<Option<Task>>> {
        Box::pin(self.call(move |planner, turn| planner.cancel(turn, &tasks, &wish)))
    }

    fn run_now(&self, tasks: Vec<TaskId>) -> StoreFuture<'_, Vec<Option<Task>>> {
        Box::pin(self.call(move |planner, turn| planner.run_now(turn, &tasks)))
    }

    fn rerun(&self, requests: Vec<Rerun>) -> StoreFuture<'_, Vec<Result<Task, RerunError>>> {
        Box::pin(self.call(move |planner, turn| planner.rerun(turn, requests)))
    }

    fn delete(&self, tasks: Vec<TaskId>) -> StoreFuture<'_, Vec<Result<(), DeleteError>>> {
        Box::pin(self.call(move |planner, turn| planner.delete(turn, &tasks)))
    }

    fn bulk(&self, action: BulkAction, query: TaskQuery) -> StoreFuture<'_, BulkPage> {
        Box::pin(self.call(move |planner, turn| planner.bulk(turn, &action, &query)))
    }

    fn task(&self, id: TaskId) -> StoreFuture<'_, Option<Task>> {
        Box::pin(self.call(move |planner, turn| planner.task(turn, id)))
    }

    fn wait(&self, id: TaskId, wait: Duration) -> StoreFuture<'_, Option<Task>> {
        Box::pin(self.park(move |planner, turn, reply| planner.park_wait(turn, id, wait, reply)))
    }

    fn tasks(&self, query: TaskQuery) -> StoreFuture<'_, TaskPage> {
        Box::pin(self.call(move |planner, turn| planner.tasks(turn, &query)))
    }

    fn input(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>> {
        Box::pin(self.call(move |planner, turn| planner.input(turn, id)))
    }

    fn output(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>> {
        Box::pin(self.call(move |planner, turn| planner.output(turn, id)))
    }

    fn attempt_detail(&self, id: TaskId, number: u32) -> StoreFuture<'_, Option<AttemptDetail>> {
        Box::pin(self.call(move |planner, turn| planner.attempt_detail(turn, id, number)))
    }

    fn standing(&self, id: TaskId) -> StoreFuture<'_, Standing> {
        Box::pin(self.call(move |planner, turn| planner.standing(turn, id)))
    }

    fn events(&self, query: EventQuery) -> StoreFuture<'_, EventPage> {
        Box::pin(self.park(move |planner, turn, reply| planner.park_events(turn, query, reply)))
    }

    fn queues(&self) -> StoreFuture<'_, Vec<QueueStatus>> {
        Box::pin(self.call(|planner, turn| planner.queues(turn)))
    }

    fn set_queue(&self, queue: String, changes: Vec<QueueChange>) -> StoreFuture<'_, QueueStatus> {
        Box::pin(self.call(move |planner, turn| planner.set_queue(turn, &queue, &changes)))
    }

    fn handlers(&self) -> StoreFuture<'_, Vec<HandlerStatus>> {
        Box::pin(self.call(|planner, turn| planner.handlers(turn)))
    }

    fn set_handler(&self, handler: HandlerName, changes: Vec<HandlerChange>) -> StoreFuture<'_, HandlerStatus> {
        Box::pin(self.call(move |planner, turn| planner.set_handler(turn, &handler, &changes)))
    }

    fn retention(&self) -> StoreFuture<'_, Retention> {
        Box::pin(self.call(|planner, _| Ok(planner.retention())))
    }

    fn set_retention(&self, retention: Retention) -> StoreFuture<'_, ()> {
        Box::pin(self.call(move |planner, turn| planner.set_retention(turn, retention)))
    }

    fn deploy(&self, package: NewPackage, component: Bytes) -> StoreFuture<'_, Package> {
        Box::pin(self.call(move |planner, turn| planner.deploy(turn, package, &component)))
    }

    fn packages(&self) -> StoreFuture<'_, Vec<Package>> {
        Box::pin(self.call(|planner, turn| planner.packages(turn)))
    }

    fn component(&self, digest: Digest) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(self.call(move |planner, turn| planner.component(turn, digest)))
    }
}
