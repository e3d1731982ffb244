//! The record of a job, and what is asked for when one is submitted.

use serde::{Deserialize, Serialize};

use super::{
    Budget, BudgetName, JobCause, JobId, JobQueues, JobState, JobTasks, LowBudget, Node, NodeName, OnFailure, Spent,
    job_state,
};
use crate::{Digest, TaskId, Timestamp};

/// All that was asked for of a job as a whole. Never changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// For people; may be empty.
    pub name: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What it means that a task does not succeed, where a dependency does not say it.
    pub on_failure: OnFailure,
    /// Whether the first failure stops what else runs.
    pub stop_on_failure: bool,
    /// What it may spend.
    pub budget: Budget,
    /// The task whose output is the job's.
    pub result: Option<NodeName>,
    /// A second submit with this key gives the same job, as long as its record is kept.
    pub idempotency_key: Option<String>,
}

/// A job to be submitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewJob {
    /// What is asked for of all of it.
    pub spec: JobSpec,
    /// Its plan.
    pub nodes: Vec<Node>,
    /// The digest of the request as its submitter wrote it: what a repeated idempotency key is held against. None: the digest
    /// of all of the above.
    pub fingerprint: Option<Digest>,
}

/// The record of a job. It has the same size however many tasks there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Unique for ever.
    pub id: JobId,
    /// Grows by one with every change that is written; from 1.
    pub revision: u64,
    /// What was asked for.
    pub spec: JobSpec,
    /// When the store had it.
    pub submitted_at: Timestamp,
    /// Whether it was founded for a task that had been alone before, the only one of its own plan.
    pub is_founded: bool,
    /// Where it stands.
    pub state: JobState,
    /// Tasks of its own plan, made or not.
    pub plan: u64,
    /// In which queues its tasks are, with those of all plans below.
    pub queues: JobQueues,
    /// How many tasks it has, and where they stand.
    pub tasks: JobTasks,
    /// What it has spent.
    pub spent: Spent,
    /// Why it does not end well.
    pub cause: Option<JobCause>,
    /// Whether something did not succeed that was to be done without.
    pub partial: bool,
    /// Whether what has succeeded is to be undone.
    pub compensates: bool,
    /// For what, first of all: a task that did not succeed where the rule was [`OnFailure::Compensate`], however deep its plan is, or
    /// what else ends the job. Nothing is undone unless the job has a cause.
    pub undone_for: Option<JobCause>,
    /// What could not be undone. Nothing before it was, then.
    pub not_undone: Option<NodeName>,
    /// The job that it is over again.
    pub origin: Option<JobId>,
    /// The newest job that was made in its stead.
    pub successor: Option<JobId>,
    /// Budgets of which somebody was told that they are low.
    pub warned: Vec<BudgetName>,
    /// When it became terminal.
    pub ended_at: Option<Timestamp>,
}

impl Job {
    /// The record of a job that was submitted now, with so many tasks to be made.
    pub fn submitted(id: JobId, spec: JobSpec, planned: u64, now: Timestamp) -> Self {
        let tasks = JobTasks::planned(planned);
        Self {
            id,
            revision: 1,
            spec,
            submitted_at: now,
            is_founded: false,
            state: JobState::Running,
            plan: planned,
            queues: JobQueues::default(),
            tasks,
            spent: Spent::default(),
            cause: None,
            partial: false,
            compensates: false,
            undone_for: None,
            not_undone: None,
            origin: None,
            successor: None,
            warned: Vec::new(),
            ended_at: None,
        }
    }

    /// When its time is over.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.spec.budget.time.map(|time| self.submitted_at.after(time))
    }

    /// When four fifths of its time are over.
    pub fn late_at(&self) -> Option<Timestamp> {
        self.spec.budget.time.map(|time| self.submitted_at.after(time / 5 * 4))
    }

    /// Budgets that are low, and of which nobody was told yet. They are, from here on.
    pub fn warn(&mut self, now: Timestamp) -> Vec<LowBudget> {
        let mut low = self.spent.low(&self.spec.budget, now.since(self.submitted_at));
        low.retain(|low| !self.warned.contains(&low.budget));
        self.warned.extend(low.iter().map(|low| low.budget));
        low
    }

    /// Something did not succeed, under this rule. Whether that is the first reason for which the job does not end well.
    pub fn failed(&mut self, rule: OnFailure, cause: impl FnOnce() -> JobCause) -> bool {
        match rule {
            OnFailure::Ignore => false,
            OnFailure::Continue => {
                self.partial = true;
                false
            }
            OnFailure::Fail => self.stop(cause()),
            OnFailure::Compensate => {
                let cause = cause();
                self.undo_for(cause.clone());
                self.stop(cause)
            }
        }
    }

    /// What has succeeded is to be undone, should the job not end well. The first reason is kept.
    pub fn undo_for(&mut self, cause: JobCause) {
        self.compensates = true;
        self.undone_for.get_or_insert(cause);
    }

    fn stop(&mut self, cause: JobCause) -> bool {
        let is_first = self.cause.is_none();
        self.cause.get_or_insert(cause);
        is_first
    }

    /// It is to end now, for this reason: a better one than that of some task that did not succeed before.
    pub fn end_for(&mut self, cause: JobCause) {
        if self.spec.on_failure == OnFailure::Compensate {
            self.undo_for(cause.clone());
        }
        self.cause = Some(cause);
    }

    /// Whether what runs is being stopped, and nothing new begins.
    pub fn is_stopping(&self) -> bool {
        match &self.cause {
            None => false,
            Some(JobCause::Task { .. }) => self.spec.stop_on_failure,
            Some(_) => true,
        }
    }

    /// Whether there is something of it left to be stopped, and nobody stops it yet. What has succeeded is undone to its end.
    pub fn can_be_stopped(&self) -> bool {
        !self.state.is_terminal() && self.tasks.unfinished_of_plan() > 0 && !self.is_stopping()
    }

    /// Works out where it stands.
    pub fn settle(&mut self, now: Timestamp) {
        if self.state.is_terminal() {
            return;
        }
        self.state = job_state(&self.tasks, self.cause.as_ref(), self.spec.stop_on_failure, self.compensates);
        if self.state.is_terminal() {
            self.ended_at = Some(now);
        }
    }
}

