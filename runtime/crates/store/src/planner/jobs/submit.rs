//! Takes jobs on.

use serde::{Deserialize, Serialize};
use sunaba_task::Digest;
use sunaba_task::job::{Job, JobHappening, JobId};

use super::super::{Planner, Turn};
use super::{AtHand, Chore};
use crate::jobs::{Following, PreparedJob};
use crate::{StoreError, SubmitJobError, SubmittedJob, codec, keys};

/// Who has the idempotency key of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobOwner {
    pub(crate) job: JobId,
    fingerprint: Digest,
}

impl Planner {
    pub(crate) fn submit_job(
        &mut self,
        turn: &mut Turn<'_>,
        prepared: PreparedJob,
    ) -> Result<Result<SubmittedJob, SubmitJobError>, StoreError> {
        turn.txn.check_room()?;
        let PreparedJob { spec, planned, parts, queues, all_queues, following, fingerprint } = prepared;
        if let Some(key) = &spec.idempotency_key {
            let place = keys::job_idempotency(key);
            if let Some(stored) = turn.txn.get(&place)? {
                let owner: JobOwner = codec::read(&place, &stored)?;
                if owner.fingerprint != fingerprint {
                    return Ok(Err(SubmitJobError::Conflict { key: key.clone(), job: owner.job }));
                }
                if let Some(job) = self.job(turn, owner.job)? {
                    return Ok(Ok(SubmittedJob::Existing(Box::new(job))));
                }
            }
        }
        // Decided where deploys are, as for a task alone.
        for Following { node, package, component } in following {
            let active = self.shelves.active(&package).filter(|active| active.component != component);
            if let Some(active) = active {
                return Ok(Err(SubmitJobError::Unchecked { node, active: Box::new(active.clone()) }));
            }
        }
        for queue in queues {
            if let Some((waiting, limit)) = self.lanes.overflow(&queue) {
                return Ok(Err(SubmitJobError::QueueFull { queue, waiting, limit }));
            }
        }
        let sequence = self.sequence(turn);
        let id = JobId::from_bytes(*self.task_id(turn, sequence).as_bytes());
        if let Some(key) = &spec.idempotency_key {
            turn.txn.put(keys::job_idempotency(key), codec::write(&JobOwner { job: id, fingerprint }));
        }
        let job = Job { queues: all_queues, ..Job::submitted(id, spec, planned, turn.now) };
        for (number, part) in (0..).zip(parts) {
            turn.txn.put(keys::plan_part(id.as_bytes(), number), part);
        }
        self.jobs.chores.push(Chore::Make { job: id, parent: None, part: 0, left: planned });
        self.begin_job(turn, job.clone());
        Ok(Ok(SubmittedJob::Created(Box::new(job))))
    }

    /// Writes the record of a job that is new.
    pub(super) fn begin_job(&mut self, turn: &mut Turn<'_>, job: Job) {
        for at in [job.late_at(), job.deadline()].into_iter().flatten() {
            turn.txn.put(keys::job_deadline(at, job.id), bytes::Bytes::new());
            self.jobs.next_deadline = Some(self.jobs.next_deadline.map_or(at, |next| next.min(at)));
        }
        turn.txn.put(keys::job(job.id), codec::write(&job));
        self.tell_of_job(turn, &job, JobHappening::Submitted);
        // Touched, so that one that has no tasks ends with this turn.
        self.jobs.at_hand.insert(job.id, AtHand { job: job.clone(), before: Some(job) });
    }
}
