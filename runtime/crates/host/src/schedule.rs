//! What somebody asks for when they ask for a schedule, and why it is not put.

use std::time::Duration;

use sunaba_store::{ScheduleChangeError, StoreError};
use sunaba_task::schedule::{CatchUp, Overlap, Schedule, ScheduleName};

use crate::{RefusedTask, SubmitRefusal, TaskRequest};

/// A schedule that is asked for: a task again and again.
#[derive(Debug, Clone)]
pub struct ScheduleRequest {
    /// Unique in its store.
    pub name: ScheduleName,
    /// When it is due: minute, hour, day of the month, month, day of the week; seconds may stand in front.
    pub cron: String,
    /// In which zone; a name of the IANA database.
    pub time_zone: String,
    /// What becomes of a tick while a task of it has not ended.
    pub overlap: Overlap,
    /// What becomes of ticks for which nobody was there.
    pub catch_up: CatchUp,
    /// A tick fires up to so much later, and before the next.
    pub jitter: Duration,
    /// Whether it is paused. None: as it was; a new one is not.
    pub paused: Option<bool>,
    /// What each tick makes. It has no keys of its own, and no start; it may expire so long after its tick.
    pub task: TaskRequest,
}

impl ScheduleRequest {
    /// A schedule in UTC, with every default.
    pub fn new(name: ScheduleName, cron: impl Into<String>, task: TaskRequest) -> Self {
        Self {
            name,
            cron: cron.into(),
            time_zone: "UTC".into(),
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
            jitter: Duration::ZERO,
            paused: None,
            task,
        }
    }

    /// What a schedule was asked for with, but for its input; none if another release has written it in words that this one
    /// does not know.
    pub fn of(schedule: &Schedule) -> Option<Self> {
        let spec = &schedule.spec;
        Some(Self {
            name: schedule.name.clone(),
            cron: spec.cron.clone(),
            time_zone: spec.time_zone.clone(),
            overlap: spec.overlap,
            catch_up: spec.catch_up,
            jitter: spec.jitter,
            paused: Some(schedule.paused),
            task: serde_json::from_str(&spec.task.request).ok()?,
        })
    }
}

/// Why a schedule was not put.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleRefusal {
    /// Its task cannot be, or is not allowed.
    #[error("the task of the schedule: {0}")]
    Task(RefusedTask),
    /// It cannot be, or is not as it is expected to be.
    #[error(transparent)]
    Change(#[from] ScheduleChangeError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SubmitRefusal> for ScheduleRefusal {
    fn from(error: SubmitRefusal) -> Self {
        match error {
            SubmitRefusal::Refused(error) => Self::Task(error),
            SubmitRefusal::Store(error) => Self::Store(error),
            // It has no key.
            SubmitRefusal::Key(_) => Self::Store(StoreError::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use sunaba_task::{EnvGrant, Payload, When};

    use super::*;

    #[test]
    fn request_that_is_kept_reads_back() {
        let plain = TaskRequest::new("words/count".parse().expect("a name"));
        let full = TaskRequest {
            input: Some(Payload::new("image/png", vec![0xff])),
            expires: Some(When::After(Duration::from_millis(1_500))),
            backoff: Some("exponential(1s, max = 1m)".parse().expect("a backoff")),
            retry_on: Some(Vec::new()),
            on_success: vec!["a/b".parse().expect("a name")],
            fuel: Some("1000".parse().expect("fuel")),
            env: vec![EnvGrant { key: "A".into(), value: "b".into() }],
            dirs: vec!["/tmp::/data:rw".parse().expect("a grant")],
            http: vec!["https://api.example.com".parse().expect("a grant")],
            limits: "open-files=16,output=4MiB".parse().expect("limits"),
            capture: Some("stdout".parse().expect("a stream")),
            ..plain.clone()
        };
        for request in [plain, full] {
            let written = serde_json::to_string(&request).expect("JSON");
            let read: TaskRequest = serde_json::from_str(&written).expect("it reads back");
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
        }
    }
}
