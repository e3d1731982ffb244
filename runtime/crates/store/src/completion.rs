//! What somebody gives as a task's output from outside, and why it is not taken.

use sunaba_task::{Payload, StateName, TaskId, Timestamp};

/// An output for a task, given by somebody else than its handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCompletion {
    /// What the task has given from then on.
    pub output: Payload,
    /// Who gives it, in their own words; at most [`MAX_COMPLETER_BYTES`](sunaba_task::MAX_COMPLETER_BYTES).
    pub by: Option<String>,
    /// Whether the caller has checked that they have the task's token, which is all the right that they need.
    pub with_token: bool,
}

/// Why a task was not completed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// There is no such task.
    #[error("there is no task {0}")]
    Unknown(TaskId),
    /// It has ended, and not by this completion.
    #[error(
        "task {task} is {state} since {at}, and cannot be completed any more\nhint: `sunaba task explain {task}` says how it ended"
    )]
    Ended {
        /// The task.
        task: TaskId,
        /// How it ended.
        state: StateName,
        /// When.
        at: Timestamp,
    },
    /// Another output was given before, and the first one stands.
    #[error(
        "task {task} was completed at {at} by {who}, with another output\nhint: the first one stands; `sunaba task explain \
         {task}` says what became of it"
    )]
    Already {
        /// The task.
        task: TaskId,
        /// When.
        at: Timestamp,
        /// By whom, for people.
        who: String,
    },
    /// Somebody has asked to cancel it.
    #[error("task {task} is being cancelled since {at}, and cannot be completed any more\nhint: submit another one")]
    Cancelling {
        /// The task.
        task: TaskId,
        /// Since when.
        at: Timestamp,
    },
    /// It neither waits to be completed nor has begun, so that nobody can have been asked to complete it.
    #[error(
        "task {task} is {state} since {since}, and does not wait to be completed\nhint: its handler says that it waits, when it \
         has run; `sunaba task explain {task}` says what it waits for now"
    )]
    NotWaiting {
        /// The task.
        task: TaskId,
        /// Where it stands.
        state: StateName,
        /// Since when.
        since: Timestamp,
    },
    /// Its record cannot be read. It is left as it is.
    #[error("task {task} is damaged: {problem}")]
    Damaged {
        /// The task.
        task: TaskId,
        /// What is wrong with it.
        problem: String,
    },
}
