//! What can be asked of a store, and done to many tasks at once.

use std::time::Duration;

use sunaba_task::job::JobId;
use sunaba_task::webhook::is_internal;
use sunaba_task::{
    BreakerState, Digest, FeedEvent, HandlerControl, HandlerName, LimitCaps, Payload, QueueSettings, StateName, Task,
    TaskEvent, TaskId, Timestamp,
};

use crate::{Package, Runs};

/// Which records to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// In one of these states; empty means any.
    pub states: Vec<StateName>,
    /// In this queue.
    pub queue: Option<String>,
    /// Of this handler, as `package/handler`, or of this package.
    pub handler: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Submitted at this instant or later.
    pub from: Option<Timestamp>,
    /// Submitted before this instant.
    pub until: Option<Timestamp>,
    /// Only those without a successor: what was rerun is left out.
    pub unhandled: bool,
    /// Only those that wait for somebody to complete them.
    pub awaiting_completion: bool,
    /// Older than this one.
    pub before: Option<TaskId>,
    /// How many at most; at most [`MAX_PAGE`](crate::MAX_PAGE).
    pub limit: usize,
}

impl TaskQuery {
    /// Whether it asks for this one.
    pub fn matches(&self, task: &Task) -> bool {
        let handler = &task.spec.handler;
        // What is the host's own is shown to those who ask for it.
        let is_of_queue = |queue: &String| *queue == task.spec.queue;
        (self.states.is_empty() || self.states.contains(&task.state.name()))
            && self.queue.as_ref().map_or_else(|| !is_internal(&task.spec.queue), is_of_queue)
            && self.handler.as_ref().is_none_or(|name| *name == handler.package || *name == handler.to_string())
            && self.tag.as_ref().is_none_or(|tag| task.spec.tags.contains(tag))
            && self.from.is_none_or(|from| task.submitted_at >= from)
            && self.until.is_none_or(|until| task.submitted_at < until)
            && !(self.unhandled && task.successor.is_some())
            && (!self.awaiting_completion || task.awaits.is_some())
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

/// How a cancel is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelWish {
    /// Why; one line, for people.
    pub reason: String,
    /// How long a running attempt has to end by itself. None: as its worker has it.
    pub grace: Option<Duration>,
}

impl Default for CancelWish {
    fn default() -> Self {
        Self { reason: "by request".into(), grace: None }
    }
}

/// A running task that somebody wants cancelled, as its worker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled {
    /// The task.
    pub task: TaskId,
    /// How long its attempt has to end by itself. None: as the worker has it.
    pub grace: Option<Duration>,
}

/// A wish for a task over again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    /// The task that has ended.
    pub task: TaskId,
    /// Another input. None: the same.
    pub input: Option<Payload>,
    /// The component by whose signature the caller has checked the input. None: nobody has, so that a handler whose package
    /// has another component by now must take what it took.
    pub checked: Option<Digest>,
    /// Whether it is left as it is when another task was made in its stead already.
    pub once: bool,
}

/// Why a task was not made over again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RerunError {
    /// There is no such task.
    #[error("there is no task {0}")]
    Unknown(TaskId),
    /// It has not ended.
    #[error("task {task} is {state}\nhint: only what has ended can be run again; cancel it first")]
    NotEnded {
        /// The task.
        task: TaskId,
        /// Where it stands.
        state: StateName,
    },
    /// Another task was made in its stead already, and it was to be run again only once.
    #[error("task {task} was run again already, as {successor}")]
    Already {
        /// The task.
        task: TaskId,
        /// The one that was made in its stead.
        successor: TaskId,
    },
    /// The package that has been deployed since has no such handler.
    #[error(
        "task {task} cannot be run again: its package has no handler `{handler}` any more\nhint: deploy one that has it"
    )]
    NoHandler {
        /// The task.
        task: TaskId,
        /// What would have to run it.
        handler: HandlerName,
    },
    /// Its handler takes another input than the one that its own was checked for, as far as the store can know.
    #[error(
        "task {task} was not run again: the input of `{handler}` was not checked against version {} of its package\nhint: try \
         again", .active.version
    )]
    Unchecked {
        /// The task.
        task: TaskId,
        /// What would run it.
        handler: HandlerName,
        /// What its package has now.
        active: Box<Package>,
    },
    /// Its record or input cannot be read.
    #[error("task {task} is damaged: {problem}\nhint: submit it anew")]
    Damaged {
        /// The task.
        task: TaskId,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a task was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// There is no such task.
    #[error("there is no task {0}")]
    Unknown(TaskId),
    /// It has not ended.
    #[error("task {task} is {state}\nhint: only what has ended can be deleted; cancel it first")]
    NotEnded {
        /// The task.
        task: TaskId,
        /// Where it stands.
        state: StateName,
    },
    /// It belongs to a job that has not ended, of which other tasks may ask for what came of it.
    #[error("task {task} belongs to job {job}, which has not ended\nhint: cancel the job first, or wait for its end")]
    JobNotEnded {
        /// The task.
        task: TaskId,
        /// Its job.
        job: JobId,
    },
    /// Its record cannot be read, so that nobody knows what there is of it. It is left as it is.
    #[error("task {task} is damaged: {problem}")]
    Damaged {
        /// The task.
        task: TaskId,
        /// What is wrong with it.
        problem: String,
    },
}

