//! A job as its record has it, its tasks by their names, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sunaba_host::job_story::WaitReport;
#[cfg(feature = "serve")]
use sunaba_host::{CancelledJob, JobAttention, JobOutput};
use sunaba_host::{OutcomeReport, payload_json};
use sunaba_store::JobQuery;
use sunaba_task::job::{Job, JobCause, JobState, OnFailure};
use sunaba_task::{Payload, StateName, Task};

use super::{JobBudget, ms};
use crate::problem::Problem;

/// Jobs of one page, unless asked otherwise.
const DEFAULT_PAGE: usize = 50;
/// Jobs, or tasks of a plan, of one page.
const MAX_JOBS_PAGE: usize = 200;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobView {
    /// Its id.
    pub id: String,
    /// For people; may be empty.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Why it does not end well.
    pub cause: Option<CauseView>,
    /// Whether something did not succeed that was to be done without.
    pub partial: bool,
    /// The task that could not be undone, if one could not.
    pub not_undone: Option<String>,
    /// How many tasks it has, and where they stand.
    pub tasks: JobTasksView,
    /// What it may spend.
    pub budget: JobBudget,
    /// What it has spent.
    pub spent: SpentView,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What it means that a task does not succeed.
    pub on_failure: OnFailure,
    /// Whether the first failure stops what else runs.
    pub stop_on_failure: bool,
    /// The task whose output is the job's.
    pub result: Option<String>,
    /// The key under which it was submitted.
    pub idempotency_key: Option<String>,
    /// The job that it is over again.
    pub origin: Option<String>,
    /// The newest job that was made in its stead.
    pub successor: Option<String>,
    /// When the store had it.
    pub submitted_at: String,
    /// When its time is over.
    pub deadline: Option<String>,
    /// When it became terminal.
    pub ended_at: Option<String>,
    /// Tasks that have failed, or are to be tried again: the one first for which the job does not end well. A few, and none in
    /// lists.
    #[serde(default)]
    pub failing: Vec<JobTaskView>,
    /// Tasks that run. A few, and none in lists.
    #[serde(default)]
    pub running: Vec<JobTaskView>,
    /// What it waits for: one task that something holds up or that waits for somebody, or where nothing runs, any that could. None
    /// in lists.
    #[serde(default)]
    pub waits: Option<WaitReport>,
}

/// Why a job does not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CauseView {
    /// `task`, `budget`, `cancelled` or `stuck`.
    pub kind: String,
    /// In a line, for people.
    pub message: String,
    /// The name of the task, or of the budget.
    pub name: Option<String>,
    /// The id of the task.
    pub task: Option<String>,
}

/// How many tasks a job has, and where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobTasksView {
    /// With those that are still to be made.
    pub total: u64,
    /// Those that have not ended.
    pub unfinished: u64,
    /// Those that are still to be made.
    pub planned: u64,
    /// What is not undone yet, of what could be.
    pub compensations: u64,
    /// By state; states without tasks are left out.
    pub by_state: BTreeMap<StateName, u64>,
}

/// What a job has spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SpentView {
    /// Attempts that began.
    pub attempts: u64,
    /// Of those that have ended.
    pub fuel: u64,
    /// What those have written to artifacts.
    pub artifact_bytes: u64,
    /// Tasks that were made.
    pub tasks: u64,
    /// From its submit to its end. Null while it has not ended.
    pub time_ms: Option<u64>,
}

/// Some jobs, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobsView {
    /// Newest first.
    pub jobs: Vec<JobView>,
    /// `before` of the next page. There may be one even if this one is short.
    pub next: Option<String>,
}

/// A task of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobTaskView {
    /// Its name in its plan.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The task whose plan it is in. Null: the job's own.
    pub parent: Option<String>,
    /// Where it stands.
    pub state: StateName,
    /// `package/handler`.
    pub handler: String,
    /// The lane in which it waits.
    pub queue: String,
    /// Attempts that began.
    pub attempts_started: u32,
    /// When it came into its state.
    pub since: String,
    /// Why it has not succeeded, or has failed so far.
    pub reason: Option<String>,
}

/// Tasks of a plan, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlanView {
    /// By name.
    pub tasks: Vec<JobTaskView>,
    /// `cursor` of the next page.
    pub next: Option<String>,
}

