//! The seam between whoever decides what runs and whatever runs it.
//!
//! A sandbox, an in-process function or another process can stand behind [`Executor`]; the worker cannot tell.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use bytes::Bytes;

use crate::{
    Artifact, ArtifactName, ArtifactSink, ArtifactSource, AskError, AttemptReport, AttemptRequest, Cause, Child,
    CompletionToken, DeciderAnswer, Digest, EndedPage, FuelMode, Live, LogEntry, NotDecided, Situation, TaskId,
};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs host code to its end; gives the panic's text when it panics instead.
///
/// # Errors
/// It panicked.
pub async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut running = pin!(future);
    std::future::poll_fn(|context| {
        // What the future shares with others is behind locks that nobody leaves poisoned.
        match std::panic::catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic_text(&*panic))),
        }
    })
    .await
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into())
}

/// How far an attempt says that it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// In 0..=1.
    pub fraction: Option<f64>,
    /// For people.
    pub message: String,
}

/// Runs attempts.
pub trait Executor: Send + Sync + 'static {
    /// Runs one attempt to its end. Dropping the future stops the attempt.
    ///
    /// # Errors
    /// The host could not do its part. Whatever the guest did is in the report.
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>>;

    /// Has this run on a thread that runs attempts, where those that it asks for cost no wake-up. Dropped with the executor's
    /// threads, if it has not ended by then.
    ///
    /// # Errors
    /// There is no such thread, or it is busy: what was to be run, for somebody else to run.
    fn spawn(&self, work: BoxFuture<'static, ()>) -> Result<(), BoxFuture<'static, ()>> {
        Err(work)
    }

    /// Asks the decider in this component what follows from this. It ends soon, whatever the decider does.
    fn decide(&self, decider: Digest, situation: Situation) -> BoxFuture<'_, Result<DeciderAnswer, NotDecided>> {
        drop((decider, situation));
        Box::pin(async { Err(NotDecided::because("this host runs no deciders")) })
    }
}

