//! What an attempt may ask of its host while it runs, and why it is refused.

use serde::{Deserialize, Serialize};

use crate::{Disposition, Failure, Payload, StateName, TaskId};

/// The longest checkpoint, in bytes. What is larger belongs into artifacts.
pub const MAX_CHECKPOINT_BYTES: usize = 1 << 20;

/// What kind of reason there is for a refusal. A guest can go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskErrorKind {
    /// What was asked for makes no sense.
    Invalid,
    /// It was asked for before, and otherwise.
    Conflict,
    /// There is no such thing.
    NotFound,
    /// A limit or a budget is spent.
    Limit,
    /// The host cannot do it now, or not at all: it has no store, or has lost the lease.
    Unavailable,
}

/// Why the host did not do what an attempt asked for. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AskError {
    /// What kind of reason.
    pub kind: AskErrorKind,
    /// What was tried, the value, the limit, and a hint.
    pub message: String,
}

impl AskError {
    /// A reason of this kind.
    pub fn new(kind: AskErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// That nobody is there who could do it: the attempt runs outside any queue.
    pub fn no_store(what: &str) -> Self {
        let message =
            format!("there is no store for `{what}`\nhint: this attempt was started by hand, and is of no task");
        Self::new(AskErrorKind::Unavailable, message)
    }
}

impl AskErrorKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::NotFound => "not-found",
            Self::Limit => "limit",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A handler that does nothing about a refusal fails with it.
impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let kind = error.kind.word().to_owned();
        Self { kind, message: error.message, detail: None, disposition: Disposition::ByPolicy }
    }
}

/// What came of a task for which another one waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTask {
    /// Its name in its plan.
    pub name: String,
    /// Its id.
    pub task: TaskId,
    /// How it ended.
    pub state: StateName,
    /// What it gave, if it succeeded and that is still kept.
    pub output: Option<Payload>,
}

/// A page of them, by name, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndedPage {
    /// By name.
    pub tasks: Vec<EndedTask>,
    /// The last name, when there are more.
    pub next: Option<String>,
}
