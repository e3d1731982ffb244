//! Plans under tasks and single children, as callers of a store hand them in, and as they are prepared for the commit thread.

use bytes::Bytes;
use sunaba_task::job::{BudgetName, Graph, JobQueues, NewPlan, Node, NodeName, OnFailure, PlanError};
use sunaba_task::{Digest, Fuel, TaskId, Verdict};

use crate::jobs::{parts, queues_of};
use crate::{SettleError, Settlement, codec};

/// Why the plan of a task cannot be run. The attempt that has made it is not settled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChildPlanError {
    /// It is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The output is to be that of a child which it does not have.
    #[error("the plan's join is `{0}`, which it does not have\nhint: name one of its children, or none")]
    NoJoin(NodeName),
    /// The task has a child of this name already.
    #[error("the plan has a child `{0}`, and one of that name was submitted before\nhint: give it another name")]
    Taken(NodeName),
    /// Its job's fuel is limited, and is not counted of one of its children.
    #[error(
        "the job has a budget `fuel`, and the fuel of `{0}` is not counted\nhint: give that child a limit for fuel, or the job \
         none"
    )]
    FuelNotCounted(NodeName),
    /// It is the plan of a task that undoes another one.
    #[error("a task that undoes another one has no children\nhint: let it do its work by itself")]
    Undoes,
}

/// Why a child was not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitChildError {
    /// The lease is somebody else's, or nobody's, by now.
    #[error("the lease was lost")]
    LeaseLost,
    /// There is a child of this name that has another body.
    #[error(
        "the name `{name}` was used for another child, task {task}\nhint: a name stands for one child of its parent, on every \
         attempt"
    )]
    Conflict {
        /// The name.
        name: NodeName,
        /// The child that has it.
        task: TaskId,
    },
    /// It is to wait for others.
    #[error("the child `{0}` cannot wait for others\nhint: return a plan, whose children wait for each other")]
    Waits(NodeName),
    /// Its parent, or its job, is being stopped, so that nothing new begins.
    #[error("the child is not taken on: {0}")]
    Stopping(String),
    /// The job has spent a budget, and ends for it.
    #[error("the job has spent its budget `{0}`")]
    Budget(BudgetName),
    /// Its job's fuel is limited, and is not counted of it.
    #[error(
        "the job has a budget `fuel`, and the fuel of `{0}` is not counted\nhint: give that child a limit for fuel"
    )]
    FuelNotCounted(NodeName),
    /// It would be the child of a task that undoes another one.
    #[error("a task that undoes another one has no children\nhint: let it do its work by itself")]
    Undoes,
    /// Too many tasks wait in its queue.
    #[error("{waiting} tasks wait in the queue `{queue}`, and its greatest depth is {limit}\nhint: try again later")]
    QueueFull {
        /// The queue.
        queue: String,
        /// Tasks that wait in it.
        waiting: u64,
        /// How many may.
        limit: u64,
    },
}

/// The plan of a task that was checked, and written as it is to be kept.
#[derive(Debug, Default)]
pub(crate) struct PreparedPlan {
    pub(crate) planned: u64,
    pub(crate) parts: Vec<Bytes>,
    pub(crate) names: Vec<NodeName>,
    pub(crate) queues: JobQueues,
    /// A child whose fuel nobody counts.
    pub(crate) uncounted: Option<NodeName>,
    pub(crate) join: Option<NodeName>,
    pub(crate) on_failure: OnFailure,
    pub(crate) stop_on_failure: bool,
}

impl PreparedPlan {
    fn new(plan: &NewPlan) -> Result<Self, ChildPlanError> {
        let NewPlan { nodes, join, on_failure, stop_on_failure } = plan;
        let graph = Graph::of(nodes)?;
        if let Some(join) = join.as_ref().filter(|join| !nodes.iter().any(|node| node.name == **join)) {
            return Err(ChildPlanError::NoJoin(join.clone()));
        }
        Ok(Self {
            planned: nodes.len() as u64,
            parts: parts(nodes, &graph)?,
            names: nodes.iter().map(|node| node.name.clone()).collect(),
            queues: queues_of(nodes),
            uncounted: nodes.iter().find(|node| is_uncounted(node)).map(|node| node.name.clone()),
            join: join.clone(),
            on_failure: *on_failure,
            stop_on_failure: *stop_on_failure,
        })
    }
}

fn is_uncounted(node: &Node) -> bool {
    node.task.spec.limits.fuel == Fuel::Off
}

/// A settlement whose plan was checked.
#[derive(Debug)]
pub(crate) struct PreparedSettlement {
    pub(crate) settlement: Settlement,
    pub(crate) plan: Option<PreparedPlan>,
}

impl PreparedSettlement {
    pub(crate) fn new(mut settlement: Settlement) -> Result<Self, SettleError> {
        let plan = settlement.plan.take().filter(|_| settlement.decision.verdict == Verdict::Decompose);
        let plan = plan.map(|plan| PreparedPlan::new(&plan)).transpose()?;
        Ok(Self { settlement, plan })
    }
}

/// A single child that was checked.
#[derive(Debug)]
pub(crate) struct PreparedChild {
    pub(crate) node: Node,
    /// What a second submit of its name is held against.
    pub(crate) body: Digest,
    pub(crate) is_uncounted: bool,
}

impl PreparedChild {
    pub(crate) fn new(node: Node) -> Result<Self, SubmitChildError> {
        if !node.after.is_empty() {
            return Err(SubmitChildError::Waits(node.name));
        }
        let body = node.task.fingerprint.unwrap_or_else(|| Digest::of(&codec::write(&node)));
        let is_uncounted = is_uncounted(&node);
        Ok(Self { node, body, is_uncounted })
    }
}
