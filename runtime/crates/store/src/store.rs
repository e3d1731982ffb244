//! The trait that every store implements, and what goes in and out of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sunaba_task::job::{Awaited, Job, JobId, NewJob, NewPlan, Node, NodeName};
use sunaba_task::{
    Artifact, ArtifactName, AttemptDetail, BoxFuture, CompletionToken, Decision, Digest, Durability, Ending, FuelMode,
    HandlerChange, HandlerControl, HandlerName, LeaseToken, LimitCaps, Limits, NewTask, Payload, Progress, QueueChange,
    QueueSettings, Receipt, Retention, Secret, SessionId, Task, TaskId,
};

use crate::{
    AccessStore, Activation, AwaiteePage, Blobs, BulkAction, BulkPage, CancelWish, Cancelled, CheckpointError,
    ChildPlanError, CompleteError, DeleteError, Deployed, EventPage, EventQuery, HandlerStatus, JobPage, JobQuery,
    NewArtifact, NewCompletion, NewPackage, NewSecret, Note, Observations, Package, PackageVersion, PlanPage,
    PlanQuery, PutArtifactError, QueueStatus, Queues, Rerun, RerunError, RetryJob, RetryJobError, ScheduleStore,
    SecretInfo, Standing, StoreError, SubmitChildError, SubmitJobError, SubmittedJob, TaskPage, TaskQuery, Usage,
    UsageOf, WebhookStore,
};

/// What a store's methods return.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The most records of one page.
pub const MAX_PAGE: usize = 1_000;
/// Queues or handlers of one page.
pub const NAMES_PAGE: usize = 200;
/// The most tasks that one [`lease`](Store::lease) gives: a store has others to serve meanwhile.
pub const MAX_LEASED: usize = 10_000;
/// Bytes of inputs after which it gives no more.
pub const MAX_LEASED_BYTES: u64 = 16 << 20;

/// Where the queue, its records and its results are kept.
///
/// Every method is atomic: all of its changes are made, or none. A method that changes something returns when the change
/// is on stable storage, and no method shows what is not, unless its [`durability`](Store::durability) says otherwise. A store has one clock of its own: durations count by that, and
/// no caller's clock matters. A batch takes one commit, however many it holds.
pub trait Store: AccessStore + ScheduleStore + WebhookStore {
    /// Whether the store is in its callers' process: then silence means that it is slow, and never that it has given their
    /// leases to others. Default: it may be elsewhere.
    fn is_in_process(&self) -> bool {
        false
    }

    /// When what it answers is on stable storage. Default: before the answer.
    fn durability(&self) -> Durability {
        Durability::Sync
    }

    /// Why the store takes no changes any more. Default: it does. What it has is shown as far as it is durable.
    fn failure(&self) -> Option<StoreError> {
        None
    }

    /// Takes tasks on. The answers are in the order of the tasks; one that is refused does not hold back the others. One that
    /// follows must be for the component that its package has: its input was checked against that one's signature.
    fn submit(&self, tasks: Vec<NewTask>) -> StoreFuture<'_, Vec<Result<Submitted, SubmitError>>>;

    /// Begins a worker's session. Its leases live for `lease_time` after each [`renew`](Self::renew).
    fn open_session(&self, worker: String, lease_time: Duration) -> StoreFuture<'_, SessionId>;

    /// Says which code the session's host cannot run just now, and why. Until it says otherwise, it is not leased tasks that
    /// need it: these wait, uncharged, and hold up no others.
    ///
    /// # Errors
    /// [`StoreError::SessionLost`]: the session has run out or was closed.
    fn set_unready(&self, session: SessionId, unready: Unready) -> StoreFuture<'_, ()>;

    /// Says what the session's host has for its attempts; without limits, as at first, no matter how much.
    ///
    /// From then on it leases no task for which there is no room: neither that nor what comes after it, so that a large task
    /// is not starved by small ones. One that only another session can ever hold is left to that, and with it what needs the
    /// same code for the same handler; it does not hold up others. One that no session can ever hold that serves its
    /// queue ends as dead, in an attempt that says so.
    ///
    /// # Errors
    /// [`StoreError::SessionLost`]: the session has run out or was closed.
    fn limit_session(&self, session: SessionId, limits: SessionLimits) -> StoreFuture<'_, ()>;

