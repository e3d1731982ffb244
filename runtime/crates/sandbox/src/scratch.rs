//! Scratch directories: one for each attempt that was granted one, private, and gone when the attempt is over.
//!
//! They lie in a directory of this process, which is locked while the process lives: what a killed process left behind is
//! known by its lock being free, and deleted by the next one. All of it is reached by descriptors, never by a path that
//! somebody could have changed meanwhile.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, fstatvfs, mkdirat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use sunaba_task::format_bytes;

use crate::sweep::{remove_tree, unguessable};

/// Begins the name of each process's directory.
const PREFIX: &str = "sunaba-scratch-";
/// Another process may take our fresh directory for a left one, so many times.
const TRIES: u32 = 8;

/// Where scratch directories are made.
pub(crate) struct Scratch {
    /// None: the system's place for temporary files.
    base: Option<PathBuf>,
    /// Made when first needed.
    root: Mutex<Option<Arc<Root>>>,
}

/// The directory of this process. Deleted when it is dropped.
struct Root {
    base: OwnedFd,
    name: CString,
    /// Holds the lock.
    dir: OwnedFd,
}

/// The directory of one attempt. Deleted when it is dropped, on another thread where there is one.
pub(crate) struct ScratchDir {
    /// None once it is given up.
    inner: Option<Inner>,
}

struct Inner {
    root: Arc<Root>,
    name: CString,
    dir: OwnedFd,
}

impl Scratch {
    pub(crate) fn new(base: Option<PathBuf>) -> Self {
        Self { base, root: Mutex::new(None) }
    }

    /// Makes the directory of this process in the place that was named, if one was, and sweeps there.
    ///
    /// # Errors
    /// Nothing can be made there.
    pub(crate) fn start(&self) -> io::Result<()> {
        if self.base.is_some() { self.root().map(drop) } else { Ok(()) }
    }

    /// Makes the directory of an attempt. Waits for the file system.
    ///
    /// # Errors
    /// Nothing can be made there, or there is no room for so many bytes.
    pub(crate) fn make(&self, bytes: u64) -> io::Result<ScratchDir> {
        let root = self.root()?;
        let space = fstatvfs(&root.dir)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < bytes {
            let (free, bytes) = (format_bytes(free), format_bytes(bytes));
            let message = format!("its file system has {free} free, of the {bytes} that are granted");
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        let name = c_name(unguessable()?);
        mkdirat(&root.dir, &name, Mode::RWXU)?;
        // From here on it is deleted, whatever happens.
        let dir = openat(&root.dir, &name, DIRECTORY, Mode::empty());
        match dir {
            Ok(dir) => Ok(ScratchDir { inner: Some(Inner { root, name, dir }) }),
            Err(error) => {
                remove(&root, &name);
                Err(error.into())
            }
        }
    }

    fn root(&self) -> io::Result<Arc<Root>> {
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = &*root {
            return Ok(Arc::clone(root));
        }
        let base = match &self.base {
            Some(base) => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(base)?;
                base.clone()
            }
            None => std::env::temp_dir(),
        };
        let base: OwnedFd = File::open(base)?.into();
        let made = Arc::new(Root::make(base)?);
        // On a thread of its own: a killed process may have left a lot.
        let sweeping = Arc::clone(&made);
        std::thread::Builder::new().name("sunaba-sweep".into()).spawn(move || sweeping.sweep())?;
        *root = Some(Arc::clone(&made));
        Ok(made)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn c_name(name: String) -> CString {
    CString::new(name).expect("hexadecimal digits have no zero byte")
}

impl Root {
    fn make(base: OwnedFd) -> io::Result<Self> {
        for _ in 0..TRIES {
            let name = c_name(format!("{PREFIX}{}", unguessable()?));
            mkdirat(&base, &name, Mode::RWXU)?;
            let dir = match openat(&base, &name, DIRECTORY, Mode::empty()) {
                // Swept before it was locked.
                Err(Errno::NOENT) => continue,
                opened => opened?,
            };
            let locked = flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok();
            if locked && fstat(&dir)?.st_nlink > 0 {
                return Ok(Self { base, name, dir });
            }
        }
        Err(io::Error::other("other processes delete the scratch directory"))
    }

    /// Deletes what killed processes of this user left behind.
    fn sweep(&self) {
        let listed = fs::read_dir(format!("/proc/self/fd/{}", self.base.as_raw_fd()));
        for entry in listed.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_str().filter(|name| name.starts_with(PREFIX)).map(|name| c_name(name.to_owned()));
            let Some(name) = name.filter(|name| *name != self.name) else { continue };
            let Ok(dir) = openat(&self.base, &name, DIRECTORY, Mode::empty()) else { continue };
            let ours = fstat(&dir).is_ok_and(|stat| stat.st_uid == geteuid().as_raw());
            // Held until it is deleted: whoever makes a directory locks it, and sees that it is gone.
            if ours && flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
                match remove_tree(self.base.as_fd(), &name) {
                    Ok(()) => tracing::info!(directory = ?name, "swept the scratch directory of a killed process"),
                    Err(error) => tracing::warn!(directory = ?name, %error, "a scratch directory cannot be swept"),
                }
            }
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(self.base.as_fd(), &self.name) {
            tracing::warn!(%error, "the scratch directory was not deleted; the next start sweeps it");
        }
    }
}

fn remove(root: &Root, name: &CString) {
    if let Err(error) = remove_tree(root.dir.as_fd(), name) {
        tracing::warn!(%error, "the scratch directory of an attempt was not deleted; it goes with this process's");
    }
}

impl ScratchDir {
    /// A path that leads to it while it is there.
    pub(crate) fn path(&self) -> PathBuf {
        let inner = self.inner.as_ref().expect("given up only at its end");
        Path::new("/proc/self/fd").join(inner.dir.as_raw_fd().to_string())
    }

