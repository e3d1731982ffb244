//! What is kept of an attempt that has ended.

use serde::{Deserialize, Serialize};

use crate::{Cause, DeciderRecord, Decision, Frame, LogEntry, Payload, Receipt, Timestamp};

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
    /// The handler split its work into children.
    Decomposed {
        /// How many its plan has.
        children: u64,
    },
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
    /// What its decider was asked and said. None: nobody asked one.
    pub decider: Option<Box<DeciderRecord>>,
}

impl AttemptDetail {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.failure_detail.is_none() && self.backtrace.is_empty() && self.logs.is_empty() && self.decider.is_none()
    }
}
