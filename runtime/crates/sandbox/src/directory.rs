//! Opens a granted directory, and nothing in its place.
//!
//! Who granted it has looked at its path; between that look and this one somebody may have put a link there. So no part of
//! the path may be a link, and what is opened is handed on by its descriptor.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// A directory that stays the same whatever happens to its path.
pub(crate) struct Directory(OwnedFd);

impl Directory {
    /// Opens the directory at this path, which is taken as it is written: links are not followed.
    ///
    /// # Errors
    /// It is not there, is no directory, or a part of its path is a link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = openat(CWD, "/", flags, Mode::empty())?;
        for part in std::path::absolute(path)?.components() {
            match part {
                Component::Normal(name) => directory = openat(&directory, name, flags, Mode::empty())?,
                Component::ParentDir => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "its path leads up again"));
                }
                _ => {}
            }
        }
        Ok(Self(directory))
    }

    /// A path that leads to it while it is open.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_anywhere_in_the_path() {
        let folder = std::env::temp_dir()
            .canonicalize()
            .expect("it is there")
            .join(format!("sunaba-dir-{}", std::process::id()));
        let inside = folder.join("real/inside");
        std::fs::create_dir_all(&inside).expect("a folder");
        std::os::unix::fs::symlink("real", folder.join("link")).expect("a link");
        std::os::unix::fs::symlink("inside", folder.join("real/last")).expect("a link");
        std::fs::write(inside.join("file"), "text").expect("written");

        let directory = Directory::open(&inside).expect("it is there");
        assert_eq!(std::fs::read(directory.path().join("file")).expect("it is there"), b"text");
        for path in ["link/inside", "real/last", "real/../real", "nowhere", "real/inside/file"] {
            assert!(Directory::open(&folder.join(path)).is_err(), "{path}");
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
