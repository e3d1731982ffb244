//! The record of a task: what was asked for, where it stands, and what its attempts came to.
//!
//! Bodies (input, output, logs) are not part of the record: they are as large as their makers like, and a list of
//! records must not be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{JobLink, NodeName, Spent};
use crate::schedule::ScheduleLink;
use crate::transition::due;
use crate::{
    AttemptRecord, Awaits, Backoff, Block, Capture, Completion, Digest, Grants, HandlerName, Lease, Limits, Payload,
    Shared, State, TaskDecider, TaskId, Timestamp,
};

/// Failures until a task is dead, unless said otherwise: one attempt and three retries.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 4;
/// Hosts that a task may lose until it is dead as poison, unless said otherwise.
pub const DEFAULT_MAX_HOSTS_LOST: u32 = 3;
/// The queue of tasks for which no other is named.
pub const DEFAULT_QUEUE: &str = "default";
/// Attempts that a record keeps; the oldest go first.
pub const MAX_KEPT_ATTEMPTS: usize = 100;
/// A longer idempotency key is refused.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 256;

/// All that was asked for when a task was submitted, with every default filled in. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// What runs it.
    pub handler: HandlerName,
    /// The component that the package had when the task was submitted. The task stays with it, unless it follows.
    pub component: Digest,
    /// Whether each attempt runs the component that is the package's active version by then.
    pub follows: bool,
    /// The lane that it waits in.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// Tasks of a queue with the same key share what the queue allows each key: attempts at a time, and a rate.
    pub key: Option<String>,
    /// The task is dead once so many failures were charged.
    pub max_attempts: u32,
    /// The task is dead once so many of its hosts were lost.
    pub max_hosts_lost: u32,
    /// How long a failed task waits for its next attempt.
    pub backoff: Backoff,
    /// The kinds of failure that are retried. None: every kind that is not fatal. An empty list: no kind, so that only what a
    /// handler itself asks to retry is.
    pub retry_on: Option<Vec<String>>,
    /// The kinds of failure that are not retried, whatever else is said.
    pub never_retry_on: Vec<String>,
    /// No retry begins later than this after the submit.
    pub retry_for: Option<Duration>,
    /// How long the result can be had after the task's end; its record is kept as long at least. None: as the store has it for
    /// all.
    pub keep_result: Option<Duration>,
    /// The fuel that all of its attempts may use together, in instructions from 1; only where fuel is counted. None: each attempt has
    /// its limit, and no more is said.
    pub fuel_budget: Option<u64>,
    /// What an attempt may use.
    pub limits: Limits,
    /// What an attempt may do.
    pub grants: Grants,
    /// Whether the clock and the random numbers of each attempt come from a seed that is kept with it.
    pub deterministic: bool,
    /// Which output streams of each attempt are kept whole, as artifacts.
    pub capture: Capture,
    /// What decides about its attempts in place of the built-in rules.
    pub decider: Option<TaskDecider>,
    /// A second submit with this key gives the same task, as long as its record is kept. A submit that made no task, because
    /// another one holds its unique key, leaves its idempotency key to the next.
    pub idempotency_key: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What travels with the task.
    pub attributes: Vec<(String, String)>,
}

impl TaskSpec {
    /// A task for this handler of this component, with every default.
    pub fn new(handler: HandlerName, component: Digest) -> Self {
        Self {
            handler,
            component,
            follows: false,
            queue: DEFAULT_QUEUE.into(),
            priority: 0,
            key: None,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            max_hosts_lost: DEFAULT_MAX_HOSTS_LOST,
            backoff: Backoff::default(),
            retry_on: None,
            never_retry_on: Vec::new(),
            retry_for: None,
            keep_result: None,
            fuel_budget: None,
            limits: Limits::default(),
            grants: Grants::default(),
            deterministic: false,
            capture: Capture::default(),
            decider: None,
            idempotency_key: None,
            tags: Vec::new(),
            attributes: Vec::new(),
        }
    }
}

/// An instant as a submitter says it. A duration counts from the submit, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// After so long.
    After(Duration),
    /// At this instant.
    At(Timestamp),
}

impl When {
    /// The instant, for a task that is submitted now.
    pub fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::After(delay) => now.after(delay),
            Self::At(at) => at,
        }
    }
}

/// That there should be one task of a kind at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    /// What makes two tasks the same.
    pub key: String,
    /// How long a task holds the key, counted from its submit, and no longer than its record is kept. None: until it has ended.
    pub window: Option<Duration>,
    /// What becomes of a second submit meanwhile.
    pub on_conflict: OnConflict,
}

/// What becomes of a submit whose unique key another task holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// It is refused.
    Reject,
    /// It gives the task that holds the key.
    Existing,
    /// It takes the key. The other task is cancelled if it waits for its first attempt; one that has begun goes on.
    Replace,
    /// As `Replace`, for calls that come in bursts: the new task, which is delayed, is due no later than this after the first
    /// of the tasks that were replaced in a row was submitted.
    Debounce {
        /// From that first submit.
        longest: Duration,
    },
}

