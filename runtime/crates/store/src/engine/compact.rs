//! Writes sled's log anew. sled uses the room of what was deleted again, and never gives it back: its file stays as large
//! as it has once been.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::sled::{SledEngine, open_tree};
use super::{Engine as _, OpenError};
use crate::progress;

/// Bytes of one batch.
const BATCH_BYTES: usize = 1 << 20;
/// A smaller log is not worth it.
const MIN_LOG_BYTES: u64 = 32 << 20;
/// A log is sparse when less than one part in so many is in use.
const SPARSE: u64 = 4;

impl SledEngine {
    /// Opens a data directory as [`open`](Self::open) does, and first writes its log anew if that is large and most of it is
    /// room that deleted tasks have left. If that cannot be done, the log stays as it is.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_compacted(directory: &Path) -> Result<Self, OpenError> {
        let engine = Self::open(directory)?;
        if let Err(error) = remove_left(directory) {
            tracing::warn!(%error, "a log that a crash has left takes room in the data directory");
        }
        if !engine.is_sparse() {
            return Ok(engine);
        }
        progress::tell("most of the log is room that deleted tasks have left, and it is written anew");
        if let Err(error) = engine.compact(directory) {
            tracing::warn!(%error, "the log could not be written anew, and stays as large as it is");
        }
        Self::open(directory)
    }

    fn is_sparse(&self) -> bool {
        let log_bytes = self.log_bytes().unwrap_or(0);
        let has_room = self.free_bytes().is_none_or(|free| free > log_bytes);
        if log_bytes < MIN_LOG_BYTES || !has_room {
            return false;
        }
        let mut used = 0;
        // Of a log that is not sparse a part is looked at.
        for pair in self.tree().iter() {
            let Ok((key, value)) = pair else { return false };
            used += (key.len() + value.len()) as u64;
            if used * SPARSE >= log_bytes {
                return false;
            }
        }
        true
    }

    /// Copies what there is into a new log, and puts that in the place of the old one: a crash leaves one or the other.
    pub(crate) fn compact(self, directory: &Path) -> io::Result<()> {
        let (old, new) = (directory.join("sled"), directory.join("sled.new"));
        remove_left(directory)?;
        let copied = self.copy_tree(&new);
        // Nobody uses the directory until this one returns.
        let _lock = self.close();
        let swapped = copied.and_then(|()| Ok(renameat_with(CWD, &new, CWD, &old, RenameFlags::EXCHANGE)?));
        if swapped.is_ok() {
            // Until it is durable that they have changed places, a crash may bring the old one back.
            File::open(directory)?.sync_all()?;
        }
        // The new log that could not be made, or the old one.
        remove_left(directory)?;
        swapped
    }

    fn copy_tree(&self, new: &Path) -> io::Result<()> {
        let tree = open_tree(new)?;
        let (mut batch, mut bytes) = (sled::Batch::default(), 0);
        for pair in self.tree().iter() {
            let (key, value) = pair?;
            bytes += key.len() + value.len();
            batch.insert(key, value);
            if bytes >= BATCH_BYTES {
                tree.apply_batch(std::mem::take(&mut batch))?;
                tree.flush()?;
                bytes = 0;
            }
        }
        tree.apply_batch(batch)?;
        tree.flush()?;
        // Closing may write, too.
        drop(tree);
        for entry in fs::read_dir(new)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(new)?.sync_all()
    }
}

/// Removes what stands beside the log: half of a new one, or the old one, of which there is a whole copy. Which of them is
/// the log must be durable.
fn remove_left(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory.join("sled.new")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writes;

    #[test]
    fn log_that_a_crash_has_left_behind_goes_at_the_next_start() {
        let directory = std::env::temp_dir().join(format!("sunaba-compact-{:016x}", fastrand::u64(..)));
        let mut engine = SledEngine::open(&directory).expect("it is free");
        let writes = Writes::from([(crate::keys::FORMAT.to_vec(), Some("format".into()))]);
        engine.apply(&writes).and_then(|()| engine.barrier()).expect("the disk works");
        drop(engine);
        let old = directory.join("sled.new");
        fs::create_dir(&old).and_then(|()| fs::write(old.join("db"), "the old log")).expect("written");
        let engine = SledEngine::open_compacted(&directory).expect("it is free");
        assert!(!old.exists());
        assert_eq!(engine.get(crate::keys::FORMAT).expect("the disk works"), Some("format".into()));
        drop(engine);
        fs::remove_dir_all(&directory).expect("removed");
    }
}
