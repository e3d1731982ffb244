//! Jobs, as callers of a store submit them and see them.

use std::collections::{BTreeSet, HashSet};
use std::iter;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sunaba_task::job::{
    After, Awaited, BudgetError, Graph, Job, JobId, JobQueues, JobSpec, JobState, MAX_PLAN_BYTES, NewJob, Node,
    NodeName, Placed, PlanError,
};
use sunaba_task::{Digest, Fuel, NewTask, Payload, StateName, Task, TaskId};

use crate::{Package, codec};

/// Nodes of one page of a plan.
const PAGE_NODES: usize = 64;
/// Bytes of a page of a plan, after which another begins.
const PAGE_BYTES: usize = 256 << 10;
/// What the nodes of a page wait for, after which another begins. A node more has at most as many again.
pub(crate) const PAGE_EDGES: usize = 1_000;

/// What became of the submit of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmittedJob {
    /// A new job.
    Created(Box<Job>),
    /// The job that was submitted before with the same idempotency key.
    Existing(Box<Job>),
}

impl SubmittedJob {
    /// The job, new or not.
    pub fn into_job(self) -> Job {
        match self {
            Self::Created(job) | Self::Existing(job) => *job,
        }
    }
}

/// Why a job was not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitJobError {
    /// Its plan cannot be run.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It has more tasks than it may have.
    #[error("the plan has {nodes} tasks, and the job's budget `tasks` is {limit}\nhint: give it a larger budget")]
    Budget {
        /// How many it has.
        nodes: usize,
        /// How many it may have.
        limit: u64,
    },
    /// Its output is to be that of a task which it does not have.
    #[error("the job's result is to be that of `{0}`, which its plan does not have\nhint: name one of its tasks")]
    NoResult(NodeName),
    /// A budget is out of range.
    #[error("{0}\nhint: leave it out, or say what the job may really spend")]
    OutOfRange(BudgetError),
    /// Its fuel is limited, and is not counted of one of its tasks.
    #[error(
        "the job has a budget `fuel`, and the fuel of `{0}` is not counted\nhint: give that task a limit for fuel, or the job \
         none"
    )]
    FuelNotCounted(NodeName),
    /// The idempotency key belongs to a job that was submitted with another body.
    #[error(
        "the idempotency key `{key}` was used for another job, {job}\nhint: a key stands for one request; use a new key for a new \
         request"
    )]
    Conflict {
        /// The key.
        key: String,
        /// The job that has it.
        job: JobId,
    },
    /// Too many tasks wait in a queue.
    #[error("{waiting} tasks wait in the queue `{queue}`, and its greatest depth is {limit}\nhint: try again later")]
    QueueFull {
        /// The queue.
        queue: String,
        /// Tasks that wait in it.
        waiting: u64,
        /// How many may.
        limit: u64,
    },
    /// One of its tasks follows, and the package has another version than the one that it was checked against.
    #[error(
        "the package `{}` has got version {} while `{node}` was submitted\nhint: submit the job again", .active.name,
        .active.version
    )]
    Unchecked {
        /// The task.
        node: NodeName,
        /// What the package has now.
        active: Box<Package>,
    },
}

impl From<BudgetError> for SubmitJobError {
    fn from(error: BudgetError) -> Self {
        Self::OutOfRange(error)
    }
}

/// Which jobs to show, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Only those that stand so. Empty: all.
    pub states: Vec<JobState>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only those that came before this one.
    pub before: Option<JobId>,
    /// How many at most.
    pub limit: usize,
}

/// Jobs, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobPage {
    /// Newest first.
    pub jobs: Vec<Job>,
    /// What to ask for next as [`JobQuery::before`]; none when there are no more.
    pub next: Option<JobId>,
}

/// Which tasks of a plan to show, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanQuery {
    /// The job.
    pub job: JobId,
    /// The task whose plan it is. None: the job's own.
    pub parent: Option<TaskId>,
    /// Only these. None: all.
    pub only: Option<Awaited>,
    /// Only those after this name.
    pub after: Option<NodeName>,
    /// How many at most.
    pub limit: usize,
}

impl PlanQuery {
    /// The first tasks of a job's own plan.
    pub fn of(job: JobId, limit: usize) -> Self {
        Self { job, parent: None, only: None, after: None, limit }
    }
}

/// Tasks of a plan, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanPage {
    /// By name.
    pub tasks: Vec<Task>,
    /// What each of them was to wait for, whether or not it still does; in the same order.
    pub after: Vec<Vec<After>>,
    /// What to ask for next as [`PlanQuery::after`]; none when there are no more.
    pub next: Option<NodeName>,
}

/// What came of one of the tasks that another waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaitee {
    /// Its name.
    pub name: NodeName,
    /// The task.
    pub task: TaskId,
    /// How it ended.
    pub state: StateName,
    /// What it gave, if it succeeded.
    pub output: Option<Payload>,
}

