//! A directory that this user alone can write to. Everything in it is reached from its own descriptor, and no link is
//! followed, so that what was checked stays what is used.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{ArtifactsError, KEY};

const KEY_BYTES: usize = 32;
/// What nobody but the owner may do.
const OTHERS: u32 = 0o077;

#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    opened: File,
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Why something is not of this user alone.
fn not_private(stat: &Stat) -> Option<String> {
    if stat.st_uid != geteuid().as_raw() {
        return Some(format!("it belongs to user {}", stat.st_uid));
    }
    (stat.st_mode & OTHERS != 0).then(|| format!("its mode is {:04o}", stat.st_mode & 0o7777))
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, ArtifactsError> {
        let failed = |error: io::Error| ArtifactsError::Io { path: path.to_owned(), error };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let refused = |problem: String| ArtifactsError::NotPrivate { path: path.to_owned(), problem };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match openat(CWD, path, flags, Mode::empty()) {
            Ok(opened) => File::from(opened),
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(refused("it is no directory, or a link to one".into())),
            Err(error) => return Err(failed(error.into())),
        };
        let stat = fstat(&opened).map_err(|error| failed(error.into()))?;
        match not_private(&stat) {
            Some(problem) => Err(refused(problem)),
            None => Ok(Self { path: path.to_owned(), opened }),
        }
    }

    /// The directory's key; made if it is not there. One that a crash has cut is made anew.
    pub(super) fn key(&self) -> Result<[u8; KEY_BYTES], ArtifactsError> {
        let path = self.path.join(KEY);
        let failed = |error: io::Error| ArtifactsError::Io { path: path.clone(), error };
        let refused = |problem: String| ArtifactsError::NotPrivate { path: path.clone(), problem };
        match self.open_file(KEY) {
            Ok(Some((file, stat))) => {
                if let Some(problem) = not_private(&stat) {
                    return Err(refused(problem));
                }
                let mut bytes = Vec::new();
                file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
                if let Ok(key) = bytes.try_into() {
                    return Ok(key);
                }
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(refused(error.to_string())),
            Err(error) => return Err(failed(error)),
        }
        let mut key = [0; KEY_BYTES];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key)).map_err(failed)?;
        self.write(KEY, super::TEMPORARY, &key).map_err(failed)?;
        Ok(key)
    }

    /// A file and what it is; none when there is none.
    fn open_file(&self, name: &str) -> io::Result<Option<(File, Stat)>> {
        // A pipe that somebody has put there must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let invalid = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
        let file = match openat(&self.opened, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(invalid("it is a link")),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        if file_type(&stat) == FileType::RegularFile { Ok(Some((file, stat))) } else { Err(invalid("it is no file")) }
    }

    /// All of a file, of at most so many bytes; none when there is none.
    pub(super) fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some((file, stat)) = self.open_file(name)? else { return Ok(None) };
        let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        if let Some(problem) = not_private(&stat) {
            return Err(invalid(problem));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > limit {
            return Err(invalid("it is too large".into()));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes a file; it has its name only once it is whole and durable.
    pub(super) fn write(&self, name: &str, temporary: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}{temporary}");
        // What a crash has left would be in the way.
        self.delete(&unfinished)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = openat(&self.opened, &unfinished, flags, Mode::RUSR | Mode::WUSR)
            .map_err(io::Error::from)
            .and_then(|file| {
                let mut file = File::from(file);
                file.write_all(bytes)?;
                file.sync_all()
            })
            .and_then(|()| Ok(renameat(&self.opened, &unfinished, &self.opened, name)?))
            .and_then(|()| self.opened.sync_all());
        if written.is_err() {
            let _ = self.delete(&unfinished);
        }
        written
    }

    /// Removes a name, if it is there.
    pub(super) fn delete(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.opened, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(Errno::ISDIR) => Ok(unlinkat(&self.opened, name, AtFlags::REMOVEDIR)?),
            Err(error) => Err(error.into()),
        }
    }

    /// At most so many of the names.
    pub(super) fn names(&self, limit: usize) -> io::Result<Vec<OsString>> {
        let entries = Dir::read_from(&self.opened)?;
        let named = entries.map(|entry| Ok(OsString::from_vec(entry?.file_name().to_bytes().to_vec())));
        named.filter(|name| name.as_ref().is_ok_and(|name| name != "." && name != "..")).take(limit).collect()
    }
}