    /// Leases due tasks that nothing holds: queues share the starts by weight, and among queues without one the highest
    /// priority comes first, then the oldest. Each counts as an attempt from here on, whatever
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
    fn renew(&self, session: SessionId, wait: Duration) -> StoreFuture<'_, Vec<Cancelled>>;

    /// Tells the readers of the feed how far attempts are. What has lost its lease is left out.
    fn progress(&self, reports: Vec<(LeaseToken, Progress)>) -> StoreFuture<'_, ()>;

    /// Keeps this for the attempts that follow of the lease's task, in place of what was kept before. It is forgotten when the
    /// task has ended: one that is run again begins without.
    fn checkpoint(&self, token: LeaseToken, bytes: Bytes) -> StoreFuture<'_, Result<(), CheckpointError>>;

    /// What was kept last of a task that has not ended.
    fn last_checkpoint(&self, task: TaskId) -> StoreFuture<'_, Option<Bytes>>;
    /// Makes a child of a task that runs under this lease, or finds the one that was made before under its name; answers when it
    /// is durable. Whatever the attempt comes to, the child stays, and its parent does not end before it has. A task of no job
    /// becomes the node `main` of one.
    fn submit_child(&self, token: LeaseToken, child: Node) -> StoreFuture<'_, Result<Submitted, SubmitChildError>>;

    /// Closes leases with what became of their attempts; the records that follow, in the order of the settlements.
    fn settle(&self, settlements: Vec<Settlement>) -> StoreFuture<'_, Vec<Result<Task, SettleError>>>;

    /// Ends a session in good order. Tasks that it still has are handed back, and charged with nothing.
    fn close_session(&self, session: SessionId) -> StoreFuture<'_, ()>;

    /// Cancels tasks. One that waits is cancelled at once; one that runs when its worker has settled it; one that has
    /// ended stays as it is. The records that follow, in the order of the ids; none for an id that is not known.
    fn cancel(&self, tasks: Vec<TaskId>, wish: CancelWish) -> StoreFuture<'_, Vec<Option<Task>>>;

    /// Gives a task its output in place of its handler. One whose handler waits for that has succeeded at once; for one that has
    /// begun it is kept, and the task has succeeded as soon as its handler waits. The same output again is the same answer. The
    /// record that follows.
    fn complete(&self, task: TaskId, completion: NewCompletion) -> StoreFuture<'_, Result<Task, CompleteError>>;

    /// What lets whoever has it complete this task, and nothing else. The same whenever it is asked for, whether or not there is
    /// such a task.
    fn completion_token(&self, task: TaskId) -> StoreFuture<'_, CompletionToken>;

    /// Makes tasks that wait for an instant due now; others stay as they are. The records that follow, in the order of the
    /// ids; none for an id that is not known.
    fn run_now(&self, tasks: Vec<TaskId>) -> StoreFuture<'_, Vec<Option<Task>>>;

    /// Makes a new task of each that has ended, for the component that its package has now. The answers are in the order of the requests.
    fn rerun(&self, requests: Vec<Rerun>) -> StoreFuture<'_, Vec<Result<Task, RerunError>>>;

    /// Deletes tasks that have ended, and all that is kept of them. The answers are in the order of the ids.
    fn delete(&self, tasks: Vec<TaskId>) -> StoreFuture<'_, Vec<Result<(), DeleteError>>>;

    /// Does something to every task of a page of what a query asks for; go on with [`BulkPage::next`].
    fn bulk(&self, action: BulkAction, query: TaskQuery) -> StoreFuture<'_, BulkPage>;

    /// Takes a job on: tasks that belong together. Answers when its plan is durable; its tasks are made from then on.
    fn submit_job(&self, job: NewJob) -> StoreFuture<'_, Result<SubmittedJob, SubmitJobError>>;

    /// Cancels a job: what of it waits at once, and what runs when its worker has settled it. Has ended when all of it has. The
    /// record that follows; none when the id is not known.
    fn cancel_job(&self, id: JobId, wish: CancelWish) -> StoreFuture<'_, Option<Job>>;

