//! What was undone, and in which order; and the steps of the longest chain, with their times.

use std::time::Duration;

use sunaba_task::Timestamp;

use super::graph::JobGraph;
use super::story::{PathStep, UndoneTask};

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl JobGraph {
    /// A node's name, after those of the nodes in whose plans it is.
    pub(super) fn full_name(&self, index: usize) -> String {
        let (mut names, mut at) = (Vec::new(), Some(index));
        while let Some(index) = at {
            names.push(self.nodes[index].name.as_str());
            // A parent stands before its children, so that this ends.
            at = self.nodes[index].parent.filter(|parent| *parent < index);
        }
        names.reverse();
        names.join(" > ")
    }

    /// What was undone, or is being, in that order.
    pub(super) fn undone(&self) -> Vec<UndoneTask> {
        let mut undoing: Vec<_> = self.nodes.iter().filter(|node| node.undoes && node.fold.is_none()).collect();
        // Ids are made in the order of the tasks.
        undoing.sort_by_key(|node| (node.submitted_at, node.task.clone()));
        let undone = undoing.into_iter().filter_map(|node| {
            Some(UndoneTask {
                name: self.full_name(node.parent?),
                undo: node.task.clone()?,
                handler: node.handler.clone(),
                state: node.state,
                ran_ms: millis(node.ran),
                cause: node.cause.clone(),
            })
        });
        undone.collect()
    }

    /// The longest chain with what each step took. The steps' times together are that of the chain.
    pub(super) fn steps(&self) -> Vec<PathStep> {
        let total = millis(self.took()).max(1);
        let mut before = self.submitted_at;
        let mut steps = Vec::with_capacity(self.path.len());
        for (step, index) in self.path.iter().enumerate() {
            let node = &self.nodes[*index];
            let end = self.end_of_step(step);
            let waited = node.started_at.unwrap_or(end).min(end).since(before);
            let took = end.since(before);
            steps.push(PathStep {
                name: self.full_name(*index),
                task: node.task.clone(),
                state: node.state,
                waited_ms: millis(waited),
                ran_ms: millis(took.saturating_sub(waited)),
                share: millis(took).saturating_mul(100) / total,
            });
            before = before.max(end);
        }
        steps
    }

    /// When a step of the chain was over: of one whose own plan comes next, when its attempts were.
    fn end_of_step(&self, step: usize) -> Timestamp {
        let index = self.path[step];
        let node = &self.nodes[index];
        let next = self.path.get(step + 1);
        let goes_in = next.is_some_and(|next| self.nodes[*next].parent == Some(index) && !self.nodes[*next].undoes);
        let end = if goes_in { node.ran_until.or(node.ended_at) } else { node.ended_at };
        end.unwrap_or(self.now)
    }
}
