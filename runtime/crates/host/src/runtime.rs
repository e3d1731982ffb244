//! The host: what is built, started, used and stopped.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sunaba_sandbox::Sandbox;
use sunaba_store::{
    DeployChange, Deployed, EmbeddedStore, NewPackage, OpenError, Options, Package, Rerun, RerunError, Store,
    StoreError, Submitted,
};
use sunaba_task::{
    BoxFuture, Executor, Failure, FuelMode, HandlerInfo, HandlerName, Outcome, Payload, Task, TaskId, Timestamp,
};
use sunaba_worker::{Worker, WorkerConfig, WorkerError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admission::{self, Ceilings, RefusedTask, TaskRequest};
use crate::allowed::{Allowance, AllowedDir};
use crate::executors::Executors;
use crate::guests::Guests;
use crate::hooks::{Hooked, Hooks, On};
use crate::memory::{self, MemoryBudget};
use crate::native::{Native, NativePackage};
use crate::packages::{self, DeployError, Packages};
use crate::refusal::{RerunRefusal, SubmitRefusal};

/// Hooks have at least this long for what has happened before a stop.
const MIN_HOOK_GRACE: Duration = Duration::from_secs(1);

/// Why a host does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] StoreError),
    /// The sandbox cannot be started.
    #[error("cannot start the sandbox: {0}")]
    Sandbox(String),
    /// A native handler's name.
    #[error(
        "`{0}` cannot name a native handler\nhint: a package and a handler have up to 64 lower-case letters, digits and `-`"
    )]
    NativeName(String),
}

/// What a host is to be like.
pub struct RuntimeBuilder {
    store: Option<Arc<dyn Store>>,
    native: BTreeMap<String, NativePackage>,
    executor: Option<Arc<dyn Executor>>,
    bad_name: Option<String>,
    worker: WorkerConfig,
    memory: MemoryBudget,
    oversubscribe: f64,
    ceilings: Ceilings,
    allowance: Allowance,
    hooks: Hooks,
}

impl Default for RuntimeBuilder {
    fn default() -> Self {
        Self {
            store: None,
            native: BTreeMap::new(),
            executor: None,
            bad_name: None,
            worker: WorkerConfig { slots: cores(), ..WorkerConfig::default() },
            memory: MemoryBudget::default(),
            oversubscribe: 1.0,
            ceilings: Ceilings::default(),
            allowance: Allowance::default(),
            hooks: Hooks::default(),
        }
    }
}

impl RuntimeBuilder {
    /// The store. Default: one in memory, gone with the process.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// The embedded store in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`StartError::Store`]: another process has it, or it cannot be opened.
    pub fn data(self, directory: impl AsRef<Path>) -> Result<Self, StartError> {
        self.data_with(directory, Options::default())
    }