    /// Makes a new job of one that has ended: what has succeeded stands, with what it gave, as long as that is kept; the rest, and
    /// whatever waits for it, is run anew, by the component that its package has now.
    fn retry_job(&self, request: RetryJob) -> StoreFuture<'_, Result<Job, RetryJobError>>;

    /// The record of a job.
    fn job(&self, id: JobId) -> StoreFuture<'_, Option<Job>>;

    /// The output of a job that has ended: that of the task which its spec names. None: it names none, or that has none.
    fn job_output(&self, id: JobId) -> StoreFuture<'_, Option<Payload>>;

    /// The record of a job once it is terminal, or as it is after `wait`.
    fn wait_job(&self, id: JobId, wait: Duration) -> StoreFuture<'_, Option<Job>>;

    /// Jobs, newest first.
    fn jobs(&self, query: JobQuery) -> StoreFuture<'_, JobPage>;

    /// Tasks of a plan that were made, by their names, and what each was to wait for.
    fn plan(&self, query: PlanQuery) -> StoreFuture<'_, PlanPage>;

    /// What came of those in the plan of a task for which it could wait, by their names, after this one. Where the task has
    /// children of its own of that name or in that group, these are meant, and how they stand so far. The page says whether the
    /// task was to wait for them.
    fn awaited(&self, task: TaskId, only: Awaited, after: Option<NodeName>) -> StoreFuture<'_, AwaiteePage>;

    /// The record of a task.
    fn task(&self, id: TaskId) -> StoreFuture<'_, Option<Task>>;

    /// The record of a task once it is terminal, or as it is after `wait`.
    fn wait(&self, id: TaskId, wait: Duration) -> StoreFuture<'_, Option<Task>>;

    /// Records, the newest first.
    fn tasks(&self, query: TaskQuery) -> StoreFuture<'_, TaskPage>;

