//! What happens to schedules, in the words of the event feed.

use serde::{Deserialize, Serialize};

use super::{Occasion, ScheduleName};
use crate::{TaskId, Timestamp};

/// Something that happened to a schedule. Of one schedule, events are in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleEvent {
    /// The store's count of events, from 1: where a reader goes on.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// To which schedule.
    pub schedule: ScheduleName,
    /// What.
    pub what: ScheduleHappening,
}

/// What can happen to a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScheduleHappening {
    /// It was put first.
    Created,
    /// Somebody changed it.
    Updated,
    /// Its ticks pass by from now on.
    Paused,
    /// They make tasks again.
    Resumed,
    /// It is no more. Its tasks are.
    Deleted,
    /// It made a task.
    Fired {
        /// For what.
        occasion: Occasion,
        /// Which.
        task: TaskId,
    },
    /// A tick or a trigger waits for its tasks to end.
    Waiting {
        /// Which.
        occasion: Occasion,
    },
    /// A tick or a trigger was left out.
    Skipped {
        /// Which.
        occasion: Occasion,
        /// Why.
        reason: String,
    },
    /// Ticks for which nobody was there were left out.
    Missed {
        /// How many; at least so many.
        ticks: u64,
        /// All of them were before this one, or at it.
        until: Timestamp,
    },
    /// A tick or a trigger could make no task.
    Failed {
        /// Which.
        occasion: Occasion,
        /// Why.
        reason: String,
    },
}

impl ScheduleHappening {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "schedule-created",
            Self::Updated => "schedule-updated",
            Self::Paused => "schedule-paused",
            Self::Resumed => "schedule-resumed",
            Self::Deleted => "schedule-deleted",
            Self::Fired { .. } => "schedule-fired",
            Self::Waiting { .. } => "schedule-waiting",
            Self::Skipped { .. } => "schedule-skipped",
            Self::Missed { .. } => "schedule-missed",
            Self::Failed { .. } => "schedule-failed",
        }
    }
}
