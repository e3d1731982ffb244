//! What can be wrong with a host: the names of the rules, as they are told.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Too many attempts of a handler fail.
    FailureRate,
    /// Too many tasks wait for each slot.
    Backlog,
    /// A queue's oldest task has waited for too long.
    QueueWait,
    /// The host's process holds too much memory.
    Memory,
    /// A queue has work and room, and nothing starts; or an attempt does not move.
    Stuck,
    /// A handler's breaker is open.
    CircuitOpen,
    /// The disk is nearly full.
    Disk,
    /// Fewer workers than there should be.
    Workers,
    /// The store takes no changes any more.
    Store,
    /// A webhook is disabled, because its endpoint has failed.
    Webhook,
}

impl Rule {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::FailureRate => "failure-rate",
            Self::Backlog => "backlog",
            Self::QueueWait => "queue-wait",
            Self::Memory => "memory",
            Self::Stuck => "stuck",
            Self::CircuitOpen => "circuit-open",
            Self::Disk => "disk",
            Self::Workers => "workers",
            Self::Store => "store",
            Self::Webhook => "webhook",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
