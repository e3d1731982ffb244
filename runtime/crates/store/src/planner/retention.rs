//! Until when what is left of a task that has ended is kept, and its deletion.
//!
//! What a turn has ended is noted together, in one key for each instant at which something of it is to go: a task costs a
//! share of a write. Instants are rounded up, so that a store that is idle is not woken for every task.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_task::job::JobId;
use sunaba_task::webhook::{DELIVERY_KEPT, is_internal};
use sunaba_task::{Retention, State, Task, TaskId, Timestamp};

use super::audit::json;
use super::submit::Owner;
use super::{Planner, Stored, Turn};
use crate::codec;
use crate::keys;
use crate::{DeleteError, StoreError};

/// Tasks of one key.
const MAX_NOTED: usize = 256;
/// Tasks of which something is deleted in one turn; more come in the next.
const MAX_PURGED: usize = 1_000;
/// Instants are rounded up to whole ones of these. Nothing is kept for less time than was asked.
const GRAIN_MS: u64 = 60_000;

/// What has ended in a turn, by when it is to be deleted. As long as the turn's list of ends.
#[derive(Default)]
pub(super) struct Ended {
    by_instant: BTreeMap<Timestamp, Noted>,
}

/// What is noted under one key.
pub(crate) type Noted = Vec<(TaskId, Part)>;

impl Ended {
    fn note(&mut self, at: Timestamp, task: TaskId, part: Part) {
        self.by_instant.entry(at).or_default().push((task, part));
    }
}

/// A part of what is left of a task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Part {
    /// Its output, which has a key of its own.
    Output,
    /// All of it.
    Record,
    /// The record of a job, of which this is the id.
    Job,
    /// Artifacts of a task that is gone already.
    Artifacts,
}

impl Planner {
    pub(crate) fn retention(&self) -> Retention {
        self.retention.clone()
    }

    pub(crate) fn set_retention(&mut self, turn: &mut Turn<'_>, retention: Retention) -> Result<(), StoreError> {
        retention.check()?;
        turn.note_change(|| (json(&self.retention), json(&retention)));
        turn.txn.put(keys::RETENTION.to_vec(), codec::write(&retention));
        self.retention = retention;
        Ok(())
    }

    pub(super) fn read_retention(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        if let Some(stored) = turn.txn.get(keys::RETENTION)? {
            self.retention = codec::read(keys::RETENTION, &stored).unwrap_or_else(|error| {
                tracing::error!(%error, "records are kept until somebody says again for how long");
                Retention { succeeded: None, cancelled: None, expired: None, dead: None, ..Retention::default() }
            });
        }
        self.read_next_purge(turn)
    }

