//! Why a store could not do what it was asked.

use crate::EngineError;

/// Why a store could not do what it was asked. Nothing was changed, unless it says so.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The session has run out or was closed: what it leased may be running elsewhere.
    #[error("the worker's session was lost")]
    SessionLost,
    /// Too many callers are waiting.
    #[error("{waiting} callers are waiting for the store already\nhint: try again later")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// A record cannot be read. It is left as it is.
    #[error("the record `{key}` is damaged: {problem}")]
    Damaged {
        /// Its key, in hexadecimal digits.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The engine failed, and from then on nothing is taken on. Whether the last changes were kept shows when the store
    /// is opened again.
    #[error("the store has failed: {0}\nhint: look at the disk, then start the host again")]
    Failed(EngineError),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}
