//! Where the files of artifacts lie: in the data directory, or for a store that is gone with its process in a private
//! directory that goes with it, and that the next process removes if this one is killed. Nothing is made before it is needed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How the private directories are called.
const PREFIX: &str = "sunaba-blobs-";
/// Directories of others that one process looks at.
const MAX_LOOKS: usize = 10_000;

/// A folder for the files of artifacts. Clones are the same one.
#[derive(Debug, Clone)]
pub struct BlobPlace(Arc<Place>);

#[derive(Debug)]
enum Place {
    Lasting(PathBuf),
    Temporary { folder: PathBuf, lock: Mutex<Option<File>> },
}

impl BlobPlace {
    /// The folder `blobs` of this data directory, which whoever opens the store holds.
    pub fn in_directory(directory: &Path) -> Self {
        Self(Arc::new(Place::Lasting(directory.join("blobs"))))
    }

    /// One that goes with its last clone.
    pub fn temporary() -> Self {
        let folder = std::env::temp_dir().join(format!("{PREFIX}{:016x}", fastrand::u64(..)));
        Self(Arc::new(Place::Temporary { folder, lock: Mutex::default() }))
    }

    pub(super) fn folder(&self) -> &Path {
        match &*self.0 {
            Place::Lasting(folder) | Place::Temporary { folder, .. } => folder,
        }
    }

    /// Makes the folder, unless it is there.
    pub(super) fn make(&self) -> io::Result<()> {
        match &*self.0 {
            Place::Lasting(folder) => {
                if make_private(folder)? {
                    super::files::sync(folder.parent().unwrap_or(folder))?;
                }
                Ok(())
            }
            Place::Temporary { folder, lock } => {
                let mut lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
                if lock.is_none() {
                    remove_left_over();
                    *lock = Some(make_locked(folder)?);
                }
                Ok(())
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Temporary { folder, lock } = self
            && lock.get_mut().is_ok_and(|lock| lock.is_some())
        {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Makes a directory of the host's user alone; whether it was not there.
pub(super) fn make_private(directory: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Under its own name it is locked from its first moment on.
fn make_locked(folder: &Path) -> io::Result<File> {
    let unlocked = folder.with_extension("new");
    DirBuilder::new().mode(0o700).create(&unlocked)?;
    let file = File::create_new(unlocked.join("lock"))?;
    file.try_lock().map_err(io::Error::from)?;
    fs::rename(unlocked, folder)?;
    Ok(file)
}

/// Removes what processes have left that were killed: nobody holds its lock any more.
fn remove_left_over() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    let user = rustix::process::geteuid().as_raw();
    for entry in entries.take(MAX_LOOKS).flatten() {
        let name = entry.file_name();
        let is_one = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && !name.ends_with(".new"));
        // What others have made there we neither open nor remove.
        let is_ours = || entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
        if is_one
            && is_ours()
            && let Ok(file) = File::open(entry.path().join("lock"))
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_folder_goes_with_its_last_clone_and_what_a_killed_process_left_with_the_next() {
        let (place, left) = (BlobPlace::temporary(), BlobPlace::temporary());
        assert!(!place.folder().exists(), "nothing is made before it is needed");
        fs::create_dir(left.folder()).expect("made");
        File::create_new(left.folder().join("lock")).expect("made");
        place.make().expect("made");
        assert!(place.folder().is_dir() && !left.folder().exists());
        let (clone, folder) = (place.clone(), place.folder().to_owned());
        BlobPlace::temporary().make().expect("made");
        drop(place);
        assert!(folder.is_dir(), "a clone has it, and its lock is held");
        drop(clone);
        assert!(!folder.exists());
    }
}
