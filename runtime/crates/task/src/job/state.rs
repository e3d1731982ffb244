//! Where a job stands, and how that follows from its tasks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{BudgetName, NodeName};
use crate::{StateName, TaskId};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Some of its tasks have not ended.
    Running,
    /// It is to end, and what still runs is being stopped.
    Stopping,
    /// What has succeeded is being undone.
    Compensating,
    /// Ended well, perhaps in part. Terminal.
    Succeeded,
    /// Ended badly. Terminal.
    Failed,
    /// Ended by request. Terminal.
    Cancelled,
}

impl JobState {
    /// Whether nothing will ever change any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Every one of them.
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Stopping, Self::Compensating, Self::Succeeded, Self::Failed, Self::Cancelled];

    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Compensating => "compensating",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A text that names no state of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a state of a job\nhint: the states are running, stopping, compensating, succeeded, failed and cancelled"
)]
pub struct JobStateError(String);

impl FromStr for JobState {
    type Err = JobStateError;

    fn from_str(text: &str) -> Result<Self, JobStateError> {
        let error = || JobStateError(text.chars().take(64).collect());
        Self::ALL.into_iter().find(|state| state.word() == text).ok_or_else(error)
    }
}

/// Why a job does not end well. The first is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobCause {
    /// A task of it did not succeed, and nothing said that this is no harm.
    Task {
        /// Its name in its plan.
        name: NodeName,
        /// Its id.
        task: TaskId,
    },
    /// It has spent a budget.
    Budget(BudgetName),
    /// Somebody wanted it cancelled, and said why.
    Cancelled(String),
    /// Nothing was left that could have moved it on; what waits for what.
    Stuck(String),
}

impl fmt::Display for JobCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task { name, .. } => write!(f, "task `{name}` did not succeed"),
            Self::Budget(name) => write!(f, "budget `{name}` is spent"),
            Self::Cancelled(reason) if reason.is_empty() => f.write_str("cancelled"),
            Self::Cancelled(reason) => write!(f, "cancelled: {reason}"),
            Self::Stuck(reason) => write!(f, "stuck: {reason}"),
        }
    }
}

/// How many tasks a job has, and where they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTasks {
    /// By their states, in the order of [`StateName::ALL`].
    by_state: [u64; StateName::ALL.len()],
    /// Those that wait for somebody to complete them, whatever state they stand in meanwhile.
    pub awaiting: u64,
    /// Those that its plans still have to make.
    pub planned: u64,
    /// Those of its own plan that were never made, because it was to end before.
    pub not_made: u64,
    /// What is not undone yet, of what could be.
    pub compensations: u64,
    /// Tasks that were undone.
    pub undone: u64,
    /// Tasks that undo something, and have not ended.
    pub undoing: u64,
}

impl JobTasks {
    /// None yet, and so many to be made.
    pub fn planned(planned: u64) -> Self {
        Self { planned, ..Self::default() }
    }

    /// A task came into being, or moved.
    pub fn moved(&mut self, before: Option<StateName>, after: StateName) {
        if let Some(before) = before {
            let count = &mut self.by_state[before as usize];
            *count = count.saturating_sub(1);
        }
        self.by_state[after as usize] += 1;
    }

    /// How many stand so.
    pub fn in_state(&self, state: StateName) -> u64 {
        self.by_state[state as usize]
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.by_state.iter().sum()
    }

    /// How many of the plan have not ended, those that are still to be made among them.
    pub(super) fn unfinished_of_plan(&self) -> u64 {
        self.unfinished().saturating_sub(self.undoing)
    }

    /// How many have not ended, those that are still to be made among them.
    pub fn unfinished(&self) -> u64 {
        let waiting = StateName::ALL.into_iter().filter(|state| !state.is_terminal());
        waiting.map(|state| self.in_state(state)).sum::<u64>() + self.planned
    }
}

