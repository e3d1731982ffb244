//! Artifacts, as callers of a store put them.

use sunaba_task::{ArtifactKind, ArtifactName, Digest, MAX_ARTIFACTS};

/// An artifact to be put. Whoever puts a file holds its [`KeptBlob`](crate::KeptBlob) until the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// Unique in its task; one that is there is replaced.
    pub name: ArtifactName,
    /// See [`check_media_type`](sunaba_task::check_media_type).
    pub media_type: String,
    /// A file that is durable, or a link.
    pub kind: ArtifactKind,
}

/// Why an artifact was not put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutArtifactError {
    /// The lease is somebody else's, or nobody's, by now.
    #[error("the lease was lost")]
    LeaseLost,
    /// The task has as many as it may.
    #[error("the task has {MAX_ARTIFACTS} artifacts, and no more are kept\nhint: put many small files into one")]
    TooMany,
    /// Its file is not there.
    #[error("the file {0} is not there, so that nothing can name it")]
    NoFile(Digest),
}
