//! What an attempt is told while it runs: that it is cancelled, that it must stop. And what it says meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sunaba_task::{AttemptHost, BoxFuture, Cause, LeaseToken, LogEntry, Progress};
use tokio::sync::{Notify, watch};

/// The worker's side of an attempt.
pub(crate) struct Watch {
    token: LeaseToken,
    cancelled: AtomicBool,
    stop: watch::Sender<Option<Cause>>,
    /// What it said last and nobody has been told: a guest that says more than anybody wants to hear fills nothing.
    progress: Mutex<Option<Progress>>,
    /// Woken when there is such.
    progressed: Arc<Notify>,
}

impl Watch {
    pub(crate) fn new(token: LeaseToken, progressed: Arc<Notify>) -> Self {
        let (cancelled, stop) = (AtomicBool::new(false), watch::Sender::new(None));
        Self { token, cancelled, stop, progress: Mutex::default(), progressed }
    }

    /// What the attempt said last, once.
    pub(crate) fn take_progress(&self) -> Option<(LeaseToken, Progress)> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((self.token, progress))
    }

    /// The guest is told, and may end by itself.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The executor is told, and must end it. The first cause stands.
    pub(crate) fn stop(&self, cause: Cause) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(cause);
            first
        });
    }
}

impl AttemptHost for Watch {
    fn on_log(&self, entry: &LogEntry) {
        tracing::debug!(task = %self.token.task, source = %entry.source, level = %entry.level, "{}", entry.message);
    }

    fn on_progress(&self, progress: Progress) {
        tracing::debug!(task = %self.token.task, fraction = progress.fraction, "{}", progress.message);
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        self.progressed.notify_one();
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn stopped(&self) -> BoxFuture<'_, Cause> {
        let mut stop = self.stop.subscribe();
        Box::pin(async move {
            match stop.wait_for(Option::is_some).await.map(|cause| cause.clone()) {
                Ok(Some(cause)) => cause,
                // The sender is ours, and lives as long as we do.
                _ => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_task::TaskId;

    #[test]
    fn last_progress_wins_and_is_told_once() {
        let token = LeaseToken { task: TaskId::new(), sequence: 1, nonce: 2 };
        let watch = Watch::new(token, Arc::default());
        assert_eq!(watch.take_progress(), None);
        for step in 0..1_000 {
            watch.on_progress(Progress { fraction: None, message: step.to_string() });
        }
        let last = Progress { fraction: None, message: "999".into() };
        assert_eq!(watch.take_progress(), Some((token, last)));
        assert_eq!(watch.take_progress(), None);
    }
}
