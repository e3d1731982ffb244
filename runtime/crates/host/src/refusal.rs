//! Why a host does not do what it is asked: errors of more than one part of it.

use sunaba_store::{RerunError, StoreError, SubmitError};

use crate::RefusedTask;

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
    /// It is not there, or has not ended.
    #[error(transparent)]
    Rerun(#[from] RerunError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}
