//! What a host is to be like: one method for each thing that can be said. What the operator permits is said in `permits`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sunaba_sandbox::Compiler;
use sunaba_store::{EmbeddedStore, Options, Store};
use sunaba_task::{BoxFuture, Executor, Failure, HandlerName, Outcome, Task};
use sunaba_worker::WorkerConfig;

use crate::declared::Declared;
use crate::groups::WorkerGroup;
use crate::hooks::On;
use crate::memory::MemoryBudget;
use crate::native::Native;
use crate::runtime::{RuntimeBuilder, StartError};
use crate::watch::WatchConfig;
use crate::webhooks::WebhookPolicy;

/// Where compiled code is, in the store's directory.
const ARTIFACTS: &str = "artifacts";
/// Where the scratch directories of attempts are, in the store's directory.
const SCRATCH: &str = "scratch";

impl RuntimeBuilder {
    /// The store. Default: one in memory, gone with the process.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// The store that it was given, if it was.
    pub fn given_store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
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
        self.permits.allowance.private.extend(directory.as_ref().canonicalize());
        self.scratch = Some(directory.as_ref().join(SCRATCH));
        self.data = Some(directory.as_ref().to_owned());
        let artifacts = self.artifacts.take().unwrap_or_else(|| directory.as_ref().join(ARTIFACTS));
        Ok(self.store(Arc::new(store)).artifacts(artifacts))
    }

    /// Where components are compiled. Default: in this process, which is for programs that trust what is deployed.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// A directory for compiled code, which no other process uses at the same time. Default: `artifacts` in the store's
    /// directory, or none for a store without one.
    #[must_use]
    pub fn artifacts(mut self, directory: impl Into<PathBuf>) -> Self {
        self.artifacts = Some(directory.into());
        self
    }

    /// Certificate authorities that outgoing requests believe beside the system's, as a text of PEM blocks.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// What webhooks may reach. Default: public addresses, with encryption.
    #[must_use]
    pub fn webhooks(mut self, policy: WebhookPolicy) -> Self {
        self.webhooks = policy;
        self
    }

    /// Lets tasks follow the active version of their package when their submitters do not say. Default: they are pinned to the
    /// version that is active at their submit.
    #[must_use]
    pub fn follow_active(mut self) -> Self {
        self.permits.follow_active = true;
        self
    }

    /// Attempts at a time. Default: one for each core.
    #[must_use]
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.worker.slots = slots;
        self
    }

    /// Worker groups, in place of one that serves all queues. Of what [`worker`](Self::worker) says, the queues, the slots and the
    /// memory give way to theirs. Default: none.
    #[must_use]
    pub fn worker_groups(mut self, groups: impl IntoIterator<Item = WorkerGroup>) -> Self {
        self.groups.extend(groups);
        self
    }

    /// Settings that are in force before the first task is leased. Default: none.
    #[must_use]
    pub fn declare(mut self, declared: Declared) -> Self {
        self.declared = declared;
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

    /// How the host is watched: how often, when an alert fires, and who is told of it.
    #[must_use]
    pub fn watch(mut self, change: impl FnOnce(&mut WatchConfig)) -> Self {
        change(&mut self.watch);
        self
    }

    /// Something else than the sandbox to run components.
    #[must_use]
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }
}
