//! What a handler asks its host for while it runs, and why it is refused.

use std::fmt;

use crate::{Payload, TaskError};

/// The id of a task; a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub(crate) String);

impl TaskId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What kind of reason there is for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// What was asked for makes no sense.
    Invalid,
    /// It was asked for before, and otherwise.
    Conflict,
    /// There is no such thing.
    NotFound,
    /// A limit or a budget is spent.
    Limit,
    /// The host cannot do it now, or not at all: there is no store, it is busy, or the task's lease was lost.
    Unavailable,
}

/// Why the host did not do what a handler asked for. Nothing was changed.
///
/// With `?` it becomes a failure that the retry policy decides about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub kind: RefusalKind,
    /// For people.
    pub message: String,
}

impl RefusalKind {
    /// The word for it: the kind of a failure for which it is the reason.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::NotFound => "not-found",
            Self::Limit => "limit",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Refusal {
    pub(crate) fn into_failure(self) -> TaskError {
        TaskError::new(self.kind.word(), self.message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Invalid, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// One of those that were waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedTask {
    pub(crate) name: String,
    pub(crate) task_id: String,
    pub(crate) state: String,
    pub(crate) output: Option<Payload>,
}

/// Some of them, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EndedPage {
    pub(crate) tasks: Vec<EndedTask>,
    pub(crate) next: Option<String>,
}
