//! A task as its record has it.

use serde::{Deserialize, Serialize};
use sunaba_host::{GrantsReport, LimitsReport, OutcomeReport, ReceiptReport};
use sunaba_task::{AttemptRecord, CancelRequest, Origin, PayloadInfo, State, StateName, Task};

use super::dead::died_of;
use super::{AwaitsView, CompletionView, JobPlaceView, OfSchedule, RunningView, ms};

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// `package/handler`.
    pub handler: String,
    /// The lane in which it waits.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// The component that it was submitted for.
    pub component: String,
    /// Whether each attempt runs what its package has by then.
    pub follows: bool,
    /// What its queue allows an attempt now, beside its own limits: `timeout=30s,memory=67108864`. Null in lists, and when it
    /// has ended or the queue says nothing.
    pub queue_limits: Option<String>,
    /// When the store had it.
    pub submitted_at: String,
    /// When it is due, while it waits for that.
    pub due_at: Option<String>,
    /// When it became terminal.
    pub ended_at: Option<String>,
    /// When it came into its state.
    pub since: String,
    /// Of a dead one, what it died of: the `kind` of its group among the dead letters.
    #[serde(default)]
    pub died_of: Option<String>,
    /// When it expires, if it has not begun by then.
    pub expires_at: Option<String>,
    /// That somebody asked to cancel it.
    pub cancel: Option<CancelView>,
    /// That it waits for somebody to complete it.
    #[serde(default)]
    pub awaits: Option<AwaitsView>,
    /// What somebody has given as its output.
    #[serde(default)]
    pub completion: Option<CompletionView>,
    /// Attempts that began.
    pub attempts_started: u32,
    /// Failures that count against `max_attempts`.
    pub failures_charged: u32,
    /// Attempts that ended because their host was lost.
    pub hosts_lost: u32,
    /// The fuel of the attempts that have ended, as far as it is known.
    #[serde(default)]
    pub fuel_used: u64,
    /// Instructions that all attempts may use together.
    #[serde(default)]
    pub fuel_budget: Option<u64>,
    /// It is dead once so many failures were charged.
    pub max_attempts: u32,
    /// It is dead once so many hosts were lost.
    pub max_hosts_lost: u32,
    /// How long it waits after a failure.
    pub backoff: String,
    /// The kinds of failure that are retried. Null: every kind that is not fatal.
    pub retry_on: Option<Vec<String>>,
    /// The kinds of failure that are not retried.
    pub never_retry_on: Vec<String>,
    /// No retry begins later than this after the submit.
    pub retry_for_ms: Option<u64>,
    /// How long its result can be had after its end. Null: as the host has it for all.
    pub keep_result_ms: Option<u64>,
    /// Tasks of the queue with the same key share what it allows each key.
    pub key: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The unique key that it came with.
    pub unique: Option<String>,
    /// The key under which it was submitted.
    pub idempotency_key: Option<String>,
    /// Where it stands in its job. Null: it is of none.
    #[serde(default)]
    pub job: Option<JobPlaceView>,
    /// What it was made from.
    pub origin: Option<OriginView>,
    /// The schedule that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<OfSchedule>,
    /// The newest task that was made in its stead.
    pub successor: Option<String>,
    /// Tasks that shall follow its end.
    pub callbacks: u32,
    /// Those that do.
    pub followers: Vec<String>,
    /// What an attempt may use: the smaller of what handler and submitter have said, below the host's ceilings.
    pub limits: LimitsReport,
    /// What an attempt may do: what the handler asked for, the operator allowed, and the submitter passed on.
    pub grants: GrantsReport,
    /// What it was given.
    pub input: PayloadInfo,
    /// What it gave, when it has succeeded.
    pub output: Option<PayloadInfo>,
    /// The attempts that have ended, oldest first; the newest hundred.
    pub attempts: Vec<AttemptView>,
    /// Where its running attempt is. Null when none runs, or on another host.
    #[serde(default)]
    pub live: Option<RunningView>,
}

/// A wish to cancel a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CancelView {
    /// When it came.
    pub at: String,
    /// Why.
    pub reason: String,
    /// How long a running attempt has to end by itself. Null: as its worker has it.
    pub grace_ms: Option<u64>,
}

