//! The event feed.

use serde::{Deserialize, Serialize};
use sunaba_store::EventPage;
use sunaba_task::job::{BudgetName, JobEvent, JobHappening};
use sunaba_task::schedule::{Occasion, ScheduleEvent, ScheduleHappening};
use sunaba_task::{FeedEvent, Happening, TaskEvent, format_bytes};

/// Something that happened to a task, to a job, or to a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EventView {
    /// The host's count of events: `after` of whoever goes on from here.
    pub sequence: u64,
    /// When.
    pub at: String,
    /// To which task, or which one a schedule has made; not there when it is about something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// `package/handler` of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// Its queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The job that it is about, or that the task is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The schedule that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// What its submitter calls the job, when it is about one; else the name of the task in its plan, if it is of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `submitted`, `queued`, `started`, `progress`, `retry-scheduled`, `snoozed`, `awaiting-completion`, `blocked`,
    /// `cancel-requested`, `completed`, `succeeded`, `dead`, `cancelled` or `expired`; of a job `job-submitted`,
    /// `job-budget-low`, `job-stopping`, `job-compensating`, `job-succeeded`, `job-failed` or `job-cancelled`; of a schedule
    /// `schedule-created`, `schedule-updated`, `schedule-paused`, `schedule-resumed`, `schedule-deleted`, `schedule-fired`,
    /// `schedule-waiting`, `schedule-skipped`, `schedule-missed` or `schedule-failed`.
    pub event: String,
    /// Which attempt, where it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Who runs it, when it has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// How far it is, in 0..=1, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// How far it is, why it is dead, or what is wrong with the job; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it is due, where it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The tick of a schedule that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<String>,
}

impl EventView {
    /// Whether it is the end of its task.
    pub fn ends_task(&self) -> bool {
        matches!(&*self.event, "succeeded" | "dead" | "cancelled" | "expired")
    }
}

/// Some events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EventsView {
    /// Oldest first.
    pub events: Vec<EventView>,
    /// `after` of the next page.
    pub next: u64,
    /// Whether events after the place that was asked for are not kept any more.
    pub missed: bool,
}

impl From<&FeedEvent> for EventView {
    fn from(event: &FeedEvent) -> Self {
        match event {
            FeedEvent::Task(event) => event.into(),
            FeedEvent::Job(event) => event.into(),
            FeedEvent::Schedule(event) => event.into(),
        }
    }
}

impl From<&JobEvent> for EventView {
    fn from(event: &JobEvent) -> Self {
        let message = match &event.what {
            JobHappening::Submitted | JobHappening::Succeeded { partial: false } => None,
            JobHappening::Succeeded { partial: true } => Some("in part".into()),
            JobHappening::BudgetLow { budget: BudgetName::ArtifactBytes, spent, limit } => {
                let (spent, limit) = (format_bytes(*spent), format_bytes(*limit));
                Some(format!("`{}`, {spent} of {limit} spent", BudgetName::ArtifactBytes))
            }
            JobHappening::BudgetLow { budget, spent, limit } => Some(format!("`{budget}`, {spent} of {limit} spent")),
            JobHappening::Stopping { reason }
            | JobHappening::Compensating { reason }
            | JobHappening::Failed { reason }
            | JobHappening::Cancelled { reason } => Some(reason.clone()),
        };
        Self {
            sequence: event.sequence,
            at: event.at.to_string(),
            task: None,
            handler: None,
            queue: None,
            job: Some(event.job.to_string()),
            name: Some(event.name.clone()).filter(|name| !name.is_empty()),
            event: event.what.word().to_owned(),
            attempt: None,
            worker: None,
            fraction: None,
            message,
            until: None,
            schedule: None,
            tick: None,
        }
    }
}

impl From<&ScheduleEvent> for EventView {
    fn from(event: &ScheduleEvent) -> Self {
        use ScheduleHappening::{Created, Deleted, Failed, Fired, Missed, Paused, Resumed, Skipped, Updated, Waiting};
        let (occasion, message) = match &event.what {
            Created | Updated | Paused | Resumed | Deleted => (None, None),
            Fired { occasion, .. } | Waiting { occasion } => (Some(*occasion), None),
            Skipped { occasion, reason } | Failed { occasion, reason } => (Some(*occasion), Some(reason.clone())),
            Missed { ticks, .. } => (None, Some(format!("{ticks} ticks"))),
        };
        let task = if let Fired { task, .. } = &event.what { Some(task.to_string()) } else { None };
        let until = if let Missed { until, .. } = &event.what { Some(until.to_string()) } else { None };
        Self {
            sequence: event.sequence,
            at: event.at.to_string(),
            task,
            handler: None,
            queue: None,
            job: None,
            name: None,
            event: event.what.word().to_owned(),
            attempt: None,
            worker: None,
            fraction: None,
            message,
            until,
            schedule: Some(event.schedule.to_string()),
            tick: occasion.and_then(Occasion::tick).map(|tick| tick.to_string()),
        }
    }
}

impl From<&TaskEvent> for EventView {
    fn from(event: &TaskEvent) -> Self {
        let view = Self {
            sequence: event.sequence,
            at: event.at.to_string(),
            task: Some(event.task.to_string()),
            handler: Some(event.handler.to_string()),
            queue: Some(event.queue.clone()),
            job: event.job.map(|job| job.to_string()),
            name: event.name.as_ref().map(ToString::to_string),
            event: event.what.word().to_owned(),
            attempt: None,
            worker: None,
            fraction: None,
            message: None,
            until: None,
            schedule: None,
            tick: None,
        };
        match &event.what {
            Happening::Started { attempt, worker } => {
                Self { attempt: Some(*attempt), worker: Some(worker.clone()), ..view }
            }
            Happening::Progress { attempt, progress } => {
                let message = Some(progress.message.clone()).filter(|message| !message.is_empty());
                Self { attempt: Some(*attempt), fraction: progress.fraction, message, ..view }
            }
            Happening::RetryScheduled { attempt, until } => {
                Self { attempt: Some(*attempt), until: Some(until.to_string()), ..view }
            }
            Happening::Snoozed { until } | Happening::Awaiting { until } => {
                Self { until: Some(until.to_string()), ..view }
            }
            Happening::Dead { reason } => Self { message: Some(reason.clone()), ..view },
            Happening::Submitted
            | Happening::Queued
            | Happening::Blocked
            | Happening::CancelRequested
            | Happening::Completed
            | Happening::Succeeded
            | Happening::Cancelled
            | Happening::Expired => view,
        }
    }
}

impl From<EventPage> for EventsView {
    fn from(page: EventPage) -> Self {
        Self { events: page.events.iter().map(EventView::from).collect(), next: page.next, missed: page.missed }
    }
}
