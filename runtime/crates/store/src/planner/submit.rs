//! Takes tasks on.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sunaba_task::webhook::is_internal;
use sunaba_task::{Digest, NewTask, Origin, State, Task, TaskId};

use super::fresh::MAX_QUEUED;
use super::unique::{self, Claim};
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
        tasks.into_iter().map(|new| self.submit_one(turn, new)).collect()
    }

    fn submit_one(&mut self, turn: &mut Turn<'_>, new: NewTask) -> Result<Result<Submitted, SubmitError>, StoreError> {
        if let Some(key) = &new.spec.idempotency_key {
            match readable(key, self.owner(turn, key, &new))? {
                Ok(None) => {}
                Ok(Some(known)) => return Ok(known),
                Err(error) => return Ok(Err(error)),
            }
        }
        // Decided where deploys are: either that one sees this task, or this task has seen that one.
        if let Some(active) = self.newer(&new.spec) {
            return Ok(Err(SubmitError::Unchecked { active: Box::new(active.clone()) }));
        }
        let unique = new.unique.as_ref().map_or("", |unique| &unique.key);
        let (replaced, first) = match readable(unique, self.claim(turn, &new))? {
            Ok(Claim::Free) => (None, turn.now),
            Ok(Claim::Instead { of, first }) => (Some(of), first),
            Ok(Claim::Answered(answer)) => return Ok(answer),
            Err(error) => return Ok(Err(error)),
        };
        // Whoever takes another's place needs none of his own.
        let queue = &new.spec.queue;
        if replaced.as_ref().is_none_or(|old| old.task.spec.queue != *queue)
            && let Some((waiting, limit)) = self.lanes.overflow(queue)
        {
            return Ok(Err(SubmitError::QueueFull { queue: queue.clone(), waiting, limit }));
        }
        let owner = new.spec.idempotency_key.is_some().then(|| fingerprint(&new));
        let new = NewTask { start: unique::start(&new, first, turn.now), ..new };
        let origin = replaced.as_ref().map(|old| Origin::Replaces(old.task.id));
        let task = self.take_on(turn, &new, origin)?;
        if let (Some(key), Some(fingerprint)) = (&new.spec.idempotency_key, owner) {
            turn.txn.put(keys::idempotency(key), codec::write(&Owner { task: task.id, fingerprint }));
        }
        self.hold(turn, &new, task.id, first);
        if let Some(old) = replaced {
            self.replace(turn, old, task.id)?;
        }
        Ok(Ok(Submitted::Created(task)))
    }

    /// Makes a task, whatever else it means that there is one.
    pub(super) fn take_on(
        &mut self,
        turn: &mut Turn<'_>,
        new: &NewTask,
        origin: Option<Origin>,
    ) -> Result<Task, StoreError> {
        self.take_on_with(turn, new, |task| Task { origin, ..task })
    }

    /// The same of a record that is more than what was submitted.
    pub(super) fn take_on_with(
        &mut self,
        turn: &mut Turn<'_>,
        new: &NewTask,
        finish: impl FnOnce(Task) -> Task,
    ) -> Result<Task, StoreError> {
        let sequence = self.sequence(turn);
        let id = self.task_id(turn, sequence);
        let task = finish(Task::submitted(id, sequence, new, turn.now));
        let input = inline_or_put(turn, keys::input(id), &new.input.bytes);
        for tag in &task.spec.tags {
            turn.txn.put(keys::among(keys::with_tag(tag), id), Bytes::new());
        }
        self.watch_expiry(turn, &task);
        if !new.callbacks.is_empty() {
            turn.txn.put(keys::callbacks(id), codec::write(&new.callbacks));
        }
        let mut stored =
            Stored { task, input, output: None, output_until: None, record_until: None, has_checkpoint: false };
        if is_internal(&stored.task.spec.queue) {
            self.delivery_made(&stored.task);
        }
        self.unfinished.add(&stored.task.spec);
        self.needs_decider(turn, &stored.task.spec);
        let bytes = self.put(turn, &mut stored);
        self.keep_fresh(&stored, bytes);
        self.tell(turn, None, &stored.task);
        self.count_moved(turn, None, &stored.task)?;
        Ok(stored.task)
    }

    /// Keeps a record that has come for its start, if that is soon.
    fn keep_fresh(&mut self, stored: &Stored, bytes: usize) {
        let queue = self.lanes.queue(&stored.task.spec.queue);
        if stored.task.state == State::Queued && queue.is_some_and(|queue| queue.queued <= MAX_QUEUED) {
            self.fresh.keep(stored, bytes);
        }
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
    pub(super) fn task_id(&mut self, turn: &Turn<'_>, sequence: u64) -> TaskId {
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

/// What was read of a key. If that is damaged, it is none of the business of the others of its batch.
fn readable<T>(key: &str, read: Result<T, StoreError>) -> Result<Result<T, SubmitError>, StoreError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(StoreError::Damaged { problem, .. }) => Ok(Err(SubmitError::Damaged { key: key.to_owned(), problem })),
        Err(error) => Err(error),
    }
}

/// What a repeated key is held against.
fn fingerprint(new: &NewTask) -> Digest {
    let NewTask { spec, start, expires, input, unique, callbacks, fingerprint } = new;
    fingerprint.unwrap_or_else(|| Digest::of(&codec::write(&(spec, start, expires, input, unique, callbacks))))
}