/// What a task was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OriginView {
    /// `rerun`, `callback`, `replaces` or `reuses`.
    pub how: String,
    /// That task.
    pub task: String,
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// Who ran it.
    pub worker: String,
    /// When it was leased.
    pub started_at: String,
    /// When it was settled.
    pub ended_at: String,
    /// `completed`, `snoozed`, `failed`, `stopped`, `host-failed`, `host-lost` or `handed-back`.
    pub ending: String,
    /// The host's cause, when it stopped the attempt.
    pub cause: Option<String>,
    /// The word that retry policies go by, when it failed.
    pub kind: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// What was done about it: `succeed`, `retry`, `snooze`, `await`, `requeue`, `give-up` or `cancel`.
    pub verdict: String,
    /// Until the next attempt, where that was decided.
    pub delay_ms: Option<u64>,
    /// Whether it counts against `max_attempts`.
    pub charged: bool,
    /// Why.
    pub reason: String,
    /// What it used.
    pub receipt: Option<ReceiptReport>,
}

/// Some tasks, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TasksView {
    /// Newest first.
    pub tasks: Vec<TaskView>,
    /// `before` of the next page. There may be one even if this one is short.
    pub next: Option<String>,
}

impl From<&Task> for TaskView {
    fn from(task: &Task) -> Self {
        let spec = &task.spec;
        Self {
            id: task.id.to_string(),
            state: task.state.name(),
            handler: spec.handler.to_string(),
            queue: spec.queue.clone(),
            priority: spec.priority,
            component: spec.component.to_string(),
            follows: spec.follows,
            queue_limits: None,
            submitted_at: task.submitted_at.to_string(),
            due_at: task.due_at().map(|at| at.to_string()),
            ended_at: task.ended_at.map(|at| at.to_string()),
            since: task.since.to_string(),
            died_of: (task.state == State::Dead).then(|| died_of(task).0.to_owned()),
            expires_at: task.expires_at.filter(|_| !task.begun && task.lease().is_none()).map(|at| at.to_string()),
            cancel: task.cancel.as_ref().map(CancelView::from),
            awaits: task.awaits.as_ref().map(AwaitsView::from),
            completion: task.completion.as_ref().map(CompletionView::from),
            attempts_started: task.attempts_started,
            failures_charged: task.failures_charged,
            hosts_lost: task.hosts_lost,
            fuel_used: task.fuel_used,
            fuel_budget: spec.fuel_budget,
            max_attempts: spec.max_attempts,
            max_hosts_lost: spec.max_hosts_lost,
            backoff: spec.backoff.to_string(),
            retry_on: spec.retry_on.clone(),
            never_retry_on: spec.never_retry_on.clone(),
            retry_for_ms: spec.retry_for.map(ms),
            keep_result_ms: spec.keep_result.map(ms),
            key: spec.key.clone(),
            tags: spec.tags.clone(),
            unique: task.unique.clone(),
            idempotency_key: spec.idempotency_key.clone(),
            job: task.job.as_ref().map(JobPlaceView::from),
            origin: task.origin.map(OriginView::from),
            schedule: task.schedule.as_deref().map(OfSchedule::from),
            successor: task.successor.map(|id| id.to_string()),
            callbacks: task.callbacks,
            followers: task.followers.iter().map(ToString::to_string).collect(),
            limits: LimitsReport::from(&spec.limits),
            grants: GrantsReport::from(&spec.grants),
            input: task.input.clone(),
            output: task.output.clone(),
            attempts: task.attempts.iter().map(AttemptView::from).collect(),
            live: None,
        }
    }
}

impl From<&CancelRequest> for CancelView {
    fn from(cancel: &CancelRequest) -> Self {
        Self { at: cancel.at.to_string(), reason: cancel.reason.clone(), grace_ms: cancel.grace.map(ms) }
    }
}

impl From<Origin> for OriginView {
    fn from(origin: Origin) -> Self {
        let (how, task) = match origin {
            Origin::Rerun(task) => ("rerun", task),
            Origin::Callback(task) => ("callback", task),
            Origin::Replaces(task) => ("replaces", task),
            Origin::Reuses(task) => ("reuses", task),
        };
        Self { how: how.into(), task: task.to_string() }
    }
}

impl From<&AttemptRecord> for AttemptView {
    fn from(attempt: &AttemptRecord) -> Self {
        let OutcomeReport { ending, cause, kind, message } = (&attempt.ending).into();
        let verdict = attempt.decision.verdict;
        Self {
            number: attempt.number,
            worker: attempt.worker.clone(),
            started_at: attempt.started_at.to_string(),
            ended_at: attempt.ended_at.to_string(),
            ending,
            cause,
            kind,
            message,
            verdict: verdict.word().into(),
            delay_ms: verdict.delay().map(ms),
            charged: attempt.decision.charged,
            reason: attempt.decision.reason.clone(),
            receipt: attempt.receipt.clone().map(ReceiptReport::from),
        }
    }
}
