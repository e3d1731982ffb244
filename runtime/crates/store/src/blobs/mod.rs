//! The files of artifacts, by their content: written once, read in pieces, never whole in memory.
//!
//! A stream is no batched operation, so that it has a trait of its own beside the store's. What is here knows neither tasks nor
//! names: a file stays while a record names its digest, or while somebody holds it until his record is durable.

mod files;
mod janitor;
mod local;
mod place;

use std::any::Any;

use bytes::Bytes;
use sunaba_task::{BoxFuture, Digest, format_bytes};

pub(crate) use files::{Found, PIECE_BYTES, is_there, look_at, named, restore};
pub(crate) use local::LocalBlobs;
pub use place::BlobPlace;

/// The most that one [`BlobReader::read`] gives.
pub const MAX_READ_BYTES: usize = 256 << 10;

/// Where the files of artifacts are. Its futures need a tokio runtime, and block none of its threads.
pub trait Blobs: Send + Sync {
    /// Begins a file.
    ///
    /// # Errors
    /// [`BlobError::NoRoom`], or the system did not let us.
    fn create(&self) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>>;

    /// Opens a file, to be read from this byte on.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or the system did not let us.
    fn open(&self, digest: Digest, from: u64) -> BoxFuture<'_, Result<Box<dyn BlobReader>, BlobError>>;
}

/// A file that is being written. Dropped before it is finished, it leaves nothing behind.
pub trait BlobWriter: Send {
    /// Adds bytes at its end. After an error, and after a future that was dropped, it cannot be finished any more.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Makes it durable under its digest.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<KeptBlob, BlobError>>;
}

/// A file that is being read. It can be read to its end though nobody names it any more.
pub trait BlobReader: Send {
    /// Its size, wherever the reading began.
    fn size_bytes(&self) -> u64;

    /// The next bytes, at most so many and at most [`MAX_READ_BYTES`]; none at its end.
    fn read(&mut self, max_bytes: usize) -> BoxFuture<'_, Result<Bytes, BlobError>>;
}

/// A file that is durable, and stays while this is held: until a record that names it is durable, too.
pub struct KeptBlob {
    /// Of its content.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
    hold: Box<dyn Any + Send>,
}

impl KeptBlob {
    /// A file that stays until this hold is dropped.
    pub fn new(digest: Digest, size_bytes: u64, hold: Box<dyn Any + Send>) -> Self {
        Self { digest, size_bytes, hold }
    }

    /// It is named by a durable record now, or nobody wants it.
    pub fn release(self) {
        drop(self.hold);
    }
}

/// Why a file could not be written or read. Nothing else is harmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The disk is nearly full.
    #[error(
        "the disk of the artifacts has {} left, and nothing is written to it below {}\nhint: make room there",
        format_bytes(*.free_bytes), format_bytes(*.floor_bytes)
    )]
    NoRoom {
        /// What is left.
        free_bytes: u64,
        /// What must be left.
        floor_bytes: u64,
    },
    /// There is no such file.
    #[error("the file {0} of an artifact is not there\nhint: `sunaba store verify` tells what else is missing")]
    Missing(Digest),
    /// The system did not let us.
    #[error("cannot {action} the file of an artifact: {problem}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        problem: String,
    },
}

impl BlobError {
    fn system(action: &'static str, problem: impl ToString) -> Self {
        Self::System { action, problem: problem.to_string() }
    }

    /// Whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Missing(_))
    }
}
