//! Why a host does not do what it is asked: errors of more than one part of it.

use sunaba_store::{RerunError, RetryJobError, StoreError, SubmitError};
use sunaba_task::{HandlerName, TaskId};

use crate::{InputError, RefusedTask};

/// Why a task was not taken on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitRefusal {
    /// It cannot be, or is not allowed.
    #[error(transparent)]
    Refused(#[from] RefusedTask),
    /// Its idempotency key stands for another.
    #[error(transparent)]
    Key(#[from] SubmitError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a task was not made over again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RerunRefusal {
    /// The other input is not one that its handler takes.
    #[error(transparent)]
    Refused(#[from] RefusedTask),
    /// Its own input is not one that its handler takes any more.
    #[error(
        "task {task} cannot be run again with its own input: `{handler}` of version {version} does not take it: {problem}\nhint: \
         give it another with `--input`, or go back to a version that takes it with `sunaba handler rollback`"
    )]
    OldInput {
        /// The task.
        task: TaskId,
        /// What would run it.
        handler: HandlerName,
        /// The version that is active.
        version: u32,
        /// What does not fit, in one line. Not a `source`: it is printed as part of this error.
        problem: String,
    },
    /// It is not there, or has not ended.
    #[error(transparent)]
    Rerun(#[from] RerunError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a job was not made over again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryRefusal {
    /// It is not there, has not ended, or cannot be.
    #[error(transparent)]
    Retry(#[from] RetryJobError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RerunRefusal {
    /// That a task's own input is not one that its handler takes now.
    pub(crate) fn old_input(task: TaskId, handler: HandlerName, version: u32, problem: &RefusedTask) -> Self {
        let problem = match problem {
            // Whose schema it is, is said already.
            RefusedTask::Input(InputError::Schema { violation, .. }) => violation.clone(),
            other => other.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        Self::OldInput { task, handler, version, problem }
    }
}
