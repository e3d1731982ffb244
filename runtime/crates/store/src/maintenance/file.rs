//! The file that a backup is.
//!
//! `sunaba backup 1` and a line feed; then blocks: a length (4 bytes, big-endian), a CRC-32 (4), and so many bytes of postcard,
//! a list of keys, each with its value or none for a key that was deleted. Blocks are applied in their order. A length of 0
//! ends them; then come the number of pairs (8) and a digest (32) that has gone through all blocks, and nothing more.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sunaba_task::{Digest, format_bytes, format_count};

use super::{MAX_PROBLEMS, MaintenanceError};
use crate::Writes;

const MAGIC: &[u8; 16] = b"sunaba backup 1\n";
/// All that magics of other versions share.
const ANY_MAGIC: &[u8] = b"sunaba backup ";

/// A backup that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// The file.
    pub file: PathBuf,
    /// Keys with values, and deletions, that it has.
    pub pairs: u64,
    /// Its size.
    pub size_bytes: u64,
    /// What it has in it, so that two can be told apart.
    pub digest: Digest,
    /// Values with a wrong checksum, and files of artifacts that are not what their digest says, which were copied as they are.
    /// 0 when they were not looked at.
    pub damaged: u64,
    /// Files of artifacts that were not there to be copied.
    pub missing: u64,
    /// Files of artifacts that were not restored, since the backup does not have them, or not as they were; the first
    /// [`MAX_PROBLEMS`](super::MAX_PROBLEMS).
    pub left_out: Vec<Digest>,
    /// All of those.
    pub left_out_count: u64,
}

impl Backup {
    /// Whether all that it stands for was copied or restored as it was.
    pub fn is_complete(&self) -> bool {
        self.damaged + self.missing + self.left_out_count == 0
    }

    pub(super) fn leave_out(&mut self, digest: Digest) {
        self.left_out_count += 1;
        if self.left_out.len() < MAX_PROBLEMS {
            self.left_out.push(digest);
        }
    }
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pairs, size) = (format_count(self.pairs), format_bytes(self.size_bytes));
        write!(f, "{}: {pairs} values, {size}, {}", self.file.display(), self.digest)?;
        if self.damaged > 0 {
            let damaged = format_count(self.damaged);
            write!(f, "\n{damaged} of the values and files are damaged, and were copied as they are")?;
        }
        if self.missing > 0 {
            write!(f, "\n{} files of artifacts are missing, and were not copied", format_count(self.missing))?;
        }
        if self.left_out_count > 0 {
            let (all, shown) = (format_count(self.left_out_count), format_count(self.left_out.len() as u64));
            write!(
                f,
                "\n{all} files of artifacts were left out, which the backup does not have as they were; {shown} shown"
            )?;
        }
        self.left_out.iter().try_for_each(|digest| write!(f, "\nleft out {digest}"))
    }
}

/// A backup with nothing in it yet.
fn empty(file: &Path, digest: Digest) -> Backup {
    let (file, left_out) = (file.to_owned(), Vec::new());
    Backup { file, pairs: 0, size_bytes: 0, digest, damaged: 0, missing: 0, left_out, left_out_count: 0 }
}

fn next_digest(digest: Digest, block: &[u8]) -> Digest {
    Digest::of(&[digest.as_bytes().as_slice(), Digest::of(block).as_bytes()].concat())
}

/// A backup that is being written, under another name. Gone when it is dropped before it is whole.
pub(super) struct Writer {
    out: BufWriter<File>,
    partial: PathBuf,
    backup: Backup,
}