/// A page of them, and where to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwaiteePage {
    /// By name.
    pub awaited: Vec<Awaitee>,
    /// The last name, when there are more.
    pub next: Option<NodeName>,
    /// Whether the task was to wait for that, or has it as children. Of what it was not to wait for, some may be missing: these
    /// have not ended, or are not there yet.
    pub is_waited_for: bool,
}

/// A part of a plan, as it is kept until its tasks are made.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlanPart {
    /// Groups that somebody waits for, with the number of their members.
    pub(crate) groups: Vec<(String, u64)>,
    pub(crate) nodes: Vec<PlannedNode>,
}

/// The same while it is written.
#[derive(Serialize)]
struct WrittenPart<'p> {
    groups: &'p [(String, u64)],
    nodes: Vec<WrittenNode<'p>>,
}

#[derive(Serialize)]
struct WrittenNode<'p> {
    name: &'p NodeName,
    after: &'p [After],
    work: WrittenWork<'p>,
    is_awaited: bool,
    is_counted: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlannedNode {
    pub(crate) name: NodeName,
    pub(crate) after: Vec<After>,
    pub(crate) work: Work,
    pub(crate) is_awaited: bool,
    pub(crate) is_counted: bool,
}

/// What a node does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// This.
    New { task: Box<NewTask>, compensation: Option<Box<NewTask>> },
    /// What that task of a job that has ended did, or was to do.
    Again { old: TaskId, is_done: bool },
}

/// The same while it is written.
#[derive(Serialize)]
pub(crate) enum WrittenWork<'p> {
    New { task: &'p NewTask, compensation: Option<&'p NewTask> },
    Again { old: TaskId, is_done: bool },
}

/// A node of a plan that can be written.
pub(crate) trait Writable: Placed {
    fn work(&self) -> WrittenWork<'_>;
}

impl Writable for Node {
    fn work(&self) -> WrittenWork<'_> {
        WrittenWork::New { task: &self.task, compensation: self.compensation.as_ref() }
    }
}

/// A job that was checked, and written as it is to be kept: the commit thread has others to serve.
#[derive(Debug)]
pub(crate) struct PreparedJob {
    pub(crate) spec: JobSpec,
    pub(crate) planned: u64,
    pub(crate) parts: Vec<Bytes>,
    /// Those of tasks that are to be started.
    pub(crate) queues: BTreeSet<String>,
    /// Those of whatever may become of it.
    pub(crate) all_queues: JobQueues,
    pub(crate) following: Vec<Following>,
    pub(crate) fingerprint: Digest,
}

/// That tasks of a plan follow: of a package, and checked against this component of it.
#[derive(Debug)]
pub(crate) struct Following {
    /// One of them.
    pub(crate) node: NodeName,
    pub(crate) package: String,
    pub(crate) component: Digest,
}

/// The queues of all tasks that a plan can have.
pub(crate) fn queues_of<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> JobQueues {
    let tasks = nodes.into_iter().flat_map(|node| iter::once(&node.task).chain(&node.compensation));
    JobQueues::of(tasks.map(|task| task.spec.queue.as_str()))
}

impl PreparedJob {
    pub(crate) fn new(new: NewJob) -> Result<Self, SubmitJobError> {
        let NewJob { spec, nodes, fingerprint } = new;
        let graph = Graph::of(&nodes)?;
        spec.budget.check()?;
        if let Some(node) = nodes.iter().find(|node| node.task.spec.limits.fuel == Fuel::Off)
            && spec.budget.fuel.is_some()
        {
            return Err(SubmitJobError::FuelNotCounted(node.name.clone()));
        }
        if nodes.len() as u64 > spec.budget.tasks {
            return Err(SubmitJobError::Budget { nodes: nodes.len(), limit: spec.budget.tasks });
        }
        if let Some(result) = &spec.result
            && !nodes.iter().any(|node| node.name == *result)
        {
            return Err(SubmitJobError::NoResult(result.clone()));
        }
        let parts = parts(&nodes, &graph)?;
        let fingerprint = fingerprint.unwrap_or_else(|| Digest::of(&codec::write(&(&spec, &nodes))));
        let planned = nodes.len() as u64;
        let queues = nodes.iter().map(|node| node.task.spec.queue.clone()).collect();
        let following = following(&nodes);
        let all_queues = queues_of(&nodes);
        Ok(Self { spec, planned, parts, queues, all_queues, following, fingerprint })
    }
}

