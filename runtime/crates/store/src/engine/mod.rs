//! The ordered key-value engine under the planner: get, scan, apply a batch atomically, make it durable.

#[cfg(feature = "embedded")]
mod compact;
mod files;
mod long;
mod memory;
mod rest;
#[cfg(feature = "embedded")]
mod sled;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::BlobPlace;

pub use memory::MemoryEngine;
pub(crate) use rest::Rest;
#[cfg(feature = "embedded")]
pub use sled::SledEngine;

/// Changes to be applied together: a value, or none to delete.
pub type Writes = BTreeMap<Vec<u8>, Option<Bytes>>;
/// A key and its value.
pub type Pair = (Bytes, Bytes);

/// What makes durable what was applied before it was asked for.
pub type Barrier = Box<dyn FnOnce() -> Result<(), EngineError> + Send>;

/// An engine. One thread uses it.
pub trait Engine: Send + 'static {
    /// A value.
    ///
    /// # Errors
    /// The engine failed.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// The keys from `from` up to but without `to`, in order, or in reverse order.
    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a>;

    /// Applies all of the changes or none.
    ///
    /// # Errors
    /// The engine failed. Whether they were applied is not known.
    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError>;

    /// Where the files of artifacts are. Default: in a place that goes with the process.
    fn blobs(&self) -> BlobPlace {
        BlobPlace::temporary()
    }

    /// Bytes that the disk has left; none when there is no disk, or nobody knows.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// Returns when everything that was applied is on stable storage.
    ///
    /// # Errors
    /// The engine failed. Whether it is there is not known.
    fn barrier(&mut self) -> Result<(), EngineError>;

    /// The same, for another thread to call while this one goes on: it says nothing of what is applied from now on. There is no other
    /// barrier until it has returned or was dropped. Default: none, and all that is done is done by one thread.
    fn barrier_beside(&mut self) -> Option<Barrier> {
        None
    }

    /// Makes an engine that has failed readable again, if it has ceased to be. What was applied since the last barrier may be
    /// there or not.
    ///
    /// # Errors
    /// It cannot be read any more.
    fn revive(&mut self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// The engine failed, and cannot be relied on any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {problem}")]
pub struct EngineError {
    action: &'static str,
    problem: String,
}

impl EngineError {
    /// What was tried, and what the system said.
    pub fn new(action: &'static str, problem: impl ToString) -> Self {
        Self { action, problem: problem.to_string() }
    }
}

/// Why a store cannot be opened. It is left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data directory `{}` is in use by another host{holder}\nhint: stop that one, or name another directory with \
         `--data`", directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// What is known of the other, with a space in front.
        holder: String,
    },
    /// The system did not let us.
    #[error(
        "cannot open the data directory `{}`: {problem}\nhint: name a directory that you can write to, on a disk with room",
        directory.display()
    )]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// There is none.
    #[error(
        "there is no store in `{}`\nhint: name the data directory of a host, with the folder `sled` in it", directory.display()
    )]
    Missing {
        /// The directory.
        directory: PathBuf,
    },
    /// A newer sunaba has written it.
    #[error(
        "the store has format {found}, and this host knows {known}\nhint: use the sunaba that wrote it, or a newer one"
    )]
    Newer {
        /// The format that was found.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// A sunaba from before the first release has written it.
    #[error(
        "the store has format {found}, from before the first release, and this host knows {known}\nhint: let the sunaba that \
         wrote it finish its tasks, then start with an empty directory"
    )]
    Older {
        /// The format that was found.
        found: u64,
        /// The oldest that is known.
        known: u64,
    },
    /// What is there cannot be read.
    #[error(
        "the store cannot be read: {0}\nhint: it was left as it is; keep a copy of the data directory, then restore a backup \
         into an empty one with `sunaba store restore`"
    )]
    Unreadable(String),
}

impl OpenError {
    /// What the system said of a directory.
    pub(crate) fn directory(directory: &Path, problem: &std::io::Error) -> Self {
        let (directory, problem) = (directory.to_owned(), problem.to_string());
        Self::Directory { directory, problem }
    }
}

impl From<crate::StoreError> for OpenError {
    fn from(error: crate::StoreError) -> Self {
        Self::Unreadable(error.to_string())
    }
}
