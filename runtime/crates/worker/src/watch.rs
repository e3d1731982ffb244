//! What an attempt is told while it runs: that it is cancelled, that it must stop. And what it says meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::artifacts::Artifacts;
use crate::asks::Asks;
use bytes::Bytes;
use sunaba_store::Store;
use sunaba_task::trace::{CallSpan, MAX_CALL_SPANS};
use sunaba_task::{
    Artifact, ArtifactName, ArtifactSink, ArtifactSource, AskError, AttemptHost, BoxFuture, Cause, Child,
    CompletionToken, EndedPage, LeaseToken, Live, LiveView, LogEntry, Progress, TaskId,
};
use tokio::sync::{Notify, watch};

/// Lines that are kept of an executor that says more than a handler's limits allow.
const MAX_LINES: usize = 100_000;

/// An attempt that runs now.
#[derive(Debug, Clone)]
pub struct RunningAttempt {
    /// From 1.
    pub attempt: u32,
    /// Where it is; none when its executor does not say.
    pub live: Option<LiveView>,
    /// What it has said so far, oldest first.
    pub logs: Vec<Arc<LogEntry>>,
}

/// The worker's side of an attempt.
pub(crate) struct Watch {
    token: LeaseToken,
    attempt: u32,
    /// None before it has begun, and once it has ended.
    live: Mutex<Option<Arc<dyn Live>>>,
    /// What it has said. The executor keeps to the attempt's limits; these bound one that does not.
    said: Mutex<Said>,
    cancelled: AtomicBool,
    stop: watch::Sender<Option<Cause>>,
    /// What it said last and nobody has been told: a guest that says more than anybody wants to hear fills nothing.
    progress: Mutex<Option<Progress>>,
    /// Woken when there is such.
    progressed: Arc<Notify>,
    /// None: it can ask nobody.
    asks: Option<Asks>,
    /// None where nobody keeps any.
    artifacts: Option<Artifacts>,
    /// Its first host calls, and when it began. None: nobody is told of them.
    calls: Option<(std::time::Instant, Mutex<Vec<CallSpan>>)>,
}

/// What an attempt has said.
struct Said {
    bytes_left: u64,
    lines: Vec<Arc<LogEntry>>,
}

