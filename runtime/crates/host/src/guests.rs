//! Runs components in the sandbox, and makes them ready there, never while an attempt of theirs has begun.
//!
//! What is deployed is loaded at the start, from the code that is kept on disk. What is not there is compiled in the
//! background, one after another, and until then the worker is not leased its tasks. Whatever else a task turns out to need
//! (an older version's component, or another fuel mode) is handed back at once, and from then on treated the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use sunaba_sandbox::{LoadError, Sandbox};
use sunaba_store::{Readiness, Store, Unready};
use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, BoxFuture, DeciderAnswer, Digest, ExecuteError, Executor, FuelMode,
    NotDecided, Situation,
};
use tokio::sync::{mpsc, watch};

/// A component in one fuel mode.
pub(crate) type Key = (Digest, FuelMode);

/// How long a start waits for the code that is kept on disk. What is not loaded by then is loaded later, and its tasks wait.
const START_WAIT: Duration = Duration::from_secs(2);
/// What fails and may go better another time is tried again after this long, and then after longer.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The sandbox, and where its components come from.
pub(crate) struct Guests {
    sandbox: Sandbox,
    store: Arc<dyn Store>,
    /// What cannot run yet. There are no more than components in the store, twice.
    waiting: Mutex<BTreeMap<Key, Readiness>>,
    unready: watch::Sender<Unready>,
    wanted: mpsc::UnboundedSender<Key>,
}

impl Guests {
    /// On the current tokio runtime.
    pub(crate) fn start(sandbox: Sandbox, store: Arc<dyn Store>) -> Arc<Self> {
        let (wanted, wishes) = mpsc::unbounded_channel();
        let (unready, waiting) = (watch::Sender::default(), Mutex::default());
        let guests = Arc::new(Self { sandbox, store, waiting, unready, wanted });
        tokio::spawn(build(Arc::downgrade(&guests), wishes));
        guests
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Follows what cannot run yet.
    pub(crate) fn unready(&self) -> watch::Receiver<Unready> {
        self.unready.subscribe()
    }

    /// How far a component is; none when it can run, or nobody has asked for it.
    pub(crate) fn readiness(&self, key: Key) -> Option<Readiness> {
        self.waiting().get(&key).cloned()
    }

    /// Loads what is kept on disk of all these, as far as that takes no long time, and has the rest compiled.
    pub(crate) async fn prepare(&self, keys: &[Key]) {
        let deadline = tokio::time::Instant::now() + START_WAIT;
        for key in keys {
            let known = tokio::time::timeout_at(deadline, self.sandbox.load_known(key.0, key.1)).await;
            if let Ok(Err(error)) = &known {
                tracing::warn!(component = %key.0, %error, "compiled code was not loaded");
            }
        }
        self.want(keys);
    }

    /// Has what is not loaded yet made ready, in the background.
    pub(crate) fn want(&self, keys: &[Key]) {
        let mut waiting = self.waiting();
        for key in keys.iter().filter(|key| !self.sandbox.is_loaded(key.0, key.1)) {
            if waiting.contains_key(key) {
                continue;
            }
            waiting.insert(*key, Readiness::Compiling(None));
            // While we are here, somebody listens.
            let _ = self.wanted.send(*key);
        }
        self.publish(&waiting);
    }

    /// It is loaded, by whatever way; whether somebody has waited for it.
    pub(crate) fn is_ready(&self, key: Key) -> bool {
        let mut waiting = self.waiting();
        let was_wanted = waiting.remove(&key).is_some();
        if was_wanted {
            self.publish(&waiting);
        }
        was_wanted
    }

    /// Forgets what is loaded of a component that nothing runs, and that it was wanted.
    pub(crate) fn unload(&self, component: Digest) {
        let mut waiting = self.waiting();
        waiting.retain(|key, _| key.0 != component);
        self.publish(&waiting);
        self.sandbox.unload(component);
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Key, Readiness>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, so that the last word is the last.
    fn publish(&self, waiting: &BTreeMap<Key, Readiness>) {
        self.unready.send_if_modified(|before| {
            let is_new = **before != *waiting;
            if is_new {
                *before = Arc::new(waiting.clone());
            }
            is_new
        });
    }

    /// Makes one ready; whether it has to be tried again.
    async fn build(&self, key: Key) -> bool {
        let (component, mode) = key;
        if !self.waiting().contains_key(&key) {
            // It was made ready in another way, or nothing runs it any more.
            return false;
        }
        let problem = match self.load(component, mode).await {
            Ok(()) => {
                // Deployed meanwhile, or dropped: then nobody would forget it any more.
                let is_wanted = self.is_ready(key);
                if !is_wanted && matches!(self.store.component(component).await, Ok(None)) {
                    self.sandbox.forget(component).await;
                }
                return false;
            }
            Err(problem) => problem,
        };
        let (readiness, again) = match problem {
            Problem::Passing(problem) => (Readiness::Compiling(Some(problem)), true),
            Problem::Lasting(problem) => (Readiness::Failed(problem), false),
        };
        tracing::error!(%component, fuel = %mode, ?readiness, "a component is not ready to run");
        let mut waiting = self.waiting();
        // It may have been deployed meanwhile, or be wanted no more.
        match waiting.get_mut(&key) {
            Some(wanted) if !self.sandbox.is_loaded(component, mode) => {
                *wanted = readiness;
                self.publish(&waiting);
                again
            }
            _ => false,
        }
    }

    /// Makes one ready while the caller waits.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) async fn make_ready(&self, key: Key) -> Result<(), String> {
        match self.load(key.0, key.1).await {
            Ok(()) => {
                self.is_ready(key);
                Ok(())
            }
            Err(Problem::Passing(problem) | Problem::Lasting(problem)) => Err(problem),
        }
    }

    async fn load(&self, component: Digest, mode: FuelMode) -> Result<(), Problem> {
        let passing = |problem: &dyn ToString| Problem::Passing(problem.to_string());
        if self.sandbox.load_known(component, mode).await.map_err(|error| passing(&error))?.is_some() {
            return Ok(());
        }
        let bytes = self.store.component(component).await.map_err(|error| passing(&error))?;
        let bytes = bytes.ok_or_else(|| Problem::Lasting("the store does not have it".into()))?;
        match self.sandbox.load(bytes, mode).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_retryable() => Err(passing(&error)),
            Err(error) => Err(Problem::of(&error)),
        }
    }
}

