//! Jobs: tasks that belong together, what they wait for, what they may spend together, and how they end.
//!
//! Pure, as the rest of the crate. A job is a tree: its plan has nodes, and a node that ran may have a plan of its own, whose
//! nodes are its children. Nothing here grows with the number of tasks but the plan that somebody hands in.

mod budget;
mod compose;
mod event;
mod grant;
mod graph;
mod name;
mod plan;
mod queues;
mod record;
mod share;
mod state;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use budget::{Budget, BudgetError, BudgetName, LowBudget, NoFuel, Spent};
pub use compose::{Flow, Step, Steps};
pub use event::{JobEvent, JobHappening};
pub use grant::{Cut, Reserved};
pub use graph::{Graph, MAX_DEPENDENCIES, MAX_PLAN_BYTES, MAX_PLAN_EDGES, MAX_PLAN_NODES, Placed, PlanError};
pub use name::{Awaited, NodeName, NodeNameError};
pub use plan::NewPlan;
pub use queues::{JobQueues, MAX_JOB_QUEUES};
pub use record::{Job, JobLink, JobSpec, NewJob};
pub use share::Shares;
pub(crate) use share::{after_small_share, small_share};
pub use state::{JobCause, JobState, JobStateError, JobTasks, job_state};

use crate::NewTask;

/// The id of a job; a UUID of version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// The id that this UUID is.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes. Ids of later jobs of a store have larger ones.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// A text that is no job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a job id\nhint: an id is a UUID, such as `job submit` and `job list` show")]
pub struct JobIdError(String);

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| JobIdError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One task of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in its plan.
    pub name: NodeName,
    /// What runs.
    pub task: NewTask,
    /// What has to end before.
    pub after: Vec<After>,
    /// What undoes it, should the job fail after it has succeeded.
    pub compensation: Option<NewTask>,
}

impl Node {
    /// A node that waits for nothing.
    pub fn new(name: NodeName, task: NewTask) -> Self {
        Self { name, task, after: Vec::new(), compensation: None }
    }
}

/// Something that has to end before a node starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// A node of the same plan, or a group of them.
    pub awaited: Awaited,
    /// What it means to the one that waits when that does not succeed. None: as the job has it.
    pub on_failure: Option<OnFailure>,
}

impl After {
    /// Waits for this, with the job's own rule.
    pub fn new(awaited: Awaited) -> Self {
        Self { awaited, on_failure: None }
    }
}

/// What it means that a task has not succeeded: to one that waits for it, or to its job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Whoever waits for it is not run, and the job fails.
    #[default]
    Fail,
    /// As `Fail`, and **all that has succeeded in the whole job** is undone, the last first: not only what is in the plan whose
    /// rule this is. Of 30 trips in one job, of which one is compensated, all 30 are undone. What is to be undone by itself is
    /// submitted as a job of its own.
    Compensate,
    /// Whoever waits for it runs with what there is. The job can succeed, in part.
    Continue,
    /// As if it had not been there.
    Ignore,
}

impl OnFailure {
    /// Whether whoever waits for it runs all the same.
    pub fn lets_go_on(self) -> bool {
        matches!(self, Self::Continue | Self::Ignore)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Compensate => "compensate",
            Self::Continue => "continue",
            Self::Ignore => "ignore",
        }
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A text that names no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rule for failures\nhint: write fail, compensate, continue or ignore")]
pub struct OnFailureError(String);

impl FromStr for OnFailure {
    type Err = OnFailureError;

    fn from_str(text: &str) -> Result<Self, OnFailureError> {
        let all = [Self::Fail, Self::Compensate, Self::Continue, Self::Ignore];
        let error = || OnFailureError(text.chars().take(64).collect());
        all.into_iter().find(|rule| rule.word() == text).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_and_other_words_are_refused() {
        for rule in [OnFailure::Fail, OnFailure::Compensate, OnFailure::Continue, OnFailure::Ignore] {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        assert!("Fail".parse::<OnFailure>().is_err());
    }

    #[test]
    fn ids_read_back() {
        let id = JobId::from_bytes([7; 16]);
        assert_eq!((id.to_string().parse(), id.as_bytes()), (Ok(id), &[7; 16]));
        assert!("7".parse::<JobId>().is_err());
    }
}
