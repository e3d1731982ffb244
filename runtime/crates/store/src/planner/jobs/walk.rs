//! Goes through the tasks of a plan, by their names, a bounded number of them at a time.

use sunaba_task::TaskId;
use sunaba_task::job::NodeName;

use super::super::{Planner, Turn};
use super::Scope;
use crate::{StoreError, keys};

/// Names that are read at a time: where a plan has plans below it, some of them are read again.
const PAGE: usize = 64;

/// What a visit has found below a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    /// Nothing to go through.
    Nothing,
    /// A plan, which comes before the rest of this one: so there are never more of them waiting than plans are deep.
    First,
}

/// How far a walk has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Walked {
    All,
    /// To this name.
    To(Option<NodeName>),
}

impl Planner {
    /// Visits the tasks of a plan from the one after this name on, as far as the steps suffice.
    pub(super) fn walk(
        &mut self,
        turn: &mut Turn<'_>,
        scope: &Scope,
        mut after: Option<NodeName>,
        steps: &mut usize,
        mut visit: impl FnMut(&mut Self, &mut Turn<'_>, TaskId) -> Result<Below, StoreError>,
    ) -> Result<Walked, StoreError> {
        while *steps > 0 {
            let page = self.names(turn, scope, after.as_ref(), PAGE.min(*steps))?;
            if page.is_empty() {
                *steps -= 1;
                return Ok(Walked::All);
            }
            for (name, task) in page {
                *steps = steps.saturating_sub(1);
                after = Some(name);
                if visit(self, turn, task)? == Below::First {
                    return Ok(Walked::To(after));
                }
            }
        }
        Ok(Walked::To(after))
    }

    /// The names of a plan after one of them, with their tasks.
    pub(super) fn names(
        &self,
        turn: &Turn<'_>,
        scope: &Scope,
        after: Option<&NodeName>,
        limit: usize,
    ) -> Result<Vec<(NodeName, TaskId)>, StoreError> {
        let (first, end) = keys::nodes(scope);
        let from = after.map_or(first, |name| keys::after_node(scope, name.as_str()));
        let mut names = Vec::new();
        for pair in turn.txn.scan(&from, &end, false) {
            let (key, value) = pair?;
            match (keys::node_name(&key), keys::id_of(&value)) {
                (Some(name), Some(id)) => names.push((name, id)),
                _ => tracing::error!(?key, "a key of a plan stands for no task"),
            }
            if names.len() == limit {
                break;
            }
        }
        Ok(names)
    }
}