/// What can be done to many tasks at once. Tasks in a state to which it cannot be done are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkAction {
    /// Cancels what has not ended.
    Cancel(CancelWish),
    /// Makes due what waits for an instant.
    RunNow,
    /// Makes a new task of what has ended without success and was not run again since.
    Rerun,
    /// Deletes what has ended.
    Delete,
}

/// What was done to the tasks of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkPage {
    /// Tasks that it was done to, newest first.
    pub done: Vec<TaskId>,
    /// Of a rerun: those whose handler takes another input by now, so that theirs must be checked first.
    pub unchecked: Vec<TaskId>,
    /// Where to go on: [`TaskQuery::before`] of the next page.
    pub next: Option<TaskId>,
}

/// Which events to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// After this one. 0: from the oldest that is kept. None: from now on.
    pub after: Option<u64>,
    /// Of this only. None: of all.
    pub of: Option<EventsOf>,
    /// How many at most; at most [`MAX_PAGE`](crate::MAX_PAGE).
    pub limit: usize,
    /// How long to wait for the first.
    pub wait: Duration,
}

/// What events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventsOf {
    /// A task.
    Task(TaskId),
    /// A job, and all of its tasks.
    Job(JobId),
}

/// Some events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<FeedEvent>,
    /// Where to go on: [`EventQuery::after`] of the next page.
    pub next: u64,
    /// Whether events after the place that was asked for are not kept any more, or the place is none of this feed: it is
    /// beyond the end, because the store was set back since.
    pub missed: bool,
}

impl EventPage {
    /// Those of them that happened to tasks.
    pub fn of_tasks(&self) -> impl Iterator<Item = &TaskEvent> {
        self.events.iter().filter_map(FeedEvent::task)
    }
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStatus {
    /// Its name.
    pub name: String,
    /// What an operator has set.
    pub settings: QueueSettings,
    /// Tasks that wait for a slot.
    pub queued: u64,
    /// Tasks that wait for an instant.
    pub scheduled: u64,
    /// Tasks that run.
    pub running: u64,
    /// How long the first of the tasks that wait for a slot has waited, whether or not it may start. None: there is none.
    pub oldest: Option<Duration>,
    /// Those that wait for code which no worker has ready, as far as they are counted.
    pub stalled: Vec<Stalled>,
}

/// Tasks of a queue that wait for the same code of the same handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// Their handler.
    pub handler: HandlerName,
    /// How many they are.
    pub queued: u64,
    /// Why: [`Hold::Compiling`] or [`Hold::Uncompilable`].
    pub hold: Hold,
}

/// A handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerStatus {
    /// Its name.
    pub name: HandlerName,
    /// What an operator has set.
    pub control: HandlerControl,
    /// Tasks that wait for a slot.
    pub queued: u64,
    /// Tasks that run.
    pub running: u64,
    /// Its last attempts, as far as its breaker looks at them.
    pub attempts: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// Where its breaker stands; the time until it tries one task is counted from now.
    pub breaker: BreakerState,
}

/// Why a queued task is not started though there may be a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The queue is paused.
    QueuePaused,
    /// The handler is paused.
    HandlerPaused,
    /// There is no worker that takes tasks from its queue.
    NoWorker,
    /// Its component is not ready on any host that serves its queue, and is being compiled on one.
    Compiling {
        /// What its attempt would run.
        component: Digest,
        /// Why that has not been done yet, when it was tried.
        problem: Option<String>,
    },
    /// Its component cannot be compiled on any host that serves its queue.
    Uncompilable {
        /// What its attempt would run.
        component: Digest,
        /// Why.
        problem: String,
    },
    /// The handler fails too often, and is given a pause.
    BreakerOpen {
        /// For so long.
        left: Duration,
        /// Attempts that failed.
        failed: usize,
        /// Of how many.
        of: usize,
    },
    /// The handler's breaker tries one task, and waits for what becomes of it.
    BreakerProbing,
    /// The queue runs as many as it may.
    QueueConcurrency {
        /// How many that is.
        limit: u32,
    },
    /// The handler runs as many as it may.
    HandlerConcurrency {
        /// How many that is.
        limit: u32,
    },
    /// The key runs as many as it may.
    KeyConcurrency {
        /// How many that is.
        limit: u32,
    },
    /// The queue has started as many as it may.
    QueueRate {
        /// The next may start after this.
        left: Duration,
    },
    /// The key has started as many as it may.
    KeyRate {
        /// The next may start after this.
        left: Duration,
    },
    /// No worker that can run it has room for it just now.
    Memory {
        /// What its attempt may hold.
        needs_bytes: u64,
        /// What the worker has left that is closest to it.
        free_bytes: u64,
        /// What that worker may hold for all that it runs.
        limit_bytes: u64,
    },
}

/// What a task waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why it is not started though there may be a slot.
    pub holds: Vec<Hold>,
    /// Tasks of its queue that come before it; counted up to a bound. None when it is not queued.
    pub ahead: Option<u64>,
    /// What its queue allows an attempt now, beside its own limits. None when it has ended, or the queue says nothing.
    pub limits: Option<LimitCaps>,
    /// What its attempt runs and may use, while it runs.
    pub runs: Option<Runs>,
    /// When it was looked at, by the store's clock.
    pub now: Option<Timestamp>,
}
