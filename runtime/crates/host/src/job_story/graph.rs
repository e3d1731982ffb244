//! The shape of a job's graph: what `job graph` prints as JSON, and what every picture of it is drawn from.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_task::job::{JobState, OnFailure};
use sunaba_task::{StateName, Timestamp, counted};

use super::pauses::Pause;
use super::wire::{instant, maybe_instant, millis};

/// The most nodes that a graph has, unless fewer are asked for.
const MAX_NODES: usize = 2_000;
/// Groups with more members are folded, unless told otherwise.
const DEFAULT_FOLD: usize = 20;
/// Tasks that are read for one graph: as many as the largest plan has.
const MAX_READS: u64 = 100_000;

/// How much of a job is read, and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphBounds {
    /// Nodes; from 1. What is beyond them is folded into one.
    pub nodes: usize,
    /// Members of a group that are shown one by one; a larger group is folded into one node.
    pub fold: usize,
    /// Tasks that are read, those among them that are no node; a plan without any counts as one.
    pub reads: u64,
}

impl Default for GraphBounds {
    fn default() -> Self {
        Self { nodes: MAX_NODES, fold: DEFAULT_FOLD, reads: MAX_READS }
    }
}

impl GraphBounds {
    /// The same with so many members of a group shown, as far as there may be nodes.
    #[must_use]
    pub fn folding(self, more_than: usize) -> Self {
        Self { fold: more_than.clamp(1, self.nodes), ..self }
    }
}

/// A job as a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobGraph {
    /// The job.
    pub id: String,
    /// Its name, for people; may be empty.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// When the store had it.
    #[serde(with = "instant")]
    #[schemars(with = "String")]
    pub submitted_at: Timestamp,
    /// When it ended.
    #[serde(with = "maybe_instant")]
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// When it was looked at, by the store's clock.
    #[serde(with = "instant")]
    #[schemars(with = "String")]
    pub now: Timestamp,
    /// Tasks that there are, and those that are still to be made.
    pub tasks: u64,
    /// Tasks that are neither a node nor in one.
    pub not_shown: u64,
    /// Fuel of all attempts.
    pub fuel: u64,
    /// Each after the one in whose plan it is; within a plan each after those that it waits for.
    pub nodes: Vec<GraphNode>,
    /// What waits for what.
    pub edges: Vec<GraphEdge>,
    /// Edges beyond the number that is told.
    pub edges_not_shown: u64,
    /// The nodes of the longest chain of ends that led to the job's own, or to where it stands; the first one first.
    pub path: Vec<usize>,
}

/// A task, or a group of them folded into one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GraphNode {
    /// Its name in its plan; `GROUP/*` of a group, and `3,000 others` of those for which there was no room.
    pub name: String,
    /// Its id; none of a group.
    pub task: Option<String>,
    /// Who runs it. Of a group: the first of them.
    pub handler: String,
    /// Where it stands. Of a group: the worst, or what its unfinished ones do.
    pub state: StateName,
    /// The node whose plan it is in; none: the job's own.
    pub parent: Option<usize>,
    /// Whether it undoes its parent.
    pub undoes: bool,
    /// Attempts that began.
    pub attempts: u64,
    /// Fuel of its attempts that have ended.
    pub fuel: u64,
    /// How long it waited in its queue, before all of its attempts.
    #[serde(rename = "waited_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub waited: Duration,
    /// How long its attempts ran, one after the other.
    #[serde(rename = "ran_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub ran: Duration,
    /// From the end of an attempt to the next one, where that was to come: until it was due, and in the queue.
    #[serde(rename = "between_attempts_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub between_attempts: Duration,
    /// How long it waited for somebody to complete it.
    #[serde(rename = "for_somebody_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub for_somebody: Duration,
    /// The longest times in which none of its attempts ran, in their order; none of a group.
    pub pauses: Vec<Pause>,
    /// When it was made.
    #[serde(with = "instant")]
    #[schemars(with = "String")]
    pub submitted_at: Timestamp,
    /// When its first attempt began.
    #[serde(with = "maybe_instant")]
    #[schemars(with = "Option<String>")]
    pub started_at: Option<Timestamp>,
    /// When its last attempt ended that has.
    #[serde(with = "maybe_instant")]
    #[schemars(with = "Option<String>")]
    pub ran_until: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "maybe_instant")]
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// Why it does not succeed, or has not yet; one line.
    pub cause: Option<String>,
    /// Whether it is on the longest chain.
    pub critical: bool,
    /// What it stands for, if it is a group.
    pub fold: Option<Fold>,
}

