//! What a submitter asks for when it asks for a job, and why a job is not taken on. Nothing here is checked against handlers.

pub(crate) mod plan;
mod shape;

use serde::Serialize;
use sunaba_store::{StoreError, SubmitJobError};
use sunaba_task::job::{After, Awaited, Budget, NodeName, NodeNameError, OnFailure, Step};

use crate::{RefusedTask, TaskRequest};

pub use shape::{Shape, Work, chain, chord, group, map, task};

/// A job that is asked for: tasks that belong together.
///
/// A shape becomes a job by [`of`](Self::of); any other graph is put together node by node:
///
/// ```
/// use sunaba_host::{JobRequest, NodeRequest, TaskRequest};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let task = || TaskRequest::new("shop/step".parse().expect("it is a name"));
/// let job = JobRequest::new("order")
///     .node(NodeRequest::new("reserve", task())?.undone_by(task()))
///     .node(NodeRequest::new("pay", task())?.after("reserve")?)
///     .node(NodeRequest::new("ship", task())?.after("pay")?);
/// assert_eq!(job.nodes.len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, Serialize)]
pub struct JobRequest {
    /// For people; may be empty, and has at most 128 bytes.
    pub name: String,
    /// Words to find it by, as a task has them.
    pub tags: Vec<String>,
    /// What it means that a task does not succeed, where a dependency does not say it.
    pub on_failure: OnFailure,
    /// Whether the first failure stops what else runs.
    pub stop_on_failure: bool,
    /// What it may spend.
    pub budget: Budget,
    /// The task whose output is the job's. None: the only one for which no other waits, if there is just one.
    pub result: Option<NodeName>,
    /// A second request with this key gives the same job.
    pub idempotency_key: Option<String>,
    /// The package whose policy decides about the attempts of its tasks, where a task does not say it. None: as the handlers
    /// have it.
    pub decider: Option<String>,
    /// Maps without inputs, by the names of their groups. They are checked as tasks are, and nothing of them runs.
    pub empty_maps: Vec<NodeRequest>,
    /// Groups that may have no tasks; it is a mistake to wait for others that have none.
    pub may_be_empty: Vec<Awaited>,
    /// Its plan.
    pub nodes: Vec<NodeRequest>,
}

/// One task of a job that is asked for.
#[derive(Debug, Clone, Serialize)]
pub struct NodeRequest {
    /// Unique in its job.
    pub name: NodeName,
    /// What runs. It has no keys of its own: no idempotency key, and no unique key.
    pub task: TaskRequest,
    /// What has to end before.
    pub after: Vec<After>,
    /// What undoes it, should the job fail after it has succeeded. It gets what the task had got, and what came of it, and no
    /// other input.
    pub compensation: Option<TaskRequest>,
}

impl NodeRequest {
    /// A task that waits for nothing.
    ///
    /// # Errors
    /// The name is none.
    pub fn new(name: &str, task: TaskRequest) -> Result<Self, NodeNameError> {
        Ok(Self { name: name.parse()?, task, after: Vec::new(), compensation: None })
    }

    /// It waits for this too: a task by its name, or a group by `GROUP/*`. What a failure means is as the job has it.
    ///
    /// # Errors
    /// It is no name.
    pub fn after(mut self, awaited: &str) -> Result<Self, NodeNameError> {
        self.after.push(After::new(awaited.parse()?));
        Ok(self)
    }

    /// The same; and if that does not succeed, this is what it means.
    ///
    /// # Errors
    /// It is no name.
    pub fn after_with(mut self, awaited: &str, on_failure: OnFailure) -> Result<Self, NodeNameError> {
        self.after.push(After { on_failure: Some(on_failure), ..After::new(awaited.parse()?) });
        Ok(self)
    }

    /// What undoes it.
    #[must_use]
    pub fn undone_by(mut self, compensation: TaskRequest) -> Self {
        self.compensation = Some(compensation);
        self
    }
}

impl From<Step<Work>> for NodeRequest {
    fn from(step: Step<Work>) -> Self {
        let Step { name, task: Work { task, undo }, after } = step;
        Self { name, task, after: after.into_iter().map(After::new).collect(), compensation: undo }
    }
}

impl JobRequest {
    /// A job without tasks.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A job of this shape. Its tasks are named after it (see [`Flow::steps`](sunaba_task::job::Flow::steps)), and what comes
    /// last in a chain or a chord gives its result.
    ///
    /// # Errors
    /// The name cannot name tasks.
    pub fn of(name: &str, shape: impl Into<Shape>) -> Result<Self, NodeNameError> {
        let steps = shape.into().0.steps(name)?;
        let result = match steps.ends.as_slice() {
            [Awaited::Node(last)] => Some(last.clone()),
            _ => None,
        };
        let nodes = steps.steps.into_iter().map(NodeRequest::from).collect();
        Ok(Self { result, nodes, ..Self::new(name) })
    }

    /// The same with this task too.
    #[must_use]
    pub fn node(mut self, node: NodeRequest) -> Self {
        self.nodes.push(node);
        self
    }

    /// The same, where tasks can wait for this group although it may have no tasks.
    ///
    /// # Errors
    /// The name cannot be that of a group.
    pub fn may_be_empty(mut self, group: &str) -> Result<Self, NodeNameError> {
        self.may_be_empty.push(format!("{group}/*").parse()?);
        Ok(self)
    }

    /// The same with these rules for failures: what one means, and whether the first stops what else runs.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure, stop: bool) -> Self {
        (self.on_failure, self.stop_on_failure) = (on_failure, stop);
        self
    }

    /// The same with this budget.
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// The same with this idempotency key.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Whose output is the job's, when nobody says it: the only task for which no other waits.
    pub(crate) fn only_end(&self) -> Option<NodeName> {
        let awaited: std::collections::HashSet<&Awaited> =
            self.nodes.iter().flat_map(|node| &node.after).map(|after| &after.awaited).collect();
        let is_end = |node: &&NodeRequest| {
            let group = node.name.group().map(|group| Awaited::Group(group.to_owned()));
            !awaited.contains(&Awaited::Node(node.name.clone())) && !group.is_some_and(|group| awaited.contains(&group))
        };
        let mut ends = self.nodes.iter().filter(is_end);
        ends.next().filter(|_| ends.next().is_none()).map(|node| node.name.clone())
    }
}

/// Why a job was not taken on. Nothing of it was, then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobRefusal {
    /// One of its tasks cannot be, or is not allowed.
    #[error("task `{node}`: {problem}")]
    Task {
        /// Which.
        node: NodeName,
        /// Why. Not a `source`: it is printed as part of this error.
        problem: Box<RefusedTask>,
    },
    /// What would undo one of its tasks cannot be, or is not allowed.
    #[error("the compensation of task `{node}`: {problem}")]
    Compensation {
        /// Of which.
        node: NodeName,
        /// Why. Not a `source`: it is printed as part of this error.
        problem: Box<RefusedTask>,
    },
    /// Something that is asked for of all of it cannot be.
    #[error(transparent)]
    Job(#[from] RefusedTask),
    /// Its tasks have too much in inputs, grants and tags together.
    #[error("{0}")]
    TooHeavy(String),
    /// Its plan, its budget or its key.
    #[error(transparent)]
    Submit(#[from] SubmitJobError),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
}
