//! What was undone, and in which order; and the steps of the longest chain, with their times.

use std::collections::BTreeMap;
use std::time::Duration;

use sunaba_task::{Task, TaskId, Timestamp};

use super::graph::{GraphNode, JobGraph};
use super::story::{PathStep, UndoneTask};

/// Undone tasks of which each is told.
const MAX_UNDONE: usize = 1_000;

/// Whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What was undone, or is being, while a job is read: by the records of what undoes, so that it is known of tasks without a
/// node too.
#[derive(Debug, Default)]
pub(super) struct Undoing {
    /// In the order in which they were begun: one after the other.
    told: BTreeMap<(Timestamp, TaskId), UndoneTask>,
    more: u64,
}

impl Undoing {
    /// What undoes a task; `within` has the name of that one last.
    pub(super) fn add(&mut self, task: &Task, node: &GraphNode, within: &str) {
        let undone = UndoneTask {
            name: within.trim_end_matches(" > ").to_owned(),
            undo: task.id.to_string(),
            handler: node.handler.clone(),
            state: node.state,
            ran_ms: millis(node.ran),
            cause: node.cause.clone(),
        };
        self.told.insert((task.submitted_at, task.id), undone);
        if self.told.len() > MAX_UNDONE {
            self.told.pop_last();
            self.more += 1;
        }
    }

    /// Those that are told, and how many more were read.
    pub(super) fn told(&self) -> (Vec<UndoneTask>, u64) {
        (self.told.values().cloned().collect(), self.more)
    }
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
            let begun_ms = millis(took).saturating_sub(millis(waited));
            // Of a group they are sums, of what was waited for side by side.
            let of = |time: Duration| if node.fold.is_some() { 0 } else { millis(time) };
            let for_somebody_ms = of(node.for_somebody).min(begun_ms);
            let between_ms = of(node.between_attempts).min(begun_ms - for_somebody_ms);
            steps.push(PathStep {
                name: self.full_name(*index),
                task: node.task.clone(),
                state: node.state,
                waited_ms: millis(waited),
                ran_ms: begun_ms - for_somebody_ms - between_ms,
                between_attempts_ms: between_ms,
                for_somebody_ms,
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

#[cfg(test)]
mod tests {
    use sunaba_task::{Digest, NewTask, Payload, TaskSpec};

    use super::*;

    #[test]
    fn number_of_undone_tasks_told_obeyed_and_violated() {
        let spec = TaskSpec::new("work/undo".parse().expect("a name"), Digest::of(b"component"));
        let new = NewTask::new(spec, Payload::json("{}"));
        let now = Timestamp::from_unix_ms(1_000);
        let mut undoing = Undoing::default();
        for (count, told, more) in [(MAX_UNDONE, MAX_UNDONE, 0), (1, MAX_UNDONE, 1)] {
            for _ in 0..count {
                let task = Task::submitted(TaskId::new(), 1, &new, now);
                undoing.add(&task, &GraphNode::of(&task, now), "flight > ");
            }
            let (first, left) = undoing.told();
            assert_eq!((first.len(), left, first[0].name.as_str()), (told, more, "flight"));
        }
    }
}