    /// What the handler of a task gets.
    fn input(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>>;

    /// The output of a task that has succeeded; none once it need not be kept any more.
    fn output(&self, id: TaskId) -> StoreFuture<'_, Option<Payload>>;

    /// What a task that waits for its turn is waiting for; empty when it does not wait, or only for a slot.
    fn standing(&self, id: TaskId) -> StoreFuture<'_, Standing>;

    /// Events after a place in the feed, oldest first. Waits until there is one, and returns none after `wait`. One call
    /// looks at a bounded number of them, so that a reader of one task may get none and yet a place further on.
    ///
    /// # Errors
    /// [`StoreError::Busy`]: too many readers are waiting.
    fn events(&self, query: EventQuery) -> StoreFuture<'_, EventPage>;

    /// What is kept of an attempt besides its record; none when there is nothing.
    fn attempt_detail(&self, id: TaskId, number: u32) -> StoreFuture<'_, Option<AttemptDetail>>;

    /// Where the files of artifacts are written and read: streams, which are no batched operations.
    fn blobs(&self) -> Arc<dyn Blobs>;

    /// Names a file that is in [`blobs`](Self::blobs), or keeps a link, for the task of this lease; one of the same name is
    /// replaced. It goes with the task, and the file with whoever names it last.
    fn put_artifact(
        &self,
        token: LeaseToken,
        artifact: NewArtifact,
    ) -> StoreFuture<'_, Result<Artifact, PutArtifactError>>;

    /// An artifact of a task.
    fn artifact(&self, task: TaskId, name: ArtifactName) -> StoreFuture<'_, Option<Artifact>>;

    /// All artifacts of a task, by name: at most [`MAX_ARTIFACTS`](sunaba_task::MAX_ARTIFACTS).
    fn artifacts(&self, task: TaskId) -> StoreFuture<'_, Vec<Artifact>>;

    /// The queues that have tasks or settings, by name: the first [`NAMES_PAGE`] of them, or of those after this one.
    fn queues(&self, after: Option<String>) -> StoreFuture<'_, Vec<QueueStatus>>;

    /// A queue, whether or not it has tasks or settings.
    fn queue(&self, name: String) -> StoreFuture<'_, QueueStatus>;

    /// Changes a queue's settings. What has been leased is not touched.
    ///
    /// # Errors
    /// [`StoreError::Control`]: a value is out of range.
    fn set_queue(&self, queue: String, changes: Vec<QueueChange>) -> StoreFuture<'_, QueueStatus>;

    /// The same, if its settings are still those that were seen; else [`StoreError::Changed`].
    fn set_queue_if(
        &self,
        queue: String,
        seen: QueueSettings,
        changes: Vec<QueueChange>,
    ) -> StoreFuture<'_, QueueStatus>;

    /// The handlers that have run lately, that have tasks waiting, or that are controlled, by name: the first
    /// [`NAMES_PAGE`] of them, or of those after this one.
    fn handlers(&self, after: Option<HandlerName>) -> StoreFuture<'_, Vec<HandlerStatus>>;

    /// Changes a handler's control. What has been leased is not touched.
    ///
    /// # Errors
    /// [`StoreError::Control`]: a value is out of range.
    fn set_handler(&self, handler: HandlerName, changes: Vec<HandlerChange>) -> StoreFuture<'_, HandlerStatus>;

    /// The same, if its control is still what was seen; else [`StoreError::Changed`].
    fn set_handler_if(
        &self,
        handler: HandlerName,
        seen: HandlerControl,
        changes: Vec<HandlerChange>,
    ) -> StoreFuture<'_, HandlerStatus>;

    /// How long what has ended is kept.
    fn retention(&self) -> StoreFuture<'_, Retention>;

    /// Changes that, for what ends from now on.
    ///
    /// # Errors
    /// [`StoreError::Control`]: a time is out of range.
    fn set_retention(&self, retention: Retention) -> StoreFuture<'_, ()>;

    /// Makes a component the package's own from now on, as a new version of it. One that an older version has makes that
    /// version active again, and the active one changes nothing. The newest [`MAX_VERSIONS`](crate::MAX_VERSIONS) are kept, and
    /// whatever is active, was active before, or is needed by a task that has not ended; a component goes with its last version.
    ///
    /// # Errors
    /// [`StoreError::Version`]: tasks that follow wait for a handler that would be gone or have another input schema.
    fn deploy(&self, package: NewPackage, component: Bytes) -> StoreFuture<'_, Deployed>;

    /// The versions of a package that are kept, newest first; none of a package that is not there.
    fn versions(&self, package: String) -> StoreFuture<'_, Vec<PackageVersion>>;

    /// Makes another version of a package active.
    ///
    /// # Errors
    /// [`StoreError::Version`]: there is none, or as for [`deploy`](Self::deploy).
    fn activate(&self, activation: Activation) -> StoreFuture<'_, Package>;

    /// Every package, by name.
    fn packages(&self) -> StoreFuture<'_, Vec<Package>>;

    /// A component that was deployed once, whether or not a package still has it.
    fn component(&self, digest: Digest) -> StoreFuture<'_, Option<Bytes>>;

    /// What attempts have used, by name: the first [`NAMES_PAGE`] of them, or of those after this one.
    fn usage(&self, of: UsageOf, after: Option<String>) -> StoreFuture<'_, Vec<Usage>>;

    /// What was seen since the store was opened, with the troubles after this one.
    fn observe(&self, after: u64) -> StoreFuture<'_, Observations>;

    /// The notes whose names begin so, by name: the first [`NAMES_PAGE`] of them, or of those after this one.
    fn notes(&self, prefix: String, after: Option<String>) -> StoreFuture<'_, Vec<Note>>;

    /// Keeps notes of a host, each in place of the one of its name; one that is empty goes.
    ///
    /// # Errors
    /// [`StoreError::Note`]: one cannot be one, or there are too many. None is kept then.
    fn set_notes(&self, notes: Vec<Note>) -> StoreFuture<'_, ()>;

    /// What may be shown of every secret, by name.
    fn secrets(&self) -> StoreFuture<'_, Vec<SecretInfo>>;

    /// Keeps a secret, in place of the one of the same name if there is one.
    ///
    /// # Errors
    /// [`StoreError::Secret`]: it cannot be one, or there are too many.
    fn set_secret(&self, secret: NewSecret) -> StoreFuture<'_, SecretInfo>;

    /// Forgets a secret; whether there was one of this name.
    fn remove_secret(&self, name: String) -> StoreFuture<'_, bool>;

    /// A secret with its text, for whoever runs attempts.
    fn secret(&self, name: String) -> StoreFuture<'_, Option<Secret>>;
}

/// What became of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A new task.
    Created(Task),
    /// The task that was submitted before with the same idempotency key, or that holds the unique key.
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
    /// Who has the idempotency key, or holds the unique key, cannot be read.
    #[error("what the key `{key}` stands for is damaged: {problem}\nhint: use another key")]
    Damaged {
        /// The key.
        key: String,
        /// What is wrong with the record.
        problem: String,
    },
    /// Another task holds the unique key.
    #[error(
        "the unique key `{key}` is held by task {task}\nhint: wait for that one, or submit with another answer to conflicts"
    )]
    Taken {
        /// The key.
        key: String,
        /// The task that holds it.
        task: TaskId,
    },
    /// Too many tasks wait in the queue.
    #[error("{waiting} tasks wait in the queue `{queue}`, and its greatest depth is {limit}\nhint: try again later")]
    QueueFull {
        /// The queue.
        queue: String,
        /// Tasks that wait in it.
        waiting: u64,
        /// How many may.
        limit: u64,
    },
    /// It follows, and its package has another version than the one that it was checked against.
    #[error(
        "the package `{}` has got version {} while the task was submitted\nhint: submit it again", .active.name, .active.version
    )]
    Unchecked {
        /// What the package has now.
        active: Box<Package>,
    },
}