/// A task that follows another one's end, and gets what came of it. It has no callbacks of its own, and its
/// [`idempotency_key`](TaskSpec::idempotency_key) is left out.
///
/// Its input is a JSON object in which each of these is always there:
/// - `task`, `handler`, `state`, `attempts`: the id of the task that has ended, who ran it, how it ended, and after how many
///   attempts.
/// - `output`: the output, if that is JSON; `output_base64` if it is not; `media_type` of either. Null when there is none.
/// - `output_omitted`: true when there is one of more than 1 MiB, which can be asked for by the id.
/// - `failure`: `kind`, `message` and `reason` of what did not succeed; null for what did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// At which end.
    pub on: CallbackOn,
    /// What follows.
    pub spec: TaskSpec,
}

/// The ends of a task that a callback may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackOn {
    /// It succeeded.
    Success,
    /// It is dead, has expired or was cancelled. One that was replaced is followed by its successor alone.
    Failure,
}

/// A task to be submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTask {
    /// What is asked for.
    pub spec: TaskSpec,
    /// When it may run first. None: at once.
    pub start: Option<When>,
    /// It is not started any more after this.
    pub expires: Option<When>,
    /// What the handler gets.
    pub input: Payload,
    /// Whether there may be others like it.
    pub unique: Option<Unique>,
    /// What follows its end.
    pub callbacks: Vec<Callback>,
    /// The digest of the request as its submitter wrote it: what a repeated idempotency key is held against. None: the
    /// digest of all of the above.
    pub fingerprint: Option<Digest>,
}

impl NewTask {
    /// A task that may run at once.
    pub fn new(spec: TaskSpec, input: Payload) -> Self {
        Self { spec, start: None, expires: None, input, unique: None, callbacks: Vec::new(), fingerprint: None }
    }
}

/// What is known of a body without having it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PayloadInfo {
    /// An IANA media type, without parameters.
    pub media_type: String,
    /// Its length.
    pub size_bytes: u64,
}

impl PayloadInfo {
    /// What is known of this one.
    pub fn of(payload: &Payload) -> Self {
        Self { media_type: payload.media_type.clone(), size_bytes: payload.bytes.len() as u64 }
    }
}

/// The record of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Unique for ever.
    pub id: TaskId,
    /// Grows by one with every change; from 1.
    pub revision: u64,
    /// The store's count of tasks when this one came: what decides who is older.
    pub sequence: u64,
    /// What was asked for.
    pub spec: Shared<TaskSpec>,
    /// Its place in a job, if it is of one.
    pub job: Option<JobLink>,
    /// The input, without its body.
    pub input: PayloadInfo,
    /// When the store had it.
    pub submitted_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Attempts that began, however they ended.
    pub attempts_started: u32,
    /// Failures that count against `max_attempts`.
    pub failures_charged: u32,
    /// Attempts that ended because their host was lost.
    pub hosts_lost: u32,
    /// The fuel of the attempts that have ended, as far as it is known.
    pub fuel_used: u64,
    /// Whether some of it may have run. An attempt that was handed back before anything was run leaves this as it is.
    pub begun: bool,
    /// When it came into its state.
    pub since: Timestamp,
    /// Its place in its queue moves up by one priority for each such time since its submit. What the queue has; set when the
    /// task comes into the queue.
    pub aging: Option<Duration>,
    /// When it expires, if it has not begun by then.
    pub expires_at: Option<Timestamp>,
    /// That somebody asked to cancel it.
    pub cancel: Option<CancelRequest>,
    /// That its handler waits for somebody to complete it. Set by its snooze, and until its next attempt begins or it has ended.
    pub awaits: Option<Awaits>,
    /// What somebody has given as its output.
    pub completion: Option<Completion>,
    /// How often it has waited to be completed.
    pub completion_waits: u32,
    /// The task that it was made from.
    pub origin: Option<Origin>,
    /// The schedule that made it, and for which tick.
    pub schedule: Option<Box<ScheduleLink>>,
    /// The newest task that was made in its stead: a rerun of it, or what replaced it.
    pub successor: Option<TaskId>,
    /// Tasks that shall follow its end.
    pub callbacks: u32,
    /// Those that do, once it has ended.
    pub followers: Vec<TaskId>,
    /// The unique key that it came with.
    pub unique: Option<String>,
    /// The attempts that have ended, oldest first; the newest [`MAX_KEPT_ATTEMPTS`].
    pub attempts: Vec<AttemptRecord>,
    /// What those have used that are not among them any more; their numbers of attempts and tasks are 0.
    pub used_before: Option<Box<Spent>>,
    /// Whether it has children: it does not end before they have.
    pub has_children: bool,
    /// The first of its children that did not succeed, where that is why it is dead.
    pub failed_child: Option<FailedChild>,
    /// The output, without its body. Set when the task succeeded, by an attempt or by a completion; of one that waits for its children, when its handler had.
    pub output: Option<PayloadInfo>,
    /// When it became terminal.
    pub ended_at: Option<Timestamp>,
}