/// Nothing that runs under these locks can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Of this attempt, of which so many bytes of lines are kept.
    pub(crate) fn new(token: LeaseToken, attempt: u32, said_bytes: u64, progressed: Arc<Notify>) -> Self {
        let (cancelled, stop) = (AtomicBool::new(false), watch::Sender::new(None));
        let (live, said) = (Mutex::default(), Mutex::new(Said { bytes_left: said_bytes, lines: Vec::new() }));
        let (progress, asks, artifacts, calls) = (Mutex::default(), None, None, None);
        Self { token, attempt, live, said, cancelled, stop, progress, progressed, asks, artifacts, calls }
    }

    /// The same, and it can ask for things.
    pub(crate) fn asking(self, asks: Asks) -> Self {
        Self { asks: Some(asks), ..self }
    }

    fn asks(&self, what: &str) -> Result<&Asks, AskError> {
        self.asks.as_ref().ok_or_else(|| AskError::no_store(what))
    }

    /// The same; it may put artifacts there, of so many bytes in all.
    pub(crate) fn with_artifacts(mut self, store: &Arc<dyn Store>, limit_bytes: u64) -> Self {
        self.artifacts = Some(Artifacts::new(Arc::clone(store), self.token, limit_bytes));
        self
    }

    /// The same; its host calls are kept, by when they come after this.
    pub(crate) fn tracing(self, begun: std::time::Instant) -> Self {
        Self { calls: Some((begun, Mutex::default())), ..self }
    }

    /// Its first host calls, once.
    pub(crate) fn take_calls(&self) -> Vec<CallSpan> {
        self.calls.as_ref().map(|(_, calls)| std::mem::take(&mut *lock(calls))).unwrap_or_default()
    }

    fn shelf(&self) -> Result<&Artifacts, AskError> {
        self.artifacts.as_ref().ok_or_else(|| AskError::no_store("artifacts"))
    }

    /// The attempt as it is now; none once it has ended.
    pub(crate) fn running(&self) -> RunningAttempt {
        // Not under the lock: whoever gives the view is not ours.
        let live = lock(&self.live).clone();
        let logs = lock(&self.said).lines.clone();
        RunningAttempt { attempt: self.attempt, live: live.map(|live| live.view()), logs }
    }

    /// The host call that the attempt is in, and for how long; none while it computes, or when its executor does not say.
    pub(crate) fn host_call(&self) -> Option<(String, Duration)> {
        let live = lock(&self.live).clone();
        live.and_then(|live| live.view().host_call)
    }

    /// It has ended: there is nothing more to look at.
    pub(crate) fn ended(&self) {
        *lock(&self.live) = None;
    }

    /// What the attempt said last, once.
    pub(crate) fn take_progress(&self) -> Option<(LeaseToken, Progress)> {
        let progress = lock(&self.progress).take()?;
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
    fn on_begin(&self, live: Arc<dyn Live>) {
        *lock(&self.live) = Some(live);
    }

    fn on_log(&self, entry: &LogEntry) {
        let fields: usize = entry.fields.iter().map(|(key, value)| key.len() + value.len()).sum();
        let (bytes, mut said) = ((entry.message.len() + fields) as u64, lock(&self.said));
        if bytes <= said.bytes_left && said.lines.len() < MAX_LINES {
            said.bytes_left -= bytes;
            said.lines.push(Arc::new(entry.clone()));
        }
        drop(said);
        tracing::debug!(task = %self.token.task, source = %entry.source, level = %entry.level, "{}", entry.message);
    }

    fn on_progress(&self, progress: Progress) {
        tracing::debug!(task = %self.token.task, fraction = progress.fraction, "{}", progress.message);
        *lock(&self.progress) = Some(progress);
        self.progressed.notify_one();
    }

    fn wants_calls(&self) -> bool {
        self.calls.is_some()
    }

    fn on_call(&self, name: &'static str, since: std::time::Instant, took: Duration) {
        let Some((begun, calls)) = &self.calls else { return };
        let mut calls = lock(calls);
        if calls.len() < MAX_CALL_SPANS {
            calls.push(CallSpan { name, after: since.saturating_duration_since(*begun), took });
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn checkpoint(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), AskError>> {
        Box::pin(async move { self.asks("checkpoint")?.checkpoint(bytes).await })
    }

    fn last_checkpoint(&self) -> BoxFuture<'_, Result<Option<Bytes>, AskError>> {
        Box::pin(async move { self.asks("last-checkpoint")?.last_checkpoint().await })
    }

    fn submit_child(&self, child: Child) -> BoxFuture<'_, Result<TaskId, AskError>> {
        Box::pin(async move { self.asks("submit")?.submit_child(child).await })
    }

    fn dependency_outputs(&self, name: String, after: Option<String>) -> BoxFuture<'_, Result<EndedPage, AskError>> {
        Box::pin(async move { self.asks("dependency-outputs")?.dependency_outputs(&name, after.as_deref()).await })
    }

    fn completion_token(&self) -> BoxFuture<'_, Result<Option<CompletionToken>, AskError>> {
        Box::pin(async { self.asks("completion-token")?.completion_token().await.map(Some) })
    }

    fn create_artifact(
        &self,
        name: ArtifactName,
        media_type: String,
    ) -> BoxFuture<'_, Result<Box<dyn ArtifactSink>, AskError>> {
        Box::pin(async { self.shelf()?.create(name, media_type).await })
    }

    fn open_artifact(
        &self,
        task: Option<String>,
        name: ArtifactName,
    ) -> BoxFuture<'_, Result<Box<dyn ArtifactSource>, AskError>> {
        Box::pin(async { self.shelf()?.open(task, name).await })
    }

    fn artifacts(&self, task: Option<String>) -> BoxFuture<'_, Result<Vec<Artifact>, AskError>> {
        Box::pin(async { self.shelf()?.list(task).await })
    }

    fn link_artifact(&self, name: ArtifactName, url: String) -> BoxFuture<'_, Result<Artifact, AskError>> {
        Box::pin(async { self.shelf()?.link(name, url).await })
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
        let watch = Watch::new(token, 1, 0, Arc::default());
        assert_eq!(watch.take_progress(), None);
        for step in 0..1_000 {
            watch.on_progress(Progress { fraction: None, message: step.to_string() });
        }
        let last = Progress { fraction: None, message: "999".into() };
        assert_eq!(watch.take_progress(), Some((token, last)));
        assert_eq!(watch.take_progress(), None);
    }

    fn said(bytes: u64, lines: u64) -> usize {
        let token = LeaseToken { task: TaskId::new(), sequence: 1, nonce: 2 };
        let watch = Watch::new(token, 3, bytes, Arc::default());
        let (source, level) = (sunaba_task::LogSource::Log, sunaba_task::LogLevel::Info);
        for at_ms in 0..lines {
            watch.on_log(&LogEntry { at_ms, source, level, message: "ten bytes.".into(), fields: Vec::new() });
        }
        let running = watch.running();
        assert_eq!((running.attempt, running.live), (3, None));
        running.logs.len()
    }

    #[test]
    fn kept_lines_obeyed() {
        assert_eq!(said(100, 10), 10);
    }

    #[test]
    fn kept_lines_violated() {
        assert_eq!(said(99, 20), 9);
    }
}
