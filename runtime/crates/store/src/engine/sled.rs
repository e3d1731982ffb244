//! sled 0.34 on disk, with the care that it needs.
//!
//! - Its `flush` is no barrier: on Linux it calls `sync_file_range`, after which a power cut can take everything. So every
//!   barrier here is `flush` and then `fdatasync` of sled's file by us.
//! - A full disk leaves empty `snap.*.generating` files behind, over which the next open fails. They are removed first.
//! - Values over 64 KiB go to files of their own.
//! - One thread uses it, and never `flush_async`, which can deadlock.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::files::Files;
use super::{Engine, EngineError, OpenError, Pair, Writes};

/// A flush writes at least a segment. Set when a store is made; sled keeps it.
const SEGMENT_BYTES: usize = 128 << 10;
/// sled's cache.
const CACHE_BYTES: u64 = 64 << 20;
/// Longer values go to files.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// The first byte of every value: whether it stands here or in a file.
const HERE: u8 = 0;
const IN_FILE: u8 = 1;

/// A data directory, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct SledEngine {
    tree: sled::Db,
    /// sled's own file, opened once more for `fdatasync`.
    log: File,
    files: Files,
    /// Last: the directory is given back when all else is closed.
    _lock: Lock,
}

impl SledEngine {
    /// Opens a data directory, or makes it.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, the system did not let us, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let failed = |problem: &dyn ToString| OpenError::Directory {
            directory: directory.to_owned(),
            problem: problem.to_string(),
        };
        // Inputs and results are nobody else's business.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| failed(&error))?;
        let lock = Lock::take(directory)?;
        let database = directory.join("sled");
        remove_empty_snapshots(&database).map_err(|error| failed(&error))?;
        let tree = sled::Config::new()
            .path(&database)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(|error| OpenError::Unreadable(error.to_string()))?;
        let log = File::open(database.join("db")).map_err(|error| failed(&error))?;
        let files = Files::open(&directory.join("files"), |key, file| is_value_of(&tree, key, file))
            .map_err(|error| failed(&error))?;
        let engine = Self { tree, log, files, _lock: lock };
        engine.sync_all(directory, &database).map_err(|error| failed(&error))?;
        Ok(engine)
    }

    /// Makes durable what opening may have made: sled syncs none of it.
    fn sync_all(&self, directory: &Path, database: &Path) -> std::io::Result<()> {
        self.log.sync_all()?;
        File::open(database.join("conf"))?.sync_all()?;
        for folder in [&database.join("blobs"), database, directory] {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn value(&self, key: &[u8], stored: &[u8]) -> Result<Bytes, EngineError> {
        match stored.split_first() {
            Some((&HERE, value)) => Ok(Bytes::copy_from_slice(value)),
            Some((&IN_FILE, file)) => {
                self.files.read(key, file).map_err(|error| EngineError::new("cannot read a value's file", error))
            }
            _ => Err(EngineError::new("cannot read a value", "it begins with an unknown byte")),
        }
    }
}

/// Whether the tree's value of this key is in this file.
fn is_value_of(tree: &sled::Db, key: &[u8], file: &[u8]) -> bool {
    let stored = tree.get(key).ok().flatten();
    stored.is_some_and(|stored| stored.split_first() == Some((&IN_FILE, file)))
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let stored = self.tree.get(key).map_err(|error| EngineError::new("cannot read a value", error))?;
        stored.map(|stored| self.value(key, &stored)).transpose()
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        let range = self.tree.range(from.to_vec()..to.to_vec());
        let read = |pair: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, stored) = pair.map_err(|error| EngineError::new("cannot scan", error))?;
            let value = self.value(&key, &stored)?;
            Ok((Bytes::copy_from_slice(&key), value))
        };
        if reverse { Box::new(range.rev().map(read)) } else { Box::new(range.map(read)) }
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) if value.len() > MAX_VALUE_BYTES => {
                    // Durable before anything refers to it. What nothing refers to goes at the next open.
                    let file = self
                        .files
                        .write(key, value)
                        .map_err(|error| EngineError::new("cannot write a value's file", error))?;
                    batch.insert(key.as_slice(), tagged(IN_FILE, &file));
                }
                Some(value) => {
                    self.files.forget(key);
                    batch.insert(key.as_slice(), tagged(HERE, value));
                }
                None => {
                    self.files.forget(key);
                    batch.remove(key.as_slice());
                }
            }
        }
        self.files.sync().map_err(|error| EngineError::new("cannot write a value's file", error))?;
        self.tree.apply_batch(batch).map_err(|error| EngineError::new("cannot write", error))
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.tree.flush().map_err(|error| EngineError::new("cannot flush", error))?;
        self.log.sync_data().map_err(|error| EngineError::new("cannot sync", error))?;
        // Only now can no value be found any more that was in them.
        self.files.remove_forgotten();
        Ok(())
    }
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(value.len() + 1);
    tagged.push(tag);
    tagged.extend_from_slice(value);
    tagged
}

fn remove_empty_snapshots(database: &Path) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(database) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") && entry.metadata()?.len() == 0 {
            tracing::warn!(file = %entry.path().display(), "removed an empty snapshot, left by a disk that was full");
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A lock on the data directory. The system gives it back when the process ends, however that is.
#[derive(Debug)]
struct Lock {
    _file: File,
}

impl Lock {
    fn take(directory: &Path) -> Result<Self, OpenError> {
        let path: PathBuf = directory.join("lock");
        let failed = |error: std::io::Error| OpenError::Directory {
            directory: directory.to_owned(),
            problem: error.to_string(),
        };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only to say who it is: whatever cannot be read is left out.
                let _ = file.take(32).read_to_string(&mut holder);
                let holder = holder.trim().parse::<u32>().map(|pid| format!(" (process {pid})")).unwrap_or_default();
                return Err(OpenError::InUse { directory: directory.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
