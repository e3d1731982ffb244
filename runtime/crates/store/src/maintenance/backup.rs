//! Copies a store that no host holds into a file, and makes a store of such a file.

use std::fs;
use std::path::{Path, PathBuf};

use super::file::{Backup, Writer, read, sync_parent};
use super::{END, MaintenanceError, artifacts, body, open};
use crate::blobs::restore::Restore;
use crate::progress::Progress;
use crate::{Engine, SledEngine, SystemClock, Writes};

/// Pairs of one block, and their bytes. One pair that is larger has a block of its own.
pub(super) const BLOCK_PAIRS: usize = 1_000;
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// Copies a store into a file, which is durable and whole, or not there. What is damaged is copied as it is, and counted.
///
/// # Errors
/// A host holds the directory, there is no store, the file exists, or the system did not let us.
pub fn backup(directory: &Path, file: &Path) -> Result<Backup, MaintenanceError> {
    let mut writer = Writer::create(file)?;
    let engine = open(directory)?;
    let clock = SystemClock::new();
    let mut progress = Progress::new(&clock, "values copied");
    let (mut block, mut bytes) = (Writes::new(), 0);
    for pair in engine.scan(&[], END, false) {
        let (key, value) = pair?;
        progress.add();
        if has_head(&key) && body(&key, &value).is_err() {
            writer.note_damaged();
        }
        bytes += key.len() + value.len();
        block.insert(key.to_vec(), Some(value));
        if block.len() >= BLOCK_PAIRS || bytes >= BLOCK_BYTES {
            writer.block(&std::mem::take(&mut block))?;
            bytes = 0;
        }
    }
    writer.block(&block)?;
    artifacts::back_up(&directory.join("blobs"), artifacts::wanted(&engine), &mut writer)?;
    writer.finish()
}

/// Whether values of this kind surely have a checksum: a place in an index has the id of its task at most, and of what this
/// version does not know nobody can say.
fn has_head(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| b"fshtioalvkubeQHrpncwSAmyjJPTGDEUWCZYLOV".contains(kind))
}

/// Makes a store of a backup. The whole of it is verified first; the directory is there when all is durable, or as it was.
/// When the store is opened, whatever ran has lost its host, as after a crash. Files of artifacts that the backup does not have as
/// they were are left out, and counted.
///
/// # Errors
/// The backup is damaged, the directory is not empty, or the system did not let us.
pub fn restore(file: &Path, directory: &Path) -> Result<Backup, MaintenanceError> {
    let mut verified = read(file, |_| Ok(()))?;
    let failed = |error: std::io::Error| MaintenanceError::system("restore into", directory, &error);
    match fs::read_dir(directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(MaintenanceError::NotEmpty(directory.to_owned()));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let directory = &std::path::absolute(directory).map_err(failed)?;
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let partial = Partial::beside(directory);
    let mut engine = SledEngine::open(&partial.0)?;
    let mut files = Restore::into(partial.0.join("blobs"));
    let clock = SystemClock::new();
    let mut progress = Progress::new(&clock, "values restored");
    read(file, |block| {
        block.keys().for_each(|_| progress.add());
        let block = artifacts::restore_files(block, &mut files).map_err(failed)?;
        Ok(engine.apply(&block)?)
    })?;
    files.finish().map_err(failed)?;
    engine.barrier()?;
    artifacts::left_out(&partial.0.join("blobs"), &engine, |digest| verified.leave_out(digest))?;
    drop(engine);
    // Over an empty directory it can be renamed, and over no other.
    fs::rename(&partial.0, directory).and_then(|()| sync_parent(directory)).map_err(failed)?;
    Ok(verified)
}

/// The directory under the name that it has until it is whole.
struct Partial(PathBuf);

impl Partial {
    fn beside(directory: &Path) -> Self {
        let mut name = directory.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:08x}.partial", fastrand::u32(..)));
        Self(directory.with_file_name(name))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Under its own name it is not there any more.
        let _ = fs::remove_dir_all(&self.0);
    }
}
