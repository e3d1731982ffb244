//! The event feed.

use serde::{Deserialize, Serialize};
use sunaba_store::EventPage;
use sunaba_task::{Happening, TaskEvent};

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// The host's count of events: `after` of whoever goes on from here.
    pub sequence: u64,
    /// When.
    pub at: String,
    /// To which task.
    pub task: String,
    /// `package/handler`.
    pub handler: String,
    /// Its queue.
    pub queue: String,
    /// `submitted`, `queued`, `started`, `progress`, `retry-scheduled`, `snoozed`, `awaiting-completion`, `cancel-requested`,
    /// `completed`, `succeeded`, `dead`, `cancelled` or `expired`.
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
    /// How far it is, or why it is dead; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it is due, where it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Some events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsView {
    /// Oldest first.
    pub events: Vec<EventView>,
    /// `after` of the next page.
    pub next: u64,
    /// Whether events after the place that was asked for are not kept any more.
    pub missed: bool,
}

impl From<&TaskEvent> for EventView {
    fn from(event: &TaskEvent) -> Self {
        let view = Self {
            sequence: event.sequence,
            at: event.at.to_string(),
            task: event.task.to_string(),
            handler: event.handler.to_string(),
            queue: event.queue.clone(),
            event: event.what.word().to_owned(),
            attempt: None,
            worker: None,
            fraction: None,
            message: None,
            until: None,
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
