//! What goes over the wire: the JSON that a host takes and gives. Durations are in milliseconds, instants in RFC 3339.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunaba_host::{FailureReport, ReceiptReport, payload_json};
use sunaba_store::Package;
use sunaba_task::{
    AttemptDetail, AttemptRecord, Cause, Ending, HandlerInfo, LogEntry, Payload, PayloadInfo, State, StateName, Task,
    Verdict,
};

/// A task to be submitted. What is left out is up to the handler's settings, and then to the defaults.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submit {
    /// `package/handler`.
    pub handler: String,
    /// The input, for a handler that takes JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    /// The input in base64, for a handler that takes bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_base64: Option<String>,
    /// The media type of `input_base64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The lane in which it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Higher first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Before its first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Failures until it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// A number of instructions, `exact` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<String>,
    /// Of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// A second request with this key gives the same task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Environment variables for the handler.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Directories of the host's machine, `HOST::GUEST` or `HOST::GUEST:rw`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dirs: Vec<String>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// `package/handler`.
    pub handler: String,
    /// The lane in which it waits.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// The component that it was submitted for.
    pub component: String,
    /// When the store had it.
    pub submitted_at: String,
    /// When it is due, while it waits for that.
    pub due_at: Option<String>,
    /// When it became terminal.
    pub ended_at: Option<String>,
    /// When somebody asked to cancel it.
    pub cancel_requested_at: Option<String>,
    /// Attempts that began.
    pub attempts_started: u32,
    /// Failures that count against `max_attempts`.
    pub failures_charged: u32,
    /// Attempts that ended because their host was lost.
    pub hosts_lost: u32,
    /// It is dead once so many failures were charged.
    pub max_attempts: u32,
    /// The key under which it was submitted.
    pub idempotency_key: Option<String>,
    /// What it was given.
    pub input: PayloadInfo,
    /// What it gave, when it has succeeded.
    pub output: Option<PayloadInfo>,
    /// The attempts that have ended, oldest first; the newest hundred.
    pub attempts: Vec<AttemptView>,
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// Who ran it.
    pub worker: String,
    /// When it was leased.
    pub started_at: String,
    /// When it was settled.
    pub ended_at: String,
    /// `completed`, `snoozed`, `failed`, `stopped`, `host-failed`, `host-lost` or `handed-back`.
    pub ending: String,
    /// The host's cause, when it stopped the attempt.
    pub cause: Option<String>,
    /// The word that retry policies go by, when it failed.
    pub kind: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// What was done about it: `succeed`, `retry`, `snooze`, `requeue`, `give-up` or `cancel`.
    pub verdict: String,
    /// Until the next attempt, where that was decided.
    pub delay_ms: Option<u64>,
    /// Whether it counts against `max_attempts`.
    pub charged: bool,
    /// Why.
    pub reason: String,
    /// What it used.
    pub receipt: Option<ReceiptReport>,
}

/// What came of a task. Also says what is not there yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResultView {
    /// The task.
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// JSON as the handler wrote it; other bytes as `{"media_type": ..., "base64": ...}`. Null unless it has succeeded.
    pub output: Option<Box<RawValue>>,
    /// What kind of bytes the output is.
    pub media_type: Option<String>,
    /// Why its last attempt failed. Null when that did not, or when none has ended.
    pub failure: Option<FailureReport>,
    /// What its last attempt used.
    pub receipt: Option<ReceiptReport>,
    /// What its last attempt said, oldest first.
    pub logs: Vec<LogEntry>,
}

/// What the attempts of a task said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsView {
    /// The task.
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// Oldest first.
    pub attempts: Vec<AttemptLogs>,
}

/// What an attempt said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptLogs {
    /// From 1.
    pub number: u32,
    /// Oldest first.
    pub logs: Vec<LogEntry>,
}

/// Some tasks, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TasksView {
    /// Newest first.
    pub tasks: Vec<TaskView>,
    /// `before` of the next page. There may be one even if this one is short.
    pub next: Option<String>,
}

/// A deployed package.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackageView {
    /// Its name.
    pub name: String,
    /// Its component's digest.
    pub component: String,
    /// Its component's size.
    pub size_bytes: u64,
    /// When it got this component.
    pub deployed_at: String,
    /// What it has.
    pub handlers: Vec<HandlerView>,
}

/// Every package.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackagesView {
    /// By name.
    pub packages: Vec<PackageView>,
}

/// A handler.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HandlerView {
    /// `package/handler`.
    pub name: String,
    /// What it does, in Markdown.
    pub doc: String,
    /// JSON Schema of the input; null means any bytes.
    pub input_schema: Option<Box<RawValue>>,
    /// JSON Schema of the output; null means any bytes.
    pub output_schema: Option<Box<RawValue>>,
    /// Its own options, as written in the handler attribute.
    pub settings: BTreeMap<String, String>,
}