/// What came of a job.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobResultView {
    /// The job.
    pub id: String,
    /// Where it stands.
    pub state: JobState,
    /// The task whose output it is.
    pub name: Option<String>,
    /// JSON as the handler wrote it; other bytes as `{"media_type": ..., "base64": ...}`. Null unless the job has succeeded, and
    /// names a task that gave something.
    pub output: Option<Box<RawValue>>,
    /// What kind of bytes the output is.
    pub media_type: Option<String>,
    /// Why it does not end well.
    pub cause: Option<CauseView>,
}

/// What tasks of a plan gave.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobOutputsView {
    /// By name.
    pub outputs: Vec<JobOutputView>,
    /// `cursor` of the next page.
    pub next: Option<String>,
}

/// What one task of a plan gave.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobOutputView {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: StateName,
    /// As that of a job. Null unless it has succeeded.
    pub output: Option<Box<RawValue>>,
    /// What kind of bytes the output is.
    pub media_type: Option<String>,
}

/// What a cancel of a job came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobCancelView {
    /// The job as it stood then.
    pub job: JobView,
    /// Tasks that had not begun, and never will.
    pub stopped: u64,
    /// Tasks that ran then, and are asked to end.
    pub still_running: u64,
    /// The first of them.
    pub running: Vec<JobTaskView>,
}

/// Which jobs: those to which all of it applies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobFilter {
    /// In one of these states, with commas between them.
    pub state: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Older than this job.
    pub before: Option<String>,
    /// How many at most; 50 unless said otherwise, and at most 200.
    pub limit: Option<usize>,
}

/// Which tasks of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanFilter {
    /// Of the plan of this task. Null: the job's own.
    pub parent: Option<String>,
    /// Only this one, or with `GROUP/*` those of a group.
    pub only: Option<String>,
    /// After this name.
    pub cursor: Option<String>,
    /// How many at most; 50 unless said otherwise, and at most 200.
    pub limit: Option<usize>,
}

impl JobFilter {
    pub(crate) fn query(self) -> Result<JobQuery, Problem> {
        let states = self.state.as_deref().unwrap_or_default().split(',').filter(|state| !state.is_empty());
        let states = states.map(str::parse).collect::<Result<_, _>>().map_err(Problem::invalid)?;
        let before = self.before.map(|id| id.parse()).transpose().map_err(Problem::invalid)?;
        let limit = self.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_JOBS_PAGE);
        Ok(JobQuery { states, tag: self.tag, before, limit })
    }
}

impl PlanFilter {
    pub(crate) fn query(self, job: sunaba_task::job::JobId) -> Result<sunaba_store::PlanQuery, Problem> {
        Ok(sunaba_store::PlanQuery {
            job,
            parent: self.parent.map(|id| id.parse()).transpose().map_err(Problem::invalid)?,
            only: self.only.map(|only| only.parse()).transpose().map_err(Problem::invalid)?,
            after: self.cursor.map(|name| name.parse()).transpose().map_err(Problem::invalid)?,
            limit: self.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_JOBS_PAGE),
        })
    }
}

impl JobView {
    /// The same with the tasks that are worth a look.
    #[cfg(feature = "serve")]
    pub fn with(self, attention: &JobAttention) -> Self {
        let views = |tasks: &[Task]| tasks.iter().filter_map(JobTaskView::of).collect();
        Self { failing: views(&attention.failing), running: views(&attention.running), ..self }
    }

    /// The same with what it waits for.
    pub fn waiting(self, waits: Option<WaitReport>) -> Self {
        Self { waits, ..self }
    }
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let (spec, tasks) = (&job.spec, &job.tasks);
        let by_state = StateName::ALL.into_iter().map(|state| (state, tasks.in_state(state)));
        let budget = &spec.budget;
        Self {
            id: job.id.to_string(),
            name: spec.name.clone(),
            state: job.state,
            cause: job.cause.as_ref().map(CauseView::from),
            partial: job.partial,
            not_undone: job.not_undone.as_ref().map(ToString::to_string),
            tasks: JobTasksView {
                total: tasks.total() + tasks.planned,
                unfinished: tasks.unfinished(),
                planned: tasks.planned,
                compensations: tasks.compensations,
                by_state: by_state.filter(|(_, count)| *count > 0).collect(),
            },
            budget: JobBudget {
                attempts: budget.attempts,
                time: None,
                time_ms: budget.time.map(ms),
                fuel: budget.fuel,
                artifact_bytes: budget.artifact_bytes,
                tasks: Some(budget.tasks),
                depth: Some(budget.depth),
            },
            spent: SpentView {
                attempts: job.spent.attempts,
                fuel: job.spent.fuel,
                artifact_bytes: job.spent.artifact_bytes,
                tasks: job.spent.tasks,
                time_ms: job.ended_at.map(|at| ms(at.since(job.submitted_at))),
            },
            tags: spec.tags.clone(),
            on_failure: spec.on_failure,
            stop_on_failure: spec.stop_on_failure,
            result: spec.result.as_ref().map(ToString::to_string),
            idempotency_key: spec.idempotency_key.clone(),
            origin: job.origin.map(|id| id.to_string()),
            successor: job.successor.map(|id| id.to_string()),
            submitted_at: job.submitted_at.to_string(),
            deadline: job.deadline().map(|at| at.to_string()),
            ended_at: job.ended_at.map(|at| at.to_string()),
            failing: Vec::new(),
            running: Vec::new(),
            waits: None,
        }
    }
}