    /// The same with options of the store.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn data_with(mut self, directory: impl AsRef<Path>, options: Options) -> Result<Self, StartError> {
        let store = EmbeddedStore::sled_with(directory.as_ref(), options)?;
        // It was just made, if it was not there; whatever its path is, this is where it leads.
        self.allowance.private.extend(directory.as_ref().canonicalize());
        Ok(self.store(Arc::new(store)))
    }

    /// Attempts at a time. Default: one for each core.
    #[must_use]
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.worker.slots = slots;
        self
    }

    /// What all attempts at a time may hold of the machine's memory. Default: 75 % of it, or of what the control group lets us have.
    #[must_use]
    pub fn memory_budget(mut self, budget: MemoryBudget) -> Self {
        self.memory = budget;
        self
    }

    /// How many times over the budget is given to attempts that do not all use what they may. From 1, the default, to 100.
    #[must_use]
    pub fn oversubscribe(mut self, factor: f64) -> Self {
        self.oversubscribe = factor;
        self
    }

    /// Everything else about the worker.
    #[must_use]
    pub fn worker(mut self, change: impl FnOnce(&mut WorkerConfig)) -> Self {
        change(&mut self.worker);
        self
    }

    /// What no task may pass.
    #[must_use]
    pub fn ceilings(mut self, ceilings: Ceilings) -> Self {
        self.ceilings = ceilings;
        self
    }

    /// Directories out of which submitters may grant. Default: none.
    #[must_use]
    pub fn allow_dirs(mut self, allowed: impl IntoIterator<Item = AllowedDir>) -> Self {
        self.allowance.dirs.extend(allowed);
        self
    }

    /// A handler of this very program, beside those in components.
    #[must_use]
    pub fn native<F, R>(mut self, name: &str, handler: F) -> Self
    where
        F: Fn(Native) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Outcome, Failure>> + Send + 'static,
    {
        match name.parse::<HandlerName>() {
            Ok(name) => {
                let boxed = move |native| -> BoxFuture<'static, _> { Box::pin(handler(native)) };
                self.native.entry(name.package).or_default().add(&name.handler, Arc::new(boxed));
            }
            Err(_) => self.bad_name = Some(name.to_owned()),
        }
        self
    }

    /// Called when a task has succeeded, with its record.
    ///
    /// Hooks see what happens to every task of the store while this host runs, each of it at most once and soon after. They
    /// are called one after another, on a thread that may block: a slow one delays the others and holds up no task, and what
    /// the store's event feed drops meanwhile is never seen. A hook that panics is logged; one that never returns keeps the
    /// program from ending. What must not be missed is for a callback task.
    #[must_use]
    pub fn on_success(mut self, hook: impl Fn(&Task) + Send + Sync + 'static) -> Self {
        self.hooks.add(On::Success, hook);
        self
    }

    /// Called when a task is dead, or has expired. For the rest as [`on_success`](Self::on_success).
    #[must_use]
    pub fn on_failure(mut self, hook: impl Fn(&Task) + Send + Sync + 'static) -> Self {
        self.hooks.add(On::Failure, hook);
        self
    }

    /// Called when an attempt has run out of time, whether the task is retried or dead; before the hooks for that. The
    /// record may have moved on since. For the rest as [`on_success`](Self::on_success).
    #[must_use]
    pub fn on_timeout(mut self, hook: impl Fn(&Task) + Send + Sync + 'static) -> Self {
        self.hooks.add(On::Timeout, hook);
        self
    }

    /// Called when an attempt has failed and there will be another. The record may have moved on since. For the rest as
    /// [`on_success`](Self::on_success).
    #[must_use]
    pub fn on_retry(mut self, hook: impl Fn(&Task) + Send + Sync + 'static) -> Self {
        self.hooks.add(On::Retry, hook);
        self
    }

    /// Something else than the sandbox to run components.
    #[must_use]
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Starts the host on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(self) -> Result<Runtime, StartError> {
        if let Some(name) = self.bad_name {
            return Err(StartError::NativeName(name));
        }
        let store = match self.store {
            Some(store) => store,
            None => Arc::new(EmbeddedStore::memory()?),
        };
        let slots = self.worker.slots.max(1);
        let shards = cores().min(slots);
        let per_shard = u32::try_from(slots.div_ceil(shards)).unwrap_or(u32::MAX);
        let sandbox = Sandbox::builder().shards(shards).slots(per_shard).start();
        let sandbox = sandbox.map_err(|error| StartError::Sandbox(error.to_string()))?;
        let guests = Arc::new(Guests::new(sandbox, Arc::clone(&store)));

        let packages = Packages::default();
        let deployed: Vec<_> = store.packages().await?.into_iter().map(|package| packages.put(package)).collect();
        let mut own: HashMap<_, Arc<dyn Executor>> = HashMap::new();
        for (name, native) in self.native {
            let component = NativePackage::digest(&name);
            let handlers = native.describe();
            let deployed_at = Timestamp::from_unix_ms(0);
            packages.put(Package { name, component, size_bytes: 0, handlers, deployed_at, version: 0, before: None });
            own.insert(component, Arc::new(native));
        }
        let natives = own.keys().copied().collect();
        let others = self.executor.unwrap_or_else(|| Arc::clone(&guests) as _);
        let executors = Arc::new(Executors { own, others, allowance: self.allowance.clone() });
        let hooked = self.hooks.start(Arc::clone(&store)).await?;
        let memory_bytes = self.worker.memory_bytes.or_else(|| self.memory.bytes(self.oversubscribe));
        let worker = WorkerConfig { memory_bytes, ..self.worker };
        let worker = Worker::start(Arc::clone(&store), executors, worker);
        prepare(Arc::clone(&guests), deployed);
        let (ceilings, allowance, deploying) = (self.ceilings, self.allowance, Mutex::default());
        Ok(Runtime {
            store,
            guests,
            packages,
            natives,
            worker,
            memory_bytes,
            ceilings,
            allowance,
            slots,
            deploying,
            hooked,
        })
    }
}

