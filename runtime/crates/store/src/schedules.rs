//! What is asked of a store about schedules: its trait, and why it does not do what it is asked.

use std::fmt;

use serde::{Deserialize, Serialize};
use sunaba_task::schedule::{Schedule, ScheduleError, ScheduleName, ScheduleSpec};
use sunaba_task::{Payload, Task, Timestamp};

use crate::{Package, StoreFuture};

/// Schedules of one store.
pub const MAX_SCHEDULES: usize = 10_000;

/// The part of a store that keeps schedules, and makes their tasks when it is time.
///
/// A tick makes one task, and no second one after a crash: the task and the note that the tick is over are one change. It
/// makes its task as a submit of that instant would, for the component that the package has then; what cannot be made is noted
/// with its reason, and the schedule goes on with its next tick.
pub trait ScheduleStore: Send + Sync + 'static {
    /// Makes a schedule, or changes it. Ticks until now are none of its business, unless it was there before and has the same
    /// ticks as before. Tasks that it has made are not touched.
    fn put_schedule(&self, new: NewSchedule) -> StoreFuture<'_, Result<Schedule, ScheduleChangeError>>;

    /// Has the ticks of a schedule pass by, or make tasks again. Those that have passed are not made up for.
    fn pause_schedule(
        &self,
        name: ScheduleName,
        paused: bool,
        expected: Expected,
    ) -> StoreFuture<'_, Result<Schedule, ScheduleChangeError>>;

    /// Has a schedule make a task now, whether or not it is paused; what is active of it is met as a tick would meet it.
    fn trigger_schedule(&self, name: ScheduleName) -> StoreFuture<'_, Result<Triggered, ScheduleChangeError>>;

    /// Forgets a schedule, and what waits of it. Tasks that it has made are not touched. As it was.
    fn delete_schedule(
        &self,
        name: ScheduleName,
        expected: Expected,
    ) -> StoreFuture<'_, Result<Schedule, ScheduleChangeError>>;

    /// A schedule.
    fn schedule(&self, name: ScheduleName) -> StoreFuture<'_, Option<Schedule>>;

    /// What the tasks of a schedule get.
    fn schedule_input(&self, name: ScheduleName) -> StoreFuture<'_, Option<Payload>>;

    /// Schedules, by name.
    fn schedules(&self, query: ScheduleQuery) -> StoreFuture<'_, SchedulePage>;
}

/// What a schedule must be for a change to be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    #[default]
    Any,
    /// Not there.
    Absent,
    /// At this revision.
    Revision(u64),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("nothing"),
            Self::Revision(revision) => write!(f, "revision {revision}"),
        }
    }
}

/// A schedule to be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its name.
    pub name: ScheduleName,
    /// What is asked for.
    pub spec: ScheduleSpec,
    /// What its tasks get.
    pub input: Payload,
    /// Whether it is paused. None: as it was; a new one is not.
    pub paused: Option<bool>,
    /// What there must be before.
    pub expected: Expected,
    /// Whether it is only admitted anew, for another version of its package: nobody has changed it, and its revision stays.
    pub is_readmission: bool,
}

/// Which schedules to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleQuery {
    /// Of this package.
    pub package: Option<String>,
    /// After this one.
    pub after: Option<ScheduleName>,
    /// How many at most; at most [`NAMES_PAGE`](crate::NAMES_PAGE).
    pub limit: usize,
}

/// Some schedules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulePage {
    /// By name.
    pub schedules: Vec<Schedule>,
    /// Where to go on: [`ScheduleQuery::after`] of the next page. There may be a next page even if this one is short.
    pub next: Option<ScheduleName>,
}

/// What came of a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triggered {
    /// The schedule as it stands.
    pub schedule: Schedule,
    /// The task. None: it waits until what is active of the schedule has ended.
    pub task: Option<Task>,
}

/// A schedule as it is kept, without how far it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredSchedule {
    pub(crate) revision: u64,
    pub(crate) spec: ScheduleSpec,
    pub(crate) paused: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// Why a schedule was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleChangeError {
    /// There is no such schedule.
    #[error("there is no schedule `{0}`\nhint: list them with `sunaba schedule list`")]
    Unknown(ScheduleName),
    /// Somebody has changed it since, or made or deleted it.
    #[error(
        "the schedule `{name}` should be {expected} before this change, and there is {}\nhint: look at it again, then repeat the \
         change", .found.map_or_else(|| "none".to_owned(), |revision| format!("revision {revision}"))
    )]
    Conflict {
        /// Its name.
        name: ScheduleName,
        /// What there should have been.
        expected: Expected,
        /// Its revision, if it is there.
        found: Option<u64>,
    },
    /// There are too many.
    #[error("there are {MAX_SCHEDULES} schedules, and no more are kept\nhint: delete one that is not needed")]
    TooMany,
    /// It cannot be.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Its input was checked against another version than its package has.
    #[error("the package `{}` has got version {} meanwhile\nhint: put the schedule again", .active.name, .active.version)]
    Unchecked {
        /// What the package has now.
        active: Box<Package>,
    },
    /// What is active of it, and its policy, leave no room for a task now.
    #[error(
        "the schedule `{name}` makes no task now: {reason}\nhint: wait for its tasks, or change its overlap policy"
    )]
    Overlap {
        /// Its name.
        name: ScheduleName,
        /// Why not.
        reason: String,
    },
    /// It can make no task.
    #[error("the schedule `{name}` could make no task: {reason}\nhint: mend that, then trigger it again")]
    Failed {
        /// Its name.
        name: ScheduleName,
        /// Why not.
        reason: String,
    },
}
