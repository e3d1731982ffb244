//! What follows when a task ends, and the end of what was not started in time.

use bytes::Bytes;
use sunaba_task::webhook::is_internal;
use sunaba_task::{Event, State, Task, Timestamp};

use super::checkpoint::forget_checkpoint;
use super::{Planner, Stored, Turn};
use crate::StoreError;
use crate::keys;

/// Tasks that expire in one turn; more do in the next.
const MAX_EXPIRED: usize = 1_000;

impl Planner {
    /// A task has ended; its record is not written yet.
    pub(super) fn end(&mut self, turn: &mut Turn<'_>, stored: &mut Stored) -> Result<(), StoreError> {
        forget_checkpoint(turn, stored);
        let task = &stored.task;
        if is_internal(&task.spec.queue) {
            self.keep_delivery(turn, task)?;
        }
        self.release_at_end(turn, task)?;
        if let Some(key) = keys::in_state(task.state.name()).filter(|_| !is_internal(&task.spec.queue)) {
            turn.txn.put(keys::among(key, task.id), Bytes::new());
        }
        self.follow(turn, stored)?;
        if let Some(link) = &stored.task.schedule {
            self.task_of_schedule_ended(turn, &link.name, stored.task.id)?;
        }
        // Of what undoes a task nobody asks what came of it.
        if stored.task.job.as_ref().is_none_or(|link| link.undoes) {
            self.keep(turn, stored);
        }
        if stored.task.job.is_none() {
            return Ok(());
        }
        // What others of its job may want of it is kept until the job has ended.
        if stored.output_until.is_none() {
            stored.output_until = stored.task.output.as_ref().map(|_| Timestamp::from_unix_ms(u64::MAX));
        }
        let task = stored.task.clone();
        self.task_of_job_ended(turn, &task)
    }

    /// Has a task that was not started yet expire in its time.
    pub(super) fn watch_expiry(&mut self, turn: &mut Turn<'_>, task: &Task) {
        if let Some(at) = task.expires_at.filter(|_| task.is_unstarted()) {
            turn.txn.put(keys::expiry(at, task.sequence), Bytes::copy_from_slice(task.id.as_bytes()));
            self.next_expiry = Some(self.next_expiry.map_or(at, |next| next.min(at)));
        }
    }

    /// Ends what was not started in time.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        if self.next_expiry.is_none_or(|at| at > turn.now) {
            return Ok(());
        }
        let (first, _) = keys::all(b'x');
        let end = keys::expiry(turn.now, u64::MAX);
        let late: Vec<_> = turn.txn.scan(&first, &end, false).take(MAX_EXPIRED).collect::<Result<_, _>>()?;
        for (key, id) in late {
            turn.txn.delete(key.to_vec());
            match self.stored_by(turn, &id)? {
                Some(stored) if stored.task.is_unstarted() => {
                    self.change(turn, stored, Event::Expired)?;
                }
                _ => tracing::error!(?key, "a key of a task that expires stands for none"),
            }
        }
        self.read_next_expiry(turn)
    }

    /// Ends a queued task whose time is over and that [`expire`](Self::expire) has not come to; gives it back otherwise.
    pub(super) fn unless_expired(&mut self, turn: &mut Turn<'_>, stored: Stored) -> Result<Option<Stored>, StoreError> {
        let task = &stored.task;
        let is_late = task.is_unstarted() && task.expires_at.is_some_and(|at| at <= turn.now);
        if !is_late || task.state != State::Queued {
            return Ok(Some(stored));
        }
        self.change(turn, stored, Event::Expired)?;
        Ok(None)
    }

    pub(super) fn read_next_expiry(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'x');
        self.next_expiry = turn.txn.first(&first, &end)?.and_then(|(key, _)| keys::due_at(&key));
        Ok(())
    }
}