/// The host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Of sunaba.
    pub version: String,
    /// Attempts at a time.
    pub slots: usize,
    /// Attempts that run now.
    pub running: usize,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        let spec = &task.spec;
        Self {
            id: task.id.to_string(),
            state: task.state.name(),
            handler: spec.handler.to_string(),
            queue: spec.queue.clone(),
            priority: spec.priority,
            component: spec.component.to_string(),
            submitted_at: task.submitted_at.to_string(),
            due_at: task.due_at().map(|at| at.to_string()),
            ended_at: task.ended_at.map(|at| at.to_string()),
            cancel_requested_at: task.cancel.as_ref().map(|cancel| cancel.at.to_string()),
            attempts_started: task.attempts_started,
            failures_charged: task.failures_charged,
            hosts_lost: task.hosts_lost,
            max_attempts: spec.max_attempts,
            idempotency_key: spec.idempotency_key.clone(),
            input: task.input.clone(),
            output: task.output.clone(),
            attempts: task.attempts.iter().map(AttemptView::from).collect(),
        }
    }
}

impl From<&AttemptRecord> for AttemptView {
    fn from(attempt: &AttemptRecord) -> Self {
        let (ending, cause, kind, message) = match &attempt.ending {
            Ending::Completed => ("completed", None, None, None),
            Ending::Snoozed { reason } => ("snoozed", None, None, Some(reason)),
            Ending::Failed { kind, message } => ("failed", None, Some(kind.as_str()), Some(message)),
            Ending::Stopped { cause, message } => ("stopped", Some(cause), Some(cause.word()), Some(message)),
            Ending::HostFailed { message } => ("host-failed", None, Some("host"), Some(message)),
            Ending::HostLost => ("host-lost", None, None, None),
            Ending::HandedBack => ("handed-back", None, None, None),
        };
        let (verdict, delay) = match attempt.decision.verdict {
            Verdict::Succeed => ("succeed", None),
            Verdict::Retry(delay) => ("retry", Some(delay)),
            Verdict::Snooze(delay) => ("snooze", Some(delay)),
            Verdict::Requeue => ("requeue", None),
            Verdict::GiveUp => ("give-up", None),
            Verdict::Cancel => ("cancel", None),
        };
        Self {
            number: attempt.number,
            worker: attempt.worker.clone(),
            started_at: attempt.started_at.to_string(),
            ended_at: attempt.ended_at.to_string(),
            ending: ending.into(),
            cause: cause.map(Cause::to_string),
            kind: kind.map(str::to_owned),
            message: message.cloned(),
            verdict: verdict.into(),
            delay_ms: delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            charged: attempt.decision.charged,
            reason: attempt.decision.reason.clone(),
            receipt: attempt.receipt.clone().map(ReceiptReport::from),
        }
    }
}

impl ResultView {
    /// What came of a task: its record, its output, and what is kept of its last attempt.
    pub fn new(task: &Task, output: Option<&Payload>, detail: AttemptDetail) -> Self {
        let last = task.attempts.last();
        let failure = last.filter(|_| task.state != State::Succeeded).and_then(|last| failure(last, &detail));
        Self {
            id: task.id.to_string(),
            state: task.state.name(),
            output: output.map(payload_json),
            media_type: output.map(|output| output.media_type.clone()),
            failure,
            receipt: last.and_then(|last| last.receipt.clone()).map(ReceiptReport::from),
            logs: detail.logs,
        }
    }
}

fn failure(attempt: &AttemptRecord, detail: &AttemptDetail) -> Option<FailureReport> {
    let (cause, kind, message) = match &attempt.ending {
        Ending::Completed | Ending::Snoozed { .. } => return None,
        Ending::Failed { kind, message } => ("handler".to_owned(), kind.as_str(), message.clone()),
        Ending::Stopped { cause, message } => (cause.to_string(), cause.word(), message.clone()),
        Ending::HostFailed { message } => ("host".to_owned(), "host", message.clone()),
        Ending::HostLost => ("host-lost".to_owned(), "host-lost", attempt.decision.reason.clone()),
        Ending::HandedBack => ("handed-back".to_owned(), "handed-back", attempt.decision.reason.clone()),
    };
    Some(FailureReport {
        cause,
        kind: kind.to_owned(),
        message,
        detail: detail.failure_detail.as_ref().map(payload_json),
        disposition: None,
        retry_after_ms: None,
        backtrace: detail.backtrace.clone(),
    })
}

impl From<&Package> for PackageView {
    fn from(package: &Package) -> Self {
        Self {
            name: package.name.clone(),
            component: package.component.to_string(),
            size_bytes: package.size_bytes,
            deployed_at: package.deployed_at.to_string(),
            handlers: package.handlers.iter().map(|handler| HandlerView::new(&package.name, handler)).collect(),
        }
    }
}

impl HandlerView {
    /// A package's handler.
    pub fn new(package: &str, handler: &HandlerInfo) -> Self {
        let schema = |text: &Option<String>| text.clone().and_then(|text| RawValue::from_string(text).ok());
        Self {
            name: format!("{package}/{}", handler.name),
            doc: handler.doc.clone(),
            input_schema: schema(&handler.input_schema),
            output_schema: schema(&handler.output_schema),
            settings: handler.settings.given().map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }
}