/// Compiles what is deployed ahead of the first task that needs it.
fn prepare(guests: Arc<Guests>, deployed: Vec<Arc<Package>>) {
    tokio::spawn(async move {
        for package in deployed {
            for mode in modes(&package.handlers) {
                if let Err(error) = guests.load(package.component, mode).await {
                    tracing::error!(package = package.name, %error, "a deployed component cannot be loaded");
                }
            }
        }
    });
}

/// The fuel modes that a package's handlers ask for.
pub(crate) fn modes(handlers: &[HandlerInfo]) -> Vec<FuelMode> {
    let asked = |mode| {
        let of = |handler: &HandlerInfo| handler.settings.fuel.map_or(FuelMode::Exact, |fuel| fuel.mode());
        handlers.iter().any(|handler| of(handler) == mode)
    };
    [FuelMode::Exact, FuelMode::Off].into_iter().filter(|mode| asked(*mode)).collect()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A running host. Dropped without a stop, it is as if the process had been killed: leases run out.
pub struct Runtime {
    store: Arc<dyn Store>,
    pub(crate) guests: Arc<Guests>,
    pub(crate) packages: Packages,
    natives: Vec<sunaba_task::Digest>,
    pub(crate) worker: Worker,
    pub(crate) memory_bytes: Option<u64>,
    ceilings: Ceilings,
    allowance: Allowance,
    slots: usize,
    /// One deploy at a time: what is kept in the store and what is known here are the same.
    pub(crate) deploying: Mutex<()>,
    hooked: Option<Hooked>,
}

impl Runtime {
    pub(crate) fn check_not_native(&self, name: &str) -> Result<(), DeployError> {
        let is_native = self.natives.contains(&NativePackage::digest(name));
        if is_native { Err(DeployError::Native(name.to_owned())) } else { Ok(()) }
    }

    /// A host with a store in memory, a slot for each core, and nothing allowed.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Attempts at a time.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Attempts that run now.
    pub fn running(&self) -> usize {
        self.worker.running()
    }

    /// Every package, by name.
    pub fn packages(&self) -> Vec<Arc<Package>> {
        self.packages.all()
    }

    /// The package that has this handler.
    ///
    /// # Errors
    /// There is no such package, or it has no such handler.
    pub fn package(&self, name: &HandlerName) -> Result<Arc<Package>, RefusedTask> {
        self.packages.package(name)
    }

    /// Checks a component, compiles it, and makes it the package's own from now on. Tasks that were submitted before stay
    /// with the component that they were submitted for, unless they follow.
    ///
    /// # Errors
    /// [`DeployError`]. Nothing of it stays behind.
    pub async fn deploy(&self, name: &str, component: Bytes) -> Result<Arc<Package>, DeployError> {
        Ok(self.deploy_with(name, component, false).await?.0)
    }

    /// The same, and what it has changed. `allow_signature_change`: though tasks that follow wait for a handler that is gone
    /// or takes another input from then on.
    ///
    /// # Errors
    /// As [`deploy`](Self::deploy).
    pub async fn deploy_with(
        &self,
        name: &str,
        component: Bytes,
        allow_signature_change: bool,
    ) -> Result<(Arc<Package>, DeployChange), DeployError> {
        packages::check(name, &[])?;
        self.check_not_native(name)?;
        let _deploying = self.deploying.lock().await;
        let info = self.guests.sandbox().load(component.clone(), FuelMode::Exact).await?;
        packages::check(name, &info.handlers)?;
        if modes(&info.handlers).contains(&FuelMode::Off) {
            self.guests.sandbox().load(component.clone(), FuelMode::Off).await?;
        }
        let (name, handlers) = (name.to_owned(), info.handlers.clone());
        let new = NewPackage { name, component: info.digest, handlers, allow_signature_change };
        let Deployed { package, change } = self.store.deploy(new, component).await?;
        tracing::info!(package = package.name, component = %info.digest, version = package.version, ?change, "deployed");
        Ok((self.packages.put(package), change))
    }

    /// Takes a task on. When this returns, the task is on stable storage.
    ///
    /// # Errors
    /// [`SubmitRefusal`]: it cannot be, or is not allowed; or the store could not take it on.
    pub async fn submit(&self, request: TaskRequest) -> Result<Submitted, SubmitRefusal> {
        let new = self.admit(request)?;
        let submitted = self.store.submit(vec![new]).await?.pop().ok_or(StoreError::Closed)?;
        Ok(submitted?)
    }

    /// Takes many tasks on, in one commit. The answers are in the order of the requests; one that is refused does not hold
    /// back the others.
    ///
    /// # Errors
    /// The store could not take any of them on.
    pub async fn submit_all(
        &self,
        requests: Vec<TaskRequest>,
    ) -> Result<Vec<Result<Submitted, SubmitRefusal>>, StoreError> {
        let mut refused = Vec::with_capacity(requests.len());
        let mut taken = Vec::with_capacity(requests.len());
        for request in requests {
            match self.admit(request) {
                Ok(new) => {
                    taken.push(new);
                    refused.push(None);
                }
                Err(error) => refused.push(Some(error)),
            }
        }
        let mut answers = if taken.is_empty() { Vec::new() } else { self.store.submit(taken).await? }.into_iter();
        let answer = |refused: Option<RefusedTask>| match refused {
            Some(error) => Err(error.into()),
            None => Ok(answers.next().ok_or(StoreError::Closed)??),
        };
        Ok(refused.into_iter().map(answer).collect())
    }

    /// Makes a new task of one that has ended: with its input, or with another, which is checked as at a submit.
    ///
    /// # Errors
    /// [`RerunRefusal`].
    pub async fn rerun(&self, id: TaskId, input: Option<Payload>) -> Result<Task, RerunRefusal> {
        if let Some(input) = &input {
            let task = self.store.task(id).await?.ok_or(RerunError::Unknown(id))?;
            self.check_input(&task, input)?;
        }
        let made = self.store.rerun(vec![Rerun { task: id, input }]).await?.pop().ok_or(StoreError::Closed)?;
        Ok(made?)
    }

    /// Whether the handler that a task would have now takes this input.
    fn check_input(&self, task: &Task, input: &Payload) -> Result<(), RefusedTask> {
        let name = &task.spec.handler;
        let package = self.packages.package(name)?;
        let handler = package.handler(&name.handler).expect("the package was found by this handler");
        let schema = self.packages.schema(package.component, handler)?;
        admission::check_input(&name.handler, schema.as_deref(), input)
    }

    fn admit(&self, request: TaskRequest) -> Result<sunaba_task::NewTask, RefusedTask> {
        let (on_success, on_failure) = (request.on_success.clone(), request.on_failure.clone());
        let package = self.packages.package(&request.handler)?;
        let name = &request.handler.handler;
        let handler = package.handler(name).expect("the package was found by this handler");
        let schema = self.packages.schema(package.component, handler)?;
        let new = admission::admit(request, &package, handler, schema.as_deref(), &self.ceilings, &self.allowance)?;
        let callbacks = admission::callbacks(&on_success, &on_failure, &self.packages, &self.ceilings)?;
        let specs = callbacks.iter().map(|callback| &callback.spec).chain([&new.spec]);
        specs.into_iter().try_for_each(|spec| memory::check(&spec.limits, self.memory_bytes))?;
        Ok(sunaba_task::NewTask { callbacks, ..new })
    }

    /// Waits for the end of a task, at most so long; gives its record as it is then, none when there is no such task.
    ///
    /// # Errors
    /// The store has failed.
    pub async fn wait(&self, id: TaskId, wait: Duration) -> Result<Option<Task>, StoreError> {
        self.store.wait(id, wait).await
    }

    /// The output of a task that has succeeded.
    ///
    /// # Errors
    /// The store has failed.
    pub async fn output(&self, id: TaskId) -> Result<Option<Payload>, StoreError> {
        self.store.output(id).await
    }

    /// Takes no more tasks, lets what runs end within the grace period, and hands the rest back uncharged. Hooks are called
    /// for all of that.
    ///
    /// # Errors
    /// The worker had lost its store.
    pub async fn stop(&self, grace: Duration) -> Result<(), WorkerError> {
        let begun = Instant::now();
        let stopped = self.worker.stop(grace).await;
        if let Some(hooked) = &self.hooked {
            hooked.stop(grace.saturating_sub(begun.elapsed()).max(MIN_HOOK_GRACE)).await;
        }
        stopped
    }

    /// Cuts the grace period of a stop short.
    pub fn force_stop(&self) {
        self.worker.force();
    }

    /// Waits until the worker has ended, by a stop or because it has lost its store.
    ///
    /// # Errors
    /// It has lost its store.
    pub async fn ended(&self) -> Result<(), WorkerError> {
        self.worker.ended().await
    }
}
