//! What a handler can return: the contract's outcome and failure, in the host's own types.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Payload;

/// How an attempt that did not fail ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The task succeeded with this output.
    Complete(Payload),
    /// The task succeeds when these have.
    Decompose(Plan),
    /// Run the task again later.
    Snooze(Snooze),
}

/// A wish to be run again later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snooze {
    /// Until then.
    pub delay: Duration,
    /// For people; may be empty.
    pub reason: String,
    /// Whether somebody may complete the task meanwhile. Then the delay is how long it waits for that.
    pub until_completed: bool,
}

/// The children that do a task's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In any order.
    pub children: Vec<Child>,
    /// The child whose output becomes the parent's.
    pub join: Option<String>,
    /// Rules for the plan as a whole.
    pub settings: Vec<(String, String)>,
}

/// A task to create under the one that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Unique within the parent task.
    pub name: String,
    /// `package/handler`, or `handler` in the parent's own package.
    pub handler: String,
    /// What the child's handler gets.
    pub input: Payload,
    /// The child starts when these have ended.
    pub after: Vec<Dependency>,
    /// Options that override the child handler's own.
    pub settings: Vec<(String, String)>,
}

/// What a child waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The name of another child of the same plan.
    pub name: String,
    /// What its failure means to the one that waits.
    pub settings: Vec<(String, String)>,
}

/// What a handler asks the host to do about its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Disposition {
    /// The retry policy decides, by kind.
    ByPolicy,
    /// Retry after this long, if attempts are left.
    RetryAfter(Duration),
    /// Do not retry.
    Fatal,
}

/// A failure that the handler reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The word that retry policies and groupings go by; at most [`MAX_KIND_BYTES`](Self::MAX_KIND_BYTES).
    pub kind: String,
    /// For people; at most [`MAX_MESSAGE_BYTES`](Self::MAX_MESSAGE_BYTES), cut with a mark.
    pub message: String,
    /// For programs; bounded by the output limit.
    pub detail: Option<Payload>,
    /// What should happen next.
    pub disposition: Disposition,
}

impl Failure {
    /// The longest kind that is kept, in bytes.
    pub const MAX_KIND_BYTES: usize = crate::MAX_NAME_BYTES;
    /// The longest message that is kept, in bytes.
    pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;
}
