//! The host: what is built, started, used and stopped.

pub(crate) mod jobs;
pub(crate) mod ready;
mod schedules;
mod take;
mod watching;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sunaba_sandbox::{Compiler, Poster, Sandbox, SandboxBuilder};
use sunaba_store::{EmbeddedStore, OpenError, Package, Store, StoreError};
use sunaba_task::trace::Spans;
use sunaba_task::webhook::{WEBHOOK_PACKAGE, webhook_component};
use sunaba_task::{DEFAULT_QUEUE, Digest, Executor, HandlerName, Payload, Task, TaskId, Timestamp};
use sunaba_worker::{RunningAttempt, Slots, Supervised, Worker, WorkerConfig, WorkerError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admission::RefusedTask;
use crate::allowed::AllowedDirError;
use crate::children::Children;
use crate::declared::Declared;
use crate::deploy::{DeployOptions, Deployed};
use crate::executors::Executors;
use crate::groups::{Given, WorkerGroup, memory_of};
use crate::guests::Guests;
use crate::hooks::{Hooked, Hooks};
use crate::memory::MemoryBudget;
use crate::native::NativePackage;
use crate::packages::{self, DeployError, Packages};
use crate::permits::{Manifests, Permits};
use crate::watch::{Eyes, LOOK_TIME, Watch, WatchConfig};
use crate::webhooks::{DeclareError, WebhookPolicy, Webhooks, alert_sink};
use crate::workers::{Group, NewGroup, Workers};
use ready::{FUEL_MODES, keys};

/// Hooks have at least this long for what has happened before a stop.
const MIN_HOOK_GRACE: Duration = Duration::from_secs(1);

/// The worker of a host without groups.
const ONLY_GROUP: &str = "host";

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
    /// What is declared cannot be in force.
    #[error(transparent)]
    Declared(#[from] DeclareError),
    /// The sandbox cannot be started.
    #[error("cannot start the sandbox: {0}")]
    Sandbox(String),
    /// A directory that a worker group grants.
    #[error("the worker group `{group}` cannot grant its directories: {problem}")]
    Grants {
        /// The group.
        group: String,
        /// Why.
        problem: AllowedDirError,
    },
    /// What other worker groups may hold leaves none of the memory for this one.
    #[error(
        "the worker group `{0}` has no memory left\nhint: give the others less, or the host a larger memory budget"
    )]
    Memory(String),
    /// A native handler's name.
    #[error(
        "`{0}` cannot name a native handler\nhint: a package and a handler have up to 64 lower-case letters, digits and `-`"
    )]
    NativeName(String),
    /// A package of native handlers has the name of one that is deployed.
    #[error(
        "the package `{package}` of the host's program is deployed in its store too, as version {version}\nhint: give the native \
         handlers another package, or use another store"
    )]
    NativeDeployed {
        /// The package.
        package: String,
        /// The version that is active in the store.
        version: u32,
    },
}

/// What a host is to be like.
pub struct RuntimeBuilder {
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) scratch: Option<PathBuf>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) watch: WatchConfig,
    pub(crate) native: BTreeMap<String, NativePackage>,
    pub(crate) executor: Option<Arc<dyn Executor>>,
    pub(crate) bad_name: Option<String>,
    pub(crate) worker: WorkerConfig,
    pub(crate) groups: Vec<WorkerGroup>,
    pub(crate) declared: Declared,
    pub(crate) permits: Permits,
    pub(crate) memory: MemoryBudget,
    pub(crate) oversubscribe: f64,
    pub(crate) hooks: Hooks,
    pub(crate) compiler: Compiler,
    pub(crate) artifacts: Option<PathBuf>,
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) webhooks: WebhookPolicy,
}

impl Default for RuntimeBuilder {
    fn default() -> Self {
        Self {
            store: None,
            scratch: None,
            data: None,
            watch: WatchConfig::default(),
            native: BTreeMap::new(),
            executor: None,
            bad_name: None,
            worker: WorkerConfig { slots: cores(), ..WorkerConfig::default() },
            groups: Vec::new(),
            declared: Declared::default(),
            permits: Permits::default(),
            memory: MemoryBudget::default(),
            oversubscribe: 1.0,
            hooks: Hooks::default(),
            compiler: Compiler::in_process(),
            artifacts: None,
            roots: Vec::new(),
            webhooks: WebhookPolicy::default(),
        }
    }
}

