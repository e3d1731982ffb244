//! What came of a task, and what its attempts said.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunaba_host::{FailureReport, ReceiptReport, payload_json};
use sunaba_task::{AttemptDetail, AttemptRecord, Ending, LogEntry, Payload, State, StateName, Task};

/// What came of a task. Also says what is not there yet.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogsView {
    /// The task.
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// Oldest first.
    pub attempts: Vec<AttemptLogs>,
}

/// What an attempt said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptLogs {
    /// From 1.
    pub number: u32,
    /// Whether it still runs, so that there may be more.
    #[serde(default)]
    pub running: bool,
    /// Oldest first.
    pub logs: Vec<LogEntry>,
}

impl ResultView {
    /// What came of a task: its record, its output, and what is kept of its last attempt.
    pub fn new(task: &Task, output: Option<&Payload>, detail: AttemptDetail) -> Self {
        let last = task.attempts.last();
        let failure = last.filter(|_| task.state != State::Succeeded).and_then(|last| failure(last, &detail));
        let failure = child_failure(task).or(failure);
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

/// Of a task that is dead because of a child: what the child came to is told of that.
fn child_failure(task: &Task) -> Option<FailureReport> {
    let child = task.failed_child.as_ref()?;
    Some(FailureReport {
        cause: "child".into(),
        kind: "child".into(),
        message: format!("its child `{}`, task {}, did not succeed", child.name, child.task),
        detail: None,
        disposition: None,
        retry_after_ms: None,
        backtrace: Vec::new(),
    })
}

fn failure(attempt: &AttemptRecord, detail: &AttemptDetail) -> Option<FailureReport> {
    let (cause, kind, message) = match &attempt.ending {
        Ending::Completed | Ending::Decomposed { .. } | Ending::Snoozed { .. } => return None,
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
