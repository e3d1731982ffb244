//! A backup of a store that is being served. The commit thread copies a part in each turn, behind a cursor; what is
//! written later to keys that the cursor has passed is appended. Applied in order, the parts are the store as it was when
//! the last of them was made.

use std::ops::Bound;
use std::path::PathBuf;

use tokio::sync::mpsc;

use super::backup::{BLOCK_BYTES, BLOCK_PAIRS};
use super::file::{Backup, Writer};
use super::{END, MaintenanceError};
use crate::{Engine, EngineError, Writes};

/// Parts that wait for the disk of the backup.
pub(crate) const MAX_PARTS: usize = 4;
/// Pairs that a turn copies: others wait meanwhile.
const TURN_PAIRS: usize = BLOCK_PAIRS / 4;
/// Bytes of later writes that wait. More means that the backup's disk is slower than the store's.
const MAX_LATER_BYTES: usize = 64 << 20;

/// A part of a backup.
pub(crate) enum Part {
    Block(Writes),
    /// It is whole.
    End,
}

/// A backup on its way.
pub(crate) struct Copying {
    parts: mpsc::Sender<Part>,
    /// The last key that was copied. None: nothing was.
    cursor: Option<Vec<u8>>,
    /// Whether every key was.
    is_through: bool,
    later: Writes,
    later_bytes: usize,
}

impl Copying {
    pub(crate) fn new(parts: mpsc::Sender<Part>) -> Self {
        Self { parts, cursor: None, is_through: false, later: Writes::new(), later_bytes: 0 }
    }

    /// Waits until there is room for a part, or nobody wants one any more.
    pub(crate) async fn room(&self) {
        let _ = self.parts.reserve().await;
    }

    /// Notes what was applied, as far as the cursor has passed it.
    pub(crate) fn note(&mut self, writes: &Writes) {
        let Some(cursor) = &self.cursor else { return };
        let passed = if self.is_through { Bound::Unbounded } else { Bound::Included(cursor.clone()) };
        for (key, value) in writes.range((Bound::Unbounded, passed)) {
            self.later_bytes += key.len() + value.as_ref().map_or(0, bytes::Bytes::len);
            self.later.insert(key.clone(), value.clone());
        }
    }

    /// Copies a part, if there is room. Gives whether there is more to do.
    pub(crate) fn step(&mut self, engine: &dyn Engine) -> Result<bool, EngineError> {
        let Self { parts, cursor, is_through, later, later_bytes } = self;
        let permit = match parts.try_reserve() {
            Ok(permit) => permit,
            Err(mpsc::error::TrySendError::Full(())) if *later_bytes <= MAX_LATER_BYTES => return Ok(true),
            // It has no end, so that whoever writes it knows that it is not whole.
            Err(_) => return Ok(false),
        };
        if !later.is_empty() {
            *later_bytes = 0;
            permit.send(Part::Block(std::mem::take(later)));
            return Ok(true);
        }
        if *is_through {
            permit.send(Part::End);
            return Ok(false);
        }
        let from: Vec<u8> = cursor.iter().flatten().copied().chain(cursor.as_ref().map(|_| 0)).collect();
        let (mut block, mut bytes) = (Writes::new(), 0);
        for pair in engine.scan(&from, END, false) {
            let (key, value) = pair?;
            bytes += key.len() + value.len();
            *cursor = Some(key.to_vec());
            block.insert(key.to_vec(), Some(value));
            if block.len() >= TURN_PAIRS || bytes >= BLOCK_BYTES {
                permit.send(Part::Block(block));
                return Ok(true);
            }
        }
        *is_through = true;
        permit.send(Part::Block(block));
        Ok(true)
    }
}

/// Writes the parts of a backup into its file.
pub(crate) fn write_parts(file: PathBuf, mut parts: mpsc::Receiver<Part>) -> Result<Backup, MaintenanceError> {
    let mut writer = Writer::create(&file)?;
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::Block(block) => writer.block(&block)?,
            Part::End => return writer.finish(),
        }
    }
    Err(MaintenanceError::System {
        action: "back up the store into",
        path: file,
        problem: "the store has failed or was closed, or the disk of the backup is too slow".into(),
    })
}
