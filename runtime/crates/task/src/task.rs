//! The record of a task: what was asked for, where it stands, and what its attempts came to.
//!
//! Bodies (input, output, logs) are not part of the record: they are as large as their makers like, and a list of
//! records must not be.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Backoff, Cause, Decision, Digest, Frame, Grants, HandlerName, Lease, Limits, LogEntry, Payload, Receipt, TaskId,
    Timestamp,
};

/// Failures until a task is dead, unless said otherwise: one attempt and three retries.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 4;
/// Hosts that a task may lose until it is dead as poison, unless said otherwise.
pub const DEFAULT_MAX_HOSTS_LOST: u32 = 3;
/// The queue of tasks for which no other is named.
pub const DEFAULT_QUEUE: &str = "default";
/// Attempts that a record keeps; the oldest go first.
pub const MAX_KEPT_ATTEMPTS: usize = 100;
/// A longer idempotency key is refused.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 256;

/// All that was asked for when a task was submitted, with every default filled in. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// What runs it.
    pub handler: HandlerName,
    /// The component that the package had when the task was submitted. The task stays with it.
    pub component: Digest,
    /// The lane that it waits in.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// The task is dead once so many failures were charged.
    pub max_attempts: u32,
    /// The task is dead once so many of its hosts were lost.
    pub max_hosts_lost: u32,
    /// How long a failed task waits for its next attempt.
    pub backoff: Backoff,
    /// The kinds of failure that are retried. None: every kind that is not fatal.
    pub retry_on: Option<Vec<String>>,
    /// What an attempt may use.
    pub limits: Limits,
    /// What an attempt may do.
    pub grants: Grants,
    /// A second submit with this key gives the same task.
    pub idempotency_key: Option<String>,
    /// What travels with the task.
    pub attributes: Vec<(String, String)>,
}

impl TaskSpec {
    /// A task for this handler of this component, with every default.
    pub fn new(handler: HandlerName, component: Digest) -> Self {
        Self {
            handler,
            component,
            queue: DEFAULT_QUEUE.into(),
            priority: 0,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            max_hosts_lost: DEFAULT_MAX_HOSTS_LOST,
            backoff: Backoff::default(),
            retry_on: None,
            limits: Limits::default(),
            grants: Grants::default(),
            idempotency_key: None,
            attributes: Vec::new(),
        }
    }
}

/// When a task may run first. A duration counts from the submit, by the store's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// At once.
    #[default]
    Now,
    /// After so long.
    After(Duration),
    /// At this instant, or at once when it has passed.
    At(Timestamp),
}

/// A task to be submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// What is asked for.
    pub spec: TaskSpec,
    /// When it may run first.
    pub start: Start,
    /// What the handler gets.
    pub input: Payload,
    /// The digest of the request as its submitter wrote it: what a repeated idempotency key is held against. None: the
    /// digest of all of the above.
    pub fingerprint: Option<Digest>,
}

impl NewTask {
    /// A task that may run at once.
    pub fn new(spec: TaskSpec, input: Payload) -> Self {
        Self { spec, start: Start::Now, input, fingerprint: None }
    }
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Waits for its time.
    Scheduled {
        /// When that is.
        until: Timestamp,
    },
    /// Waits for a slot.
    Queued,
    /// Has a lease.
    Running(Lease),
    /// Failed, and waits for its next attempt.
    RetryScheduled {
        /// When that is due.
        until: Timestamp,
    },
    /// Ended well. Terminal.
    Succeeded,
    /// Ended badly. Terminal.
    Dead,
    /// Ended by request. Terminal.
    Cancelled,
}

/// A [`State`] without what belongs to it: the word that people read and filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateName {
    /// Waits for its time.
    Scheduled,
    /// Waits for a slot.
    Queued,
    /// Has a lease.
    Running,
    /// Waits for its next attempt.
    RetryScheduled,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Dead,
    /// Ended by request.
    Cancelled,
}

impl State {
    /// The word for it.
    pub fn name(&self) -> StateName {
        match self {
            Self::Scheduled { .. } => StateName::Scheduled,
            Self::Queued => StateName::Queued,
            Self::Running(_) => StateName::Running,
            Self::RetryScheduled { .. } => StateName::RetryScheduled,
            Self::Succeeded => StateName::Succeeded,
            Self::Dead => StateName::Dead,
            Self::Cancelled => StateName::Cancelled,
        }
    }

    /// Whether nothing will ever change any more.
    pub fn is_terminal(&self) -> bool {
        self.name().is_terminal()
    }
}

