//! A backup of a store that is being served. The commit thread copies a part in each turn, behind a cursor; what is
//! written later to keys that the cursor has passed goes with the next part. Applied in order, the parts are the store as
//! it was when the last of them was made.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use sunaba_task::Digest;
use tokio::sync::mpsc;

use super::backup::{BLOCK_BYTES, BLOCK_PAIRS};
use super::file::{Backup, Writer};
use super::{END, MaintenanceError, artifacts};
use crate::{Engine, EngineError, Writes, keys};

/// Parts that wait for the disk of the backup.
pub(crate) const MAX_PARTS: usize = 4;
/// Pairs that a turn copies: others wait meanwhile.
const TURN_PAIRS: usize = BLOCK_PAIRS / 4;
/// Bytes of later writes that wait. More means that the backup's disk is slower than the store's.
const MAX_LATER_BYTES: usize = 64 << 20;

/// A part of a backup.
pub(crate) enum Part {
    Block(Writes),
    /// The last one, with which it is whole.
    End(Writes),
}

/// A backup on its way.
pub(crate) struct Copying {
    parts: mpsc::Sender<Part>,
    /// The last key that was copied. None: nothing was.
    cursor: Option<Vec<u8>>,
    later: Writes,
    later_bytes: usize,
}

impl Copying {
    pub(crate) fn new(parts: mpsc::Sender<Part>) -> Self {
        Self { parts, cursor: None, later: Writes::new(), later_bytes: 0 }
    }

    /// Waits until there is room for a part, or nobody wants one any more.
    pub(crate) async fn room(&self) {
        let _ = self.parts.reserve().await;
    }

    /// Notes what was applied, as far as the cursor has passed it.
    pub(crate) fn note(&mut self, writes: &Writes) {
        let Some(cursor) = &self.cursor else { return };
        for (key, value) in writes.range((Bound::Unbounded, Bound::Included(cursor.clone()))) {
            self.later_bytes += key.len() + value.as_ref().map_or(0, bytes::Bytes::len);
            self.later.insert(key.clone(), value.clone());
        }
    }

    /// Copies a part, if there is room. Gives whether there is more to do.
    pub(crate) fn step(&mut self, engine: &dyn Engine) -> Result<bool, EngineError> {
        let permit = match self.parts.try_reserve() {
            Ok(permit) => permit,
            Err(mpsc::error::TrySendError::Full(())) if self.later_bytes <= MAX_LATER_BYTES => return Ok(true),
            // It has no end, so that whoever writes it knows that it is not whole.
            Err(_) => return Ok(false),
        };
        let from: Vec<u8> = self.cursor.iter().flatten().copied().chain(self.cursor.as_ref().map(|_| 0)).collect();
        // What was written later goes with what comes next: a store that never rests is copied to its end, too.
        let mut block = std::mem::take(&mut self.later);
        self.later_bytes = 0;
        let (mut count, mut bytes) = (0, 0);
        for pair in engine.scan(&from, END, false) {
            let (key, value) = pair?;
            count += 1;
            bytes += key.len() + value.len();
            self.cursor = Some(key.to_vec());
            block.insert(key.to_vec(), Some(value));
            if count == TURN_PAIRS || bytes >= BLOCK_BYTES {
                permit.send(Part::Block(block));
                return Ok(true);
            }
        }
        permit.send(Part::End(block));
        Ok(false)
    }
}

/// Writes the parts of a backup into its file.
///
/// What its records name in this folder comes last; whoever calls keeps it there meanwhile.
pub(crate) fn write_parts(
    file: PathBuf,
    mut parts: mpsc::Receiver<Part>,
    blobs: &Path,
) -> Result<Backup, MaintenanceError> {
    let mut writer = Writer::create(&file)?;
    // As many as there are names: a few hundred bytes each.
    let mut names = BTreeMap::new();
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::Block(block) => {
                note_names(&mut names, &block);
                writer.block(&block)?;
            }
            Part::End(block) => {
                note_names(&mut names, &block);
                writer.block(&block)?;
                artifacts::back_up(blobs, names.into_keys().map(Ok), &mut writer)?;
                return writer.finish();
            }
        }
    }
    Err(MaintenanceError::System {
        action: "back up the store into",
        path: file,
        problem: "the store has failed or was closed, or the disk of the backup is too slow".into(),
    })
}

/// Who names which file, after these writes. A later one may take a name away.
fn note_names(names: &mut BTreeMap<Digest, BTreeSet<Vec<u8>>>, writes: &Writes) {
    for (key, value) in writes.range([b'R'].as_slice().to_vec()..vec![b'S']) {
        let Some((digest, ..)) = keys::read_name(key) else { continue };
        let of_file = names.entry(digest).or_default();
        match value {
            Some(_) => drop(of_file.insert(key.clone())),
            None => drop(of_file.remove(key)),
        }
        if of_file.is_empty() {
            names.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryEngine;

    #[test]
    fn backup_of_a_store_that_never_rests_ends_and_is_whole() {
        let key = |index: usize| format!("k{index:06}").into_bytes();
        let write = |index: usize, value: usize| Writes::from([(key(index), Some(value.to_string().into()))]);
        let mut engine = MemoryEngine::default();
        (0..2_000).for_each(|index| engine.apply(&write(index, 0)).expect("memory does not fail"));
        let (parts, mut written) = mpsc::channel(MAX_PARTS);
        let mut copying = Copying::new(parts);
        let (mut copy, mut is_whole) = (Writes::new(), false);
        for turn in 1..100 {
            // Each turn writes the first key, which was copied long ago.
            engine.apply(&write(0, turn)).expect("memory does not fail");
            copying.note(&write(0, turn));
            let goes_on = copying.step(&engine).expect("memory does not fail");
            while let Ok(part) = written.try_recv() {
                is_whole = matches!(part, Part::End(_));
                let (Part::Block(block) | Part::End(block)) = part;
                copy.extend(block);
            }
            if !goes_on {
                break;
            }
        }
        assert!(is_whole, "it has ended");
        let stored: Writes =
            engine.scan(&[], END, false).flatten().map(|(key, value)| (key.to_vec(), Some(value))).collect();
        assert_eq!(copy, stored);
    }
}
