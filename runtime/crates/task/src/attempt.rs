//! One attempt: what an executor is asked to run, and what it reports.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Capture, Digest, Failure, Grants, Limits, LogEntry, Outcome, Payload, Receipt, Secret, Seed, Stop};

/// The id of a task; a UUID of version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(Uuid);

impl TaskId {
    /// A new id. Ids of one process sort in the order of their making.
    #[expect(clippy::new_without_default, reason = "two new ids are never equal, so none is a default")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id that this UUID is.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// Its 16 bytes. Ids of later tasks of a store have larger ones.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// A number made of the id, for whatever should be random between tasks and the same for one.
    pub fn seed(&self) -> u64 {
        let (high, low) = self.0.as_u64_pair();
        high ^ low
    }
}

/// A text that is no task id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a task id\nhint: an id is a UUID, such as `task submit` and `task list` show")]
pub struct TaskIdError(String);

impl FromStr for TaskId {
    type Err = TaskIdError;

    fn from_str(text: &str) -> Result<Self, TaskIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| TaskIdError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a handler is told of its attempt. All of it stands in the stored record, so that a replay sees the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptContext {
    /// The task.
    pub task_id: TaskId,
    /// The job that it belongs to, if any.
    pub job_id: Option<String>,
    /// The queue that it was leased from.
    pub queue: String,
    /// From 1. Lost hosts and snoozes count.
    pub attempt: u32,
    /// Failures charged so far.
    pub failures: u32,
    /// The task is dead once `failures` reaches this.
    pub max_attempts: u32,
    /// Milliseconds since the Unix epoch, by the store's clock.
    pub submitted_at_ms: u64,
    /// When the attempt was leased; milliseconds since the Unix epoch, by the store's clock.
    pub started_at_ms: u64,
    /// When it will be stopped; milliseconds since the Unix epoch, by the store's clock.
    pub deadline_ms: Option<u64>,
    /// The key under which the task was submitted.
    pub idempotency_key: Option<String>,
    /// What travels with the task.
    pub attributes: Vec<(String, String)>,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRequest {
    /// The component, loaded before.
    pub component: Digest,
    /// One of its handlers.
    pub handler: String,
    /// What the handler is told.
    pub context: AttemptContext,
    /// What the handler gets.
    pub input: Payload,
    /// What it may use.
    pub limits: Limits,
    /// What it may do.
    pub grants: Grants,
    /// The secrets that the grants name.
    pub secrets: Vec<Secret>,
    /// What its clock and random numbers are made from. None: from the machine's.
    pub seed: Option<Seed>,
    /// Which of its output streams are kept whole, as artifacts.
    pub capture: Capture,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptResult {
    /// The handler returned an outcome.
    Returned(Outcome),
    /// The handler returned a failure.
    Failed(Failure),
    /// The host stopped it.
    Stopped(Stop),
}

/// What an attempt did. A failed attempt is data, not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// How it ended.
    pub result: AttemptResult,
    /// What it used.
    pub receipt: Receipt,
    /// What it said, oldest first.
    pub logs: Vec<LogEntry>,
}
