//! An attempt's report as JSON: the shape that `-o json` prints, the same wherever a report is shown.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use sunaba_task::{
    AttemptReport, AttemptResult, Disposition, Failure, Frame, LogEntry, Outcome, Payload, Receipt, Stop,
};

use crate::PlanReport;

/// Whether the task would have succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The handler completed.
    Succeeded,
    /// The handler wants to be run again later.
    Snoozed,
    /// The handler wants children to do its work.
    Decomposed,
    /// The handler failed, or the host stopped it.
    Failed,
}

/// An attempt's report.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Report {
    /// Whether the task would have succeeded.
    pub status: Status,
    /// JSON as the handler wrote it; other bytes as `{"media_type": ..., "base64": ...}`; null when there is none.
    pub output: Option<Box<RawValue>>,
    /// Null unless the handler wants to be run again later.
    pub snooze: Option<SnoozeReport>,
    /// Null unless the handler wants children to do its work.
    #[serde(default)]
    pub plan: Option<PlanReport>,
    /// Null unless it failed.
    pub failure: Option<FailureReport>,
    /// What it used.
    pub receipt: ReceiptReport,
    /// What it said, oldest first.
    pub logs: Vec<LogEntry>,
}

/// When a handler wants to be run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SnoozeReport {
    /// Until then.
    pub delay_ms: u64,
    /// For people; may be empty.
    pub reason: String,
    /// Whether somebody may complete the task meanwhile.
    #[serde(default)]
    pub until_completed: bool,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FailureReport {
    /// `handler` when the handler returned the failure, else the host's cause: `timeout`, `trap unreachable` ...
    pub cause: String,
    /// The word that retry policies go by: the handler's kind, or the first word of the cause.
    pub kind: String,
    /// For people.
    pub message: String,
    /// What the handler added for programs.
    pub detail: Option<Box<RawValue>>,
    /// `by-policy`, `retry-after` or `fatal`; null when the host stopped it.
    pub disposition: Option<String>,
    /// The delay that the handler asked for.
    pub retry_after_ms: Option<u64>,
    /// Where the guest was, innermost first.
    pub backtrace: Vec<Frame>,
}

/// What an attempt used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReceiptReport {
    /// The component's digest.
    pub component: String,
    /// Instructions used; null when they were not counted.
    pub fuel: Option<u64>,
    /// Whether `fuel` is exact; else it is a lower bound.
    pub fuel_exact: bool,
    /// From the first step of making the sandbox to the last of taking it down.
    pub wall_ms: f64,
    /// The part of `wall_ms` outside the guest's call.
    pub overhead_ms: f64,
    /// The highest sum of memories and tables.
    pub peak_memory_bytes: u64,
    /// The input's size.
    pub input_bytes: u64,
    /// The output's size.
    pub output_bytes: u64,
    /// Kept of `host.log`.
    pub log_bytes: u64,
    /// Kept of standard output.
    pub stdout_bytes: u64,
    /// Kept of standard error.
    pub stderr_bytes: u64,
    /// Dropped over the limits of these three.
    pub dropped_bytes: u64,
    /// Host calls, of every interface.
    pub host_calls: u64,
    /// The same by what was called, the most frequent first; at most 32.
    #[serde(default)]
    pub host_calls_by: Vec<HostCallReport>,
    /// The part of `wall_ms` that the guest spent in host calls.
    #[serde(default)]
    pub host_call_ms: f64,
    /// What host calls moved between the guest and the host.
    #[serde(default)]
    pub moved_bytes: u64,
    /// Written to files.
    #[serde(default)]
    pub written_bytes: u64,
    /// Outgoing requests.
    #[serde(default)]
    pub requests: u64,
    /// Heads and bodies of them and of their responses.
    #[serde(default)]
    pub request_bytes: u64,
    /// Written to artifacts.
    #[serde(default)]
    pub artifact_bytes: u64,
    /// How long the task had waited since it could have run; none where there was no queue.
    #[serde(default)]
    pub queue_wait_ms: Option<f64>,
    /// What it was made from, if it was deterministic; as `sunaba run --seed` takes it.
    #[serde(default)]
    pub seed: Option<String>,
}

/// How often something was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostCallReport {
    /// Such as `wasi:io/poll.poll`.
    pub name: String,
    /// How often.
    pub count: u64,
}

