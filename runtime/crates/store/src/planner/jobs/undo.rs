//! Undoes what has succeeded in a job that does not end well, the last first, one after the other.

use sunaba_task::job::{JobId, JobLink};
use sunaba_task::{NewTask, Payload, State, Task};

use super::super::callbacks::told_to_undo;
use super::super::{Planner, Turn};
use super::Chore;
use crate::{StoreError, keys};

/// The name of what undoes a task, in the plan of that task.
const NAME: &str = "undo";

impl Planner {
    /// Remembers that a task has succeeded that can be undone.
    pub(super) fn can_be_undone(&mut self, turn: &mut Turn<'_>, task: &Task, link: &JobLink) -> Result<(), StoreError> {
        let sequence = self.sequence(turn);
        let id = bytes::Bytes::copy_from_slice(task.id.as_bytes());
        turn.txn.put(keys::done(link.job, sequence), id);
        if let Some(job) = self.job_mut(turn, link.job)? {
            job.tasks.compensations += 1;
        }
        Ok(())
    }

    /// Makes the task that undoes what has succeeded last, and is not undone yet.
    pub(super) fn undo(&mut self, turn: &mut Turn<'_>, id: JobId) -> Result<Option<Chore>, StoreError> {
        let last = turn.txn.scan(&keys::done(id, 0), &keys::done(id, u64::MAX), true).next().transpose()?;
        let Some((key, value)) = last else {
            // All that there was, whatever the count says.
            if let Some(job) = self.job_mut(turn, id)? {
                job.tasks.compensations = 0;
            }
            return Ok(None);
        };
        turn.txn.delete(key.to_vec());
        let stored = keys::id_of(&value).map(|id| self.readable(turn, id)).transpose()?.flatten();
        let Some(stored) = stored else { return Ok(Some(Chore::Undo(id))) };
        let place = keys::compensation(stored.task.id);
        let how = match turn.txn.get(&place)? {
            Some(how) => turn.read_or_set_aside::<NewTask>(&place, &how)?,
            None => None,
        };
        let (Some(how), Some(link)) = (how, &stored.task.job) else { return Ok(Some(Chore::Undo(id))) };
        let new = NewTask { input: Payload::json(told_to_undo(turn, &stored)?), ..how };
        let name = NAME.parse().expect("it is a name");
        let link = JobLink {
            parent: Some(stored.task.id),
            name,
            depth: link.depth + 1,
            is_awaited: false,
            is_counted: false,
            can_be_undone: false,
            undoes: true,
            ..link.clone()
        };
        self.take_on_for_job(turn, &new, link, 0)?;
        Ok(None)
    }

    /// What undoes a task has ended. After one that has not succeeded nothing is undone any more: what came before it may
    /// lean on what is still there.
    pub(super) fn undone(&mut self, turn: &Turn<'_>, task: &Task, link: &JobLink) -> Result<(), StoreError> {
        let undone = link.parent.map(|parent| self.readable(turn, parent)).transpose()?.flatten();
        let name = undone.and_then(|stored| stored.task.job).map(|link| link.name);
        let Some(job) = self.job_mut(turn, link.job)? else { return Ok(()) };
        if task.state == State::Succeeded {
            job.tasks.compensations = job.tasks.compensations.saturating_sub(1);
            job.tasks.undone += 1;
        } else {
            job.not_undone = name;
            job.tasks.compensations = 0;
        }
        Ok(())
    }
}
