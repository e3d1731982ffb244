//! The files of artifacts in what is done with a data directory: verified, backed up and restored with what names them.
//!
//! In a backup they are pieces under keys that no store has, after all else, so that a backup is one file of one kind of blocks.

use std::io;
use std::path::Path;

use bytes::Bytes;
use sunaba_task::{Artifact, Digest};

use super::backup::BLOCK_BYTES;
use super::file::Writer;
use super::links::{Found, Links};
use super::{MaintenanceError, pairs};
use crate::blobs::{self, restore::Restore};
use crate::progress::Progress;
use crate::{Engine, EngineError, SystemClock, Writes, codec, keys};

/// The letter of a piece's key: then come a digest and the place of the piece in its file.
const PIECE: u8 = b'F';

/// Checks an artifact: that its task is there, and that its file is named by it.
pub(super) fn artifact(links: &Links<'_>, key: &[u8], value: &Bytes) -> Found {
    let artifact: Artifact = codec::read(key, value)?;
    let Some((task, name)) = keys::read_artifact(key) else { return Ok(vec!["it has no task and name".into()]) };
    let mut found = links.of_task(task.as_bytes(), |_| None)?;
    if name != artifact.name.as_str() {
        found.push(format!("it is called `{}`", artifact.name));
    }
    if let Some(digest) = artifact.digest()
        && links.engine.get(&keys::name(&digest, task, name))?.is_none()
    {
        found.push("nothing keeps its file".into());
    }
    Ok(found)
}

/// Checks what names a file: that it is an artifact, of this file.
pub(super) fn name(links: &Links<'_>, key: &[u8], _: &Bytes) -> Found {
    let Some((digest, task, name)) = keys::read_name(key) else { return Ok(vec!["it is no name of a file".into()]) };
    let key = keys::artifact(task, name);
    let is_its = match links.engine.get(&key)?.map(|stored| codec::read::<Artifact>(&key, &stored)) {
        Some(Ok(artifact)) => artifact.digest() == Some(digest),
        // It is told where it stands itself.
        Some(Err(_)) => true,
        None => false,
    };
    Ok((!is_its).then(|| "no artifact is this file".into()).into_iter().collect())
}

/// Every file that something names, once.
pub(super) fn wanted(engine: &dyn Engine) -> impl Iterator<Item = Result<Digest, EngineError>> {
    let mut last = None;
    pairs(engine, b'R').filter_map(move |pair| {
        let digest = match pair {
            Ok((key, _)) => keys::read_name(&key)?.0,
            Err(error) => return Some(Err(error)),
        };
        (last.replace(digest) != Some(digest)).then_some(Ok(digest))
    })
}

/// Looks at every file: tells what is missing or changed, and counts those that nothing names.
pub(super) fn verify_files(
    directory: &Path,
    engine: &dyn Engine,
    mut tell: impl FnMut(&[u8], String),
) -> Result<(u64, u64), MaintenanceError> {
    let (folder, clock) = (directory.join("blobs"), SystemClock::new());
    let (mut files, mut progress) = (0, Progress::new(&clock, "files of artifacts verified"));
    for digest in wanted(engine) {
        let digest = digest?;
        progress.add();
        files += 1;
        let problem = match blobs::look_at(&folder, &digest, |_, _| Ok::<_, MaintenanceError>(()))? {
            blobs::Found::Whole => continue,
            blobs::Found::Changed => "its file is not what its digest says",
            blobs::Found::Missing => "its file is not there",
        };
        tell(&keys::names(&digest).0, problem.into());
    }
    let unnamed = blobs::named(&folder).filter(|(digest, _)| !crate::planner::is_named(engine, digest)).count();
    Ok((files, unnamed as u64))
}

/// Adds the files to a backup whose last pairs are written.
pub(super) fn back_up(
    folder: &Path,
    digests: impl Iterator<Item = Result<Digest, EngineError>>,
    writer: &mut Writer,
) -> Result<(), MaintenanceError> {
    let (mut block, mut bytes) = (Writes::new(), 0);
    for digest in digests {
        let digest = digest?;
        let found = blobs::look_at(folder, &digest, |at, piece| {
            bytes += piece.len();
            block.insert(keys::of(PIECE, &[digest.as_bytes(), &at.to_be_bytes()]), Some(piece));
            if bytes >= BLOCK_BYTES {
                bytes = 0;
                writer.block(&std::mem::take(&mut block))?;
            }
            Ok::<_, MaintenanceError>(())
        })?;
        match found {
            blobs::Found::Whole => {}
            blobs::Found::Changed => writer.note_damaged(),
            blobs::Found::Missing => writer.note_missing(),
        }
        // A piece of another file may sort before this one's.
        bytes = 0;
        writer.block(&std::mem::take(&mut block))?;
    }
    Ok(())
}

/// Tells of every file that something names and that is not there. What is there was verified when it was restored.
pub(super) fn left_out(
    folder: &Path,
    engine: &dyn Engine,
    mut tell: impl FnMut(Digest),
) -> Result<(), MaintenanceError> {
    for digest in wanted(engine) {
        let digest = digest?;
        if !blobs::is_there(folder, &digest) {
            tell(digest);
        }
    }
    Ok(())
}

/// Makes files of what a block has of them; gives the rest of it.
pub(super) fn restore_files(mut block: Writes, restore: &mut Restore) -> io::Result<Writes> {
    let mut pieces = block.split_off([PIECE].as_slice());
    block.append(&mut pieces.split_off([PIECE + 1].as_slice()));
    for (key, piece) in pieces {
        let digest = key.get(1..).and_then(|rest| rest.first_chunk()).copied().map(Digest::from_bytes);
        if let (Some(digest), Some(piece)) = (digest, piece) {
            restore.piece(digest, &piece)?;
        }
    }
    Ok(block)
}

const _: () = assert!(blobs::PIECE_BYTES <= BLOCK_BYTES, "a piece fits into a block");
