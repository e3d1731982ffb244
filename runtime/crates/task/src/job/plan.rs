//! The plan of a task, as its host has admitted it: what the task's children are, and what becomes of it when they have ended.

use serde::{Deserialize, Serialize};

use super::{Node, NodeName, OnFailure};

/// The children that do a task's work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPlan {
    /// In any order; without circles.
    pub nodes: Vec<Node>,
    /// The child whose output becomes the parent's. None: the parent's is `null`.
    pub join: Option<NodeName>,
    /// What it means to the parent that a child does not succeed, where a dependency does not say it.
    pub on_failure: OnFailure,
    /// Whether the first failure stops what else runs of the plan.
    pub stop_on_failure: bool,
}
