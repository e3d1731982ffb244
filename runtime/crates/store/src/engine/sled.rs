//! sled 0.34 on disk, with the care that it needs.
//!
//! - Its `flush` is no barrier: on Linux it calls `sync_file_range`, after which a power cut can take everything. So every
//!   barrier here is `flush` and then `fdatasync` of sled's file by us.
//! - What is too large for its log it puts into `blobs/`, which nobody syncs: after a power cut it cannot even be opened. So
//!   nothing may become that large. A page of up to 16 values is one message of its log, and the largest message has a
//!   quarter of a segment: values have at most [`MAX_VALUE_BYTES`]. Longer ones are cut into pieces under keys of their
//!   own, and the longest are files.
//! - A full disk or a crash leaves half of a `snap.*.generating` behind, or of `conf` where there is nothing else yet, over
//!   which the next open fails. They are removed first.
//! - It panics over what it cannot read.
//! - One thread uses it, and never `flush_async`, which can deadlock; but for `flush`, which another may call meanwhile.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use sunaba_task::format_bytes;

use super::files::{self, Files, PAUSE, TRIES, is_shortage};
use super::long::Long;
use super::{Barrier, Engine, EngineError, OpenError, Pair, Writes};
use crate::{BlobPlace, keys, progress};

/// A flush writes at least a segment. Set when a store is made; sled keeps it.
const SEGMENT_BYTES: usize = 128 << 10;
/// sled's cache, by the bytes of its log; what it holds takes about twice as much.
const CACHE_BYTES: u64 = 24 << 20;
/// Sixteen of these, ten more that a page may have gathered since, and their keys are below a quarter of a segment.
const MAX_VALUE_BYTES: usize = 768;
/// Recovering a log of this size takes a second or more.
const LARGE_LOG_BYTES: u64 = 256 << 20;
/// Longer values are files.
const MAX_CUT_BYTES: usize = 64 << 10;

/// The first byte of every key: whether it has a value or a piece of one.
const VALUE: u8 = 0;
const PIECE: u8 = 1;
/// The first byte of every value: whether it stands here, in so many pieces, or in the file of this number.
const HERE: u8 = 0;
const IN_PIECES: u8 = 1;
const IN_FILE: u8 = 2;

/// A data directory, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct SledEngine {
    /// None only while it is opened anew.
    tree: Option<sled::Db>,
    /// Where that is.
    database: PathBuf,
    /// sled's own file, opened once more for `fdatasync`.
    log: Arc<File>,
    files: Files,
    long: Long,
    /// Holds what is being made.
    scratch: Vec<u8>,
    /// Last: the directory is given back when all else is closed.
    lock: Lock,
}

/// Where a value is, as its key has it.
enum Stored<'a> {
    Here(&'a [u8]),
    Pieces(u16),
    File(u64),
}

impl<'a> Stored<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            HERE => Some(Self::Here(rest)),
            IN_PIECES => Some(Self::Pieces(u16::from_be_bytes(rest.try_into().ok()?))),
            IN_FILE => Some(Self::File(u64::from_be_bytes(rest.try_into().ok()?))),
            _ => None,
        }
    }
}

fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(value.len() + 1);
    tagged.push(tag);
    tagged.extend_from_slice(value);
    tagged
}

fn piece_key(key: &[u8], index: u16) -> Vec<u8> {
    let mut piece = tagged(PIECE, key);
    piece.extend_from_slice(&index.to_be_bytes());
    piece
}

