//! Stops jobs: what waits is cancelled at once, what runs is asked to end.

use sunaba_task::TaskId;
use sunaba_task::job::{Job, JobCause, JobId, NodeName};

use super::super::{Planner, Turn};
use super::walk::{Below, Walked};
use super::{Chore, Failed, scope_of};
use crate::{CancelWish, StoreError};

/// Why the tasks of a job that is being stopped are cancelled.
pub(super) fn reason(job: &Job) -> String {
    match &job.cause {
        Some(JobCause::Task { name, .. }) => format!("`{name}`, of the same job, did not succeed"),
        Some(JobCause::Budget(name)) => format!("its job has spent its budget `{name}`"),
        Some(JobCause::Cancelled(reason)) if reason.is_empty() => "its job was cancelled".into(),
        Some(JobCause::Cancelled(reason)) => format!("its job was cancelled: {reason}"),
        Some(JobCause::Stuck(_)) => "its job is stuck".into(),
        None => "its job is being stopped".into(),
    }
}

impl Planner {
    /// Stops a job. The record that follows; none when there is none.
    pub(crate) fn cancel_job(
        &mut self,
        turn: &mut Turn<'_>,
        id: JobId,
        wish: &CancelWish,
    ) -> Result<Option<Job>, StoreError> {
        let Some(job) = self.job_mut(turn, id)? else { return Ok(None) };
        if job.can_be_stopped() {
            job.end_for(JobCause::Cancelled(wish.reason.clone()));
            self.settle_job(turn, id);
            self.jobs.chores.push(Chore::Stop { job: id, parent: None, after: None });
        }
        self.job(turn, id)
    }

    /// Stops the tasks of a plan, by their names, and those below them; what is left to do.
    pub(super) fn stop_all(
        &mut self,
        turn: &mut Turn<'_>,
        id: JobId,
        parent: Option<TaskId>,
        after: Option<NodeName>,
        steps: &mut usize,
    ) -> Result<Option<Chore>, StoreError> {
        let Some(job) = self.job_ref(turn, id)? else { return Ok(None) };
        let whole = (parent.is_none() || job.is_stopping()).then(|| reason(job));
        let reason = match (whole, parent) {
            (Some(reason), _) => reason,
            (None, Some(parent)) => self.reason_of_parent(turn, parent)?,
            (None, None) => return Ok(None),
        };
        let wish = CancelWish { reason, grace: None };
        let walked = self.walk(turn, &scope_of(id, parent), after, steps, |planner, turn, task| {
            match planner.cancel_one(turn, task, &wish) {
                Ok(Some(task)) if task.has_children && !task.state.is_terminal() => Ok(Below::First),
                // What cannot be read does not run.
                Ok(_) | Err(StoreError::Damaged { .. }) => Ok(Below::Nothing),
                Err(error) => Err(error),
            }
        })?;
        Ok(match walked {
            Walked::All => None,
            Walked::To(after) => Some(Chore::Stop { job: id, parent, after }),
        })
    }

    /// Why the children of a task are cancelled whose job goes on.
    pub(super) fn reason_of_parent(&mut self, turn: &Turn<'_>, parent: TaskId) -> Result<String, StoreError> {
        let task = self.readable(turn, parent)?.map(|stored| stored.task);
        if let Some(cancel) = task.and_then(|task| task.cancel) {
            return Ok(format!("its parent was cancelled: {}", cancel.reason));
        }
        let branch = self.branch_mut(turn, parent)?;
        Ok(match branch.failed.as_ref().filter(|_| branch.stop_on_failure) {
            Some(Failed { name, .. }) => format!("`{name}`, of the same plan, did not succeed"),
            None => "its parent did not succeed".into(),
        })
    }
}
