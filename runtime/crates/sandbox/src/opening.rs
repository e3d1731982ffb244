//! Opens files below a granted directory, and only files and directories: opening a FIFO waits for whoever holds its other
//! end, on a thread that nothing can interrupt, and opening a device may do anything.
//!
//! A path is first looked up without opening what is there (`O_PATH`). What was looked at is then opened by its descriptor,
//! so that nobody can put something else in its place between the two. A file that is not there is made with `O_EXCL`, which
//! opens nothing that is there already. No path leads out of the directory: the kernel sees to that (`RESOLVE_BENEATH`).
//!
//! Where the kernel has no `openat2`, wasmtime-wasi opens by path after a look: there, whoever else may write to the
//! directory can put a FIFO in place between the two, and one thread of the pool waits for it beyond the attempt's end.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Timestamps, fstat, openat, openat2, utimensat};
use rustix::io::Errno;
use wasmtime_wasi::filesystem::{Descriptor, Dir, File as Opened};
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags};
use wasmtime_wasi::p2::{FsError, FsResult};
use wasmtime_wasi::runtime::spawn_blocking;
use wasmtime_wasi::{FsPerms, OpenMode};

/// A longer path is refused; the kernel takes no longer one either.
pub(crate) const MAX_PATH_BYTES: usize = 4096;
/// A lookup is begun again when somebody renames something meanwhile, at most so often.
const LOOKUPS: usize = 4;

/// How a file is to be opened.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) follow: bool,
    pub(crate) open: OpenFlags,
    pub(crate) flags: DescriptorFlags,
}

/// What a path leads to.
pub(crate) enum Found {
    /// Opened.
    Opened(Descriptor),
    /// Nothing is there.
    Missing,
    /// The kernel cannot say without opening it.
    Unknown,
}

impl Wish {
    fn writes(self) -> bool {
        self.open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE) || self.flags.contains(DescriptorFlags::WRITE)
    }

    fn mode(self) -> OpenMode {
        let mut mode = OpenMode::empty();
        mode.set(OpenMode::WRITE, self.writes());
        let reads = self.flags.contains(DescriptorFlags::READ) || !self.flags.contains(DescriptorFlags::WRITE);
        mode.set(OpenMode::READ, reads);
        mode
    }

    /// What no file can be opened for, whatever is there.
    pub(crate) fn check(self, perms: FsPerms) -> FsResult<()> {
        let sync = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if self.flags.intersects(sync) {
            return Err(ErrorCode::Unsupported.into());
        }
        let makes = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE;
        if self.open.contains(OpenFlags::DIRECTORY) && self.open.intersects(makes) {
            return Err(ErrorCode::Invalid.into());
        }
        if perms.write_not_permitted() && self.writes() {
            return Err(ErrorCode::NotPermitted.into());
        }
        Ok(())
    }

    fn flags(self) -> OFlags {
        let access = match (self.mode().contains(OpenMode::READ), self.writes()) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        let truncate = if self.open.contains(OpenFlags::TRUNCATE) { OFlags::TRUNC } else { OFlags::empty() };
        access | truncate | OFlags::CLOEXEC
    }
}

/// Runs what may wait for a disk on another thread.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await
}

/// The directory that a descriptor is.
pub(crate) fn directory(descriptor: &Descriptor) -> FsResult<&Dir> {
    match descriptor {
        Descriptor::Dir(dir) => Ok(dir),
        Descriptor::File(_) => Err(ErrorCode::NotDirectory.into()),
    }
}

/// The file that a descriptor is.
pub(crate) fn file(descriptor: &Descriptor) -> FsResult<&Opened> {
    match descriptor {
        Descriptor::File(file) => Ok(file),
        Descriptor::Dir(_) => Err(ErrorCode::BadDescriptor.into()),
    }
}

/// Refuses a path that no kernel takes.
pub(crate) fn check_path(path: &str) -> FsResult<()> {
    if path.len() > MAX_PATH_BYTES { Err(ErrorCode::NameTooLong.into()) } else { Ok(()) }
}

/// The descriptor of what a path leads to, without opening it.
fn look(dir: &File, path: &str, follow: bool) -> rustix::io::Result<OwnedFd> {
    let link = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut found = Err(Errno::AGAIN);
    for _ in 0..LOOKUPS {
        found = openat2(dir, path, OFlags::PATH | OFlags::CLOEXEC | link, Mode::empty(), resolve);
        if !matches!(found, Err(Errno::AGAIN)) {
            break;
        }
    }
    found
}

/// What a failed lookup means: some sandboxes of containers answer an `openat2` that they do not know with `EPERM`.
fn lookup_error(error: Errno) -> Result<Found, FsError> {
    match error {
        Errno::NOSYS | Errno::PERM => Ok(Found::Unknown),
        Errno::NOENT => Ok(Found::Missing),
        Errno::XDEV => Err(ErrorCode::NotPermitted.into()),
        other => Err(io::Error::from(other).into()),
    }
}