impl SledEngine {
    /// Opens a data directory that has a store, and makes none.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is none.
    pub fn open_existing(directory: &Path) -> Result<Self, OpenError> {
        match fs::metadata(directory.join("sled/db")) {
            Ok(_) => Self::open(directory),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(OpenError::Missing { directory: directory.to_owned() })
            }
            Err(error) => Err(OpenError::directory(directory, &error)),
        }
    }

    /// Opens a data directory, or makes it.
    ///
    /// # Errors
    /// [`OpenError`]: another process has it, the system did not let us, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let failed = |problem: std::io::Error| OpenError::directory(directory, &problem);
        // Inputs and results are nobody else's business.
        let is_new = !directory.exists();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        make_private(directory);
        let lock = Lock::take(directory)?;
        let database = directory.join("sled");
        remove_unfinished(&database).map_err(failed)?;
        tell_if_large(&database);
        let tree = open_tree(&database).map_err(|error| match error {
            sled::Error::Io(problem) => failed(problem),
            other => OpenError::Unreadable(other.to_string()),
        })?;
        let log = File::open(database.join("db")).map_err(failed)?;
        // sled syncs none of what opening has made or mended. Until that is done, no file may go.
        log.sync_all().map_err(failed)?;
        let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        sync(&database.join("conf")).and_then(|()| sync(&database)).map_err(failed)?;
        if !tree.is_empty() && !tree.contains_key(tagged(VALUE, keys::FORMAT)).unwrap_or(true) {
            return Err(OpenError::Unreadable("it is of another format, or was not made by sunaba".into()));
        }
        let long = RefCell::new(Long::new());
        let files = Files::open(directory, |key, number| {
            long.borrow_mut().note_kind(key);
            let stored = tree.get(tagged(VALUE, key)).map_err(std::io::Error::other)?;
            Ok(matches!(stored.as_deref().and_then(Stored::read), Some(Stored::File(found)) if found == number))
        });
        let files = files.map_err(failed)?;
        sync(directory).map_err(failed)?;
        if is_new {
            let above = directory.canonicalize().map_err(failed)?;
            above.parent().map_or(Ok(()), sync).map_err(failed)?;
        }
        let mut long = long.into_inner();
        note_cut(&tree, &mut long).map_err(|error| OpenError::Unreadable(error.to_string()))?;
        let log = Arc::new(log);
        Ok(Self { files, long, scratch: Vec::new(), tree: Some(tree), database, log, lock })
    }

    pub(super) fn tree(&self) -> &sled::Db {
        self.tree.as_ref().expect("whoever has closed it has opened it again, or the engine is not used any more")
    }

    /// The size of the log's file; none when the system does not say.
    pub(super) fn log_bytes(&self) -> Option<u64> {
        self.log.metadata().ok().map(|metadata| metadata.len())
    }

    /// Closes all but the directory.
    pub(super) fn close(self) -> Lock {
        self.lock
    }

    fn value(&self, key: &[u8], stored: &[u8]) -> Result<Bytes, EngineError> {
        let failed = |error: &dyn ToString| EngineError::new("cannot read a value", error.to_string());
        match Stored::read(stored) {
            Some(Stored::Here(value)) => Ok(Bytes::copy_from_slice(value)),
            Some(Stored::Pieces(count)) => {
                let mut value = Vec::with_capacity(usize::from(count) * MAX_VALUE_BYTES);
                for index in 0..count {
                    let piece = self.tree().get(piece_key(key, index)).map_err(|error| failed(&error))?;
                    // A piece that is missing makes the checksum wrong.
                    value.extend_from_slice(&piece.unwrap_or_default());
                }
                Ok(value.into())
            }
            Some(Stored::File(number)) => match self.files.read(key, number) {
                Ok(value) => Ok(value),
                Err(error) if is_shortage(&error) => Err(failed(&error)),
                // It says something of this one value only; an empty one is whole to nobody.
                Err(error) => {
                    tracing::error!(%error, "a value's file cannot be read");
                    Ok(Bytes::new())
                }
            },
            // Nobody can read that either, but whoever sets it aside has all of it.
            None => Ok(Bytes::copy_from_slice(stored)),
        }
    }

    /// Has what a key's old value takes besides the key itself removed.
    fn forget(&mut self, key: &[u8], batch: &mut sled::Batch) -> Result<(), EngineError> {
        if !self.long.may_be(key) {
            return Ok(());
        }
        let old =
            self.tree().get(tagged(VALUE, key)).map_err(|error| EngineError::new("cannot read a value", error))?;
        match old.as_deref().and_then(Stored::read) {
            Some(Stored::Pieces(count)) => (0..count).for_each(|index| batch.remove(piece_key(key, index))),
            Some(Stored::File(number)) => self.files.forget(key, number),
            Some(Stored::Here(_)) | None => {}
        }
        Ok(())
    }
}

/// Notes of which kinds there are values in pieces: a look for each kind, however many there are.
fn note_cut(tree: &sled::Db, long: &mut Long) -> sled::Result<()> {
    let mut from = vec![PIECE];
    while let Some(found) = tree.range(from..vec![PIECE + 1]).next() {
        let (piece, _) = found?;
        long.note_kind(&piece[1..]);
        let Some(next) = piece.get(1).and_then(|kind| kind.checked_add(1)) else { break };
        from = vec![PIECE, next];
    }
    Ok(())
}

/// Takes a directory that was there before from everybody else.
fn make_private(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let is_open = fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if is_open && let Err(error) = fs::set_permissions(directory, fs::Permissions::from_mode(0o700)) {
        tracing::warn!(%error, "the data directory can be read by others");
    }
}

/// sled reads its log from where its last snapshot ends, and says nothing meanwhile.
fn tell_if_large(database: &Path) {
    let size_bytes = fs::metadata(database.join("db")).map_or(0, |metadata| metadata.len());
    if size_bytes >= LARGE_LOG_BYTES {
        progress::tell(format_args!("recovering the log, {}", format_bytes(size_bytes)));
    }
}