impl RuntimeBuilder {
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
        let mut declared = self.declared.apply(&*store).await?;
        declared.extend(self.declared.apply_webhooks(&*store, &self.webhooks).await?);
        for line in declared {
            tracing::info!("declared: {line}");
        }
        let has_groups = !self.groups.is_empty();
        let groups = if has_groups {
            self.groups
        } else {
            let own = WorkerGroup::new(ONLY_GROUP, Slots::fixed(self.worker.slots));
            vec![WorkerGroup {
                queues: self.worker.queues.clone(),
                max_slots: Some(self.worker.max_slots.max(self.worker.slots)),
                ..own
            }]
        };
        let slots = groups.iter().map(WorkerGroup::most_slots).sum::<usize>();
        let shards = cores().min(slots);
        let per_shard = u32::try_from(slots.div_ceil(shards)).unwrap_or(u32::MAX);
        let sandbox = Sandbox::builder().shards(shards).slots(per_shard).compiler(self.compiler);
        let poster = Poster::new(self.roots.iter().map(Vec::as_slice));
        let poster = poster.map_err(|error| StartError::Sandbox(error.to_string()))?;
        let sandbox = self.roots.into_iter().fold(sandbox, SandboxBuilder::root_certificates);
        let sandbox = self.scratch.into_iter().fold(sandbox, SandboxBuilder::scratch);
        let sandbox = self.artifacts.into_iter().fold(sandbox, SandboxBuilder::artifacts).start();
        let sandbox = sandbox.map_err(|error| StartError::Sandbox(error.to_string()))?;
        let guests = Guests::start(sandbox, Arc::clone(&store));

        let (packages, permits) = (Arc::new(Packages::default()), Arc::new(self.permits.keeping(&store)));
        let deployed: Vec<_> = store.packages().await?.into_iter().map(|package| packages.put(package)).collect();
        let mut own: HashMap<_, Arc<dyn Executor>> = HashMap::new();
        for (name, native) in self.native {
            // The store's version would run in its stead wherever a task follows, and it in the store's elsewhere.
            if let Some(package) = deployed.iter().find(|package| package.name == name) {
                return Err(StartError::NativeDeployed { package: name, version: package.version });
            }
            let component = NativePackage::digest(&name);
            let handlers = native.describe();
            let deployed_at = Timestamp::from_unix_ms(0);
            packages.put(Package {
                name,
                component,
                size_bytes: 0,
                handlers,
                decider: None,
                deployed_at,
                version: 0,
                before: None,
            });
            own.insert(component, Arc::new(native));
        }
        if let Some(package) = deployed.iter().find(|package| package.name == WEBHOOK_PACKAGE) {
            return Err(StartError::NativeDeployed { package: package.name.clone(), version: package.version });
        }
        let natives = own.keys().copied().chain([webhook_component()]).collect();
        let runs_guests = self.executor.is_none();
        if runs_guests {
            // Before the first lease: what is there is ready then, and of the rest no task is begun.
            let mut kept = BTreeSet::new();
            for package in &deployed {
                kept.extend(store.versions(package.name.clone()).await?.into_iter().map(|version| version.component));
            }
            guests.sandbox().prune(kept).await;
            let keys = |package: &Arc<Package>| keys(package.component, &package.handlers, &permits.ceilings);
            guests.prepare(&deployed.iter().flat_map(keys).collect::<Vec<_>>()).await;
        }
        let others = self.executor.unwrap_or_else(|| Arc::clone(&guests) as _);
        let manifests = Arc::new(Manifests { packages: Arc::clone(&packages), guests: Arc::clone(&guests) });
        let hooked = self.hooks.start(Arc::clone(&store)).await?;
        let memory_bytes = self.worker.memory_bytes.or_else(|| self.memory.bytes(self.oversubscribe));
        let shares = memory_of(&groups, memory_bytes, self.oversubscribe).map_err(StartError::Memory)?;
        let largest_bytes = if shares.contains(&None) { None } else { shares.iter().flatten().max().copied() };
        let admission = Arc::new(Children {
            store: Arc::clone(&store),
            packages: Arc::clone(&packages),
            permits: Arc::clone(&permits),
            memory_bytes: largest_bytes,
            is_traced: self.worker.spans.sink().is_some(),
        });
        let own = Arc::new(own);
        // All of them before the first worker: a host that cannot start has run nothing.
        let given = |group: &WorkerGroup| {
            let failed = |problem| StartError::Grants { group: group.id.clone(), problem };
            Given::new(group, &permits.allowance.private).map_err(failed)
        };
        let given = groups.iter().map(given).collect::<Result<Vec<_>, _>>()?;
        let home = tokio::runtime::Handle::current();
        let mut workers = Vec::with_capacity(groups.len());
        for ((group, given), memory_bytes) in groups.into_iter().zip(given).zip(shares) {
            let (own, others) = (Arc::clone(&own), Arc::clone(&others));
            let (permits, manifests) = (Arc::clone(&permits), Arc::clone(&manifests));
            let attempt = permits.ceilings.clone().tighter(&group.limits);
            let (given, home) = (Arc::new(given), home.clone());
            let executors = Arc::new(Executors { own, others, permits, manifests, given, home });
            // A range begins with its least.
            let (first, most_slots) = (group.slots.min, group.most_slots());
            // As it is shown in records: a process, and a group where there are several.
            let name = match has_groups {
                true => format!("{}-{}", self.worker.name, group.id),
                false => self.worker.name.clone(),
            };
            let config = WorkerConfig {
                name,
                slots: first,
                max_slots: most_slots,
                queues: group.queues.clone(),
                memory_bytes,
                attempt: attempt.clone(),
                ..self.worker.clone()
            };
            let (from, unready, admission) = (Arc::clone(&store), guests.unready(), Arc::clone(&admission));
            let worker = Supervised::start(&group.id, Arc::clone(&store), move || {
                let (executors, admission) = (Arc::clone(&executors), Arc::clone(&admission));
                Worker::start_admitting(Arc::clone(&from), executors, config.clone(), unready.clone(), admission)
            });
            let WorkerGroup { id, queues, slots, .. } = group;
            let new = NewGroup { id, queues, slots, most_slots, memory_bytes, limits: attempt };
            workers.push(Group::start(new, &store, worker));
        }
        // What was said of all, or what they have together.
        let memory_bytes =
            workers.iter().map(|group| group.memory_bytes).try_fold(0_u64, |sum, own| Some(sum.saturating_add(own?)));
        let workers = Arc::new(Workers::new(workers));
        let eyes = Eyes {
            store: Arc::clone(&store),
            workers: Arc::downgrade(&workers),
            memory_budget_bytes: memory_bytes,
            lease_time: self.worker.lease_time,
            data: self.data,
            look_time: LOOK_TIME,
            begun: None,
        };
        let mut watch = self.watch;
        watch.sinks.push(alert_sink(&store));
        let watch = Watch::start(eyes, watch).await?;
        let webhooks = Webhooks::start(&store, self.webhooks, poster, &self.worker).await?;
        let deploying = Mutex::default();
        Ok(Runtime {
            store,
            guests,
            runs_guests,
            packages,
            natives,
            workers,
            memory_bytes,
            largest_bytes,
            permits,
            deploying,
            hooked,
            watch,
            spans: self.worker.spans,
            webhooks,
        })
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A running host. Dropped without a stop, it is as if the process had been killed: leases run out.
pub struct Runtime {
    store: Arc<dyn Store>,
    pub(crate) guests: Arc<Guests>,
    /// Whether the sandbox runs them, or something else that the program has brought.
    runs_guests: bool,
    pub(crate) packages: Arc<Packages>,
    natives: Vec<sunaba_task::Digest>,
    pub(crate) workers: Arc<Workers>,
    pub(crate) memory_bytes: Option<u64>,
    /// What the worker group may hold that may hold the most.
    pub(crate) largest_bytes: Option<u64>,
    pub(crate) permits: Arc<Permits>,
    /// One deploy at a time: what is kept in the store and what is known here are the same.
    pub(crate) deploying: Mutex<()>,
    hooked: Option<Hooked>,
    watch: Watch,
    pub(crate) spans: Spans,
    pub(crate) webhooks: Webhooks,
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
        self.workers.slots()
    }

