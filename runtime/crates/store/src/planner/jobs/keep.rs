//! How long what is left of a job is kept: until it ends, all of it; then as the store has it for tasks.

use sunaba_task::job::{Job, JobId, JobState, NodeName};
use sunaba_task::{Task, TaskId};

use super::super::retention::Part;
use super::super::{Planner, Turn};
use super::walk::{Below, Walked};
use super::{Chore, JobOwner, Scope, scope_of};
use crate::{StoreError, codec, keys};

impl Planner {
    /// Notes until when the record of a job that has ended is kept.
    pub(super) fn keep_job(&self, turn: &mut Turn<'_>, job: &Job) {
        let kept = match job.state {
            JobState::Succeeded => self.retention.succeeded,
            JobState::Cancelled => self.retention.cancelled,
            _ => self.retention.dead,
        };
        if let Some(kept) = kept {
            self.note_end(turn, kept, TaskId::from_bytes(*job.id.as_bytes()), Part::Job);
        }
    }

    /// Notes until when the tasks of a plan are kept, by their names; what is left to do.
    pub(super) fn keep_all(
        &mut self,
        turn: &mut Turn<'_>,
        job: JobId,
        parent: Option<TaskId>,
        after: Option<NodeName>,
        steps: &mut usize,
    ) -> Result<Option<Chore>, StoreError> {
        // What has succeeded in a job that has not is there to be built upon, when that is made over again.
        let failed = self.job_ref(turn, job)?.is_some_and(|job| job.state != JobState::Succeeded);
        let least = self.retention.succeeded.filter(|_| failed).unwrap_or_default();
        let walked = self.walk(turn, &scope_of(job, parent), after, steps, |planner, turn, task| {
            let Some(mut stored) = planner.readable(turn, task)?.filter(|stored| stored.task.state.is_terminal())
            else {
                return Ok(Below::Nothing);
            };
            planner.keep_result(turn, &mut stored, least);
            turn.txn.put(keys::task(task), codec::write(&stored));
            if !stored.task.has_children {
                return Ok(Below::Nothing);
            }
            planner.jobs.chores.push_first(Chore::Keep { job, parent: Some(task), after: None });
            Ok(Below::First)
        })?;
        Ok(match walked {
            Walked::All => None,
            Walked::To(after) => Some(Chore::Keep { job, parent, after }),
        })
    }

    /// Deletes the record of a job that has ended. Its tasks go by themselves.
    pub(in super::super) fn forget_job(&mut self, turn: &mut Turn<'_>, id: JobId) -> Result<(), StoreError> {
        let Some(job) = self.read_job(turn, id)?.filter(|job| job.state.is_terminal()) else { return Ok(()) };
        self.jobs.at_hand.remove(&id);
        if let Some(key) = &job.spec.idempotency_key {
            let key = keys::job_idempotency(key);
            if super::super::retention::is_of(turn, &key, |owner: JobOwner| owner.job == id)? {
                turn.txn.delete(key);
            }
        }
        forget_groups(turn, id.as_bytes())?;
        let done =
            turn.txn.scan(&keys::done(id, 0), &keys::done(id, u64::MAX), false).collect::<Result<Vec<_>, _>>()?;
        for (key, _) in done {
            turn.txn.delete(key.to_vec());
        }
        turn.txn.delete(keys::job(id));
        Ok(())
    }

    /// Deletes how the plan of a task stands that is forgotten. Its children go by themselves.
    pub(in super::super) fn forget_branch(&self, turn: &mut Turn<'_>, task: &Task) -> Result<(), StoreError> {
        if task.has_children {
            turn.txn.delete(keys::branch(task.id));
            forget_groups(turn, task.id.as_bytes())?;
        }
        Ok(())
    }
}

fn forget_groups(turn: &mut Turn<'_>, plan: &Scope) -> Result<(), StoreError> {
    let (first, end) = keys::groups(plan);
    let groups: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
    groups.into_iter().for_each(|(key, _)| turn.txn.delete(key.to_vec()));
    Ok(())
}
