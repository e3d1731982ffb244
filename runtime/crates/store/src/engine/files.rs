//! Values that are too large for the tree, a file each.
//!
//! A file is named by its key and a number, so that a new value never overwrites the old one: the tree says which of
//! them is the value. A file is durable before the tree refers to it, and goes after the tree has ceased to.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// A folder of values.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// The number of each key's file.
    numbers: HashMap<Vec<u8>, u64>,
    next: u64,
    /// Files that nothing refers to after the next barrier.
    forgotten: Vec<PathBuf>,
    /// Whether the folder itself has changed.
    unsynced: bool,
}

impl Files {
    /// Opens the folder, and removes the files that `is_value` does not know: a crash came between them and the tree.
    pub(super) fn open(folder: &Path, is_value: impl Fn(&[u8], &[u8]) -> bool) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut files =
            Self { folder: folder.to_owned(), numbers: HashMap::new(), next: 1, forgotten: Vec::new(), unsynced: true };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match parse(&entry.file_name().to_string_lossy()) {
                Some((key, number)) if is_value(&key, &number.to_be_bytes()) => {
                    files.next = files.next.max(number + 1);
                    files.numbers.insert(key, number);
                }
                _ => fs::remove_file(entry.path())?,
            }
        }
        files.sync()?;
        Ok(files)
    }

    /// Writes a value; gives what the tree shall have instead of it. Durable after `sync`.
    pub(super) fn write(&mut self, key: &[u8], value: &[u8]) -> io::Result<[u8; 8]> {
        let number = self.next;
        self.next += 1;
        let path = self.path(key, number);
        let mut file = File::create_new(&path)?;
        file.write_all(value)?;
        file.sync_all()?;
        self.forget(key);
        self.numbers.insert(key.to_vec(), number);
        self.unsynced = true;
        Ok(number.to_be_bytes())
    }

    /// The value for which the tree has this.
    pub(super) fn read(&self, key: &[u8], file: &[u8]) -> io::Result<Bytes> {
        let number = file.try_into().map_err(|_| io::Error::new(ErrorKind::InvalidData, "no number of a file"))?;
        fs::read(self.path(key, u64::from_be_bytes(number))).map(Bytes::from)
    }

    /// The key's file, if it has one, can go after the next barrier.
    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(number) = self.numbers.remove(key) {
            self.forgotten.push(self.path(key, number));
        }
    }

    /// Makes the names of new files durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            File::open(&self.folder)?.sync_all()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Removes what was forgotten.
    pub(super) fn remove_forgotten(&mut self) {
        for path in self.forgotten.drain(..) {
            if let Err(error) = fs::remove_file(&path) {
                // It only takes room, until the next open.
                tracing::warn!(file = %path.display(), %error, "cannot remove a value's file");
            }
        }
    }

    fn path(&self, key: &[u8], number: u64) -> PathBuf {
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(format!("{key}-{number}"))
    }
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
        let mut files = Files::open(&folder, |_, _| true).expect("a folder");
        let old = files.write(b"k", b"old").expect("written");
        let new = files.write(b"k", b"new").expect("written");
        assert_eq!(files.read(b"k", &old).expect("not gone yet"), "old");
        files.remove_forgotten();
        assert!(files.read(b"k", &old).is_err());
        assert_eq!(files.read(b"k", &new).expect("there"), "new");

        fs::write(folder.join("not a value"), "x").expect("written");
        let mut files = Files::open(&folder, |key, file| key == b"k" && file == new).expect("a folder");
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
        assert_ne!(files.write(b"k", b"newest").expect("written"), new);
        fs::remove_dir_all(&folder).expect("removed");
    }
}
