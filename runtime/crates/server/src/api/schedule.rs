//! Schedules over the wire.

use std::time::Duration;

use serde::{Deserialize, Serialize};
#[cfg(feature = "serve")]
use sunaba_host::{ScheduleRequest, TaskRequest};
use sunaba_task::Payload;
use sunaba_task::schedule::{Calendar, Fire, Problem as Trouble, Schedule, ScheduleLink, ScheduleName};

use super::{Submit, TaskView, ms};
use crate::problem::Problem;

/// Fires of one look ahead.
pub const MAX_FIRES: usize = 1_000;

/// A schedule to be made or changed.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["cron", "task"]))]
pub struct PutSchedule {
    /// Minute, hour, day of the month, month and day of the week; seconds may stand in front.
    pub cron: String,
    /// A name of the IANA database. Null: `UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `skip`, `queue`, `cancel-old` or `allow`: what becomes of a tick while a task of it has not ended. Null: `skip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// `none`, `last` or `all(N)`: what becomes of ticks for which nobody was there. Null: `last`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<String>,
    /// A tick fires up to so much later. Null: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u64>,
    /// Whether it is paused. Null: as it was; a new one is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// What each tick makes.
    pub task: Submit,
}

#[cfg(feature = "serve")]
impl PutSchedule {
    /// What is asked for, in the host's words.
    pub(crate) fn request(self, name: ScheduleName) -> Result<ScheduleRequest, Problem> {
        let new = ScheduleRequest::new(name, self.cron, self.task.request()?);
        Ok(ScheduleRequest {
            time_zone: self.time_zone.unwrap_or(new.time_zone),
            overlap: self.overlap.map_or(Ok(new.overlap), |text| text.parse()).map_err(Problem::invalid)?,
            catch_up: self.catch_up.map_or(Ok(new.catch_up), |text| text.parse()).map_err(Problem::invalid)?,
            jitter: self.jitter_ms.map_or(new.jitter, Duration::from_millis),
            paused: self.paused,
            ..new
        })
    }
}

/// A schedule.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScheduleView {
    /// Its name.
    pub name: String,
    /// Grows with every change that somebody makes: the `ETag`, for `If-Match`.
    pub revision: u64,
    /// When it is due.
    pub cron: String,
    /// In which zone.
    pub time_zone: String,
    /// What becomes of a tick while a task of it has not ended.
    pub overlap: String,
    /// What becomes of ticks for which nobody was there.
    pub catch_up: String,
    /// A tick fires up to so much later.
    pub jitter_ms: u64,
    /// Whether its ticks pass by.
    pub paused: bool,
    /// When it was made.
    pub created_at: String,
    /// When it was changed last.
    pub updated_at: String,
    /// What comes next. Null: it is paused, or nothing comes any more.
    pub next: Option<FireView>,
    /// The last tick that made a task.
    pub last_tick: Option<String>,
    /// The last task that it made.
    pub last_task: Option<String>,
    /// Its tasks that have not ended.
    pub active: Vec<String>,
    /// Ticks and triggers that wait for these to end.
    pub waiting: usize,
    /// Ticks that made a task.
    pub made: u64,
    /// Tasks that somebody asked for beside.
    pub triggered: u64,
    /// Ticks that were left out, because a task of it had not ended.
    pub skipped: u64,
    /// Ticks for which nobody was there; at least so many.
    pub missed: u64,
    /// Ticks and triggers that could make no task.
    pub failed: u64,
    /// The last of those.
    pub problem: Option<TroubleView>,
    /// What each tick makes, as it was asked for. Null: another release has written it in words that this one does not know.
    /// In a list, it has no input.
    pub task: Option<Submit>,
}

/// When a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FireView {
    /// What its calendar says.
    pub tick: String,
    /// When its task is made: its jitter later.
    pub at: String,
    /// The tick, as the clocks of its zone show it.
    pub local: String,
}

/// A tick or a trigger that could make no task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TroubleView {
    /// When it was tried.
    pub at: String,
    /// The tick. Null: it was a trigger.
    pub tick: Option<String>,
    /// Why not.
    pub reason: String,
}

/// Some schedules.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SchedulesView {
    /// By name.
    pub schedules: Vec<ScheduleView>,
    /// `after` of the next page.
    pub next: Option<String>,
}

/// What comes next of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FiresView {
    /// The soonest first.
    pub fires: Vec<FireView>,
}

/// What came of a trigger.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TriggeredView {
    /// The schedule as it stands.
    pub schedule: ScheduleView,
    /// The task. Null: it waits until what is active of the schedule has ended.
    pub task: Option<TaskView>,
}

/// That a schedule is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeletedSchedule {
    /// Its name.
    pub deleted: String,
}

/// Which schedules to list.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleFilter {
    /// Of this package.
    pub package: Option<String>,
    /// After this one.
    pub after: Option<String>,
    /// How many at most; at most 200.
    pub limit: Option<usize>,
}

/// Which schedule made a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OfSchedule {
    /// Its name.
    pub name: String,
    /// For which tick. Null: somebody has triggered it.
    pub tick: Option<String>,
}

impl From<&ScheduleLink> for OfSchedule {
    fn from(link: &ScheduleLink) -> Self {
        Self { name: link.name.to_string(), tick: link.tick.map(|tick| tick.to_string()) }
    }
}

#[cfg(feature = "serve")]
impl ScheduleView {
    pub(crate) fn new(schedule: &Schedule, input: Option<Payload>) -> Self {
        let (spec, progress) = (&schedule.spec, &schedule.progress);
        let calendar = spec.calendar().ok();
        let task = ScheduleRequest::of(schedule).map(|request| Submit::from(TaskRequest { input, ..request.task }));
        Self {
            name: schedule.name.to_string(),
            revision: schedule.revision,
            cron: spec.cron.clone(),
            time_zone: spec.time_zone.clone(),
            overlap: spec.overlap.to_string(),
            catch_up: spec.catch_up.to_string(),
            jitter_ms: ms(spec.jitter),
            paused: schedule.paused,
            created_at: schedule.created_at.to_string(),
            updated_at: schedule.updated_at.to_string(),
            next: schedule.next.zip(calendar).map(|(fire, calendar)| FireView::new(fire, &calendar)),
            last_tick: progress.last_tick.map(|tick| tick.to_string()),
            last_task: progress.last_task.map(|task| task.to_string()),
            active: progress.active.iter().map(ToString::to_string).collect(),
            waiting: progress.waiting.len(),
            made: progress.counts.made,
            triggered: progress.counts.triggered,
            skipped: progress.counts.skipped,
            missed: progress.counts.missed,
            failed: progress.counts.failed,
            problem: progress.problem.as_ref().map(TroubleView::from),
            task,
        }
    }
}

impl FireView {
    fn new(fire: Fire, calendar: &Calendar) -> Self {
        let local = calendar.on_the_wall(fire.tick);
        Self { tick: fire.tick.to_string(), at: fire.at.to_string(), local }
    }
}

impl FiresView {
    pub(crate) fn new(schedule: &Schedule, count: usize) -> Self {
        let Ok(calendar) = schedule.spec.calendar() else { return Self { fires: Vec::new() } };
        let fires = schedule.coming(&calendar, count.min(MAX_FIRES));
        Self { fires: fires.into_iter().map(|fire| FireView::new(fire, &calendar)).collect() }
    }
}

impl From<&Trouble> for TroubleView {
    fn from(trouble: &Trouble) -> Self {
        let tick = trouble.occasion.tick().map(|tick| tick.to_string());
        Self { at: trouble.at.to_string(), tick, reason: trouble.reason.clone() }
    }
}
