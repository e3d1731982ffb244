//! Stops jobs: what waits is cancelled at once, what runs is asked to end.

use sunaba_task::job::{Job, JobCause, JobId, NodeName};

use super::super::{Planner, Turn};
use super::Chore;
use crate::{CancelWish, StoreError, keys};

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
        let is_new = !job.state.is_terminal() && !job.is_stopping();
        if is_new {
            job.end_for(JobCause::Cancelled(wish.reason.clone()));
            job.settle(turn.now);
        }
        let job = job.clone();
        if is_new {
            self.jobs.chores.push(Chore::Stop { job: id, after: None });
        }
        Ok(Some(job))
    }

    /// Stops the tasks of a job, by their names; what is left to do.
    pub(super) fn stop_all(
        &mut self,
        turn: &mut Turn<'_>,
        id: JobId,
        after: Option<NodeName>,
        steps: &mut usize,
    ) -> Result<Option<Chore>, StoreError> {
        let Some(job) = self.job_mut(turn, id)? else { return Ok(None) };
        let wish = CancelWish { reason: reason(job), grace: None };
        let page = self.names(turn, id.as_bytes(), after.as_ref(), *steps)?;
        let is_all = page.len() < *steps;
        *steps = steps.saturating_sub(page.len().max(1));
        let last = page.last().map(|(name, _)| name.clone()).or(after);
        for (_, task) in page {
            match self.cancel_one(turn, task, &wish) {
                // What cannot be read does not run.
                Err(StoreError::Damaged { .. }) => {}
                other => drop(other?),
            }
        }
        Ok((!is_all).then_some(Chore::Stop { job: id, after: last }))
    }

    /// The names of a plan after one of them, with their tasks.
    pub(super) fn names(
        &self,
        turn: &Turn<'_>,
        scope: &super::Scope,
        after: Option<&NodeName>,
        limit: usize,
    ) -> Result<Vec<(NodeName, sunaba_task::TaskId)>, StoreError> {
        let (first, end) = keys::nodes(scope);
        let from = after.map_or(first, |name| keys::after_node(scope, name.as_str()));
        let mut names = Vec::new();
        for pair in turn.txn.scan(&from, &end, false).take(limit) {
            let (key, value) = pair?;
            match (keys::node_name(&key), keys::id_of(&value)) {
                (Some(name), Some(id)) => names.push((name, id)),
                _ => tracing::error!(?key, "a key of a plan stands for no task"),
            }
        }
        Ok(names)
    }
}
