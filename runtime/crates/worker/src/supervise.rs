//! A worker that is started again when it panics or hangs. One that has lost its store, or was stopped, has ended.
//!
//! What an attempt does is caught where it runs; this is for the worker's own loop. Its leases are given back before the next one
//! is started, so that its tasks run again at once and are charged nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sunaba_store::{Store, StoreError};
use sunaba_task::TaskId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::watch::RunningAttempt;
use crate::worker::{BEAT, Worker, WorkerError};

/// A worker that has not turned to its work for so long hangs, if its store answers. It does so every [`BEAT`].
const HANG: Duration = Duration::from_secs(3 * BEAT.as_secs());
/// A store that does not answer in this time is what the worker waits for.
const PROBE: Duration = Duration::from_secs(10);
/// Before the first start anew, and twice as long before each that follows.
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// After so long a time without, the pauses begin anew.
const CALM: Duration = Duration::from_secs(10 * 60);

/// A worker that is stopped has ended so long after its grace period, or hangs and is taken down.
const STOP_TIME: Duration = Duration::from_secs(30);

/// What its supervision has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supervision {
    /// How often it was started anew.
    pub restarts: u32,
    /// Why the last time.
    pub reason: Option<String>,
}

/// A worker, and whoever starts another in its place.
pub struct Supervised {
    inner: Arc<Inner>,
    /// None once it is stopped.
    watcher: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    name: String,
    store: Arc<dyn Store>,
    make: Box<dyn Fn() -> Worker + Send + Sync>,
    state: Mutex<Current>,
    ended: watch::Sender<Option<Result<(), WorkerError>>>,
}

struct Current {
    worker: Arc<Worker>,
    /// As they were set last; a worker that is started anew has them too.
    slots: Option<usize>,
    is_stopping: bool,
    supervision: Supervision,
}

impl Supervised {
    /// Starts a worker on the current tokio runtime, by `make`, which starts each that follows. The store is asked whether it is
    /// to blame.
    pub fn start(
        name: impl Into<String>,
        store: Arc<dyn Store>,
        make: impl Fn() -> Worker + Send + Sync + 'static,
    ) -> Self {
        let worker = Arc::new(make());
        let state = Current { worker, slots: None, is_stopping: false, supervision: Supervision::default() };
        let (name, make, ended) = (name.into(), Box::new(make), watch::Sender::new(None));
        let inner = Arc::new(Inner { name, store, make, state: Mutex::new(state), ended });
        let watcher = Mutex::new(Some(tokio::spawn(Arc::clone(&inner).watch())));
        Self { inner, watcher }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Attempts that run now.
    pub fn running(&self) -> usize {
        self.inner.worker().running()
    }

    /// The attempt of this task that runs here now, if one does.
    pub fn live(&self, task: TaskId) -> Option<RunningAttempt> {
        self.inner.worker().live(task)
    }

    /// As [`Worker::in_host_calls`].
    pub fn in_host_calls(&self) -> Vec<(TaskId, String, Duration)> {
        self.inner.worker().in_host_calls()
    }

    /// What the attempts that run now may make their host hold, in bytes.
    pub fn held_bytes(&self) -> u64 {
        self.inner.worker().held_bytes()
    }

    /// Attempts at a time.
    pub fn slots(&self) -> usize {
        self.inner.worker().slots()
    }

    /// Slots in use.
    pub fn busy(&self) -> usize {
        self.inner.worker().busy()
    }

    /// As [`Worker::set_slots`]; one that is started anew has as many.
    pub fn set_slots(&self, slots: usize) -> usize {
        let mut state = self.inner.state();
        let slots = state.worker.set_slots(slots);
        state.slots = Some(slots);
        slots
    }

    /// How often it was started anew, and why.
    pub fn supervision(&self) -> Supervision {
        self.inner.state().supervision.clone()
    }

    /// As [`Worker::stop`]; nothing is started any more.
    ///
    /// # Errors
    /// The worker had lost its store.
    pub async fn stop(&self, grace: Duration) -> Result<(), WorkerError> {
        let worker = {
            let mut state = self.inner.state();
            state.is_stopping = true;
            Arc::clone(&state.worker)
        };
        let stopping = tokio::time::timeout(grace.saturating_add(STOP_TIME), worker.stop(grace)).await;
        let is_broken = match stopping {
            Ok(Ok(())) => false,
            // One that has panicked has ended, and nobody is told of it a second time.
            Ok(Err(_)) => worker.end().await.is_none(),
            Err(_) => {
                tracing::error!(worker = self.inner.name, "the worker did not stop, and is taken down");
                true
            }
        };
        let done = if is_broken {
            worker.abandon().await;
            Ok(())
        } else {
            worker.ended().await
        };
        // The store is free when this returns: nobody who watches holds it any more.
        let watcher = self.watcher().take();
        if let Some(watcher) = watcher {
            watcher.abort();
            let _ = watcher.await;
        }
        self.inner.ended.send_if_modified(|ended| ended.is_none() && ended.replace(done.clone()).is_none());
        done
    }

    fn watcher(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Worker::force`].
    pub fn force(&self) {
        self.inner.worker().force();
    }

    /// Waits until it has ended for good.
    ///
    /// # Errors
    /// It has lost its store.
    pub async fn ended(&self) -> Result<(), WorkerError> {
        let mut ended = self.inner.ended.subscribe();
        match ended.wait_for(Option::is_some).await.map(|done| done.clone()) {
            Ok(Some(done)) => done,
            // The sender is ours.
            _ => Err(WorkerError(StoreError::Closed)),
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Some(watcher) = &*self.watcher() {
            watcher.abort();
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, Current> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self) -> Arc<Worker> {
        Arc::clone(&self.state().worker)
    }

    async fn watch(self: Arc<Self>) {
        let (mut pause, mut last) = (PAUSE, Instant::now());
        loop {
            let worker = self.worker();
            // Who loses is asked again, of the next worker.
            let reason = tokio::select! {
                biased;
                end = worker.end() => match end {
                    Some(done) => {
                        self.ended.send_replace(Some(done));
                        return;
                    }
                    None => "its loop panicked",
                },
                () = self.hangs(&worker) => "its loop hung",
            };
            tracing::error!(worker = self.name, reason, "the worker is taken down and started anew");
            worker.abandon().await;
            if last.elapsed() > CALM {
                pause = PAUSE;
            }
            tokio::time::sleep(pause).await;
            (pause, last) = ((pause * 2).min(MAX_PAUSE), Instant::now());
            let mut state = self.state();
            if state.is_stopping {
                drop(state);
                self.ended.send_replace(Some(Ok(())));
                return;
            }
            let next = (self.make)();
            if let Some(slots) = state.slots {
                next.set_slots(slots);
            }
            state.worker = Arc::new(next);
            state.supervision.restarts = state.supervision.restarts.saturating_add(1);
            state.supervision.reason = Some(reason.into());
        }
    }

    /// Returns when the worker has not turned to its work for too long, and its store is not what it waits for.
    async fn hangs(&self, worker: &Worker) {
        loop {
            let before = worker.beats();
            tokio::time::sleep(HANG).await;
            if worker.beats() != before || self.state().is_stopping {
                continue;
            }
            let answers = tokio::time::timeout(PROBE, self.store.retention()).await;
            match answers {
                Ok(Ok(_)) if worker.beats() == before => return,
                Ok(_) => {}
                Err(_) => tracing::warn!(worker = self.name, "the worker waits for its store, which does not answer"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