/// The tasks that one node stands for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fold {
    /// How many there are.
    pub members: u64,
    /// How they stand.
    pub by_state: BTreeMap<StateName, u64>,
    /// The first of those that failed.
    pub failed: Vec<GraphNode>,
    /// The one that ended last.
    pub last: Option<Box<GraphNode>>,
    /// Whether it is no group, but all for which there was no room: of any name, and in no chain.
    pub is_rest: bool,
}

impl Fold {
    /// The members that are to be shown with it: the first that failed, and the one that others have waited for.
    pub fn shown(&self, critical: bool) -> impl Iterator<Item = &GraphNode> {
        let is_known = |last: &&GraphNode| !self.failed.iter().any(|failed| failed.task == last.task);
        let last = self.last.as_deref().filter(|_| critical).filter(is_known);
        self.failed.iter().chain(last)
    }

    /// How its members stand: `99,990 succeeded, 10 dead`.
    pub fn counts(&self) -> String {
        let count = |(state, count): (&StateName, &u64)| format!("{} {state}", sunaba_task::format_count(*count));
        self.by_state.iter().map(count).collect::<Vec<_>>().join(", ")
    }

    /// The state that stands for all of them.
    pub(super) fn state(&self) -> StateName {
        use StateName::{Blocked, Cancelled, Dead, Expired, Queued, RetryScheduled, Running, Scheduled, Succeeded};
        let order = [Dead, Expired, Running, RetryScheduled, Queued, Scheduled, Blocked, Cancelled];
        order.into_iter().find(|state| self.by_state.contains_key(state)).unwrap_or(Succeeded)
    }
}

/// One node waits for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GraphEdge {
    /// Which is awaited.
    pub from: usize,
    /// Which waits.
    pub to: usize,
    /// What it means to that when the other does not succeed, where it does not leave that to the job.
    pub rule: Option<OnFailure>,
    /// Whether the longest chain goes along it.
    pub critical: bool,
}

impl JobGraph {
    /// How long it has taken so far.
    pub fn took(&self) -> Duration {
        self.ended_at.unwrap_or(self.now).since(self.submitted_at)
    }

    /// The nodes of a plan: the job's own, or that of a node.
    pub(super) fn plan(&self, parent: Option<usize>) -> impl Iterator<Item = usize> {
        self.nodes.iter().enumerate().filter(move |(_, node)| node.parent == parent).map(|(index, _)| index)
    }

    /// Whether a node is all for which there was no room.
    pub(super) fn is_rest(&self, index: usize) -> bool {
        self.nodes[index].fold.as_ref().is_some_and(|fold| fold.is_rest)
    }

    /// The children of each node, by its index.
    pub(super) fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(parent) = node.parent {
                children[parent].push(index);
            }
        }
        children
    }

    /// The names of what a node waits for, as they are shown.
    pub(super) fn awaited(&self) -> Vec<Vec<&str>> {
        let mut awaited = vec![Vec::new(); self.nodes.len()];
        for edge in &self.edges {
            awaited[edge.to].push(self.nodes[edge.from].name.as_str());
        }
        awaited
    }

    /// What of the tasks is not in the picture, in a sentence.
    pub(super) fn left_out(&self) -> Option<String> {
        let tasks = counted(self.not_shown, "more task", "more tasks");
        let edges = counted(self.edges_not_shown, "more dependency", "more dependencies");
        let verb = if self.not_shown + self.edges_not_shown == 1 { "is" } else { "are" };
        match (self.not_shown, self.edges_not_shown) {
            (0, 0) => None,
            (_, 0) => Some(format!("{tasks} {verb} not shown")),
            (0, _) => Some(format!("{edges} {verb} not shown")),
            _ => Some(format!("{tasks} and {edges} {verb} not shown")),
        }
    }
}