impl From<AttemptReport> for Report {
    fn from(report: AttemptReport) -> Self {
        let (mut output, mut snooze, mut plan, mut failure) = (None, None, None, None);
        let status = match report.result {
            AttemptResult::Returned(Outcome::Complete(payload)) => {
                output = Some(payload_json(&payload));
                Status::Succeeded
            }
            AttemptResult::Returned(Outcome::Snooze(wish)) => {
                let delay_ms = u64::try_from(wish.delay.as_millis()).unwrap_or(u64::MAX);
                snooze = Some(SnoozeReport { delay_ms, reason: wish.reason, until_completed: wish.until_completed });
                Status::Snoozed
            }
            AttemptResult::Returned(Outcome::Decompose(children)) => {
                plan = Some(children.into());
                Status::Decomposed
            }
            AttemptResult::Failed(failed) => {
                failure = Some(failed.into());
                Status::Failed
            }
            AttemptResult::Stopped(stop) => {
                failure = Some(stop.into());
                Status::Failed
            }
        };
        Self { status, output, snooze, plan, failure, receipt: report.receipt.into(), logs: report.logs }
    }
}

impl From<Failure> for FailureReport {
    fn from(failure: Failure) -> Self {
        let (disposition, retry_after_ms) = match failure.disposition {
            Disposition::ByPolicy => ("by-policy", None),
            Disposition::RetryAfter(delay) => ("retry-after", u64::try_from(delay.as_millis()).ok()),
            Disposition::Fatal => ("fatal", None),
        };
        Self {
            cause: "handler".into(),
            kind: failure.kind,
            message: failure.message,
            detail: failure.detail.as_ref().map(payload_json),
            disposition: Some(disposition.into()),
            retry_after_ms,
            backtrace: Vec::new(),
        }
    }
}

impl From<Stop> for FailureReport {
    fn from(stop: Stop) -> Self {
        Self {
            cause: stop.cause.to_string(),
            kind: stop.cause.word().into(),
            message: stop.message,
            detail: None,
            disposition: None,
            retry_after_ms: None,
            backtrace: stop.backtrace,
        }
    }
}

impl From<Receipt> for ReceiptReport {
    fn from(receipt: Receipt) -> Self {
        Self {
            component: receipt.component.to_string(),
            fuel: receipt.fuel,
            fuel_exact: receipt.fuel_exact,
            wall_ms: millis(receipt.wall),
            overhead_ms: millis(receipt.overhead),
            peak_memory_bytes: receipt.peak_memory_bytes,
            input_bytes: receipt.input_bytes,
            output_bytes: receipt.output_bytes,
            log_bytes: receipt.log_bytes,
            stdout_bytes: receipt.stdout_bytes,
            stderr_bytes: receipt.stderr_bytes,
            dropped_bytes: receipt.dropped_bytes,
            host_calls: receipt.host_calls,
            host_calls_by: receipt
                .host_calls_by
                .into_iter()
                .map(|(name, count)| HostCallReport { name, count })
                .collect(),
            host_call_ms: millis(receipt.host_call_time),
            moved_bytes: receipt.moved_bytes,
            written_bytes: receipt.written_bytes,
            requests: receipt.requests,
            request_bytes: receipt.request_bytes,
            artifact_bytes: receipt.artifact_bytes,
            queue_wait_ms: receipt.queue_wait.map(millis),
            seed: receipt.seed.map(|seed| seed.to_string()),
        }
    }
}

/// Whole microseconds, as milliseconds.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// A body as JSON: as it is when it is JSON, else `{"media_type": ..., "base64": ...}`.
pub fn payload_json(payload: &Payload) -> Box<RawValue> {
    let json = payload.is_json().then(|| serde_json::from_slice(&payload.bytes).ok()).flatten();
    json.unwrap_or_else(|| {
        let bytes = json!({ "media_type": payload.media_type, "base64": STANDARD.encode(&payload.bytes) });
        to_raw_value(&bytes).expect("two strings have a JSON form")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_task::Cause;

    #[test]
    fn json_is_shown_as_it_is_and_bytes_as_base64() {
        let exact = r#"{"b":123456789012345678901234567890,"a":1}"#;
        assert_eq!(payload_json(&Payload::json(exact)).get(), exact);
        let bytes = Payload::new("image/png", &b"\x89PNG"[..]);
        assert_eq!(payload_json(&bytes).get(), r#"{"base64":"iVBORw==","media_type":"image/png"}"#);
        let lie = Payload::json("{");
        assert_eq!(payload_json(&lie).get(), r#"{"base64":"ew==","media_type":"application/json"}"#);
    }

    #[test]
    fn a_stop_has_its_cause_as_kind() {
        let stop = Stop { cause: Cause::Trap("unreachable".into()), message: "m".into(), backtrace: Vec::new() };
        let failure = FailureReport::from(stop);
        assert_eq!((failure.cause.as_str(), failure.kind.as_str()), ("trap unreachable", "trap"));
    }
}
