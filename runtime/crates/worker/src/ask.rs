//! What an attempt asks its store for, and how a refusal is told.

use bytes::Bytes;
use sunaba_store::{CheckpointError, Store, StoreError};
use sunaba_task::{AskError, AskErrorKind, LeaseToken, TaskId};

/// The store is busy, full, or gone: the attempt may ask again, or fail and be retried.
pub(crate) fn unavailable(error: &StoreError) -> AskError {
    AskError::new(AskErrorKind::Unavailable, error.to_string())
}

pub(crate) async fn checkpoint(store: &dyn Store, token: LeaseToken, bytes: Bytes) -> Result<(), AskError> {
    let kept = store.checkpoint(token, bytes).await.map_err(|error| unavailable(&error))?;
    kept.map_err(|error| {
        let kind = match error {
            CheckpointError::TooLarge { .. } => AskErrorKind::Limit,
            _ => AskErrorKind::Unavailable,
        };
        AskError::new(kind, error.to_string())
    })
}

pub(crate) async fn last_checkpoint(store: &dyn Store, task: TaskId) -> Result<Option<Bytes>, AskError> {
    store.last_checkpoint(task).await.map_err(|error| unavailable(&error))
}