/// What a plan follows: each package and component once, however many tasks there are.
fn following(nodes: &[Node]) -> Vec<Following> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for node in nodes {
        for spec in [Some(&node.task), node.compensation.as_ref()].into_iter().flatten().map(|task| &task.spec) {
            let package = &spec.handler.package;
            if spec.follows && seen.insert((package, spec.component)) {
                let (node, package) = (node.name.clone(), package.clone());
                all.push(Following { node, package, component: spec.component });
            }
        }
    }
    all
}

/// The parts of a plan, in the order in which its tasks are made.
pub(crate) fn parts<N: Writable>(nodes: &[N], graph: &Graph) -> Result<Vec<Bytes>, PlanError> {
    parts_within(nodes, graph, MAX_PLAN_BYTES)
}

fn parts_within<N: Writable>(nodes: &[N], graph: &Graph, limit_bytes: u64) -> Result<Vec<Bytes>, PlanError> {
    let awaited: HashSet<&NodeName> = nodes
        .iter()
        .flat_map(Placed::after)
        .filter_map(|after| match &after.awaited {
            Awaited::Node(name) => Some(name),
            Awaited::Group(_) => None,
        })
        .collect();
    let groups: HashSet<&str> = graph.groups.iter().map(|(name, _)| name.as_str()).collect();
    let mut parts: Vec<_> = graph
        .groups
        .chunks(PAGE_NODES)
        .map(|groups| codec::write(&WrittenPart { groups, nodes: Vec::new() }))
        .collect();
    let (mut part, mut bytes, mut all_bytes, mut edges) = (Vec::new(), 0, 0, 0);
    for node in graph.order.iter().map(|place| &nodes[*place]) {
        let (name, after, work) = (node.name(), node.after(), node.work());
        let is_counted = name.group().is_some_and(|group| groups.contains(group));
        let node = WrittenNode { name, after, work, is_awaited: awaited.contains(name), is_counted };
        let size_bytes = codec::size_bytes(&node);
        all_bytes += size_bytes as u64;
        if all_bytes > limit_bytes {
            // Only how many there are is still of interest.
            (part, parts) = (Vec::new(), Vec::new());
            continue;
        }
        bytes += size_bytes;
        edges += after.len();
        part.push(node);
        if part.len() == PAGE_NODES || bytes >= PAGE_BYTES || edges >= PAGE_EDGES {
            parts.push(codec::write(&WrittenPart { groups: &[], nodes: std::mem::take(&mut part) }));
            (bytes, edges) = (0, 0);
        }
    }
    if all_bytes > limit_bytes {
        return Err(PlanError::TooManyBytes { bytes: all_bytes, limit: limit_bytes });
    }
    if !part.is_empty() {
        parts.push(codec::write(&WrittenPart { groups: &[], nodes: part }));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use sunaba_task::{EnvGrant, TaskSpec};

    use super::*;

    /// A node whose input is nothing, and that is given an environment of so many bytes.
    fn node(name: &str, bytes: usize) -> Node {
        let mut spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        spec.grants.env = vec![EnvGrant { key: "K".into(), value: "v".repeat(bytes) }];
        Node::new(name.parse().expect("a name"), NewTask::new(spec, Payload::json("0")))
    }

    fn nodes_of(part: &Bytes) -> usize {
        codec::read::<PlanPart>(b"P", part).expect("it is whole").nodes.len()
    }

    #[test]
    fn bytes_of_a_plan_obeyed_and_violated() {
        let nodes: Vec<_> = (0..20).map(|number| node(&format!("n/{number}"), 1_000)).collect();
        let graph = Graph::of(&nodes).expect("it can be run");
        let Err(PlanError::TooManyBytes { bytes, limit: 1 }) = parts_within(&nodes, &graph, 1) else {
            panic!("it is over the limit")
        };
        assert!((20_000..25_000).contains(&bytes), "{bytes}");
        let parts = parts_within(&nodes, &graph, bytes).expect("it fits");
        assert_eq!(parts.iter().map(nodes_of).sum::<usize>(), 20);
        let error = parts_within(&nodes, &graph, bytes - 1).expect_err("one too many");
        assert_eq!(error, PlanError::TooManyBytes { bytes, limit: bytes - 1 });
        let text = PlanError::TooManyBytes { bytes: 3 << 20, limit: 2 << 20 }.to_string();
        assert!(text.contains("3.0 MiB") && text.contains("2.0 MiB") && text.contains("hint: "), "{text}");
    }

    #[test]
    fn all_of_a_node_counts_for_a_part_of_a_plan() {
        let nodes: Vec<_> = (0..100).map(|number| node(&number.to_string(), 60_000)).collect();
        let parts = parts(&nodes, &Graph::of(&nodes).expect("it can be run")).expect("it fits");
        assert_eq!(parts.iter().map(nodes_of).max(), Some(5), "nodes of a part of {PAGE_BYTES} bytes");
        assert!(parts.iter().all(|part| part.len() < PAGE_BYTES + 64_000));
    }
}