/// Why a component is not loaded.
enum Problem {
    /// It may go better another time.
    Passing(String),
    Lasting(String),
}

impl Problem {
    fn of(error: &LoadError) -> Self {
        // The hint is for whoever has just built it.
        Self::Lasting(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

/// Makes one after another ready, until the host is gone.
async fn build(guests: Weak<Guests>, mut wishes: mpsc::UnboundedReceiver<Key>) {
    let mut pauses: BTreeMap<Key, Duration> = BTreeMap::new();
    while let Some(key) = wishes.recv().await {
        let Some(guests) = guests.upgrade() else { return };
        if !guests.build(key).await {
            pauses.remove(&key);
            continue;
        }
        let pause = pauses.entry(key).or_insert(PAUSE);
        let (wait, again) = (*pause, guests.wanted.downgrade());
        *pause = (*pause * 2).min(MAX_PAUSE);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(again) = again.upgrade() {
                let _ = again.send(key);
            }
        });
    }
}

impl Executor for Guests {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(async move {
            let key = (request.component, request.limits.fuel.mode());
            if !self.sandbox.is_loaded(key.0, key.1) {
                // Known before the task is handed back, so that it is not leased again until it can run.
                self.want(&[key]);
                return Err(ExecuteError::NotLoaded { component: key.0, mode: key.1 });
            }
            self.sandbox.execute(request, host).await
        })
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) -> Result<(), BoxFuture<'static, ()>> {
        self.sandbox.spawn(work)
    }

    fn decide(&self, decider: Digest, situation: Situation) -> BoxFuture<'_, Result<DeciderAnswer, NotDecided>> {
        Box::pin(async move {
            let key = (decider, FuelMode::Exact);
            if !self.sandbox.is_loaded(key.0, key.1) {
                // From disk that is a moment, and whoever asks waits no longer than it wants to.
                let not_ready = |problem| NotDecided::because(format!("its component is not ready: {problem}"));
                self.make_ready(key).await.map_err(not_ready)?;
            }
            self.sandbox.decide(decider, situation).await
        })
    }
}