    fn read_next_purge(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'e');
        self.next_purge = turn.txn.first(&first, &end)?.and_then(|(key, _)| keys::due_at(&key));
        Ok(())
    }

    /// Notes until when what is left of a task that ends now is kept.
    pub(super) fn keep(&self, turn: &mut Turn<'_>, stored: &mut Stored) {
        self.keep_result(turn, stored, Duration::ZERO);
    }

    /// The same, with what it gave for so long at least.
    pub(super) fn keep_result(&self, turn: &mut Turn<'_>, stored: &mut Stored, least: Duration) {
        let task = &stored.task;
        let kept = match is_internal(&task.spec.queue) {
            // No longer than its record, of which others have said how long.
            true => self.kept_for(task).unwrap_or(DELIVERY_KEPT),
            false => task.spec.keep_result.unwrap_or(self.retention.result).max(least),
        };
        let result = task.output.as_ref().map(|_| kept);
        stored.output_until = result.map(|result| turn.now.after(result));
        // A result that was asked for keeps its record.
        let record = self.kept_for(task).map(|record| record.max(result.unwrap_or_default()));
        let record = record.map(|record| rounded_up(turn.now, record));
        // A short one stands in the record, and is not given any more once its time is over.
        if let Some(result) = result.filter(|_| stored.output.is_none()) {
            let at = rounded_up(turn.now, result);
            if record.is_none_or(|record| at < record) {
                turn.ended.note(at, task.id, Part::Output);
            }
        }
        if let Some(at) = record {
            turn.ended.note(at, task.id, Part::Record);
        }
        stored.record_until = record;
    }

    /// Notes that something goes after so long.
    pub(super) fn note_end(&self, turn: &mut Turn<'_>, kept: Duration, id: TaskId, part: Part) {
        let at = rounded_up(turn.now, kept);
        turn.ended.note(at, id, part);
    }

    /// How long the record of a task that has ended is kept; none when it is until somebody deletes it.
    fn kept_for(&self, task: &Task) -> Option<Duration> {
        let kept = match task.state {
            State::Succeeded => self.retention.succeeded,
            State::Cancelled => self.retention.cancelled,
            State::Expired => self.retention.expired,
            _ => self.retention.dead,
        };
        match is_internal(&task.spec.queue) {
            true => Some(kept.map_or(DELIVERY_KEPT, |kept| kept.min(DELIVERY_KEPT))),
            false => kept,
        }
    }

    /// Another task has been made in this one's stead: nobody waits for somebody to look at it any more, so that it is kept
    /// no longer than what has succeeded. What was promised a time when it ended is kept for just that time.
    pub(super) fn keep_rerun(&self, turn: &mut Turn<'_>, stored: &mut Stored) {
        if let (None, Some(kept)) = (stored.record_until, self.retention.succeeded) {
            let result = stored.output_until.unwrap_or(turn.now).since(turn.now);
            let at = rounded_up(turn.now, kept.max(result));
            turn.ended.note(at, stored.task.id, Part::Record);
            stored.record_until = Some(at);
        }
    }

    /// Writes what was noted in the turn.
    pub(super) fn write_ended(&mut self, turn: &mut Turn<'_>) {
        for (at, parts) in std::mem::take(&mut turn.ended.by_instant) {
            self.next_purge = Some(self.next_purge.map_or(at, |next| next.min(at)));
            for parts in parts.chunks(MAX_NOTED) {
                let sequence = self.sequence(turn);
                turn.txn.put(keys::ended(at, sequence), codec::write(&parts));
            }
        }
    }

    /// Deletes what need not be kept any more.
    pub(super) fn purge(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        if self.next_purge.is_none_or(|at| at > turn.now) {
            return Ok(());
        }
        let (first, _) = keys::all(b'e');
        let end = keys::ended(turn.now, u64::MAX);
        let (mut keys, mut due) = (Vec::new(), Vec::new());
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            match codec::read::<Noted>(&key, &stored) {
                Ok(parts) => due.extend(parts),
                Err(error) => tracing::error!(%error, "tasks that have ended stay until they are deleted by hand"),
            }
            keys.push(key.to_vec());
            if due.len() + MAX_NOTED > MAX_PURGED || keys.len() == MAX_PURGED {
                break;
            }
        }
        keys.into_iter().for_each(|key| turn.txn.delete(key));
        due.into_iter().try_for_each(|(task, part)| self.purge_part(turn, task, part))?;
        self.read_next_purge(turn)
    }

    fn purge_part(&mut self, turn: &mut Turn<'_>, id: TaskId, part: Part) -> Result<(), StoreError> {
        if matches!(part, Part::Job) {
            return self.forget_job(turn, JobId::from_bytes(*id.as_bytes()));
        }
        if matches!(part, Part::Artifacts) {
            return self.forget_artifacts(turn, id);
        }
        // Somebody may have deleted it before.
        let Some(mut stored) = self.stored_by(turn, id.as_bytes())? else { return Ok(()) };
        match part {
            Part::Output => {
                turn.txn.delete(keys::output(id));
                // It is gone, whatever the clock may say later.
                stored.output_until = None;
                turn.txn.put(keys::task(id), codec::write(&stored));
                Ok(())
            }
            Part::Record | Part::Job | Part::Artifacts => self.forget(turn, &stored),
        }
    }

    pub(crate) fn delete(
        &mut self,
        turn: &mut Turn<'_>,
        ids: &[TaskId],
    ) -> Result<Vec<Result<(), DeleteError>>, StoreError> {
        ids.iter().map(|id| self.delete_one(turn, *id)).collect()
    }

    fn delete_one(&mut self, turn: &mut Turn<'_>, id: TaskId) -> Result<Result<(), DeleteError>, StoreError> {
        let stored = match self.stored(turn, id) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(Err(DeleteError::Unknown(id))),
            Err(StoreError::Damaged { problem, .. }) => return Ok(Err(DeleteError::Damaged { task: id, problem })),
            Err(error) => return Err(error),
        };
        if !stored.task.state.is_terminal() {
            return Ok(Err(DeleteError::NotEnded { task: id, state: stored.task.state.name() }));
        }
        if let Some(link) = &stored.task.job
            && self.job(turn, link.job)?.is_some_and(|job| !job.state.is_terminal())
        {
            return Ok(Err(DeleteError::JobNotEnded { task: id, job: link.job }));
        }
        self.forget(turn, &stored).map(Ok)
    }

    /// Deletes a task that has ended, and every key that is there for it.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_>, stored: &Stored) -> Result<(), StoreError> {
        let task = &stored.task;
        if let Some(key) = &task.spec.idempotency_key {
            let key = keys::idempotency(key);
            if is_of(turn, &key, |owner: Owner| owner.task == task.id)? {
                turn.txn.delete(key);
            }
        }
        self.release(turn, task)?;
        self.forget_node(turn, task)?;
        self.forget_branch(turn, task)?;
        if stored.input.is_none() {
            turn.txn.delete(keys::input(task.id));
        }
        if task.output.is_some() && stored.output.is_none() {
            turn.txn.delete(keys::output(task.id));
        }
        if task.callbacks > 0 {
            turn.txn.delete(keys::callbacks(task.id));
        }
        self.forget_artifacts(turn, task.id)?;
        for attempt in &task.attempts {
            turn.txn.delete(keys::attempt(task.id, attempt.number));
        }
        for tag in &task.spec.tags {
            turn.txn.delete(keys::among(keys::with_tag(tag), task.id));
        }
        if let Some(key) = keys::in_state(task.state.name()) {
            turn.txn.delete(keys::among(key, task.id));
        }
        match is_internal(&task.spec.queue) {
            true => self.delivery_forgotten(turn, task)?,
            false => self.observer.forgotten(task),
        }
        turn.txn.delete(keys::task(task.id));
        Ok(())
    }
}

/// Whether what a key has is of this task. What cannot be read is nobody's, and goes with the first who asks.
pub(super) fn is_of<T: serde::de::DeserializeOwned>(
    turn: &Turn<'_>,
    key: &[u8],
    is_its: impl FnOnce(T) -> bool,
) -> Result<bool, StoreError> {
    let Some(stored) = turn.txn.get(key)? else { return Ok(false) };
    Ok(codec::read(key, &stored).map_or(true, is_its))
}

fn rounded_up(now: Timestamp, kept: Duration) -> Timestamp {
    Timestamp::from_unix_ms(now.after(kept).unix_ms().div_ceil(GRAIN_MS) * GRAIN_MS)
}
