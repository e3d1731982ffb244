//! How long what is left of a job is kept: until it ends, all of it; then as the store has it for tasks.

use sunaba_task::TaskId;
use sunaba_task::job::{Job, JobId, JobState, NodeName};

use super::super::retention::Part;
use super::super::{Planner, Turn};
use super::{Chore, JobOwner};
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

    /// Notes until when the tasks of a job are kept, by their names; what is left to do.
    pub(super) fn keep_all(
        &mut self,
        turn: &mut Turn<'_>,
        id: JobId,
        after: Option<NodeName>,
        steps: &mut usize,
    ) -> Result<Option<Chore>, StoreError> {
        let page = self.names(turn, id.as_bytes(), after.as_ref(), *steps)?;
        let is_all = page.len() < *steps;
        *steps = steps.saturating_sub(page.len().max(1));
        let last = page.last().map(|(name, _)| name.clone()).or(after);
        for (_, task) in page {
            if let Some(mut stored) = self.readable(turn, task)?.filter(|stored| stored.task.state.is_terminal()) {
                self.keep(turn, &mut stored);
                turn.txn.put(keys::task(task), codec::write(&stored));
            }
        }
        Ok((!is_all).then_some(Chore::Keep { job: id, after: last }))
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
        let (first, end) = keys::groups(id.as_bytes());
        let groups: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
        let done =
            turn.txn.scan(&keys::done(id, 0), &keys::done(id, u64::MAX), false).collect::<Result<Vec<_>, _>>()?;
        for (key, _) in groups.into_iter().chain(done) {
            turn.txn.delete(key.to_vec());
        }
        turn.txn.delete(keys::job(id));
        Ok(())
    }
}
