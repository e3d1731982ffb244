//! The trait that every store implements, and what goes in and out of it.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sunaba_task::{
    AttemptDetail, BoxFuture, Decision, Digest, Ending, HandlerInfo, LeaseToken, NewTask, Payload, Receipt, SessionId,
    StateName, Task, TaskId, Timestamp,
};

use crate::StoreError;

/// What a store's methods return.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The most records of one page.
pub const MAX_PAGE: usize = 1_000;

/// Where the queue, its records and its results are kept.
///
/// Every method is atomic: all of its changes are made, or none. A method that changes something returns when the change
/// is on stable storage, and no method shows what is not. A store has one clock of its own: durations count by that, and
/// no caller's clock matters. A batch takes one commit, however many it holds.
pub trait Store: Send + Sync + 'static {
    /// Whether the store is in its callers' process: then silence means that it is slow, and never that it has given their
    /// leases to others. Default: it may be elsewhere.
    fn is_in_process(&self) -> bool {
        false
    }

    /// Takes tasks on. The answers are in the order of the tasks; one that is refused does not hold back the others.
    fn submit(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, Vec<Result<Submitted, SubmitError>>>;

    /// Begins a worker's session. Its leases live for `lease_time` after each [`renew`](Self::renew).
    fn open_session(&self, worker: String, lease_time: Duration) -> StoreFuture<'_, SessionId>;

    /// Leases due tasks: the highest priority first, then the oldest. Each counts as an attempt from here on, whatever
    /// becomes of its host. Waits until there is one, and returns none after `wait`.
    ///
    /// # Errors
    /// [`StoreError::SessionLost`]: the session has run out or was closed.
    fn lease(&self, request: LeaseRequest) -> StoreFuture<'_, Vec<Leased>>;

    /// Renews a session and all its leases at once, then waits for news: the tasks of the session that somebody wants
    /// cancelled, each told once; none after `wait`.
    ///
    /// # Errors
    /// [`StoreError::SessionLost`]: too late. Its tasks may be running elsewhere.
    fn renew(&self, session: SessionId, wait: Duration) -> StoreFuture<'_, Vec<TaskId>>;

    /// Closes leases with what became of their attempts; the records that follow, in the order of the settlements.
    fn settle(&self, settlements: Vec<Settlement>) -> StoreFuture<'_, Vec<Result<Task, SettleError>>>;

    /// Ends a session in good order. Tasks that it still has are handed back, and charged with nothing.
    fn close_session(&self, session: SessionId) -> StoreFuture<'_, ()>;

    /// Cancels tasks. One that waits is cancelled at once; one that runs when its worker has settled it; one that has
    /// ended stays as it is. The records that follow, in the order of the ids; none for an id that is not known.
    fn cancel(&self, tasks: Vec<TaskId>) -> StoreFuture<'_, Vec<Option<Task>>>;

    /// The record of a task.
    fn task(&self, id: TaskId) -> StoreFuture<'_, Option<Task>>;

    /// The record of a task once it is terminal, or as it is after `wait`.
    fn wait(&self, id: TaskId, wait: Duration) -> StoreFuture<'_, Option<Task>>;

    /// Records, the newest first.
    fn tasks(&self, query: TaskQuery) -> StoreFuture<'_, TaskPage>;

    /// What the handler of a task gets.
    fn input(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>>;

    /// The output of a task that has succeeded.
    fn output(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>>;

    /// What is kept of an attempt besides its record; none when there is nothing.
    fn attempt_detail(&self, id: TaskId, number: u32) -> StoreFuture<'_, Option<AttemptDetail>>;

    /// Makes a component the package's own from now on.
    fn deploy(&self, package: NewPackage, component: Bytes) -> StoreFuture<'_, Package>;

    /// Every package, by name.
    fn packages(&self) -> StoreFuture<'_, Vec<Package>>;

    /// A component that was deployed once, whether or not a package still has it.
    fn component(&self, digest: Digest) -> StoreFuture<'_, Option<Bytes>>;
}

/// What became of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A new task.
    Created(Task),
    /// The task that was submitted before with the same idempotency key.
    Existing(Task),
}

impl Submitted {
    /// The task, new or not.
    pub fn into_task(self) -> Task {
        match self {
            Self::Created(task) | Self::Existing(task) => task,
        }
    }
}

/// Why a task was not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The idempotency key belongs to a task that was submitted with another body.
    #[error(
        "the idempotency key `{key}` was used for another task, {task}\nhint: a key stands for one request; use a new key \
         for a new request"
    )]
    Conflict {
        /// The key.
        key: String,
        /// The task that has it.
        task: TaskId,
    },
    /// Who has the idempotency key cannot be read.
    #[error("what the idempotency key `{key}` stands for is damaged: {problem}\nhint: use another key")]
    Damaged {
        /// The key.
        key: String,
        /// What is wrong with the record.
        problem: String,
    },
}

