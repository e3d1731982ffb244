//! Sets aside what is damaged, so that it is met once and all else is served. Nothing is thrown away: the value stays in
//! the store as it was found, under a key of its own.
//!
//! A read writes nothing. What it meets is noted, and set aside with the next change.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sunaba_task::{TaskId, Timestamp};

use super::{Planner, Stored, Turn};
use crate::StoreError;
use crate::codec;
use crate::keys;

/// Damaged values that reads have met and that are remembered; of more, the next list will tell again.
const MAX_SUSPECTS: usize = 100;

/// A value that was set aside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SetAside {
    pub(crate) at: Timestamp,
    pub(crate) problem: String,
    /// As it was found.
    pub(crate) value: Bytes,
}

/// A value that a read could not make sense of.
pub(super) struct Suspect {
    key: Bytes,
    value: Bytes,
    problem: String,
}

impl Turn<'_> {
    /// The value of this key; one that is damaged is set aside.
    pub(super) fn read_or_set_aside<T: DeserializeOwned>(
        &mut self,
        key: &[u8],
        stored: &Bytes,
    ) -> Result<Option<T>, StoreError> {
        match codec::read(key, stored) {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Damaged { problem, .. }) => self.set_aside(key, problem).map(|()| None),
            Err(error) => Err(error),
        }
    }

    /// Takes a value out of its place.
    pub(super) fn set_aside(&mut self, key: &[u8], problem: String) -> Result<(), StoreError> {
        let Some(value) = self.txn.get(key)? else { return Ok(()) };
        let error = codec::damaged(key, problem.clone());
        if value.is_empty() {
            // Its file cannot be read; without its key the file would be removed.
            tracing::error!(%error, "a record is left out");
            return Ok(());
        }
        tracing::error!(%error, "a record is set aside");
        let mut place = keys::set_aside(key);
        // What was set aside before under the same key stays.
        while self.txn.get(&place)?.is_some() {
            place.push(u8::MAX);
        }
        self.txn.put(place, codec::write(&SetAside { at: self.now, problem, value }));
        self.txn.delete(key.to_vec());
        Ok(())
    }

    /// The value of this key, for a read; one that is damaged is left out.
    pub(super) fn read_or_suspect<T: DeserializeOwned>(&self, key: &Bytes, value: &Bytes) -> Option<T> {
        let error = match codec::read(key, value) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        tracing::error!(%error, "a record is left out of a list");
        let mut suspects = self.suspects.borrow_mut();
        if let StoreError::Damaged { problem, .. } = error
            && suspects.len() < MAX_SUSPECTS
        {
            suspects.push(Suspect { key: key.clone(), value: value.clone(), problem });
        }
        None
    }
}

impl Planner {
    /// Remembers what reads have met.
    pub(crate) fn note_suspects(&mut self, reads: Turn<'_>) {
        let left = MAX_SUSPECTS.saturating_sub(self.suspects.len());
        self.suspects.extend(reads.suspects.into_inner().into_iter().take(left));
    }

    /// Sets aside what reads have met, if it is still there.
    pub(crate) fn set_suspects_aside(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        for Suspect { key, value, problem } in self.suspects.drain(..) {
            if turn.txn.get(&key)? == Some(value) {
                turn.set_aside(&key, problem)?;
            }
        }
        Ok(())
    }

    /// A record, running or not. One that is damaged counts as none, and is set aside.
    pub(super) fn stored_by(&self, turn: &mut Turn<'_>, id: &[u8]) -> Result<Option<Stored>, StoreError> {
        let Ok(id) = <[u8; 16]>::try_from(id) else { return Ok(None) };
        let id = TaskId::from_bytes(id);
        match self.stored(turn, id) {
            Err(StoreError::Damaged { problem, .. }) => turn.set_aside(&keys::task(id), problem).map(|()| None),
            other => other,
        }
    }

    /// A record, running or not.
    pub(super) fn stored(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Stored>, StoreError> {
        if let Some(running) = self.running.get(&id) {
            return Ok(Some(running.stored.clone()));
        }
        let key = keys::task(id);
        match turn.txn.get(&key)? {
            Some(stored) => codec::read(&key, &stored).map(Some),
            None if turn.txn.get(&keys::set_aside(&key))?.is_some() => {
                Err(codec::damaged(&key, "it was found to be damaged, and was set aside".into()))
            }
            None => Ok(None),
        }
    }
}
