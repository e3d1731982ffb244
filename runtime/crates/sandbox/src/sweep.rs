//! Deletes a directory with whatever a guest has put into it.
//!
//! Links are not followed, and a tree may be deeper than there are descriptors or stack: what lies deeper than one level is
//! lifted to the top first, so that two directories are open at most. Each step deletes or lifts something, and nothing is
//! lifted twice, so it ends.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, chmodat, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Names that are read from a directory at a time, in bytes.
const NAMES_BYTES: usize = 32 << 10;
/// A directory that somebody still writes to is tried so many times.
const PASSES: u32 = 8;

/// Deletes the directory of this name, and all that is in it. It is fine if it is gone already.
///
/// # Errors
/// The system does not delete something, or others keep filling it.
pub(crate) fn remove_tree(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    for _ in 0..PASSES {
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        match open(parent, name) {
            Ok(top) => Tree { top, lifted: 0, mark: unguessable()? }.clear()?,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("it is being filled while it is deleted"))
}

/// A name that nobody can have taken.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn unguessable() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

struct Tree {
    top: OwnedFd,
    lifted: u64,
    /// Begins the names of what was lifted, so that no name of the guest's is in its place.
    mark: String,
}

impl Tree {
    fn clear(mut self) -> io::Result<()> {
        loop {
            let mut names = Vec::with_capacity(NAMES_BYTES);
            let here = openat(&self.top, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            let mut found = false;
            each(&here, &mut names, |name, kind| {
                found = true;
                if !is_removed(self.top.as_fd(), name, kind)? {
                    self.open_up(name)?;
                }
                Ok(())
            })?;
            if !found {
                return Ok(());
            }
        }
    }

    /// Empties a directory of the top one: its files are deleted, its directories lifted.
    fn open_up(&mut self, name: &CStr) -> io::Result<()> {
        let directory = match open(self.top.as_fd(), name) {
            Err(Errno::NOENT) => return Ok(()),
            opened => opened?,
        };
        let mut names = Vec::with_capacity(NAMES_BYTES);
        each(&directory, &mut names, |inner, kind| {
            if is_removed(directory.as_fd(), inner, kind)? {
                return Ok(());
            }
            self.lifted += 1;
            let place = format!(".{}-{}", self.mark, self.lifted);
            let lift = || renameat(&directory, inner, &self.top, place.as_str());
            match lift() {
                // A directory that must not be written cannot be moved: it holds the way to its parent.
                Err(Errno::ACCESS) => {
                    unlock(directory.as_fd(), inner)?;
                    lift()?;
                }
                moved => moved?,
            }
            Ok(())
        })?;
        // Not empty yet: files of the time since; the next round finds it again.
        is_removed(self.top.as_fd(), name, FileType::Directory).map(drop)
    }
}

/// Deletes this, unless it is a directory with something in it.
fn is_removed(parent: BorrowedFd<'_>, name: &CStr, kind: FileType) -> io::Result<bool> {
    let file = || unlinkat(parent, name, AtFlags::empty());
    let removed = match kind {
        FileType::Directory => Err(Errno::ISDIR),
        _ => file(),
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // Not every file system says what an entry is; some say that a directory may not be unlinked.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory of ours so that it can be emptied.
fn open(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            unlock(parent, name)?;
            openat(parent, name, flags, Mode::empty())?
        }
        opened => opened?,
    };
    fchmod(&directory, Mode::RWXU)?;
    Ok(directory)
}

/// Allows us everything in a directory of ours. By its descriptor: what is at its name could be a link by now.
fn unlock(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    chmodat(CWD, format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::RWXU, AtFlags::empty())
}

/// Calls back with each entry of a directory.
fn each(
    directory: &OwnedFd,
    names: &mut Vec<u8>,
    mut found: impl FnMut(&CStr, FileType) -> io::Result<()>,
) -> io::Result<()> {
    let buffer: &mut [MaybeUninit<u8>] = names.spare_capacity_mut();
    let mut entries = RawDir::new(directory, buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            found(entry.file_name(), entry.file_type())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::{Path, PathBuf};

    use rustix::fs::mkdirat;

    use super::*;

    /// A fresh folder, and a descriptor of it.
    fn folder() -> (PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("sunaba-sweep-{}", unguessable().expect("random")));
        std::fs::create_dir(&path).expect("a folder");
        let opened = File::open(&path).expect("it is there").into();
        (path, opened)
    }

    fn remove(parent: &OwnedFd) -> io::Result<()> {
        remove_tree(parent.as_fd(), c"tree")
    }

    fn only(path: &Path) -> Vec<String> {
        let names = std::fs::read_dir(path).expect("it is there");
        names.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_deleted() {
        let (path, parent) = folder();
        mkdirat(&parent, "tree", Mode::RWXU).expect("made");
        let mut at = open(parent.as_fd(), c"tree").expect("it is there");
        for depth in 0..3_000 {
            // Some that are in the way of what is lifted, some wide.
            if depth % 100 == 0 {
                for side in 0..20 {
                    mkdirat(&at, format!("side-{side}"), Mode::RWXU).expect("made");
                }
            }
            mkdirat(&at, "d", Mode::RWXU).expect("made");
            at = open(at.as_fd(), c"d").expect("it is there");
        }
        drop(at);
        remove(&parent).expect("deleted");
        assert!(only(&path).is_empty());
        std::fs::remove_dir(path).expect("empty");
    }

    #[test]
    fn links_are_deleted_and_not_followed() {
        let (path, parent) = folder();
        std::fs::create_dir_all(path.join("tree/inside")).expect("made");
        std::fs::create_dir(path.join("kept")).expect("made");
        std::fs::write(path.join("kept/file"), "kept").expect("written");
        symlink("../kept", path.join("tree/link")).expect("a link");
        symlink("../../kept", path.join("tree/inside/link")).expect("a link");
        symlink("loop", path.join("tree/loop")).expect("a link");
        remove(&parent).expect("deleted");
        assert_eq!(only(&path), ["kept"]);
        assert_eq!(std::fs::read(path.join("kept/file")).expect("it is there"), b"kept");
        std::fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn modes_do_not_keep_anything() {
        let (path, parent) = folder();
        let locked = path.join("tree/locked");
        std::fs::create_dir_all(locked.join("deeper/deepest")).expect("made");
        std::fs::write(locked.join("deeper/deepest/file"), "x").expect("written");
        for folder in [locked.join("deeper/deepest"), locked.join("deeper"), locked.clone(), path.join("tree")] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o0)).expect("ours");
        }
        remove(&parent).expect("deleted");
        assert!(only(&path).is_empty());
        std::fs::remove_dir(path).expect("empty");
    }

    #[test]
    fn many_entries_are_deleted() {
        let (path, parent) = folder();
        std::fs::create_dir(path.join("tree")).expect("made");
        for number in 0..5_000 {
            std::fs::write(path.join(format!("tree/{number:0>100}")), "").expect("written");
        }
        remove(&parent).expect("deleted");
        assert!(only(&path).is_empty());
        remove(&parent).expect("gone already");
        std::fs::remove_dir(path).expect("empty");
    }
}