impl Task {
    /// The record of a task that was submitted now.
    pub fn submitted(id: TaskId, sequence: u64, new: &NewTask, now: Timestamp) -> Self {
        Self {
            id,
            revision: 1,
            sequence,
            spec: new.spec.clone().into(),
            job: None,
            input: PayloadInfo::of(&new.input),
            submitted_at: now,
            state: due(new.start.map(|start| start.instant(now)), now),
            attempts_started: 0,
            failures_charged: 0,
            hosts_lost: 0,
            fuel_used: 0,
            begun: false,
            since: now,
            aging: None,
            expires_at: new.expires.map(|expires| expires.instant(now)),
            cancel: None,
            awaits: None,
            completion: None,
            completion_waits: 0,
            origin: None,
            schedule: None,
            successor: None,
            callbacks: u32::try_from(new.callbacks.len()).unwrap_or(u32::MAX),
            followers: Vec::new(),
            unique: new.unique.as_ref().map(|unique| unique.key.clone()),
            attempts: Vec::new(),
            used_before: None,
            has_children: false,
            failed_child: None,
            output: None,
            ended_at: None,
        }
    }

    /// Whether it waits and nothing of it has run, so that it may still expire.
    pub fn is_unstarted(&self) -> bool {
        !self.begun && matches!(self.state, State::Blocked(_) | State::Scheduled { .. } | State::Queued)
    }

    /// The record of a task of a job that was made now, and waits for so many others.
    pub fn of_job(mut self, link: JobLink, waits_for: u64) -> Self {
        if waits_for > 0 {
            self.state = State::Blocked(Block::Others { waits_for, start: self.due_at() });
        }
        self.job = Some(link);
        self
    }

    /// Whether it waits for its children, and is not run any more.
    pub fn waits_for_children(&self) -> bool {
        self.state == State::Blocked(Block::Children)
    }

    /// The record of a task of a job that is made over again: it stands for one that has succeeded there.
    pub fn standing_for(old: &Self, id: TaskId, sequence: u64, link: JobLink, now: Timestamp) -> Self {
        let mut task = old.clone();
        (task.id, task.sequence, task.revision, task.job) = (id, sequence, 1, Some(link));
        (task.submitted_at, task.since, task.ended_at) = (now, now, Some(now));
        (task.origin, task.successor) = (Some(Origin::Reuses(old.id)), None);
        (task.attempts_started, task.failures_charged, task.hosts_lost, task.fuel_used) = (0, 0, 0, 0);
        // What its attempts came to is known of that one.
        (task.attempts, task.callbacks, task.followers) = (Vec::new(), 0, Vec::new());
        (task.unique, task.expires_at, task.spec.idempotency_key) = (None, None, None);
        (task.has_children, task.used_before, task.schedule) = (false, None, None);
        task
    }

    /// When it is due, while it waits for that.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Scheduled { until } | State::RetryScheduled { until } => Some(until),
            _ => None,
        }
    }

    /// Why it is dead, if it is; one line, for people.
    pub fn why_dead(&self) -> Option<String> {
        if self.state != State::Dead {
            return None;
        }
        match &self.failed_child {
            Some(child) => Some(format!("its child `{}` did not succeed", child.name)),
            None => self.attempts.last().map(|attempt| attempt.decision.reason.clone()),
        }
    }

    /// Whether what somebody gives as its output ends it at once.
    pub fn can_be_completed(&self) -> bool {
        self.awaits.is_some() && matches!(self.state, State::Scheduled { .. } | State::Queued)
    }

    /// Whether what somebody gives as its output is kept until it waits for that: it has begun, and may have asked already.
    pub fn keeps_completion(&self) -> bool {
        match self.state {
            State::Running(_) => true,
            State::Scheduled { .. } | State::Queued | State::RetryScheduled { .. } => self.begun,
            _ => false,
        }
    }

    /// Its lease, while it runs.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Running(lease) => Some(lease),
            _ => None,
        }
    }
}

/// A child that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedChild {
    /// Its name in its parent's plan.
    pub name: NodeName,
    /// Its id.
    pub task: TaskId,
}

/// A wish to cancel a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// When it came.
    pub at: Timestamp,
    /// Why; one line, for people.
    pub reason: String,
    /// How long a running attempt has to end by itself. None: as its worker has it.
    pub grace: Option<Duration>,
}

/// What a task was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It is that one over again.
    Rerun(TaskId),
    /// It follows that one's end.
    Callback(TaskId),
    /// It stands in a job that is made over again for that one, which has succeeded there.
    Reuses(TaskId),
    /// It was submitted in place of that one, which held the same unique key.
    Replaces(TaskId),
}
