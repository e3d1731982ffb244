//! A plan that a handler returned, as JSON: the shape that `-o json` prints.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunaba_task::{Child, Dependency, Plan};

use crate::payload_json;

/// The children that a handler returned instead of an output.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlanReport {
    /// In the handler's order.
    pub children: Vec<ChildReport>,
    /// The child whose output becomes the task's.
    pub join: Option<String>,
    /// Rules for the plan as a whole, such as `["on-failure", "continue"]`.
    pub settings: Vec<(String, String)>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChildReport {
    /// Its name.
    pub name: String,
    /// `package/handler`, or `handler` in the parent's own package.
    pub handler: String,
    /// JSON as the handler wrote it; other bytes as `{"media_type": ..., "base64": ...}`.
    pub input: Box<RawValue>,
    /// What it waits for.
    pub after: Vec<DependencyReport>,
    /// Its options.
    pub settings: Vec<(String, String)>,
}

/// What a child waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DependencyReport {
    /// A child's name, or `GROUP/*`.
    pub name: String,
    /// What its failure means.
    pub settings: Vec<(String, String)>,
}

impl From<Plan> for PlanReport {
    fn from(plan: Plan) -> Self {
        let children = plan.children.into_iter().map(ChildReport::from).collect();
        Self { children, join: plan.join, settings: plan.settings }
    }
}

impl From<Child> for ChildReport {
    fn from(child: Child) -> Self {
        let after = |Dependency { name, settings }| DependencyReport { name, settings };
        Self {
            name: child.name,
            handler: child.handler,
            input: payload_json(&child.input),
            after: child.after.into_iter().map(after).collect(),
            settings: child.settings,
        }
    }
}
