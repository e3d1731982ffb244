//! The worker itself: its slots, its session, and how it stops.

mod held;
mod slots;
mod telling;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sunaba_store::{Cancelled, SessionLimits, Store, StoreError, Unready};
use sunaba_task::{Cause, Executor, SessionId, TaskId};
use tokio::sync::{Notify, Semaphore, watch};

use crate::admission::{Admission, Childless};
use crate::ahead::Ahead;
use crate::config::WorkerConfig;
use crate::session::{self, Over};
use crate::watch::{RunningAttempt, Watch};
use slots::{Line, Running, SETTLING_PER_SLOT};

/// Shorter leases would be lost to any pause, longer ones leave tasks waiting.
const MIN_LEASE_TIME: Duration = Duration::from_secs(1);
const MAX_LEASE_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long attempts have to end once they were told to. A sandbox needs two ticks.
const STOP_TIME: Duration = Duration::from_secs(2);
/// A worker turns to its work at least so often, whether or not there is any.
pub(crate) const BEAT: Duration = Duration::from_secs(60);
/// A cancelled attempt that wants to end by itself has no longer for it.
const MAX_CANCEL_GRACE: Duration = Duration::from_secs(10 * 60);

/// Why a worker has ended by itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the worker has lost its store: {0}")]
pub struct WorkerError(pub(crate) StoreError);

/// How it is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    /// Let what runs end by itself.
    Graceful,
    /// Stop what runs.
    Forced,
}

/// A running worker. Dropped without a stop, it takes its attempts with it, and its leases run out.
pub struct Worker {
    shared: Arc<Shared>,
    stop: watch::Sender<Stop>,
    ended: watch::Receiver<Option<Result<(), WorkerError>>>,
    running: tokio::task::JoinHandle<()>,
}

impl Worker {
    /// Starts a worker on the current tokio runtime.
    pub fn start(store: Arc<dyn Store>, executor: Arc<dyn Executor>, config: WorkerConfig) -> Self {
        Self::start_watching(store, executor, config, watch::channel(Unready::default()).1)
    }

    /// The same; what the executor cannot run just now is not leased. The last word counts once nobody says more.
    pub fn start_watching(
        store: Arc<dyn Store>,
        executor: Arc<dyn Executor>,
        config: WorkerConfig,
        unready: watch::Receiver<Unready>,
    ) -> Self {
        Self::start_admitting(store, executor, config, unready, Arc::new(Childless))
    }

    /// The same; `admission` says what children tasks may have.
    pub fn start_admitting(
        store: Arc<dyn Store>,
        executor: Arc<dyn Executor>,
        config: WorkerConfig,
        unready: watch::Receiver<Unready>,
        admission: Arc<dyn Admission>,
    ) -> Self {
        Self::begin(Self::shared(store, executor, config, unready, admission), Shared::run)
    }

    fn shared(
        store: Arc<dyn Store>,
        executor: Arc<dyn Executor>,
        config: WorkerConfig,
        unready: watch::Receiver<Unready>,
        admission: Arc<dyn Admission>,
    ) -> Arc<Shared> {
        let slots = config.slots.max(1);
        let max_slots = config.max_slots.max(slots);
        let lease_time = config.lease_time.clamp(MIN_LEASE_TIME, MAX_LEASE_TIME);
        Arc::new(Shared {
            store,
            executor,
            admission,
            room: Notify::new(),
            settling: Arc::new(Semaphore::new(max_slots.saturating_mul(SETTLING_PER_SLOT).min(Semaphore::MAX_PERMITS))),
            slots: watch::Sender::new(slots),
            beats: AtomicU64::new(0),
            session: Mutex::default(),
            config: WorkerConfig { slots, max_slots, lease_time, ..config },
            attempts: Mutex::default(),
            progressed: Arc::default(),
            unready,
            held_bytes: AtomicU64::new(0),
        })
    }

    /// One that opens a session and does this instead of a worker's work.
    #[cfg(test)]
    pub(crate) fn start_faulty<F>(
        store: Arc<dyn Store>,
        executor: Arc<dyn Executor>,
        config: WorkerConfig,
        fault: impl FnOnce(Arc<dyn Store>, SessionId) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let shared = Self::shared(store, executor, config, watch::channel(Unready::default()).1, Arc::new(Childless));
        Self::begin(shared, |shared, _| async move {
            let session = shared.open_session().await.map_err(WorkerError)?;
            fault(Arc::clone(&shared.store), session).await;
            Ok(())
        })
    }

