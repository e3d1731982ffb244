//! The folder of files as it lies on disk: `ab/` and the rest of a digest, and in `new/` what is not finished, or not wanted
//! any more. Plain functions that wait for the disk.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sunaba_task::{Digest, Digester};

/// Bytes of a file that are looked at or copied at a time.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Where files are before they have their name, and after they have lost it.
const NEW: &str = "new";

/// Makes a directory's entries durable.
pub(super) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Sixty-four digits, by which files are called.
fn digits(digest: &Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder in which a file is, and the file.
pub(super) fn path(folder: &Path, digest: &Digest) -> (PathBuf, PathBuf) {
    let digits = digits(digest);
    let shelf = folder.join(&digits[..2]);
    let file = shelf.join(&digits[2..]);
    (shelf, file)
}

/// A name in `new` that no file has.
fn unnamed(folder: &Path) -> PathBuf {
    folder.join(NEW).join(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)))
}

/// Makes a file in `new`, of the host's user alone.
pub(super) fn create(folder: &Path) -> io::Result<(File, PathBuf)> {
    super::place::make_private(&folder.join(NEW))?;
    let path = unnamed(folder);
    let file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((file, path))
}

/// Gives a file that is durable its name, durably. It takes the place of one that is there already: of that one only its name
/// says what it is, and it may be damaged. Whoever reads that one reads on.
pub(super) fn publish(folder: &Path, from: &Path, digest: &Digest) -> io::Result<()> {
    let (shelf, file) = path(folder, digest);
    match DirBuilder::new().mode(0o700).create(&shelf) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    fs::rename(from, &file)?;
    sync(&shelf)?;
    // Whoever made the shelf may have been killed before it was durable.
    sync(folder)
}

/// Takes a file's name; gives where it is until it is removed.
pub(super) fn take_name(folder: &Path, digest: &Digest) -> io::Result<PathBuf> {
    let to = unnamed(folder);
    super::place::make_private(&folder.join(NEW))?;
    fs::rename(path(folder, digest).1, &to)?;
    Ok(to)
}

/// The digests of all files that have a name. What is called otherwise is not ours, nor is what a link leads to.
pub(crate) fn named(folder: &Path) -> impl Iterator<Item = (Digest, PathBuf)> {
    let list = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let shelves = list(folder).filter(|shelf| shelf.file_type().is_ok_and(|kind| kind.is_dir()));
    shelves.flat_map(move |shelf| {
        let start = shelf.file_name().to_string_lossy().into_owned();
        list(&shelf.path()).filter_map(move |file| {
            let rest = file.file_name().to_string_lossy().into_owned();
            let digest = format!("sha256:{start}{rest}").parse().ok()?;
            Some((digest, file.path()))
        })
    })
}

/// Removes what was not finished, and every file that nobody names: the process before was ended between a file and its
/// record, or between a record's end and its file's.
pub(super) fn sweep(folder: &Path, is_named: impl Fn(&Digest) -> bool) -> (u64, u64) {
    let new = folder.join(NEW);
    let is_ours = fs::symlink_metadata(&new).is_ok_and(|found| found.is_dir());
    let unfinished = is_ours.then(|| fs::read_dir(new)).into_iter().flatten().flatten().flatten();
    let unfinished = unfinished.filter(|file| fs::remove_file(file.path()).is_ok()).count();
    let unwanted = named(folder).filter(|(digest, _)| !is_named(digest));
    let unwanted = unwanted.filter(|(_, file)| fs::remove_file(file).is_ok()).count();
    (unfinished as u64, unwanted as u64)
}

/// Whether there is a file of this digest, whatever is in it.
pub(crate) fn is_there(folder: &Path, digest: &Digest) -> bool {
    path(folder, digest).1.is_file()
}

/// A file, looked at from its start to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Whole,
    /// It is not what its name says.
    Changed,
    Missing,
}

/// Reads a file to its end; each piece is given to somebody, with its place.
pub(crate) fn look_at<E>(
    folder: &Path,
    digest: &Digest,
    mut each: impl FnMut(u64, Bytes) -> Result<(), E>,
) -> Result<Found, E> {
    let Ok(mut file) = File::open(path(folder, digest).1) else { return Ok(Found::Missing) };
    let (mut digester, mut at) = (Digester::default(), 0);
    loop {
        let mut piece = Vec::new();
        if (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).is_err() {
            return Ok(Found::Changed);
        }
        if piece.is_empty() && at > 0 {
            return Ok(if digester.finish() == *digest { Found::Whole } else { Found::Changed });
        }
        digester.update(&piece);
        let next = at + piece.len() as u64;
        // An empty file has one, too.
        each(at, piece.into())?;
        if next == 0 {
            return Ok(if digester.finish() == *digest { Found::Whole } else { Found::Changed });
        }
        at = next;
    }
}

/// Makes files of the pieces of a backup, which come in their order.
pub(crate) mod restore {
    use super::*;

    /// The file that is being made.
    pub(crate) struct Restore {
        folder: PathBuf,
        current: Option<Current>,
    }

    struct Current {
        digest: Digest,
        file: File,
        path: PathBuf,
        digester: Digester,
    }

    impl Restore {
        /// Into this folder.
        pub(crate) fn into(folder: PathBuf) -> Self {
            Self { folder, current: None }
        }

        /// The next piece of this file.
        pub(crate) fn piece(&mut self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
            if self.current.as_ref().is_none_or(|current| current.digest != digest) {
                self.finish()?;
                super::super::place::make_private(&self.folder)?;
                let (file, path) = create(&self.folder)?;
                self.current = Some(Current { digest, file, path, digester: Digester::default() });
            }
            let Some(current) = &mut self.current else { return Ok(()) };
            current.file.write_all(bytes)?;
            current.digester.update(bytes);
            Ok(())
        }

        /// There are no more pieces. A file that was changed before it was backed up is left out.
        pub(crate) fn finish(&mut self) -> io::Result<()> {
            let Some(Current { digest, file, path, digester }) = self.current.take() else { return Ok(()) };
            file.sync_all()?;
            if digester.finish() == digest {
                publish(&self.folder, &path, &digest)?;
            } else {
                tracing::error!(%digest, "the file of an artifact was changed before it was backed up, and is left out");
                fs::remove_file(path)?;
            }
            Ok(())
        }
    }
}
