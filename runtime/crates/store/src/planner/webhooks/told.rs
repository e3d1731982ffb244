//! What webhooks are told: the body of a delivery. It is the same for all who are told, and at every attempt.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use sunaba_task::job::{JobEvent, JobHappening};
use sunaba_task::schedule::{ScheduleEvent, ScheduleHappening};
use sunaba_task::{FeedEvent, Happening, State, TaskEvent, Timestamp};

use super::super::callbacks::{Failure, short_failure, short_output};
use super::super::{Stored, Turn};
use crate::StoreError;

/// A longer output is left out, and can be asked for by the task's id.
const MAX_OUTPUT_BYTES: u64 = 16 << 10;
/// What is told of why something failed.
const MAX_WORDS_BYTES: usize = 1_024;

/// What every body is.
#[derive(Serialize)]
struct Message<'a, T> {
    #[serde(rename = "type")]
    event: &'a str,
    timestamp: String,
    data: T,
}

/// What is told of a task. What is of its record is null where that is gone already.
#[derive(Serialize)]
struct OfTask<'a> {
    task: String,
    handler: String,
    queue: &'a str,
    job: Option<String>,
    name: Option<String>,
    /// Where the task stands, by now.
    state: Option<String>,
    attempts: Option<u32>,
    tags: &'a [String],
    submitted_at: Option<String>,
    ended_at: Option<String>,
    /// When the next attempt is due.
    until: Option<String>,
    failure: Option<Failure<'a>>,
    /// When it is JSON, and not too long.
    output: Option<&'a RawValue>,
    media_type: Option<&'a str>,
    /// Whether there is one that is not here.
    output_omitted: bool,
}

#[derive(Serialize)]
struct OfJob<'a> {
    job: String,
    name: &'a str,
    reason: Option<&'a str>,
    partial: Option<bool>,
}

#[derive(Serialize)]
struct OfSchedule<'a> {
    schedule: String,
    task: Option<String>,
    reason: Option<&'a str>,
}

/// The body for an event; `stored` is its task, if it is of one that is there.
pub(super) fn of_event(
    turn: &Turn<'_>,
    name: &str,
    event: &FeedEvent,
    stored: Option<&Stored>,
) -> Result<Bytes, StoreError> {
    let at = event.at();
    Ok(match event {
        FeedEvent::Task(event) => of_task(turn, name, event, stored)?,
        FeedEvent::Job(event) => written(name, at, of_job(event)),
        FeedEvent::Schedule(event) => written(name, at, of_schedule(event)),
    })
}

/// The body for what is not the store's; `data` is JSON.
pub(super) fn of_notice(turn: &Turn<'_>, name: &str, data: &[u8]) -> Bytes {
    let data: Option<&RawValue> = serde_json::from_slice(data).ok();
    written(name, turn.now, data)
}

fn written(event: &str, at: Timestamp, data: impl Serialize) -> Bytes {
    let message = Message { event, timestamp: at.to_string(), data };
    serde_json::to_vec(&message).expect("texts, numbers and JSON can be written").into()
}

fn of_task(turn: &Turn<'_>, name: &str, event: &TaskEvent, stored: Option<&Stored>) -> Result<Bytes, StoreError> {
    let task = stored.map(|stored| &stored.task);
    let has_failed =
        |state: &State| matches!(state, State::Dead | State::Cancelled | State::Expired | State::RetryScheduled { .. });
    let info = task.and_then(|task| task.output.as_ref());
    let output = match stored.filter(|_| info.is_some_and(|info| info.size_bytes <= MAX_OUTPUT_BYTES)) {
        Some(stored) => short_output(turn, stored)?.filter(sunaba_task::Payload::is_json),
        None => None,
    };
    let json: Option<&RawValue> = output.as_ref().and_then(|output| serde_json::from_slice(&output.bytes).ok());
    let until = match &event.what {
        Happening::RetryScheduled { until, .. } | Happening::Snoozed { until } | Happening::Awaiting { until } => {
            Some(until)
        }
        _ => None,
    };
    let told = OfTask {
        task: event.task.to_string(),
        handler: event.handler.to_string(),
        queue: &event.queue,
        job: event.job.map(|job| job.to_string()),
        name: event.name.as_ref().map(ToString::to_string),
        state: task.map(|task| task.state.name().to_string()),
        attempts: task.map(|task| task.attempts_started),
        tags: task.map_or(&[], |task| &task.spec.tags),
        submitted_at: task.map(|task| task.submitted_at.to_string()),
        ended_at: task.and_then(|task| task.ended_at).map(|at| at.to_string()),
        until: until.map(ToString::to_string),
        failure: task.filter(|task| has_failed(&task.state)).and_then(|task| short_failure(task, MAX_WORDS_BYTES)),
        output: json,
        media_type: info.map(|info| info.media_type.as_str()),
        output_omitted: info.is_some() && json.is_none(),
    };
    Ok(written(name, event.at, told))
}

fn of_job(event: &JobEvent) -> OfJob<'_> {
    let (reason, partial) = match &event.what {
        JobHappening::Stopping { reason }
        | JobHappening::Compensating { reason }
        | JobHappening::Failed { reason }
        | JobHappening::Cancelled { reason } => (Some(cut(reason)), None),
        JobHappening::Succeeded { partial } => (None, Some(*partial)),
        JobHappening::Submitted | JobHappening::BudgetLow { .. } => (None, None),
    };
    OfJob { job: event.job.to_string(), name: &event.name, reason, partial }
}

fn of_schedule(event: &ScheduleEvent) -> OfSchedule<'_> {
    let (task, reason) = match &event.what {
        ScheduleHappening::Fired { task, .. } => (Some(task.to_string()), None),
        ScheduleHappening::Skipped { reason, .. } | ScheduleHappening::Failed { reason, .. } => {
            (None, Some(cut(reason)))
        }
        _ => (None, None),
    };
    OfSchedule { schedule: event.schedule.to_string(), task, reason }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_WORDS_BYTES)]
}