/// Opens sled's database, which panics over what it cannot read.
pub(super) fn open_tree(database: &Path) -> sled::Result<sled::Db> {
    let config =
        sled::Config::new().path(database).segment_size(SEGMENT_BYTES).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let open = || {
        std::panic::catch_unwind(AssertUnwindSafe(|| config.open()))
            .unwrap_or_else(|_| Err(sled::Error::Unsupported("sled panicked over what it found".into())))
    };
    for _ in 0..TRIES {
        match open() {
            // We have the directory: it is this process's own threads that still cut the file of the one before.
            Err(sled::Error::Io(error)) if is_locked(&error) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    open()
}

/// sled has no kind for it, and says it in a text.
fn is_locked(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

impl Engine for SledEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let stored =
            self.tree().get(tagged(VALUE, key)).map_err(|error| EngineError::new("cannot read a value", error))?;
        stored.map(|stored| self.value(key, &stored)).transpose()
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        let range = self.tree().range(tagged(VALUE, from)..tagged(VALUE, to));
        let read = |pair: sled::Result<(sled::IVec, sled::IVec)>| {
            let (key, stored) = pair.map_err(|error| EngineError::new("cannot scan", error))?;
            let key = Bytes::copy_from_slice(&key[1..]);
            let value = self.value(&key, &stored)?;
            Ok((key, value))
        };
        if reverse { Box::new(range.rev().map(read)) } else { Box::new(range.map(read)) }
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        let mut scratch = std::mem::take(&mut self.scratch);
        // Made in a buffer that is there: a vector for each would be copied into a place of its own once more.
        let mut make = |tag: u8, bytes: &[u8]| {
            scratch.clear();
            scratch.push(tag);
            scratch.extend_from_slice(bytes);
            sled::IVec::from(scratch.as_slice())
        };
        for (key, value) in writes {
            self.forget(key, &mut batch)?;
            if value.as_ref().is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
                self.long.note(key);
            }
            let stored = match value {
                None => {
                    batch.remove(make(VALUE, key));
                    continue;
                }
                Some(value) if value.len() <= MAX_VALUE_BYTES => make(HERE, value),
                Some(value) if value.len() <= MAX_CUT_BYTES => {
                    let mut count = 0_u16;
                    for piece in value.chunks(MAX_VALUE_BYTES) {
                        batch.insert(piece_key(key, count), piece);
                        count += 1;
                    }
                    make(IN_PIECES, &count.to_be_bytes())
                }
                Some(value) => {
                    // Durable before anything refers to it.
                    let number = self.files.write(key, value);
                    let number = number.map_err(|error| EngineError::new("cannot write a value's file", error))?;
                    make(IN_FILE, &number.to_be_bytes())
                }
            };
            batch.insert(make(VALUE, key), stored);
        }
        self.scratch = scratch;
        self.files.sync().map_err(|error| EngineError::new("cannot write a value's file", error))?;
        self.tree().apply_batch(batch).map_err(|error| EngineError::new("cannot write", error))
    }

    fn blobs(&self) -> BlobPlace {
        BlobPlace::in_directory(self.database.parent().unwrap_or(&self.database))
    }

    fn free_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::fstatvfs(&*self.log).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        let forgotten = self.files.take_forgotten();
        make_durable(self.tree(), &self.log, forgotten)
    }

    fn barrier_beside(&mut self) -> Option<Barrier> {
        let (tree, log, forgotten) = (self.tree().clone(), Arc::clone(&self.log), self.files.take_forgotten());
        Some(Box::new(move || make_durable(&tree, &log, forgotten)))
    }

    /// After an error of the disk sled answers no read any more, until it is opened anew.
    fn revive(&mut self) -> Result<(), EngineError> {
        self.tree = None;
        let tree = open_tree(&self.database).map_err(|error| EngineError::new("cannot open the log anew", error))?;
        self.tree = Some(tree);
        Ok(())
    }
}

fn make_durable(tree: &sled::Db, log: &File, forgotten: Vec<PathBuf>) -> Result<(), EngineError> {
    tree.flush().map_err(|error| EngineError::new("cannot flush", error))?;
    log.sync_data().map_err(|error| EngineError::new("cannot sync", error))?;
    // Only now can no value be found any more that was in them.
    files::remove(forgotten);
    Ok(())
}

/// Removes what sled was writing when it was ended. It writes its snapshot and its settings in several steps, and refuses
/// to open over half of one.
fn remove_unfinished(database: &Path) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(database) else { return Ok(()) };
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    for entry in &entries {
        // It has another name once it is whole, and the one before it is there until then.
        if name(entry).starts_with("snap.") && name(entry).ends_with(".generating") {
            tracing::warn!(file = %entry.path().display(), "removed a snapshot that was never finished");
            fs::remove_file(entry.path())?;
        }
    }
    // Its log is made after its settings: without one there was never anything in it.
    let is_new = !entries.iter().any(|entry| name(entry) == "db" || name(entry).starts_with("snap."));
    if is_new && entries.iter().any(|entry| name(entry) == "conf") {
        tracing::warn!(directory = %database.display(), "removed the settings of a store that was never made");
        fs::remove_file(database.join("conf"))?;
    }
    Ok(())
}

/// A lock on the data directory. The system gives it back when the process ends, however that is.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    fn take(directory: &Path) -> Result<Self, OpenError> {
        let failed = |error: std::io::Error| OpenError::directory(directory, &error);
        let mut options = File::options();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(directory.join("lock")).map_err(failed)?;
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
