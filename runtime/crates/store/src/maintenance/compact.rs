//! Gives the disk back what deleted tasks took.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sunaba_task::format_bytes;

use super::info::size_of;
use super::{MaintenanceError, open};

/// What [`compact`] has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// Where the store is.
    pub directory: PathBuf,
    /// What the log took on the disk.
    pub before_bytes: u64,
    /// What it takes now.
    pub after_bytes: u64,
}

impl fmt::Display for Compacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (format_bytes(self.before_bytes), format_bytes(self.after_bytes));
        write!(f, "{}: the log took {before}, and takes {after}", self.directory.display())
    }
}

/// Writes the log of a store anew, without the room that deleted tasks have left in it. Needs room for both for a while;
/// a crash leaves the one or the other.
///
/// # Errors
/// A host holds the directory, there is no store, or the system did not let us. The store is as it was.
pub fn compact(directory: &Path) -> Result<Compacted, MaintenanceError> {
    let log = directory.join("sled");
    let engine = open(directory)?;
    let before_bytes = size_of(&log).1;
    engine.compact(directory).map_err(|error| MaintenanceError::system("compact", directory, &error))?;
    Ok(Compacted { directory: directory.to_owned(), before_bytes, after_bytes: size_of(&log).1 })
}