    /// Deletes it, and waits until it is gone. Losing this future does not stop the deletion.
    pub(crate) async fn remove(mut self) {
        let Some(inner) = self.inner.take() else { return };
        let removing = tokio::task::spawn_blocking(move || remove(&inner.root, &inner.name));
        // It panics nowhere; at the end of the runtime the process's directory takes it along.
        let _ = removing.await;
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        let removing = move || remove(&inner.root, &inner.name);
        match tokio::runtime::Handle::try_current() {
            // Not here: a shard's thread has other guests to run.
            Ok(runtime) => drop(runtime.spawn_blocking(removing)),
            Err(_) => removing(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> PathBuf {
        std::env::temp_dir().join(format!("sunaba-base-{}", unguessable().expect("random")))
    }

    fn names(base: &Path) -> Vec<String> {
        let listed = fs::read_dir(base).expect("it is there");
        listed.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn a_directory_is_private_and_goes_when_it_is_dropped() {
        use std::os::unix::fs::PermissionsExt as _;
        let base = base();
        let scratch = Scratch::new(Some(base.clone()));
        let dir = scratch.make(1).expect("there is room");
        fs::write(dir.path().join("file"), "text").expect("it can be written");
        for path in [base.clone(), base.join(&names(&base)[0]), dir.path()] {
            assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o700, "{path:?}");
        }
        let root = base.join(&names(&base)[0]);
        assert_eq!(names(&root).len(), 1);
        drop(dir);
        assert!(names(&root).is_empty());
        drop(scratch);
        // The sweeping thread may hold it for a moment more.
        while !names(&base).is_empty() {
            std::thread::yield_now();
        }
        fs::remove_dir(base).expect("empty");
    }

    #[test]
    fn only_what_killed_processes_left_is_swept() {
        let base = base();
        let living = Scratch::new(Some(base.clone()));
        let dir = living.make(1).expect("there is room");
        fs::create_dir_all(base.join(format!("{PREFIX}left/deep/tree"))).expect("made");
        fs::create_dir(base.join("of-somebody-else")).expect("made");
        let second = Scratch::new(Some(base.clone()));
        second.start().expect("it can be made");
        while base.join(format!("{PREFIX}left")).exists() {
            std::thread::yield_now();
        }
        assert!(dir.path().exists());
        assert_eq!(names(&base).iter().filter(|name| name.starts_with(PREFIX)).count(), 2);
        assert!(base.join("of-somebody-else").exists());
        drop((dir, living, second));
        fs::remove_dir_all(base).expect("removed");
    }

    #[test]
    fn without_room_nothing_is_made() {
        let base = base();
        let scratch = Scratch::new(Some(base.clone()));
        let error = scratch.make(u64::MAX).err().expect("nobody has that");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("free"), "{error}");
        assert!(names(&base.join(&names(&base)[0])).is_empty());
        drop(scratch);
        let _ = fs::remove_dir_all(base);
    }
}
