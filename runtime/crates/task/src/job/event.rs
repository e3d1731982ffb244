//! What happens to jobs, in the words of the event feed.

use serde::{Deserialize, Serialize};

use super::{BudgetName, Job, JobId, JobState};
use crate::Timestamp;

/// Something that happened to a job. Of one job, events are in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// The store's count of events, from 1: where a reader goes on.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// To which job.
    pub job: JobId,
    /// What its submitter calls it; may be empty.
    pub name: String,
    /// What.
    pub what: JobHappening,
}

/// What can happen to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobHappening {
    /// It was taken on.
    Submitted,
    /// Four fifths of a budget are spent. Told once for each budget.
    BudgetLow {
        /// Which.
        budget: BudgetName,
        /// How much of it is spent; of `time`, milliseconds.
        spent: u64,
        /// How much there was.
        limit: u64,
    },
    /// It is to end, and what still runs is being stopped.
    Stopping {
        /// Why.
        reason: String,
    },
    /// What has succeeded is being undone.
    Compensating {
        /// Why.
        reason: String,
    },
    /// It ended well.
    Succeeded {
        /// Whether something did not succeed that was to be done without.
        partial: bool,
    },
    /// It ended badly.
    Failed {
        /// Why.
        reason: String,
    },
    /// It ended by request.
    Cancelled {
        /// Why.
        reason: String,
    },
}

impl JobHappening {
    /// What happened when a record became this one; none when nobody needs to know.
    pub fn between(before: &Job, after: &Job) -> Option<Self> {
        if before.state == after.state {
            return None;
        }
        let reason = after.cause.as_ref().map(ToString::to_string).unwrap_or_default();
        Some(match after.state {
            // Nothing comes back to that.
            JobState::Running => return None,
            JobState::Stopping => Self::Stopping { reason },
            JobState::Compensating => Self::Compensating { reason },
            JobState::Succeeded => Self::Succeeded { partial: after.partial },
            JobState::Failed => Self::Failed { reason },
            JobState::Cancelled => Self::Cancelled { reason },
        })
    }

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Submitted => "job-submitted",
            Self::BudgetLow { .. } => "job-budget-low",
            Self::Stopping { .. } => "job-stopping",
            Self::Compensating { .. } => "job-compensating",
            Self::Succeeded { .. } => "job-succeeded",
            Self::Failed { .. } => "job-failed",
            Self::Cancelled { .. } => "job-cancelled",
        }
    }
}
