//! Sees to it that there is one task of a kind at a time.
//!
//! A unique key stands for the task that holds it, until that has ended or for a window. Whoever replaces the holder takes
//! the key from it; a task that is made over again, or that follows another, takes none.

use serde::{Deserialize, Serialize};
use sunaba_task::{CancelRequest, Event, NewTask, OnConflict, Task, TaskId, Timestamp, When};

use super::retention::is_of;
use super::{Planner, Stored, Turn};
use crate::codec;
use crate::keys;
use crate::{StoreError, SubmitError, Submitted};

/// Who holds a unique key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) task: TaskId,
    /// None: until the task has ended.
    until: Option<Timestamp>,
    /// When the first of the row was submitted that this task is the last of.
    first: Timestamp,
}

/// What a task's unique key means for it.
pub(super) enum Claim {
    /// It is taken on.
    Free,
    /// It is taken on in this one's stead, the last of a row that began then.
    Instead { of: Stored, first: Timestamp },
    /// It is not taken on.
    Answered(Result<Submitted, SubmitError>),
}

impl Planner {
    /// What becomes of a task with this unique key. Changes no task.
    pub(super) fn claim(&self, turn: &mut Turn<'_>, new: &NewTask) -> Result<Claim, StoreError> {
        let Some(unique) = &new.unique else { return Ok(Claim::Free) };
        let place = keys::unique(&unique.key);
        let Some(stored) = turn.txn.get(&place)? else { return Ok(Claim::Free) };
        let holder: Holder = codec::read(&place, &stored)?;
        if holder.until.is_some_and(|until| until <= turn.now) {
            return Ok(Claim::Free);
        }
        // Of one that is damaged nothing will ever come.
        let Some(stored) = self.stored_by(turn, holder.task.as_bytes())? else { return Ok(Claim::Free) };
        Ok(match unique.on_conflict {
            OnConflict::Reject => {
                Claim::Answered(Err(SubmitError::Taken { key: unique.key.clone(), task: holder.task }))
            }
            OnConflict::Existing => Claim::Answered(Ok(Submitted::Existing(stored.task))),
            OnConflict::Replace | OnConflict::Debounce { .. } if stored.task.is_unstarted() => {
                Claim::Instead { of: stored, first: holder.first }
            }
            OnConflict::Replace | OnConflict::Debounce { .. } => Claim::Free,
        })
    }

    /// Gives the key to a new task.
    pub(super) fn hold(&self, turn: &mut Turn<'_>, new: &NewTask, task: TaskId, first: Timestamp) {
        let Some(unique) = &new.unique else { return };
        let until = unique.window.map(|window| turn.now.after(window));
        turn.txn.put(keys::unique(&unique.key), codec::write(&Holder { task, until, first }));
    }

    /// Cancels a task that another one was submitted in the stead of, and that has the key by now.
    pub(super) fn replace(&mut self, turn: &mut Turn<'_>, mut old: Stored, by: TaskId) -> Result<(), StoreError> {
        old.task.successor = Some(by);
        let request = CancelRequest { at: turn.now, reason: format!("replaced by {by}"), grace: None };
        self.change(turn, old, Event::CancelRequested(request)).map(drop)
    }

    /// A task has ended: its key is free, unless it is held for a window.
    pub(super) fn release_at_end(&self, turn: &mut Turn<'_>, task: &Task) -> Result<(), StoreError> {
        self.release_if(turn, task, |holder| holder.task == task.id && holder.until.is_none())
    }

    /// A task is deleted: its key is free.
    pub(super) fn release(&self, turn: &mut Turn<'_>, task: &Task) -> Result<(), StoreError> {
        self.release_if(turn, task, |holder| holder.task == task.id)
    }

    fn release_if(
        &self,
        turn: &mut Turn<'_>,
        task: &Task,
        is_its: impl FnOnce(Holder) -> bool,
    ) -> Result<(), StoreError> {
        let Some(key) = &task.unique else { return Ok(()) };
        let key = keys::unique(key);
        if is_of(turn, &key, is_its)? {
            turn.txn.delete(key);
        }
        Ok(())
    }
}

/// When a task may run first, in a row that began then: calls that keep coming do not put it off for ever.
pub(super) fn start(new: &NewTask, first: Timestamp, now: Timestamp) -> Option<When> {
    match new.unique.as_ref().map(|unique| unique.on_conflict) {
        Some(OnConflict::Debounce { longest }) => {
            new.start.map(|start| When::At(start.instant(now).min(first.after(longest))))
        }
        _ => new.start,
    }
}
