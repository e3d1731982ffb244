//! Where a task stands, and the word for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Lease, Timestamp};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Waits for other tasks of its job.
    Blocked(Block),
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
    /// Was not started in time. Terminal.
    Expired,
}

/// For whom a task waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Block {
    /// For others of its plan, before it starts.
    Others {
        /// For how many of what it waits for; at least one.
        waits_for: u64,
        /// When it may run first, once it waits for none.
        start: Option<Timestamp>,
    },
    /// For its own children. It is not run any more, and ends when they have.
    Children,
}

/// A [`State`] without what belongs to it: the word that people read and filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StateName {
    /// Waits for other tasks of its job.
    Blocked,
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
    /// Was not started in time.
    Expired,
}

impl State {
    /// The word for it.
    pub fn name(&self) -> StateName {
        match self {
            Self::Blocked(_) => StateName::Blocked,
            Self::Scheduled { .. } => StateName::Scheduled,
            Self::Queued => StateName::Queued,
            Self::Running(_) => StateName::Running,
            Self::RetryScheduled { .. } => StateName::RetryScheduled,
            Self::Succeeded => StateName::Succeeded,
            Self::Dead => StateName::Dead,
            Self::Cancelled => StateName::Cancelled,
            Self::Expired => StateName::Expired,
        }
    }

    /// Whether nothing will ever change any more.
    pub fn is_terminal(&self) -> bool {
        self.name().is_terminal()
    }
}

impl StateName {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::Blocked,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::RetryScheduled,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether nothing will ever change any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::RetryScheduled => "retry-scheduled",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
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
