//! Why a checkpoint is not kept.

use sunaba_task::{MAX_CHECKPOINT_BYTES, format_bytes};

/// Why a checkpoint is not kept. The one before is still there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The lease is somebody else's, or nobody's, by now.
    #[error("the lease was lost")]
    LeaseLost,
    /// It is too large.
    #[error(
        "the checkpoint has {}: the limit is {}\nhint: keep where to go on, and put what is large into outputs of children",
        format_bytes(*.bytes), format_bytes(MAX_CHECKPOINT_BYTES as u64)
    )]
    TooLarge {
        /// How many bytes it has.
        bytes: u64,
    },
}
