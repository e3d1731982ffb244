//! Deciders: policies of packages, which say what follows from an attempt in place of the built-in rules. Their vocabulary as
//! plain data, and the pure function that makes a decision of an answer. Who asks them, and what runs them, is elsewhere.

mod body;
mod judge;
mod seen;
mod situation;

use serde::{Deserialize, Serialize};

use crate::{Digest, Plan, format_count, format_duration};

pub use body::Body;
pub use judge::{asks_decider, judge, undecided};
pub use seen::{ChildSeen, PlanSeen, Seen};
pub use situation::{BudgetLeft, MAX_RECORDED_BYTES, PastAttempt, Situation, SituationError};

/// In place of a package: no decider, whatever the handler or the job says.
pub const NO_DECIDER: &str = "none";
/// The longest reason of a decider that is kept, in bytes.
pub const MAX_DECIDER_REASON_BYTES: usize = 1024;

/// The decider of a task. Fixed when the task is taken on, so that no later deploy changes anything of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDecider {
    /// The package whose policy it is.
    pub package: String,
    /// The component that the package had then.
    pub component: Digest,
}

impl std::fmt::Display for TaskDecider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.package, self.component)
    }
}

/// What is known of a component that exports a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeciderInfo {
    /// Interfaces that it imports. Each of their functions is a trap, so that 0 is a decider that is pure by its making.
    pub imports: u32,
}

impl std::fmt::Display for DeciderInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.imports {
            0 => f.write_str("pure: no imports"),
            1 => f.write_str("1 import, a trap"),
            imports => write!(f, "{imports} imports, each a trap"),
        }
    }
}

/// What a decider says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeciderVerdict {
    /// What was observed stands: an outcome succeeds, a failure is final.
    Accept,
    /// Run the task again after so many milliseconds.
    RetryAfter(u64),
    /// The task is dead.
    GiveUp,
    /// Do it by these children instead.
    Decompose(Plan),
}

impl DeciderVerdict {
    /// The verdict in a few words, for people.
    pub fn words(&self) -> String {
        match self {
            Self::Accept => "accept".into(),
            Self::RetryAfter(ms) => format!("retry after {}", format_duration(std::time::Duration::from_millis(*ms))),
            Self::GiveUp => "give up".into(),
            Self::Decompose(plan) => match plan.children.len() {
                1 => "do it by 1 task instead".into(),
                count => format!("do it by {} tasks instead", format_count(count as u64)),
            },
        }
    }
}

/// The answer of a decider, and what it has cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeciderAnswer {
    /// What shall happen.
    pub verdict: DeciderVerdict,
    /// For people; one line of at most [`MAX_DECIDER_REASON_BYTES`].
    pub reason: String,
    /// Fuel used.
    pub fuel: u64,
}

/// A decider has not decided. The built-in rules do, then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotDecided {
    /// Why; one line, for people.
    pub reason: String,
    /// Fuel used, where that is known.
    pub fuel: Option<u64>,
}

impl NotDecided {
    /// Nothing of it was run.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), fuel: None }
    }
}

/// What is kept of one asking of a decider, beside its attempt's detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeciderRecord {
    /// Who was asked.
    pub decider: TaskDecider,
    /// What it said, in a few words. None: it did not decide.
    pub verdict: Option<String>,
    /// Its reason, or why it did not decide.
    pub reason: String,
    /// Fuel used, where that is known.
    pub fuel: Option<u64>,
    /// The situation that it saw, as JSON; what was large is left out of it, and said to be.
    pub situation: String,
}
