//! Schedules: tasks that are made again and again, at the ticks of a calendar.
//!
//! All of it is pure: which ticks there are, which of them become tasks, and what is remembered. Who writes it down, and makes the
//! tasks, is the store.

mod cron;
mod event;
mod name;
mod policy;
mod record;
#[cfg(test)]
mod tests;
mod ticks;

pub use cron::{Calendar, MAX_CRON_BYTES};
pub use event::{ScheduleEvent, ScheduleHappening};
pub use name::{ScheduleName, ScheduleNameError};
pub use policy::{CatchUp, DEFAULT_CAUGHT_UP, MAX_CAUGHT_UP, MAX_JITTER, Overlap, PolicyError};
pub use record::{
    Earlier, MAX_ACTIVE, MAX_MET, MAX_WAITING, Meeting, Met, Occasion, Problem, SCHEDULE, SCHEDULE_TICK, Schedule,
    ScheduleCounts, ScheduleError, ScheduleLink, ScheduleProgress, ScheduleSpec, ScheduledTask, is_ahead,
};
pub use ticks::{Due, Fire, MAX_COUNTED};
