//! Why a store could not do what it was asked.

use sunaba_task::{ApiKeyError, ControlError, format_bytes};

use crate::{EngineError, NoteError, SecretError, VersionError};

/// Why a store could not do what it was asked. Nothing was changed, unless it says so.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The session has run out or was closed: what it leased may be running elsewhere.
    #[error("the worker's session was lost")]
    SessionLost,
    /// The store is elsewhere, and does not answer. Whether it has done what it was asked is not known.
    #[error("the store cannot be reached: {0}\nhint: it is asked again; look at it, and at the way to it")]
    Unreachable(String),
    /// Too many callers are waiting.
    #[error("{waiting} callers are waiting for the store already\nhint: try again later")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The disk is nearly full. What is there already goes on.
    #[error(
        "the disk of the data directory has {} left, and nothing new is taken on below {}\nhint: make room there",
        format_bytes(*.free_bytes), format_bytes(*.floor_bytes)
    )]
    NoRoom {
        /// What is left.
        free_bytes: u64,
        /// What must be left.
        floor_bytes: u64,
    },
    /// A setting is out of range.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What is set is not what somebody has seen, and wanted to change.
    #[error("the settings of {what} are others by now\nhint: look at them again, and change what is there")]
    Changed {
        /// Of what they are.
        what: String,
    },
    /// A package has not got another version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A secret is not kept.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A key of the API is not kept.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// A note is not kept.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The aging of a queue changes the place of all that waits in it, and that is too much to be done at once.
    #[error(
        "{waiting} tasks wait in the queue `{queue}`, and its aging can be changed with {limit} at most\nhint: let workers run \
         some of them first"
    )]
    TooDeepToReorder {
        /// The queue.
        queue: String,
        /// Tasks that wait in it for a slot.
        waiting: u64,
        /// How many may.
        limit: u64,
    },
    /// A record cannot be read. It is left as it is.
    #[error("the record `{key}` is damaged: {problem}")]
    Damaged {
        /// Its key, in hexadecimal digits.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The engine failed, and from then on nothing is changed. Whether the last changes were kept shows when the store is
    /// opened again; until then, whoever asks for what they wrote gets this too, and all else is shown.
    #[error("the store has failed: {0}\nhint: look at the disk, then start the host again")]
    Failed(EngineError),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy { .. } | Self::NoRoom { .. })
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}
