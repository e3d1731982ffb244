//! What an attempt keeps for those after it.
//!
//! A checkpoint has a key of its own, and its task's record says that there is one: the record is written with the first, and
//! what follows costs one key. It goes in the turn in which its task ends, so that no checkpoint is there without a task that
//! can go on from it.

use bytes::Bytes;
use sunaba_task::{LeaseToken, MAX_CHECKPOINT_BYTES, TaskId};

use super::{Planner, Stored, Turn};
use crate::codec;
use crate::keys;
use crate::{CheckpointError, StoreError};

impl Planner {
    pub(crate) fn checkpoint(
        &mut self,
        turn: &mut Turn<'_>,
        token: &LeaseToken,
        bytes: &Bytes,
    ) -> Result<Result<(), CheckpointError>, StoreError> {
        if bytes.len() > MAX_CHECKPOINT_BYTES {
            return Ok(Err(CheckpointError::TooLarge { bytes: bytes.len() as u64 }));
        }
        let id = token.task;
        if !self.has_lease(token) {
            return Ok(Err(CheckpointError::LeaseLost));
        }
        let Some(running) = self.running.get_mut(&id) else { return Ok(Err(CheckpointError::LeaseLost)) };
        turn.txn.check_room()?;
        turn.txn.put(keys::checkpoint(id), codec::write_bytes(bytes));
        if !running.stored.has_checkpoint {
            running.stored.has_checkpoint = true;
            // As it runs: after a crash the lease's entry is void, and the record says itself that it was running.
            turn.txn.put(keys::task(id), codec::write(&running.stored));
        }
        Ok(Ok(()))
    }

    pub(crate) fn last_checkpoint(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Bytes>, StoreError> {
        let key = keys::checkpoint(id);
        turn.txn.get(&key)?.map(|stored| codec::read_bytes(&key, &stored)).transpose()
    }
}

/// Of a task that ends now; its record is not written yet.
pub(super) fn forget_checkpoint(turn: &mut Turn<'_>, stored: &mut Stored) {
    if std::mem::take(&mut stored.has_checkpoint) {
        turn.txn.delete(keys::checkpoint(stored.task.id));
    }
}