    /// Has this do a worker's work.
    fn begin<F>(shared: Arc<Shared>, work: impl FnOnce(Arc<Shared>, watch::Receiver<Stop>) -> F) -> Self
    where
        F: Future<Output = Result<(), WorkerError>> + Send + 'static,
    {
        let (stop, stopping) = watch::channel(Stop::No);
        let (end, ended) = watch::channel(None);
        let work = work(Arc::clone(&shared), stopping);
        let running = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                // Who loses: what attempts have said and nobody was told.
                let done = tokio::select! {
                    biased;
                    done = work => done,
                    never = shared.tell_progress() => match never {},
                };
                // Whoever is told that it has ended may have the store to himself.
                drop(shared);
                end.send_replace(Some(done));
            }
        });
        Self { shared, stop, ended, running }
    }

    /// Attempts at a time.
    pub fn slots(&self) -> usize {
        *self.shared.slots.borrow()
    }

    /// Has it run so many attempts at a time from now on, from 1 to what it was started for; how many that are. What runs beyond
    /// that ends by itself.
    pub fn set_slots(&self, slots: usize) -> usize {
        let slots = slots.clamp(1, self.shared.config.max_slots);
        self.shared.slots.send_replace(slots);
        self.shared.room.notify_one();
        slots
    }

    /// Slots in use.
    pub fn busy(&self) -> usize {
        self.shared.attempts().line.busy()
    }

    /// Attempts that run now.
    pub fn running(&self) -> usize {
        self.shared.running()
    }

    /// The attempt of this task that runs here now, if one does.
    pub fn live(&self, task: TaskId) -> Option<RunningAttempt> {
        // Not under the lock: looking takes locks of its own.
        let watch = self.shared.attempts().watches.get(&task).map(Arc::clone)?;
        Some(watch.running())
    }

    /// The attempts that are in a host call now, with its name and for how long they have been.
    pub fn in_host_calls(&self) -> Vec<(TaskId, String, Duration)> {
        // Not under the lock: looking takes locks of its own.
        let watches: Vec<_> =
            self.shared.attempts().watches.iter().map(|(task, watch)| (*task, Arc::clone(watch))).collect();
        let call = |(task, watch): (TaskId, Arc<Watch>)| watch.host_call().map(|(call, since)| (task, call, since));
        watches.into_iter().filter_map(call).collect()
    }

    /// What the attempts that run now may make their host hold, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.shared.held_bytes.load(Ordering::Relaxed)
    }

    /// Takes no more tasks, lets what runs end within the grace period, and hands the rest back uncharged. Calling it
    /// again changes nothing.
    ///
    /// # Errors
    /// The worker had lost its store.
    pub async fn stop(&self, grace: Duration) -> Result<(), WorkerError> {
        self.raise(Stop::Graceful);
        if let Ok(done) = tokio::time::timeout(grace, self.ended()).await {
            return done;
        }
        // Without a grace period it is over before an idle worker has ended.
        let running = self.running();
        if running > 0 {
            tracing::warn!(running, "the grace period is over; attempts are stopped and handed back");
        }
        self.force();
        self.ended().await
    }

    /// Stops what runs, and hands it back uncharged; a stop that is under way ends soon.
    pub fn force(&self) {
        self.raise(Stop::Forced);
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It has lost its store.
    pub async fn ended(&self) -> Result<(), WorkerError> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|done| done.clone()) {
            Ok(Some(done)) => done,
            // It ended without a word: it panicked.
            _ => Err(WorkerError(StoreError::Closed)),
        }
    }

    /// How it has ended; none when it has panicked.
    pub(crate) async fn end(&self) -> Option<Result<(), WorkerError>> {
        let mut ended = self.ended.clone();
        ended.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// A number that changes as long as it gets on: at least every [`BEAT`] while its store answers.
    pub(crate) fn beats(&self) -> u64 {
        self.shared.beats.load(Ordering::Relaxed)
    }

    /// Takes it down without its help, as far as that goes, and gives back what it has leased. Whatever it runs is dropped.
    pub(crate) async fn abandon(&self) {
        self.running.abort();
        // What holds its thread cannot be taken down, and another one need not wait for that.
        let mut ended = self.ended.clone();
        let _ = tokio::time::timeout(STOP_TIME, ended.wait_for(|_| false)).await;
        let session = self.shared.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(session) = session {
            // Else its leases run out.
            let closing = tokio::time::timeout(STOP_TIME, self.shared.store.close_session(session)).await;
            if !matches!(closing, Ok(Ok(()))) {
                tracing::warn!("the session was not closed; what it had leased waits until it runs out");
            }
        }
    }

    fn raise(&self, to: Stop) {
        self.stop.send_if_modified(|stop| {
            let higher = *stop < to;
            *stop = to.max(*stop);
            higher
        });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct Shared {
    store: Arc<dyn Store>,
    executor: Arc<dyn Executor>,
    admission: Arc<dyn Admission>,
    config: WorkerConfig,
    /// Woken when a slot was given back, or has begun what waited.
    room: Notify,
    /// Held while an attempt is settled.
    settling: Arc<Semaphore>,
    attempts: Mutex<Attempts>,
    /// Attempts at a time, as they were set last.
    slots: watch::Sender<usize>,
    /// Counted on whenever it turns to its work.
    beats: AtomicU64,
    /// The session that it has.
    session: Mutex<Option<SessionId>>,
    /// Woken when an attempt has said how far it is.
    progressed: Arc<Notify>,
    /// What the executor cannot run just now.
    unready: watch::Receiver<Unready>,
    /// The sum over all attempts that have not ended.
    held_bytes: AtomicU64,
}

/// The attempts of the session.
#[derive(Default)]
struct Attempts {
    /// In an order that a simulation can repeat.
    watches: BTreeMap<TaskId, Arc<Watch>>,
    /// Cancelled before we knew that we have them: the store's two answers were under way together.
    cancelled_early: BTreeMap<TaskId, Cancelled>,
    line: Line,
    ahead: Ahead,
}

impl Shared {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> usize {
        self.attempts().watches.len()
    }

    /// Session after session, until it is stopped or the store is gone.
    async fn run(self: Arc<Self>, mut stop: watch::Receiver<Stop>) -> Result<(), WorkerError> {
        while *stop.borrow_and_update() == Stop::No {
            let session = match self.open_session().await {
                Ok(session) => session,
                Err(error) if error.is_retryable() || matches!(error, StoreError::SessionLost) => {
                    tracing::warn!(%error, "no session could be opened");
                    tokio::time::sleep(session::PAUSE).await;
                    continue;
                }
                Err(error) => return Err(WorkerError(error)),
            };
            let mut running = self.begin();
            let mut kept = pin!(self.keep(session));
            // Who loses: a request for work, whose leases the store takes back; what the executor cannot run, which the
            // next session is told anew. The renewal goes on.
            let mut over = tokio::select! {
                biased;
                over = &mut kept => Some(over),
                over = self.lease(session, &mut running) => Some(over),
                over = self.tell_unready(session) => Some(over),
                over = self.tell_slots(session) => Some(over),
                _ = stop.wait_for(|stop| *stop != Stop::No) => None,
            };
            if over.is_none() {
                // Leases live on while attempts come to their end.
                over = tokio::select! {
                    biased;
                    over = &mut kept => Some(over),
                    () = self.drain(&mut running, &mut stop) => None,
                };
            }
            match over {
                None => {}
                Some(Over::Lost) => {
                    tracing::warn!(running = self.running(), "the session was lost; its attempts are stopped");
                    self.forget_waiting();
                    self.stop_all(&Cause::LeaseLost, &mut running).await;
                    // Lost for us may not be lost for the store, which would wait for the leases to run out.
                    let _ = self.store.close_session(session).await;
                    continue;
                }
                Some(Over::Store(error)) => {
                    self.forget_waiting();
                    self.stop_all(&Cause::LeaseLost, &mut running).await;
                    return Err(WorkerError(error));
                }
            }
            match self.store.close_session(session).await {
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "the session was not closed; what it has handed back waits until it runs out");
                }
                closed => closed.map_err(WorkerError)?,
            }
        }
        Ok(())
    }

    /// A session that leases no more than there is memory for, and nothing that may use more than it may here. The store counts
    /// the largest of its leases, as many as there are slots, which is as much as can run or a little more.
    async fn open_session(&self) -> Result<SessionId, StoreError> {
        self.beats.fetch_add(1, Ordering::Relaxed);
        let session = self.store.open_session(self.config.name.clone(), self.config.lease_time).await?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        let limits = self.session_limits(*self.slots.borrow());
        if limits != SessionLimits::default() {
            self.store.limit_session(session, limits).await?;
        }
        Ok(session)
    }

    async fn keep(self: &Arc<Self>, session: SessionId) -> Over {
        session::keep(&*self.store, session, self.config.lease_time, |cancelled| self.cancel(cancelled)).await
    }

    /// Tells an attempt that it is cancelled, and stops it when it has not ended after the grace period. One that has not begun
    /// ends here.
    fn cancel(&self, cancelled: Cancelled) {
        if self.give_back_one(cancelled.task) {
            return;
        }
        let mut attempts = self.attempts();
        let Some(watch) = attempts.watches.get(&cancelled.task).cloned() else {
            attempts.cancelled_early.insert(cancelled.task, cancelled);
            return;
        };
        drop(attempts);
        watch.cancel();
        let grace = cancelled.grace.unwrap_or(self.config.cancel_grace).min(MAX_CANCEL_GRACE);
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            watch.stop(Cause::Cancelled);
        });
    }

    /// Gives back what has not begun, and waits until every attempt has ended; once forced, not much longer.
    async fn drain(&self, running: &mut Running, stop: &mut watch::Receiver<Stop>) {
        self.give_all_back();
        let forced = tokio::select! {
            biased;
            () = self.join(running) => false,
            _ = stop.wait_for(|stop| *stop == Stop::Forced) => true,
        };
        if forced {
            self.stop_all(&Cause::Cancelled, running).await;
        }
    }

    async fn stop_all(&self, cause: &Cause, running: &mut Running) {
        self.attempts().watches.values().for_each(|watch| watch.stop(cause.clone()));
        if tokio::time::timeout(STOP_TIME, self.join(running)).await.is_err() {
            tracing::warn!(attempts = self.running(), "attempts did not end when they were told to, and are dropped");
            running.shutdown().await;
        }
    }
}