/// Which queues a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queues {
    /// Every one.
    All,
    /// These.
    Only(Vec<String>),
}

impl Queues {
    pub(crate) fn contain(&self, queue: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(queues) => queues.iter().any(|known| known == queue),
        }
    }
}

/// A wish for tasks to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Who asks.
    pub session: SessionId,
    /// From which queues.
    pub queues: Queues,
    /// How many at most.
    pub slots: usize,
    /// How long to wait for the first.
    pub wait: Duration,
}

/// A task to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// What closes the lease.
    pub token: LeaseToken,
    /// The record, which is running now.
    pub task: Task,
    /// What the handler gets.
    pub input: Payload,
}

/// What became of an attempt, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which lease it closes.
    pub token: LeaseToken,
    /// The revision of the record that was decided about.
    pub revision: u64,
    /// How the attempt ended.
    pub ending: Ending,
    /// What is done about it.
    pub decision: Decision,
    /// What it used.
    pub receipt: Option<Receipt>,
    /// The output, when the task succeeded.
    pub output: Option<Payload>,
    /// What else is kept of it.
    pub detail: AttemptDetail,
}

/// Why a settlement changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettleError {
    /// The lease is somebody else's, or nobody's, by now.
    #[error("the lease was lost")]
    LeaseLost,
    /// The record has moved since; decide again by this one.
    #[error("the record has moved to revision {}", .0.revision)]
    Stale(Box<Task>),
}

/// Which records to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// In one of these states; empty means any.
    pub states: Vec<StateName>,
    /// In this queue.
    pub queue: Option<String>,
    /// Of this handler, as `package/handler`, or of this package.
    pub handler: Option<String>,
    /// Older than this one.
    pub before: Option<TaskId>,
    /// How many at most; at most [`MAX_PAGE`].
    pub limit: usize,
}

impl TaskQuery {
    /// Whether it asks for this one.
    pub fn matches(&self, task: &Task) -> bool {
        let handler = &task.spec.handler;
        (self.states.is_empty() || self.states.contains(&task.state.name()))
            && self.queue.as_ref().is_none_or(|queue| *queue == task.spec.queue)
            && self.handler.as_ref().is_none_or(|name| *name == handler.package || *name == handler.to_string())
    }
}

/// Some records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskPage {
    /// Newest first.
    pub tasks: Vec<Task>,
    /// Where to go on: [`TaskQuery::before`] of the next page. There may be a next page even if this one is short.
    pub next: Option<TaskId>,
}

/// A package to be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPackage {
    /// The name under which tasks ask for it.
    pub name: String,
    /// Its component.
    pub component: Digest,
    /// What the component has.
    pub handlers: Vec<HandlerInfo>,
}

/// A deployed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The name under which tasks ask for it.
    pub name: String,
    /// Its component.
    pub component: Digest,
    /// The component's size.
    pub size_bytes: u64,
    /// What the component has.
    pub handlers: Vec<HandlerInfo>,
    /// When it got this component.
    pub deployed_at: Timestamp,
}

impl Package {
    /// One of its handlers.
    pub fn handler(&self, name: &str) -> Option<&HandlerInfo> {
        self.handlers.iter().find(|handler| handler.name == name)
    }
}
