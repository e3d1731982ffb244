//! What an attempt is told while it runs: that it is cancelled, that it must stop.

use std::sync::atomic::{AtomicBool, Ordering};

use sunaba_task::{AttemptHost, BoxFuture, Cause, LogEntry, Progress, TaskId};
use tokio::sync::watch;

/// The worker's side of an attempt.
pub(crate) struct Watch {
    task: TaskId,
    cancelled: AtomicBool,
    stop: watch::Sender<Option<Cause>>,
}

impl Watch {
    pub(crate) fn new(task: TaskId) -> Self {
        Self { task, cancelled: AtomicBool::new(false), stop: watch::Sender::new(None) }
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
        tracing::debug!(task = %self.task, source = %entry.source, level = %entry.level, "{}", entry.message);
    }

    fn on_progress(&self, progress: Progress) {
        tracing::debug!(task = %self.task, fraction = progress.fraction, "{}", progress.message);
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