impl Writer {
    pub(super) fn create(file: &Path) -> Result<Self, MaintenanceError> {
        if fs::symlink_metadata(file).is_ok() {
            return Err(MaintenanceError::Exists(file.to_owned()));
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:08x}.partial", fastrand::u32(..)));
        let partial = file.with_file_name(name);
        let failed = |error: io::Error| MaintenanceError::system("write", &partial, &error);
        let out = private().create_new(true).open(&partial).map_err(failed)?;
        let digest = Digest::of(MAGIC);
        let backup = empty(file, digest);
        let mut writer = Self { out: BufWriter::new(out), partial, backup };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), MaintenanceError> {
        self.backup.size_bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|error| MaintenanceError::system("write", &self.partial, &error))
    }

    pub(super) fn block(&mut self, writes: &Writes) -> Result<(), MaintenanceError> {
        if writes.is_empty() {
            return Ok(());
        }
        let too_long = |error: &dyn ToString| MaintenanceError::System {
            action: "write a block of",
            path: self.partial.clone(),
            problem: error.to_string(),
        };
        let block = postcard::to_stdvec(writes).map_err(|error| too_long(&error))?;
        let length = u32::try_from(block.len()).map_err(|error| too_long(&error))?;
        self.backup.digest = next_digest(self.backup.digest, &block);
        self.backup.pairs += writes.len() as u64;
        self.put(&length.to_be_bytes())?;
        self.put(&crc32fast::hash(&block).to_be_bytes())?;
        self.put(&block)
    }

    pub(super) fn note_damaged(&mut self) {
        self.backup.damaged += 1;
    }

    pub(super) fn note_missing(&mut self) {
        self.backup.missing += 1;
    }

    /// Makes it durable under its own name.
    pub(super) fn finish(mut self) -> Result<Backup, MaintenanceError> {
        let (pairs, digest) = (self.backup.pairs, self.backup.digest);
        self.put(&0_u32.to_be_bytes())?;
        self.put(&pairs.to_be_bytes())?;
        self.put(digest.as_bytes())?;
        let file = self.backup.file.clone();
        let failed = |error: io::Error| MaintenanceError::system("write", &file, &error);
        self.out.flush().and_then(|()| self.out.get_ref().sync_all()).map_err(failed)?;
        rename(&self.partial, &file).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => MaintenanceError::Exists(file.clone()),
            _ => failed(error),
        })?;
        sync_parent(&file).map_err(failed)?;
        Ok(self.backup.clone())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Under its own name it is not there any more.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Inputs and results are nobody else's business.
fn private() -> fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}

/// Renames a file, but never over another one.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot promise it.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => fs::rename(from, to),
        done => Ok(done?),
    }
}

/// Makes a name durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads a backup to its end, and gives each block to somebody.
pub(super) fn read(
    file: &Path,
    mut each: impl FnMut(Writes) -> Result<(), MaintenanceError>,
) -> Result<Backup, MaintenanceError> {
    let damaged = |problem: &str| MaintenanceError::Damaged { file: file.to_owned(), problem: problem.to_owned() };
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it ends too soon"),
        _ => MaintenanceError::system("read", file, &error),
    };
    let open = File::open(file).map_err(failed)?;
    let size_bytes = open.metadata().map_err(failed)?.len();
    let mut input = BufReader::new(open);
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).map_err(|_| damaged("it is no backup of sunaba"))?;
    if magic != *MAGIC {
        let is_other = magic.starts_with(ANY_MAGIC);
        return Err(damaged(if is_other { "it has another version" } else { "it is no backup of sunaba" }));
    }
    let (mut pairs, mut digest) = (0, Digest::of(MAGIC));
    let mut number = [0; 4];
    for block_number in 1_u64.. {
        input.read_exact(&mut number).map_err(failed)?;
        let length = u32::from_be_bytes(number);
        if length == 0 {
            break;
        }
        input.read_exact(&mut number).map_err(failed)?;
        // As much room as there are bytes, whatever the length says.
        let mut block = Vec::new();
        input.by_ref().take(u64::from(length)).read_to_end(&mut block).map_err(failed)?;
        if block.len() as u64 != u64::from(length) {
            return Err(damaged("it ends too soon"));
        }
        let wrong = |what: &str| damaged(&format!("{what} of block {block_number} is wrong"));
        if crc32fast::hash(&block) != u32::from_be_bytes(number) {
            return Err(wrong("the checksum"));
        }
        let writes: Writes = postcard::from_bytes(&block).map_err(|_| wrong("the content"))?;
        digest = next_digest(digest, &block);
        pairs += writes.len() as u64;
        each(writes)?;
    }
    let (mut count, mut found) = ([0; 8], [0; 32]);
    input.read_exact(&mut count).and_then(|()| input.read_exact(&mut found)).map_err(failed)?;
    if u64::from_be_bytes(count) != pairs || found != *digest.as_bytes() {
        return Err(damaged("its digest is wrong"));
    }
    if input.read(&mut [0]).map_err(failed)? != 0 {
        return Err(damaged("it goes on after its end"));
    }
    Ok(Backup { pairs, size_bytes, ..empty(file, digest) })
}