fn kind(found: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(found)?.st_mode))
}

fn reopened_path(found: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", found.as_raw_fd())
}

/// Opens what is there, if it is a file or a directory.
pub(crate) async fn open(dir: &Dir, path: &str, wish: Wish) -> FsResult<Found> {
    let (from, path, perms) = (Arc::clone(&dir.dir), path.to_owned(), dir.perms);
    let opened = blocking(move || -> FsResult<Result<(File, bool), Found>> {
        let found = match look(&from, &path, wish.follow) {
            Ok(found) => found,
            Err(error) => return lookup_error(error).map(Err),
        };
        if wish.open.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE) {
            return Err(ErrorCode::Exist.into());
        }
        let is_directory = match kind(&found)? {
            FileType::Directory if wish.writes() => return Err(ErrorCode::IsDirectory.into()),
            FileType::Directory => true,
            FileType::RegularFile if wish.open.contains(OpenFlags::DIRECTORY) => {
                return Err(ErrorCode::NotDirectory.into());
            }
            FileType::RegularFile => false,
            FileType::Symlink => return Err(ErrorCode::Loop.into()),
            // A FIFO, a device or a socket.
            _ => return Err(ErrorCode::NotPermitted.into()),
        };
        let opened = openat(CWD, reopened_path(&found), wish.flags(), Mode::empty()).map_err(io::Error::from)?;
        Ok(Ok((File::from(opened), is_directory)))
    });
    Ok(match opened.await? {
        Ok((opened, true)) => Found::Opened(Descriptor::Dir(Dir::new(opened, perms, wish.mode(), false))),
        Ok((opened, false)) => Found::Opened(Descriptor::File(Opened::new(opened, perms, wish.mode(), false))),
        Err(found) => found,
    })
}

/// Sets the times of what a path leads to, following links, without opening it. False: the kernel cannot.
pub(crate) async fn set_times(dir: &Dir, path: &str, times: Timestamps) -> FsResult<bool> {
    let (from, path) = (Arc::clone(&dir.dir), path.to_owned());
    blocking(move || {
        let found = match look(&from, &path, true) {
            Ok(found) => found,
            Err(error) => {
                return match lookup_error(error)? {
                    Found::Unknown => Ok(false),
                    _ => Err(ErrorCode::NoEntry.into()),
                };
            }
        };
        let set = utimensat(CWD, reopened_path(&found), &times, rustix::fs::AtFlags::empty());
        set.map(|()| true).map_err(|error| io::Error::from(error).into())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    fn wish(open: OpenFlags, flags: DescriptorFlags) -> Wish {
        Wish { follow: true, open, flags }
    }

    #[test]
    fn files_and_directories_are_opened_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("sunaba-open-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("inner")).expect("a folder");
        std::fs::write(folder.join("file"), "text").expect("written");
        std::os::unix::fs::symlink("file", folder.join("link")).expect("a link");
        std::os::unix::fs::symlink("/etc", folder.join("out")).expect("a link");
        rustix::fs::mknodat(CWD, folder.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
        let dir = File::open(&folder).expect("it is there");
        let dir = Dir::new(dir, FsPerms::ReadWrite, OpenMode::READ | OpenMode::WRITE, false);

        let read = wish(OpenFlags::empty(), DescriptorFlags::READ);
        let write = wish(OpenFlags::TRUNCATE, DescriptorFlags::WRITE);
        let code = |path: &str, wish: Wish| match block_on(open(&dir, path, wish)) {
            Ok(Found::Opened(Descriptor::File(_))) => "file".to_owned(),
            Ok(Found::Opened(Descriptor::Dir(_))) => "directory".to_owned(),
            Ok(Found::Missing) => "missing".to_owned(),
            Ok(Found::Unknown) => "unknown".to_owned(),
            Err(error) => error.downcast().expect("a code").name().to_owned(),
        };
        if code("file", read) == "unknown" {
            // A kernel without `openat2`: nothing of this is used.
            return;
        }
        let cases = [
            ("file", read, "file"),
            ("link", read, "file"),
            ("link", Wish { follow: false, ..read }, "loop"),
            ("inner", read, "directory"),
            ("inner", write, "is-directory"),
            ("fifo", read, "not-permitted"),
            ("fifo", write, "not-permitted"),
            ("out", read, "not-permitted"),
            ("../x", read, "not-permitted"),
            ("/etc", read, "not-permitted"),
            ("nothing", read, "missing"),
            ("file", wish(OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::WRITE), "exist"),
            ("file", wish(OpenFlags::DIRECTORY, DescriptorFlags::READ), "not-directory"),
        ];
        for (path, wish, expected) in cases {
            assert_eq!(code(path, wish), expected, "{path}");
        }
        assert_eq!(code("file", write), "file");
        assert_eq!(std::fs::read(folder.join("file")).expect("it is there"), b"");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