/// A wish for tasks to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Who asks.
    pub session: SessionId,
    /// From which queues.
    pub queues: Queues,
    /// How many at most. Beyond [`MAX_LEASED`] or [`MAX_LEASED_BYTES`] there are fewer than could be had; ask again.
    pub slots: usize,
    /// How long to wait for the first.
    pub wait: Duration,
}

/// Components in a fuel mode that a host cannot run just now, and why.
pub type Unready = Arc<BTreeMap<(Digest, FuelMode), Readiness>>;

/// How far a component is that a host cannot run yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It is being compiled, or waits for that; and why the last try has failed, if one has.
    Compiling(Option<String>),
    /// It cannot be compiled on this host.
    Failed(String),
}

/// What a session's host has for its attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionLimits {
    /// What all of them at a time may make it hold, by [`Limits::host_bytes`] of what each may use. None: no matter how much.
    pub memory_bytes: Option<u64>,
    /// How many run at a time, from 1: of what it has leased, the others wait for one of these to end, and hold nothing. None:
    /// all that it has leased.
    pub slots: Option<usize>,
    /// What each of them may use at most, whatever its task and its queue say.
    pub attempt: LimitCaps,
}

/// What an attempt runs, and may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// The code; in the fuel mode of the limits.
    pub component: Digest,
    /// At most this much.
    pub limits: Limits,
}

impl Runs {
    /// A record as such an attempt of it has it.
    pub(crate) fn of(&self, task: &Task) -> Task {
        let mut task = task.clone();
        (task.spec.component, task.spec.limits) = (self.component, self.limits.clone());
        task
    }
}

/// A task to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// What closes the lease.
    pub token: LeaseToken,
    /// The record, which is running now. Its component and its limits are those of this attempt: a task that follows runs what
    /// its package has now, and its queue and the session's host may allow less than the record says.
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
    /// What it used. Its `queue_wait` is how long the worker let the task wait for a slot; the store adds how long it had waited
    /// before.
    pub receipt: Option<Receipt>,
    /// The output, when the task succeeded.
    pub output: Option<Payload>,
    /// What else is kept of it.
    pub detail: AttemptDetail,
    /// Its children, when that is how the task goes on. None: there are none.
    pub plan: Option<Arc<NewPlan>>,
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
    /// The plan that it has cannot be run; settle it in another way.
    #[error(transparent)]
    Plan(#[from] ChildPlanError),
}