    /// Whether tasks follow the active version when nobody says whether they do.
    pub fn follows_active(&self) -> bool {
        self.permits.follow_active
    }

    /// Attempts that run now.
    pub fn running(&self) -> usize {
        self.workers.running()
    }

    /// The attempt of this task that runs on this very host now, if one does. Of one that runs on another, nothing is known.
    pub fn live(&self, id: TaskId) -> Option<RunningAttempt> {
        self.workers.live(id)
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

    /// The queue in which a task of this handler waits: the one that is asked for, or else the handler's. None: there is no such
    /// handler.
    pub fn queue_of(&self, handler: &HandlerName, asked: Option<&str>) -> Option<String> {
        let package = self.packages.package(handler).ok()?;
        let own = package.handler(&handler.handler)?.settings.queue.as_deref();
        Some(asked.or(own).unwrap_or(DEFAULT_QUEUE).to_owned())
    }

    /// Checks a component, compiles it, and makes it the package's own from now on. Tasks that were submitted before stay
    /// with the component that they were submitted for, unless they follow.
    ///
    /// # Errors
    /// [`DeployError`]. Nothing of it stays behind.
    pub async fn deploy_with(
        &self,
        name: &str,
        component: Bytes,
        options: DeployOptions,
    ) -> Result<Deployed, DeployError> {
        packages::check(name, &[])?;
        self.check_not_native(name)?;
        let _deploying = self.deploying.lock().await;
        let digest = Digest::of(&component);
        let was_known = FUEL_MODES.into_iter().any(|mode| self.guests.sandbox().is_loaded(digest, mode));
        let deployed = self.deploy_checked(name, component, options).await;
        if deployed.is_err() && !was_known && self.is_nobodys(digest).await {
            self.guests.sandbox().forget(digest).await;
        }
        if let Ok(deployed) = &deployed {
            self.readmit_schedules(&deployed.package).await;
        }
        deployed
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
        self.watch.leaving();
        let (stopped, sent) = tokio::join!(self.workers.stop(grace), self.webhooks.stop(grace));
        if let Some(hooked) = &self.hooked {
            hooked.stop(grace.saturating_sub(begun.elapsed()).max(MIN_HOOK_GRACE)).await;
        }
        self.watch.stop(MIN_HOOK_GRACE).await;
        stopped.and(sent)
    }

    /// Cuts the grace period of a stop short.
    pub fn force_stop(&self) {
        self.workers.force();
        self.webhooks.force();
    }

    /// Waits until the worker has ended, by a stop or because it has lost its store.
    ///
    /// # Errors
    /// It has lost its store.
    pub async fn ended(&self) -> Result<(), WorkerError> {
        self.workers.ended().await
    }
}
