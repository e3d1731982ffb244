//! Takes tasks on.

use serde::{Deserialize, Serialize};
use sunaba_task::{Digest, NewTask, Task, TaskId};

use super::{Planner, Stored, Turn, inline_or_put};
use crate::codec;
use crate::keys;
use crate::{StoreError, SubmitError, Submitted};

/// Who has an idempotency key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) task: TaskId,
    fingerprint: Digest,
}

impl Planner {
    pub(crate) fn submit(
        &mut self,
        turn: &mut Turn<'_>,
        tasks: Vec<NewTask>,
    ) -> Result<Vec<Result<Submitted, SubmitError>>, StoreError> {
        turn.txn.check_room()?;
        tasks.into_iter().map(|new| self.submit_one(turn, &new)).collect()
    }

    fn submit_one(&mut self, turn: &mut Turn<'_>, new: &NewTask) -> Result<Result<Submitted, SubmitError>, StoreError> {
        if let Some(key) = &new.spec.idempotency_key {
            match self.owner(turn, key, new) {
                Ok(None) => {}
                Ok(Some(known)) => return Ok(known),
                // Of the others of its batch it is none of the business.
                Err(StoreError::Damaged { problem, .. }) => {
                    return Ok(Err(SubmitError::Damaged { key: key.clone(), problem }));
                }
                Err(error) => return Err(error),
            }
        }
        let sequence = self.sequence(turn);
        let id = self.task_id(turn, sequence);
        let task = Task::submitted(id, sequence, new, turn.now);
        let input = inline_or_put(turn, keys::input(id), &new.input.bytes);
        let stored = Stored { task, input, output: None };
        self.put(turn, &stored);
        self.tell(turn, None, &stored.task);
        if let Some(key) = &new.spec.idempotency_key {
            turn.txn.put(keys::idempotency(key), codec::write(&Owner { task: id, fingerprint: fingerprint(new) }));
        }
        Ok(Ok(Submitted::Created(stored.task)))
    }

    /// What the key's owner means for this task; none when nobody has the key.
    fn owner(
        &self,
        turn: &Turn<'_>,
        key: &str,
        new: &NewTask,
    ) -> Result<Option<Result<Submitted, SubmitError>>, StoreError> {
        let place = keys::idempotency(key);
        let Some(stored) = turn.txn.get(&place)? else { return Ok(None) };
        let owner: Owner = codec::read(&place, &stored)?;
        if owner.fingerprint != fingerprint(new) {
            return Ok(Some(Err(SubmitError::Conflict { key: key.to_owned(), task: owner.task })));
        }
        Ok(self.stored(turn, owner.task)?.map(|stored| Ok(Submitted::Existing(stored.task))))
    }

    /// A UUID of version 7 in which the store's count follows the time: ids sort as tasks came, within a millisecond too.
    fn task_id(&mut self, turn: &Turn<'_>, sequence: u64) -> TaskId {
        // Four and two bits of these bytes are the version's: the count stands around them, 12 bits and 30, and 32 of chance
        // follow.
        let count = (sequence >> 30) & 0xfff;
        let [high, low] = u16::try_from(count).expect("12 bits").to_be_bytes();
        let rest = (sequence & 0x3fff_ffff) << 32 | u64::from(self.random.u32(..));
        let mut tail = [high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        tail[2..].copy_from_slice(&rest.to_be_bytes());
        TaskId::from_uuid(uuid::Builder::from_unix_timestamp_millis(turn.now.unix_ms(), &tail).into_uuid())
    }
}

/// What a repeated key is held against.
fn fingerprint(new: &NewTask) -> Digest {
    new.fingerprint.unwrap_or_else(|| Digest::of(&codec::write(&(&new.spec, &new.start, &new.input))))
}