/// Where a job stands: a function of how its tasks stand, of what has gone wrong, and of nothing else.
///
/// | unfinished tasks of its plan | cause | compensations left | state |
/// |---|---|---|---|
/// | some | none, or a task that failed | any | running |
/// | some | any other, or `stops` | any | stopping |
/// | none | some | some, if `compensates` | compensating |
/// | none | none | any | succeeded |
/// | none | cancelled | none | cancelled |
/// | none | any other | none | failed |
///
/// `stops`: the first failure stops what else runs. `compensates`: what has succeeded is undone when the job does not end well.
pub fn job_state(tasks: &JobTasks, cause: Option<&JobCause>, stops: bool, compensates: bool) -> JobState {
    match cause {
        None if tasks.unfinished() > 0 => JobState::Running,
        Some(JobCause::Task { .. }) if tasks.unfinished_of_plan() > 0 && !stops => JobState::Running,
        Some(_) if tasks.unfinished_of_plan() > 0 => JobState::Stopping,
        None => JobState::Succeeded,
        Some(_) if compensates && tasks.compensations > 0 => JobState::Compensating,
        Some(JobCause::Cancelled(_)) => JobState::Cancelled,
        Some(_) => JobState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes() -> [Option<JobCause>; 5] {
        let task = JobCause::Task { name: "a".parse().expect("a name"), task: TaskId::from_bytes([1; 16]) };
        let others =
            [JobCause::Budget(BudgetName::Fuel), JobCause::Cancelled("why".into()), JobCause::Stuck("x".into())];
        let [budget, cancelled, stuck] = others.map(Some);
        [None, Some(task), budget, cancelled, stuck]
    }

    fn states(tasks: &JobTasks, stops: bool, compensates: bool) -> [JobState; 5] {
        causes().map(|cause| job_state(tasks, cause.as_ref(), stops, compensates))
    }

    fn tasks(state: StateName) -> JobTasks {
        let mut tasks = JobTasks::default();
        tasks.moved(None, state);
        tasks
    }

    #[test]
    fn every_cause_with_tasks_that_have_not_ended() {
        use JobState::{Running, Stopping};
        let planned = JobTasks { planned: 1, ..JobTasks::default() };
        let waiting = StateName::ALL.into_iter().filter(|state| !state.is_terminal()).map(tasks);
        for tasks in waiting.chain([planned]) {
            for compensates in [false, true] {
                assert_eq!(states(&tasks, false, compensates), [Running, Running, Stopping, Stopping, Stopping]);
                assert_eq!(states(&tasks, true, compensates), [Running, Stopping, Stopping, Stopping, Stopping]);
            }
        }
    }

    #[test]
    fn every_cause_when_all_tasks_have_ended() {
        use JobState::{Cancelled, Compensating, Failed, Succeeded};
        let ended = StateName::ALL.into_iter().filter(|state| state.is_terminal()).map(tasks);
        for tasks in ended.chain([JobTasks::default()]) {
            let undone = JobTasks { compensations: 1, ..tasks.clone() };
            for stops in [false, true] {
                let ends = [Succeeded, Failed, Failed, Cancelled, Failed];
                assert_eq!(states(&tasks, stops, true), ends);
                assert_eq!(states(&undone, stops, false), ends);
                let undoes = [Succeeded, Compensating, Compensating, Compensating, Compensating];
                assert_eq!(states(&undone, stops, true), undoes);
            }
        }
    }

    #[test]
    fn states_read_back_and_other_words_are_refused() {
        for state in JobState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        let error = "queued".parse::<JobState>().expect_err("a task is").to_string();
        assert!(JobState::ALL.iter().all(|state| error.contains(state.word())), "{error}");
    }

    #[test]
    fn tasks_that_move_are_counted_once() {
        let mut tasks = tasks(StateName::Queued);
        tasks.moved(None, StateName::Queued);
        tasks.moved(Some(StateName::Queued), StateName::Running);
        tasks.moved(Some(StateName::Running), StateName::Succeeded);
        assert_eq!((tasks.total(), tasks.unfinished()), (2, 1));
        assert_eq!((tasks.in_state(StateName::Queued), tasks.in_state(StateName::Succeeded)), (1, 1));
    }
}
