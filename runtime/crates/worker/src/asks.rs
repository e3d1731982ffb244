//! What an attempt asks for while it runs: children, what others of its job gave, and what it keeps for its next attempt.

use std::sync::Arc;

use bytes::Bytes;
use sunaba_store::{Awaitee, CheckpointError, Store, SubmitChildError};
use sunaba_task::job::{Awaited, NodeName};
use sunaba_task::{AskError, AskErrorKind, Child, CompletionToken, EndedPage, EndedTask, LeaseToken, Task, TaskId};

use crate::admission::{Admission, NotAdmitted};

/// Whom an attempt can ask.
pub(crate) struct Asks {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) admission: Arc<dyn Admission>,
    /// The task, as it was leased.
    pub(crate) task: Task,
    pub(crate) token: LeaseToken,
}

impl Asks {
    /// Makes a child, or finds the one that was made before.
    pub(crate) async fn submit_child(&self, child: Child) -> Result<TaskId, AskError> {
        let node = self.admission.child(&self.task, child).await.map_err(|error| match error {
            NotAdmitted::Refused(reason) => AskError::new(AskErrorKind::Invalid, reason),
            NotAdmitted::Unavailable(reason) => AskError::new(AskErrorKind::Unavailable, reason),
        })?;
        match self.store.submit_child(self.token, node).await {
            Ok(Ok(submitted)) => Ok(submitted.into_task().id),
            Ok(Err(error)) => Err(AskError::new(kind(&error), error.to_string())),
            Err(error) => Err(unavailable(&error)),
        }
    }

    /// Keeps this for the attempt after this one.
    pub(crate) async fn checkpoint(&self, bytes: Bytes) -> Result<(), AskError> {
        let kept = self.store.checkpoint(self.token, bytes).await.map_err(|error| unavailable(&error))?;
        kept.map_err(|error| {
            let kind = match error {
                CheckpointError::TooLarge { .. } => AskErrorKind::Limit,
                _ => AskErrorKind::Unavailable,
            };
            AskError::new(kind, error.to_string())
        })
    }

    /// What was kept last.
    pub(crate) async fn last_checkpoint(&self) -> Result<Option<Bytes>, AskError> {
        self.store.last_checkpoint(self.token.task).await.map_err(|error| unavailable(&error))
    }

    /// What lets whoever has it complete the task.
    pub(crate) async fn completion_token(&self) -> Result<CompletionToken, AskError> {
        self.store.completion_token(self.token.task).await.map_err(|error| unavailable(&error))
    }

    /// A page of what came of those for which the task could wait, or of its own children; of the latter those that have ended.
    pub(crate) async fn dependency_outputs(&self, name: &str, after: Option<&str>) -> Result<EndedPage, AskError> {
        let only: Awaited = parsed(name)?;
        let after: Option<NodeName> = after.map(parsed).transpose()?;
        let is_first = after.is_none();
        let found = self.store.awaited(self.task.id, only.clone(), after).await;
        let page = found.map_err(|error| unavailable(&error))?;
        if page.awaited.is_empty() && is_first && matches!(only, Awaited::Node(_)) {
            let message =
                format!("no task `{name}` is in the plan of this one\nhint: name one that it waits for, or `GROUP/*`");
            return Err(AskError::new(AskErrorKind::NotFound, message));
        }
        let has_ended = page.awaited.iter().all(|one| one.state.is_terminal());
        // Some of a group may be missing without a trace, and nobody would notice that the sum is wrong.
        if !page.is_waited_for && (matches!(only, Awaited::Group(_)) || !has_ended) {
            let message = format!(
                "this task does not wait for `{name}`, so that what it would get depends on chance\nhint: name it among what the \
                 task comes after"
            );
            return Err(AskError::new(AskErrorKind::Invalid, message));
        }
        let ended = page.awaited.into_iter().filter(|one| one.state.is_terminal());
        let ended = ended.map(|Awaitee { name, task, state, output }| EndedTask {
            name: name.to_string(),
            task,
            state,
            output,
        });
        Ok(EndedPage { tasks: ended.collect(), next: page.next.map(|name| name.to_string()) })
    }
}

/// What a guest wrote, read.
pub(crate) fn parsed<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, AskError> {
    text.parse().map_err(|error: T::Err| AskError::new(AskErrorKind::Invalid, error.to_string()))
}

/// That the store cannot do it now.
pub(crate) fn unavailable(error: &impl ToString) -> AskError {
    AskError::new(AskErrorKind::Unavailable, error.to_string())
}

fn kind(error: &SubmitChildError) -> AskErrorKind {
    match error {
        SubmitChildError::Conflict { .. } => AskErrorKind::Conflict,
        SubmitChildError::Budget(_) | SubmitChildError::QueueFull { .. } => AskErrorKind::Limit,
        SubmitChildError::LeaseLost | SubmitChildError::Stopping(_) => AskErrorKind::Unavailable,
        _ => AskErrorKind::Invalid,
    }
}