/// A task's place in its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLink {
    /// The job.
    pub job: JobId,
    /// The task whose plan it is in. None: the job's own.
    pub parent: Option<TaskId>,
    /// Its name there.
    pub name: NodeName,
    /// How deep that plan is; the job's own is 1.
    pub depth: u32,
    /// Whether something waits for it by its name.
    pub is_awaited: bool,
    /// Whether something waits for its group.
    pub is_counted: bool,
    /// Whether it can be undone.
    pub can_be_undone: bool,
    /// Whether it undoes its parent.
    pub undoes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateName;

    const NOW: Timestamp = Timestamp::from_const(1_000);

    fn job(planned: u64) -> Job {
        Job::submitted(JobId::from_bytes([1; 16]), JobSpec::default(), planned, NOW)
    }

    fn cause() -> JobCause {
        JobCause::Task { name: "a".parse().expect("a name"), task: TaskId::from_bytes([1; 16]) }
    }

    #[test]
    fn job_without_tasks_has_succeeded() {
        let mut job = job(0);
        job.settle(NOW);
        assert_eq!((job.state, job.ended_at), (JobState::Succeeded, Some(NOW)));
    }

    #[test]
    fn first_reason_is_kept_and_an_ended_job_does_not_change() {
        let mut job = job(1);
        assert!(job.failed(OnFailure::Fail, cause));
        assert!(!job.failed(OnFailure::Fail, || JobCause::Stuck("too late".into())));
        job.tasks.planned = 0;
        job.tasks.moved(None, StateName::Dead);
        job.settle(NOW);
        assert_eq!((job.state, job.cause.clone()), (JobState::Failed, Some(cause())));
        job.cause = None;
        job.settle(NOW);
        assert_eq!(job.state, JobState::Failed);
    }

    #[test]
    fn rules_say_what_a_failure_means() {
        let after = |rule| {
            let mut job = job(1);
            job.failed(rule, cause);
            (job.cause.is_some(), job.partial, job.compensates)
        };
        assert_eq!(after(OnFailure::Fail), (true, false, false));
        assert_eq!(after(OnFailure::Compensate), (true, false, true));
        assert_eq!(after(OnFailure::Continue), (false, true, false));
        assert_eq!(after(OnFailure::Ignore), (false, false, false));
    }

    #[test]
    fn first_reason_to_undo_is_kept() {
        let mut job = job(1);
        job.failed(OnFailure::Fail, || JobCause::Stuck("not this".into()));
        assert_eq!(job.undone_for, None);
        job.failed(OnFailure::Compensate, cause);
        job.undo_for(JobCause::Cancelled("too late".into()));
        assert_eq!((job.undone_for.clone(), job.compensates), (Some(cause()), true));
        job.end_for(JobCause::Cancelled("why".into()));
        assert_eq!(job.undone_for, Some(cause()));
    }

    #[test]
    fn low_budget_is_told_once() {
        let mut job = job(1);
        job.spec.budget.attempts = Some(10);
        job.spec.budget.time = Some(std::time::Duration::from_secs(10));
        job.spent.attempts = 7;
        assert_eq!(job.warn(NOW), []);
        job.spent.attempts = 8;
        assert_eq!(job.warn(NOW), [LowBudget { budget: BudgetName::Attempts, spent: 8, limit: 10 }]);
        job.spent.attempts = 9;
        assert_eq!(job.warn(NOW), []);
        let late = job.late_at().expect("it has a time");
        assert_eq!(job.warn(late), [LowBudget { budget: BudgetName::Time, spent: 8_000, limit: 10_000 }]);
    }

    #[test]
    fn failure_stops_what_runs_only_where_that_was_asked_for() {
        let mut job = job(1);
        job.stop(cause());
        assert!(!job.is_stopping());
        job.spec.stop_on_failure = true;
        assert!(job.is_stopping());
        let mut job = self::job(1);
        job.end_for(JobCause::Cancelled("why".into()));
        assert!(job.is_stopping());
    }
}
