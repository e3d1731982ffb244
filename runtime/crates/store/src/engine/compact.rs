//! Writes sled's log anew. sled uses the room of what was deleted again, and never gives it back: its file stays as large
//! as it has once been.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::sled::{SledEngine, open_tree};

/// Bytes of one batch.
const BATCH_BYTES: usize = 1 << 20;

impl SledEngine {
    /// Copies what there is into a new log, and puts that in the place of the old one: a crash leaves one or the other.
    pub(crate) fn compact(self, directory: &Path) -> io::Result<()> {
        let (old, new) = (directory.join("sled"), directory.join("sled.new"));
        if new.exists() {
            // Left by a crash: half of a new log, or the old one, of which there is a whole copy.
            fs::remove_dir_all(&new)?;
        }
        let copied = self.copy_tree(&new);
        // Nobody uses the directory until this one returns.
        let _lock = self.close();
        let swapped = copied.and_then(|()| Ok(renameat_with(CWD, &new, CWD, &old, RenameFlags::EXCHANGE)?));
        let durable = swapped.and_then(|()| File::open(directory)?.sync_all());
        // The new log that could not be made, or the old one.
        fs::remove_dir_all(&new)?;
        durable
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
