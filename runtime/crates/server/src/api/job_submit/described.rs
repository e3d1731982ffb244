//! What may be written in more ways than one, for who describes it.

#![expect(dead_code, reason = "only their schemas are used")]

use schemars::JsonSchema;

use super::super::Submit;
use super::AfterNode;

/// What has to end before.
#[derive(JsonSchema)]
#[serde(untagged)]
pub(super) enum Dependencies {
    /// One.
    One(AfterNode),
    /// All of these.
    All(Vec<AfterNode>),
}

impl Default for Dependencies {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// What undoes a task.
#[derive(JsonSchema)]
#[serde(untagged)]
pub(super) enum Undo {
    /// `package/handler`.
    Handler(String),
    /// The same with more.
    Task(Box<Submit>),
}
