//! Values that are too large for the tree, a file each.
//!
//! A file is named by its key and a number, so that a new value never overwrites the old one: the tree says which of
//! them is the value. A file is durable before the tree refers to it, and goes after the tree has ceased to.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

/// How often, and after how long, what a shortage has prevented is tried again.
pub(super) const TRIES: u32 = 20;
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// A folder of values.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// No file has this number.
    next: u64,
    /// Files that nothing refers to after the next barrier.
    forgotten: Vec<PathBuf>,
    /// Whether the folder itself has changed.
    unsynced: bool,
}

impl Files {
    /// Opens the folder `files` in this directory. What `is_value` does not know goes to the folder `lost` beside it: a crash
    /// came between it and the tree, or the tree has lost something, and then it may be all that is left.
    pub(super) fn open(directory: &Path, is_value: impl Fn(&[u8], u64) -> io::Result<bool>) -> io::Result<Self> {
        let (folder, lost) = (directory.join("files"), directory.join("lost"));
        fs::create_dir_all(&folder)?;
        let mut next = 1;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let named = parse(&entry.file_name().to_string_lossy());
            next = next.max(named.as_ref().map_or(0, |(_, number)| *number) + 1);
            let known = named.map(|(key, number)| is_value(&key, number)).transpose()?;
            if known != Some(true) {
                tracing::warn!(file = %entry.path().display(), "no task knows of a value's file; it is kept in `lost`");
                fs::create_dir_all(&lost)?;
                fs::rename(entry.path(), lost.join(entry.file_name()))?;
            }
        }
        let mut files = Self { folder, next, forgotten: Vec::new(), unsynced: true };
        files.sync()?;
        Ok(files)
    }

    /// Writes a value; gives its file's number. Durable after `sync`.
    pub(super) fn write(&mut self, key: &[u8], value: &[u8]) -> io::Result<u64> {
        let number = self.next;
        self.next += 1;
        let path = self.path(key, number);
        let written = patiently(|| File::create_new(&path)).and_then(|mut file| {
            file.write_all(value)?;
            file.sync_all()
        });
        if written.is_err() {
            // It takes room that may be all that is missing.
            let _ = fs::remove_file(&path);
        }
        self.unsynced = true;
        written.map(|()| number)
    }

    /// The value in the file of this number.
    pub(super) fn read(&self, key: &[u8], number: u64) -> io::Result<Bytes> {
        patiently(|| fs::read(self.path(key, number))).map(Bytes::from)
    }

    /// The file of this number can go after the next barrier.
    pub(super) fn forget(&mut self, key: &[u8], number: u64) {
        self.forgotten.push(self.path(key, number));
    }

    /// Makes the names of new files durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            patiently(|| File::open(&self.folder))?.sync_all()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// What nothing refers to once all is durable that was applied so far: to be [removed](remove) then.
    pub(super) fn take_forgotten(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.forgotten)
    }

    fn path(&self, key: &[u8], number: u64) -> PathBuf {
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{key}-{number}"))
    }
}

/// Removes files that nothing refers to.
pub(super) fn remove(forgotten: Vec<PathBuf>) {
    for path in forgotten {
        if let Err(error) = fs::remove_file(&path) {
            // It only takes room, until the next open.
            tracing::warn!(file = %path.display(), %error, "cannot remove a value's file");
        }
    }
}

/// Whether it was a shortage of the moment.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| shortages.iter().any(|errno| errno.raw_os_error() == code))
}

/// Tries again for a while what a shortage of the moment has prevented: for the store it would be the end.
fn patiently<T>(mut action: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..TRIES {
        match action() {
            Err(error) if is_shortage(&error) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    action()
}

fn parse(name: &str) -> Option<(Vec<u8>, u64)> {
    let (key, number) = name.split_once('-')?;
    let bytes = (0..key.len()).step_by(2).map(|at| u8::from_str_radix(key.get(at..at + 2)?, 16).ok());
    Some((bytes.collect::<Option<Vec<u8>>>()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_reads_back_and_an_old_one_goes_only_after_the_barrier() {
        let folder = std::env::temp_dir().join(format!("sunaba-files-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let mut files = Files::open(&folder, |_, _| Ok(true)).expect("a folder");
        let old = files.write(b"k", b"old").expect("written");
        let new = files.write(b"k", b"new").expect("written");
        files.forget(b"k", old);
        assert_eq!(files.read(b"k", old).expect("not gone yet"), "old");
        remove(files.take_forgotten());
        assert!(files.read(b"k", old).is_err());
        assert_eq!(files.read(b"k", new).expect("there"), "new");

        fs::write(folder.join("files/not a value"), "x").expect("written");
        let mut files = Files::open(&folder, |key, number| Ok(key == b"k" && number == new)).expect("a folder");
        assert_eq!(fs::read_dir(folder.join("files")).expect("a folder").count(), 1);
        assert_eq!(fs::read(folder.join("lost/not a value")).expect("it is kept"), b"x");
        assert_ne!(files.write(b"k", b"newest").expect("written"), new);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
