//! A directory as a guest reads it: a batch of entries at a time, so that however many there are, the host holds few.
//!
//! It stands in the resource table in the place of wasmtime-wasi's own stream, which holds them all.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, statat};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use crate::budget::Open;
use crate::opening::blocking;

/// Entries that are read at a time.
const BATCH: usize = 256;

/// A directory that is being read.
pub(crate) struct Listing {
    dir: Option<Dir>,
    ready: VecDeque<Result<DirectoryEntry, ErrorCode>>,
    _open: Open,
}

impl Listing {
    /// Begins to read a directory.
    pub(crate) async fn of(dir: Arc<File>, open: Open) -> FsResult<Self> {
        let dir = blocking(move || Dir::read_from(&*dir)).await.map_err(io::Error::from)?;
        Ok(Self { dir: Some(dir), ready: VecDeque::new(), _open: open })
    }

    /// The next entry.
    pub(crate) async fn next(&mut self) -> FsResult<Option<DirectoryEntry>> {
        if self.ready.is_empty()
            && let Some(dir) = self.dir.take()
        {
            let (dir, batch) = blocking(move || read(dir)).await;
            (self.dir, self.ready) = (dir, batch?);
        }
        Ok(self.ready.pop_front().transpose()?)
    }
}

/// Reads a batch; the directory comes back unless that was the last.
fn read(mut dir: Dir) -> (Option<Dir>, io::Result<VecDeque<Result<DirectoryEntry, ErrorCode>>>) {
    let mut batch = VecDeque::new();
    while batch.len() < BATCH {
        let entry = match dir.read() {
            None => return (None, Ok(batch)),
            Some(Err(error)) => return (None, Err(error.into())),
            Some(Ok(entry)) => entry,
        };
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            // Some file systems do not say.
            FileType::Unknown => dir
                .fd()
                .and_then(|dir| statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW))
                .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
            kind => kind,
        };
        batch.push_back(match entry.file_name().to_str() {
            Ok(name) => Ok(DirectoryEntry { type_: of_kind(kind), name: name.to_owned() }),
            Err(_) => Err(ErrorCode::IllegalByteSequence),
        });
    }
    (Some(dir), Ok(batch))
}

fn of_kind(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}