/// Whoever watches over an attempt while it runs. Calls come from the executor's threads and must not block.
pub trait AttemptHost: Send + Sync + 'static {
    /// The attempt begins, and can be looked at from now on. Keep the view no longer than the attempt runs.
    fn on_begin(&self, live: Arc<dyn Live>) {
        let _ = live;
    }

    /// The guest said something that is kept.
    fn on_log(&self, entry: &LogEntry) {
        let _ = entry;
    }

    /// The guest said how far it is.
    fn on_progress(&self, progress: Progress) {
        let _ = progress;
    }

    /// Whether somebody wants to be told of each host call. Asked once, before the attempt begins.
    fn wants_calls(&self) -> bool {
        false
    }

    /// A host call is over, which began then and took so long.
    fn on_call(&self, name: &'static str, since: Instant, took: Duration) {
        let _ = (name, since, took);
    }

    /// Whether the guest should be told that it is cancelled.
    fn is_cancelled(&self) -> bool {
        false
    }

    /// Makes a child of the attempt's task, or finds the one that an attempt before has made under the same name. It is durable
    /// when this resolves.
    fn submit_child(&self, child: Child) -> BoxFuture<'_, Result<TaskId, AskError>> {
        drop(child);
        Box::pin(async { Err(AskError::no_store("submit")) })
    }

    /// What came of what the task waited for, under this name or in this group (`GROUP/*`): a page, after this name.
    fn dependency_outputs(&self, name: String, after: Option<String>) -> BoxFuture<'_, Result<EndedPage, AskError>> {
        drop((name, after));
        Box::pin(async { Err(AskError::no_store("dependency-outputs")) })
    }

    /// Keeps this for the attempt after this one, in place of what was kept before. It is durable when this resolves.
    fn checkpoint(&self, bytes: Bytes) -> BoxFuture<'_, Result<(), AskError>> {
        drop(bytes);
        Box::pin(async { Err(AskError::no_store("checkpoint")) })
    }

    /// What was kept last, by this attempt or by one before.
    fn last_checkpoint(&self) -> BoxFuture<'_, Result<Option<Bytes>, AskError>> {
        Box::pin(async { Ok(None) })
    }

    /// What lets whoever has it complete the attempt's task; none when that is no task that could be completed.
    fn completion_token(&self) -> BoxFuture<'_, Result<Option<CompletionToken>, AskError>> {
        Box::pin(async { Ok(None) })
    }

    /// Begins a file that becomes an artifact of the attempt's task. Whoever runs the attempt counts what is written.
    fn create_artifact(
        &self,
        name: ArtifactName,
        media_type: String,
    ) -> BoxFuture<'_, Result<Box<dyn ArtifactSink>, AskError>> {
        drop((name, media_type));
        Box::pin(async { Err(AskError::no_store("artifacts.create")) })
    }

    /// Opens a file of the attempt's own task, or of another one by its name: one that the task waits for, could wait for, or
    /// has made.
    fn open_artifact(
        &self,
        task: Option<String>,
        name: ArtifactName,
    ) -> BoxFuture<'_, Result<Box<dyn ArtifactSource>, AskError>> {
        drop((task, name));
        Box::pin(async { Err(AskError::no_store("artifacts.open")) })
    }

    /// What there is of the attempt's own task, or of another one as in [`open_artifact`](Self::open_artifact), by name.
    fn artifacts(&self, task: Option<String>) -> BoxFuture<'_, Result<Vec<Artifact>, AskError>> {
        drop(task);
        Box::pin(async { Err(AskError::no_store("artifacts.list")) })
    }

    /// Makes an address an artifact of the attempt's task; it is durable when this resolves.
    fn link_artifact(&self, name: ArtifactName, url: String) -> BoxFuture<'_, Result<Artifact, AskError>> {
        drop((name, url));
        Box::pin(async { Err(AskError::no_store("artifacts.link")) })
    }

    /// Resolves when the attempt must be stopped, with the cause. The default never does.
    fn stopped(&self) -> BoxFuture<'_, Cause> {
        Box::pin(std::future::pending())
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

impl AttemptHost for Unattended {}

/// Why an attempt could not be run. The guest is not to blame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The executor does not have the component, or not in this fuel mode.
    #[error("component {component} is not loaded with fuel {mode}")]
    NotLoaded {
        /// What was asked for.
        component: Digest,
        /// What was asked for.
        mode: FuelMode,
    },
    /// The component has no such handler.
    #[error("component {component} has no handler `{handler}`")]
    UnknownHandler {
        /// What was asked for.
        component: Digest,
        /// What was asked for.
        handler: String,
    },
    /// A limit is out of range.
    #[error(transparent)]
    Limit(#[from] crate::LimitError),
    /// The grants cannot all be given.
    #[error(transparent)]
    Grants(#[from] crate::GrantError),
    /// A grant names something that is not there.
    #[error("cannot grant `{grant}`: {reason}")]
    Grant {
        /// The grant as written.
        grant: String,
        /// What the system said.
        reason: String,
    },
    /// A secret that the grants name is not there, or cannot be one.
    #[error("cannot have the secret `{name}`: {reason}")]
    Secret {
        /// Its name.
        name: String,
        /// What is wrong, without its text.
        reason: String,
    },
    /// A grant that the operator does not allow, or no longer.
    #[error("{0}")]
    NotAllowed(String),
    /// The executor is shutting down.
    #[error("the executor is shutting down")]
    Closed,
    /// The executor itself failed; nothing is known of the attempt.
    #[error("the sandbox failed: {0}")]
    Internal(String),
}

impl ExecuteError {
    /// Whether the same request may succeed later or elsewhere.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotLoaded { .. } | Self::Closed | Self::Internal(_) => true,
            // What a grant names may come back: a directory that is mounted later, a descriptor that is free again.
            Self::Grant { .. } | Self::Secret { .. } => true,
            Self::UnknownHandler { .. } | Self::Limit(_) | Self::Grants(_) | Self::NotAllowed(_) => false,
        }
    }
}
