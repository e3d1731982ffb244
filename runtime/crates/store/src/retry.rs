//! Jobs that have ended and are made over again: what is asked for, why it is refused, and what of the old one stands.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use sunaba_task::job::{After, Awaited, Graph, Job, JobId, JobSpec, JobState, NodeName, Placed};
use sunaba_task::{Digest, HandlerName, State, Task, TaskId};

use crate::SubmitJobError;
use crate::jobs::{PreparedJob, Writable, WrittenWork, parts};
use crate::planner::PreparedRetry;

/// A job that has ended is to be made over again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryJob {
    /// Which.
    pub job: JobId,
    /// Tasks of its own plan, or groups of them, that are run anew although they have succeeded, and whatever waits for them.
    pub from: Vec<Awaited>,
}

/// Why a job is not made over again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetryJobError {
    /// There is no such job.
    #[error("there is no job {0}\nhint: `job list` shows those that are kept")]
    Unknown(JobId),
    /// It has not ended.
    #[error("job {job} is {state}\nhint: cancel it first, or wait for its end")]
    NotEnded {
        /// The job.
        job: JobId,
        /// Where it stands.
        state: JobState,
    },
    /// All of it has succeeded.
    #[error("all tasks of job {0} have succeeded\nhint: name the tasks from which on it is to be run again")]
    NothingToDo(JobId),
    /// It has no task of this name.
    #[error("job {job} has no task `{name}`\nhint: {}`job tasks` shows those of its own plan", did_you_mean(.nearest.as_ref()))]
    NoTask {
        /// The job.
        job: JobId,
        /// The name, or the group.
        name: Awaited,
        /// The task that was perhaps meant.
        nearest: Option<NodeName>,
    },
    /// It was stopped before all of it was made.
    #[error("{count} tasks of job {job} were never made, since it was stopped before\nhint: submit it again")]
    Incomplete {
        /// The job.
        job: JobId,
        /// How many.
        count: u64,
    },
    /// Not all of its plan can be read any more.
    #[error("{count} tasks of job {job} are not kept any more\nhint: submit the job again")]
    NotWhole {
        /// The job.
        job: JobId,
        /// How many.
        count: u64,
    },
    /// A task of it is not kept any more.
    #[error("task {task} of job {job} is not kept any more\nhint: submit the job again")]
    Gone {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskId,
    },
    /// It was made over again meanwhile.
    #[error("job {job} was made over again as {successor} meanwhile\nhint: look at that one")]
    Already {
        /// The job.
        job: JobId,
        /// What was made.
        successor: JobId,
    },
    /// A handler that is needed is not there any more.
    #[error(
        "job {job} needs the handler `{handler}`, which its package does not have any more\nhint: deploy one that has it"
    )]
    NoHandler {
        /// The job.
        job: JobId,
        /// The handler.
        handler: HandlerName,
    },
    /// A handler that is needed takes another input by now.
    #[error(
        "job {job} needs `{handler}`, which takes another input in version {version}\nhint: submit the job again, with inputs for \
         that version"
    )]
    OtherInput {
        /// The job.
        job: JobId,
        /// The handler.
        handler: HandlerName,
        /// The version that is active.
        version: u32,
    },
    /// It would not be taken on.
    #[error(transparent)]
    Submit(#[from] SubmitJobError),
}

/// A task of a job that has ended.
pub(crate) struct OldNode {
    name: NodeName,
    after: Vec<After>,
    task: TaskId,
    handler: HandlerName,
    queue: String,
    is_done: bool,
}

impl OldNode {
    /// None of what is not in a plan. What was undone is as if it had never been done.
    pub(crate) fn of(task: &Task, after: Vec<After>, was_undone: bool) -> Option<Self> {
        let link = task.job.as_ref().filter(|link| !link.undoes)?;
        let (handler, queue) = (task.spec.handler.clone(), task.spec.queue.clone());
        let is_done = task.state == State::Succeeded && !was_undone;
        Some(Self { name: link.name.clone(), after, task: task.id, handler, queue, is_done })
    }
}

impl Placed for OldNode {
    fn name(&self) -> &NodeName {
        &self.name
    }

    fn after(&self) -> &[After] {
        &self.after
    }
}

impl Writable for OldNode {
    fn work(&self) -> WrittenWork<'_> {
        WrittenWork::Again { old: self.task, is_done: self.is_done }
    }
}

