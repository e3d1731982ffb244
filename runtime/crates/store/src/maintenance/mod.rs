//! What can be done with a data directory that no host holds: say what is in it, verify it, back it up, restore it,
//! make it small.
//!
//! The engine is opened and nothing above it: no lease is taken back, and no record changes. sled itself mends its log
//! when it is opened, as at every start. A directory that a host holds is refused.

mod artifacts;
mod backup;
mod compact;
mod file;
mod info;
mod links;
mod online;
mod schedules;
mod verify;
mod webhooks;

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::planner::check_format;
use crate::{Engine, EngineError, OpenError, Pair, SledEngine, StoreError, keys};

pub use backup::{backup, restore};
pub use compact::{Compacted, compact};
pub use file::Backup;
pub use info::{Info, LastOpened, info};
pub(crate) use online::{Copying, MAX_PARTS, write_parts};
pub use verify::{KindCount, MAX_PROBLEMS, Problem, Report, SetAsideRecord, verify};

/// No key is this or beyond.
const END: &[u8] = &[u8::MAX];

/// Why a store could not be looked at, backed up or restored. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaintenanceError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system did not let us.
    #[error("cannot {action} `{}`: {problem}", path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// There is a file already.
    #[error("`{}` exists already\nhint: name a file that does not exist; no backup is ever overwritten", .0.display())]
    Exists(PathBuf),
    /// The directory to restore into has something in it.
    #[error("`{}` is not empty\nhint: restore into a directory that is empty or does not exist", .0.display())]
    NotEmpty(PathBuf),
    /// It is no backup, or one that is damaged.
    #[error("the backup `{}` cannot be used: {problem}\nhint: use another backup; nothing was restored", file.display())]
    Damaged {
        /// The backup.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl MaintenanceError {
    fn system(action: &'static str, path: &Path, problem: &std::io::Error) -> Self {
        Self::System { action, path: path.to_owned(), problem: problem.to_string() }
    }
}

impl From<EngineError> for MaintenanceError {
    fn from(error: EngineError) -> Self {
        Self::Store(error.into())
    }
}

/// The engine of a directory that has a store which this version can read.
fn open(directory: &Path) -> Result<SledEngine, MaintenanceError> {
    let engine = SledEngine::open_existing(directory)?;
    match engine.get(keys::FORMAT)? {
        Some(stored) => check_format(&stored)?,
        None => return Err(OpenError::Missing { directory: directory.to_owned() }.into()),
    }
    Ok(engine)
}

/// All pairs of a kind.
fn pairs(engine: &dyn Engine, kind: u8) -> impl Iterator<Item = Result<Pair, EngineError>> {
    let (first, end) = keys::all(kind);
    engine.scan(&first, &end, false)
}

/// A key as people can read it: its kind, and the rest in hexadecimal digits.
fn name_of(key: &[u8]) -> String {
    let rest = key.get(1..).unwrap_or_default();
    let letter = key.first().copied().filter(u8::is_ascii_graphic).map_or('?', char::from);
    rest.iter().fold(format!("{letter}:"), |name, byte| name + &format!("{byte:02x}"))
}

/// A value's own bytes, or what is wrong with them.
fn body(key: &[u8], value: &Bytes) -> Result<Bytes, StoreError> {
    crate::codec::read_bytes(key, value)
}