impl From<&JobCause> for CauseView {
    fn from(cause: &JobCause) -> Self {
        let (kind, message, name, task) = match cause {
            JobCause::Task { name, task } => {
                ("task", format!("`{name}` did not succeed"), Some(name.to_string()), Some(task.to_string()))
            }
            JobCause::Budget(name) => ("budget", format!("budget {name}"), Some(name.to_string()), None),
            JobCause::Cancelled(reason) if reason.is_empty() => ("cancelled", "cancelled".into(), None, None),
            JobCause::Cancelled(reason) => ("cancelled", format!("cancelled: {reason}"), None, None),
            JobCause::Stuck(reason) => ("stuck", format!("stuck: {reason}"), None, None),
        };
        Self { kind: kind.into(), message, name, task }
    }
}

impl JobTaskView {
    /// A task of a job; none when it is of none.
    pub fn of(task: &Task) -> Option<Self> {
        let link = task.job.as_ref()?;
        Some(Self {
            name: link.name.to_string(),
            id: task.id.to_string(),
            parent: link.parent.map(|parent| parent.to_string()),
            state: task.state.name(),
            handler: task.spec.handler.to_string(),
            queue: task.spec.queue.clone(),
            attempts_started: task.attempts_started,
            since: task.since.to_string(),
            reason: reason(task),
        })
    }
}

/// Why a task has not succeeded, or has failed so far.
fn reason(task: &Task) -> Option<String> {
    let failure = || {
        let OutcomeReport { ending, cause, kind, message } = (&task.attempts.last()?.ending).into();
        let word = cause.or(kind).filter(|_| ending != "completed").or(match ending.as_str() {
            "host-failed" | "host-lost" => Some(ending),
            _ => None,
        })?;
        Some(message.map_or_else(|| word.clone(), |message| format!("{word}: {message}")))
    };
    match task.state.name() {
        StateName::Succeeded => None,
        StateName::Cancelled => task.cancel.as_ref().map(|cancel| cancel.reason.clone()).or_else(failure),
        StateName::Expired => Some("it was not started in time".into()),
        // Its last attempt made a plan, which was no failure.
        StateName::Dead if task.failed_child.is_some() => task.why_dead(),
        StateName::Dead => failure().or_else(|| task.why_dead()),
        _ => failure(),
    }
}

impl JobResultView {
    /// What came of a job: its record, and its output.
    pub fn new(job: &Job, output: Option<&Payload>) -> Self {
        Self {
            id: job.id.to_string(),
            state: job.state,
            name: job.spec.result.as_ref().map(ToString::to_string),
            output: output.map(payload_json),
            media_type: output.map(|output| output.media_type.clone()),
            cause: job.cause.as_ref().map(CauseView::from),
        }
    }
}

#[cfg(feature = "serve")]
impl From<&JobOutput> for JobOutputView {
    fn from(gave: &JobOutput) -> Self {
        Self {
            name: gave.name.to_string(),
            id: gave.task.to_string(),
            state: gave.state,
            output: gave.output.as_ref().map(payload_json),
            media_type: gave.output.as_ref().map(|output| output.media_type.clone()),
        }
    }
}

#[cfg(feature = "serve")]
impl From<&CancelledJob> for JobCancelView {
    fn from(cancelled: &CancelledJob) -> Self {
        Self {
            job: (&cancelled.job).into(),
            stopped: cancelled.stopped,
            still_running: cancelled.running,
            running: cancelled.running_tasks.iter().filter_map(JobTaskView::of).collect(),
        }
    }
}