/// Whether a job can be made over again at all.
pub(crate) fn check(job: &Job) -> Result<(), RetryJobError> {
    if !job.state.is_terminal() {
        return Err(RetryJobError::NotEnded { job: job.id, state: job.state });
    }
    match job.tasks.not_made {
        0 => Ok(()),
        count => Err(RetryJobError::Incomplete { job: job.id, count }),
    }
}

/// The job over again: its tasks that have not succeeded, those that are named, and whatever waits for one of them, are run anew;
/// the others stand as they are.
pub(crate) fn prepare(job: &Job, mut nodes: Vec<OldNode>, from: &[Awaited]) -> Result<PreparedRetry, RetryJobError> {
    // Somebody may have deleted some of it.
    if let Some(count) = job.plan.checked_sub(nodes.len() as u64).filter(|count| *count > 0) {
        return Err(RetryJobError::NotWhole { job: job.id, count });
    }
    let graph = Graph::of(&nodes).map_err(SubmitJobError::from)?;
    let from: HashSet<&Awaited> = from.iter().collect();
    let known: HashSet<Awaited> = nodes.iter().flat_map(|node| names_of(&node.name)).collect();
    if let Some(name) = from.iter().find(|name| !known.contains(name)) {
        let nearest = nearest(name, &nodes).cloned();
        return Err(RetryJobError::NoTask { job: job.id, name: (*name).clone(), nearest });
    }
    for place in anew(&nodes, &from) {
        nodes[place].is_done = false;
    }
    let anew: Vec<&OldNode> = nodes.iter().filter(|node| !node.is_done).collect();
    if anew.is_empty() {
        return Err(RetryJobError::NothingToDo(job.id));
    }
    let handlers: BTreeMap<_, _> = anew.iter().map(|node| (node.handler.clone(), node.task)).collect();
    let queues: BTreeSet<_> = anew.iter().map(|node| node.queue.clone()).collect();
    let spec = JobSpec { idempotency_key: None, ..job.spec.clone() };
    let fingerprint = Digest::of(job.id.as_bytes());
    let (planned, parts) = (nodes.len() as u64, parts(&nodes, &graph).map_err(SubmitJobError::from)?);
    // What undoes those that stand, and the plans below them, come from the old one.
    let all_queues = job.queues.clone();
    let prepared = PreparedJob { spec, planned, parts, queues, all_queues, following: Vec::new(), fingerprint };
    Ok(PreparedRetry { old: job.id, revision: job.revision, job: prepared, handlers })
}

/// How others may name a node: by its own name, and by its group.
fn names_of(name: &NodeName) -> impl Iterator<Item = Awaited> {
    let group = name.group().map(|group| Awaited::Group(group.to_owned()));
    [Some(Awaited::Node(name.clone())), group].into_iter().flatten()
}

/// The task that a misspelt name was meant to be: the same letters but for up to two.
fn nearest<'n>(name: &Awaited, nodes: &'n [OldNode]) -> Option<&'n NodeName> {
    let Awaited::Node(name) = name else { return None };
    let near = nodes.iter().map(|node| (distance(name.as_str(), node.name.as_str()), &node.name));
    near.filter(|(distance, _)| *distance <= 2).min().map(|(_, name)| name)
}

fn did_you_mean(nearest: Option<&NodeName>) -> String {
    nearest.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}

/// How many letters are to be changed, put in or left out. Names are short.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The places of the nodes that are run anew.
fn anew(nodes: &[OldNode], from: &HashSet<&Awaited>) -> HashSet<usize> {
    let mut by_awaited: HashMap<Awaited, Vec<usize>> = HashMap::new();
    for (place, node) in nodes.iter().enumerate() {
        for after in &node.after {
            by_awaited.entry(after.awaited.clone()).or_default().push(place);
        }
    }
    let is_first = |node: &OldNode| !node.is_done || names_of(&node.name).any(|name| from.contains(&name));
    let mut next: VecDeque<usize> = (0..nodes.len()).filter(|place| is_first(&nodes[*place])).collect();
    let mut seen = HashSet::new();
    while let Some(place) = next.pop_front() {
        if !seen.insert(place) {
            continue;
        }
        for awaited in names_of(&nodes[place].name) {
            next.extend(by_awaited.get(&awaited).into_iter().flatten());
        }
    }
    seen
}