impl StateName {
    /// Every one of them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::RetryScheduled,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
    ];

    /// Whether nothing will ever change any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::RetryScheduled => "retry-scheduled",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A text that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state\nhint: a state is {states}", states = StateName::ALL.map(|state| state.word()).join(", "))]
pub struct StateNameError(String);

impl FromStr for StateName {
    type Err = StateNameError;

    fn from_str(text: &str) -> Result<Self, StateNameError> {
        Self::ALL.into_iter().find(|state| state.word() == text).ok_or_else(|| StateNameError(text.into()))
    }
}

/// What is known of a body without having it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadInfo {
    /// An IANA media type, without parameters.
    pub media_type: String,
    /// Its length.
    pub size_bytes: u64,
}

impl PayloadInfo {
    /// What is known of this one.
    pub fn of(payload: &Payload) -> Self {
        Self { media_type: payload.media_type.clone(), size_bytes: payload.bytes.len() as u64 }
    }
}

/// The record of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Unique for ever.
    pub id: TaskId,
    /// Grows by one with every change; from 1.
    pub revision: u64,
    /// The store's count of tasks when this one came: what decides who is older.
    pub sequence: u64,
    /// What was asked for.
    pub spec: TaskSpec,
    /// The input, without its body.
    pub input: PayloadInfo,
    /// When the store had it.
    pub submitted_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Attempts that began, however they ended.
    pub attempts_started: u32,
    /// Failures that count against `max_attempts`.
    pub failures_charged: u32,
    /// Attempts that ended because their host was lost.
    pub hosts_lost: u32,
    /// When somebody asked to cancel it, while it was running.
    pub cancel_requested_at: Option<Timestamp>,
    /// The attempts that have ended, oldest first; the newest [`MAX_KEPT_ATTEMPTS`].
    pub attempts: Vec<AttemptRecord>,
    /// The output, without its body. Set when the task succeeded.
    pub output: Option<PayloadInfo>,
    /// When it became terminal.
    pub ended_at: Option<Timestamp>,
}

impl Task {
    /// The record of a task that was submitted now.
    pub fn submitted(id: TaskId, sequence: u64, new: &NewTask, now: Timestamp) -> Self {
        let until = match new.start {
            Start::Now => now,
            Start::After(delay) => now.after(delay),
            Start::At(at) => at,
        };
        Self {
            id,
            revision: 1,
            sequence,
            spec: new.spec.clone(),
            input: PayloadInfo::of(&new.input),
            submitted_at: now,
            state: if until > now { State::Scheduled { until } } else { State::Queued },
            attempts_started: 0,
            failures_charged: 0,
            hosts_lost: 0,
            cancel_requested_at: None,
            attempts: Vec::new(),
            output: None,
            ended_at: None,
        }
    }

    /// When it is due, while it waits for that.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Scheduled { until } | State::RetryScheduled { until } => Some(until),
            _ => None,
        }
    }

    /// Its lease, while it runs.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Running(lease) => Some(lease),
            _ => None,
        }
    }
}

/// One attempt that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// Who ran it.
    pub worker: String,
    /// When it was leased.
    pub started_at: Timestamp,
    /// When it was settled.
    pub ended_at: Timestamp,
    /// What happened.
    pub ending: Ending,
    /// What was done about it.
    pub decision: Decision,
    /// What it used; none when nobody could tell.
    pub receipt: Option<Receipt>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The handler returned an output.
    Completed,
    /// The handler asked to be run again later.
    Snoozed {
        /// For people; may be empty.
        reason: String,
    },
    /// The handler returned a failure.
    Failed {
        /// The word that retry policies go by.
        kind: String,
        /// For people.
        message: String,
    },
    /// The host stopped it.
    Stopped {
        /// Why.
        cause: Cause,
        /// For people.
        message: String,
    },
    /// The host could not do its part.
    HostFailed {
        /// For people.
        message: String,
    },
    /// The host vanished, and its lease ran out.
    HostLost,
    /// The host was stopped in good order, and handed the task back.
    HandedBack,
}

/// What is kept of an attempt besides its record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptDetail {
    /// What the handler added to its failure, for programs.
    pub failure_detail: Option<Payload>,
    /// Where the guest was when it was stopped, innermost first.
    pub backtrace: Vec<Frame>,
    /// What the guest said, oldest first.
    pub logs: Vec<LogEntry>,
}

impl AttemptDetail {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.failure_detail.is_none() && self.backtrace.is_empty() && self.logs.is_empty()
    }
}
