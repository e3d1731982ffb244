//! Lets tasks go on for which something has ended that they waited for.

use sunaba_task::job::{JobLink, OnFailure};
use sunaba_task::{Block, CancelRequest, Event, NewTask, State, Task, TaskId};

use super::super::{Planner, Stored, Turn};
use super::chores::Released;
use super::make::not_run_for;
use super::{Chore, scope, scope_of};
use crate::{StoreError, keys};

impl Planner {
    /// Goes through those who wait for what has ended; what is left to do.
    pub(super) fn release_all(
        &mut self,
        turn: &mut Turn<'_>,
        released: Released,
        steps: &mut usize,
    ) -> Result<Option<Chore>, StoreError> {
        let (first, end) = keys::all_who_wait(&scope_of(released.job, released.parent), &released.awaited);
        let waiting: Vec<_> = turn.txn.scan(&first, &end, false).take(*steps).collect::<Result<_, _>>()?;
        let is_all = waiting.len() < *steps;
        *steps = steps.saturating_sub(waiting.len().max(1));
        for (key, value) in waiting {
            turn.txn.delete(key.to_vec());
            let own = turn.read_or_set_aside::<Option<OnFailure>>(&key, &value)?.flatten();
            if let Some(id) = keys::id_of(&key) {
                self.release_one(turn, &released, id, own)?;
            }
        }
        if is_all {
            // It may have waited for that alone.
            self.job_mut(turn, released.job)?;
        }
        Ok((!is_all).then_some(Chore::Release(released)))
    }

    fn release_one(
        &mut self,
        turn: &mut Turn<'_>,
        released: &Released,
        id: TaskId,
        own: Option<OnFailure>,
    ) -> Result<(), StoreError> {
        let goes_on = match &released.failed {
            Some(failed) => self.meet_failure(turn, released.job, released.parent, own, failed)?,
            None => true,
        };
        let Some(stored) = self.stored_by(turn, id.as_bytes())? else { return Ok(()) };
        if !matches!(stored.task.state, State::Blocked(Block::Others { .. })) {
            return Ok(());
        }
        if goes_on {
            return self.change(turn, stored, Event::Released).map(drop);
        }
        self.do_not_run(turn, id, not_run_for(&released.awaited))
    }

    /// Ends a task that has not begun, because of what others came to.
    pub(super) fn do_not_run(&mut self, turn: &mut Turn<'_>, id: TaskId, reason: String) -> Result<(), StoreError> {
        let Some(stored) = self.stored_by(turn, id.as_bytes())? else { return Ok(()) };
        let has_begun = matches!(stored.task.state, State::Running(_) | State::Blocked(Block::Children));
        if stored.task.state.is_terminal() || has_begun {
            return Ok(());
        }
        let request = CancelRequest { at: turn.now, reason, grace: None };
        self.change(turn, stored, Event::CancelRequested(request)).map(drop)
    }

    /// Makes a task of a job, which waits for so many.
    pub(super) fn take_on_for_job(
        &mut self,
        turn: &mut Turn<'_>,
        new: &NewTask,
        link: JobLink,
        waits_for: u64,
    ) -> Result<TaskId, StoreError> {
        let place = keys::node(&scope(&link), link.name.as_str());
        let task = self.take_on_with(turn, new, |task: Task| task.of_job(link, waits_for))?;
        turn.txn.put(place, bytes::Bytes::copy_from_slice(task.id.as_bytes()));
        Ok(task.id)
    }

    /// Ends a queued task whose job is being stopped; gives it back otherwise.
    pub(in super::super) fn unless_stopping(
        &mut self,
        turn: &mut Turn<'_>,
        stored: Stored,
    ) -> Result<Option<Stored>, StoreError> {
        let link = stored.task.job.as_ref().filter(|link| !link.undoes);
        let Some((job, parent)) = link.map(|link| (link.job, link.parent)) else { return Ok(Some(stored)) };
        let mut reason = self.job_ref(turn, job)?.filter(|job| job.is_stopping()).map(super::stop::reason);
        if let Some(parent) = parent.filter(|_| reason.is_none())
            && self.is_stopping(turn, parent)?
        {
            reason = Some(self.reason_of_parent(turn, parent)?);
        }
        let Some(reason) = reason else { return Ok(Some(stored)) };
        let request = CancelRequest { at: turn.now, reason, grace: None };
        self.change(turn, stored, Event::CancelRequested(request))?;
        Ok(None)
    }

    /// Forgets who waits for what in the plan of a task that is forgotten.
    pub(in super::super) fn forget_node(&self, turn: &mut Turn<'_>, task: &Task) -> Result<(), StoreError> {
        let Some(link) = &task.job else { return Ok(()) };
        let key = keys::node(&scope(link), link.name.as_str());
        if turn.txn.get(&key)?.as_deref().and_then(keys::id_of) == Some(task.id) {
            turn.txn.delete(key);
        }
        if link.can_be_undone {
            turn.txn.delete(keys::compensation(task.id));
        }
        // Most have none: what is not there needs no write.
        let after = keys::after(task.id);
        if turn.txn.get(&after)?.is_some() {
            turn.txn.delete(after);
        }
        Ok(())
    }
}
