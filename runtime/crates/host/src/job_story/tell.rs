//! Tells the story of a job that was read.

use sunaba_task::job::{BudgetName, Job, JobCause, JobState};
use sunaba_task::{StateName, format_bytes, format_count, format_duration};

use super::plain::one_line;
use super::read::JobRead;
use super::story::{BudgetReport, FailedTask, JobStory, UsedReport, WaitReport};
use super::undone::millis;

/// The longest reason of a cancel.
const MAX_REASON_CHARS: usize = 300;

/// The story; `waits` is what those wait for that could run.
pub(super) fn tell(read: &JobRead, waits: Vec<WaitReport>) -> JobStory {
    let JobRead { graph, job, tally } = read;
    let by_state = StateName::ALL.map(|state| (state, job.tasks.in_state(state)));
    let spent = &job.spent;
    let ((failed, more_failed), (undone, more_undone)) = (tally.causes.told(), tally.undoing.told());
    let mut story = JobStory {
        id: graph.id.clone(),
        name: graph.name.clone(),
        state: job.state,
        origin: job.origin.map(|id| id.to_string()),
        successor: job.successor.map(|id| id.to_string()),
        submitted_at: job.submitted_at.to_string(),
        ended_at: job.ended_at.map(|at| at.to_string()),
        took_ms: millis(graph.took()),
        on_failure: job.spec.on_failure,
        stop_on_failure: job.spec.stop_on_failure,
        result: job.spec.result.as_ref().map(ToString::to_string),
        tasks: by_state.into_iter().filter(|(_, count)| *count > 0).collect(),
        planned: job.tasks.planned,
        used: UsedReport {
            attempts: spent.attempts,
            fuel: spent.fuel,
            wall_ms: millis(spent.wall),
            host_call_ms: millis(spent.host_call_time),
            peak_memory_bytes: spent.peak_memory_bytes,
            output_bytes: spent.output_bytes,
            artifact_bytes: spent.artifact_bytes,
        },
        budgets: budgets(read),
        undone_for: job.undone_for.as_ref().map(|why| undone_for(why, &failed)),
        failed,
        more_failed,
        not_run: tally.not_run.clone(),
        more_not_run: tally.more_not_run,
        undone_tasks: job.tasks.undone,
        undone,
        more_undone,
        not_undone: job.not_undone.as_ref().map(ToString::to_string),
        path: graph.steps(),
        waits,
        more_waiting: tally.more_waiting,
        not_shown: graph.tasks.saturating_sub(tally.read),
        edges_not_shown: graph.edges_not_shown,
        conclusion: String::new(),
    };
    story.conclusion = conclusion(job, &story);
    story
}

/// What the job may spend. Of tasks that is told when it matters: every job has a bound of them.
fn budgets(read: &JobRead) -> Vec<BudgetReport> {
    let JobRead { graph, job, .. } = read;
    let (budget, spent) = (&job.spec.budget, &job.spent);
    let is_cause = |name| job.cause == Some(JobCause::Budget(name));
    let limits = [
        (BudgetName::Attempts, spent.attempts, budget.attempts),
        (BudgetName::Fuel, spent.fuel, budget.fuel),
        (BudgetName::ArtifactBytes, spent.artifact_bytes, budget.artifact_bytes),
        (BudgetName::Time, millis(graph.took()), budget.time.map(millis)),
        (BudgetName::Tasks, spent.tasks, Some(budget.tasks).filter(|_| is_cause(BudgetName::Tasks))),
        (BudgetName::Depth, budget.depth.into(), Some(budget.depth.into()).filter(|_| is_cause(BudgetName::Depth))),
    ];
    let report = |(name, spent, limit): (BudgetName, u64, Option<u64>)| {
        Some(BudgetReport { name: name.to_string(), spent, limit: limit? })
    };
    limits.into_iter().filter_map(report).collect()
}

/// What happens next, or why it has ended as it did.
fn conclusion(job: &Job, story: &JobStory) -> String {
    if !job.state.is_terminal() {
        return next(job, story);
    }
    let undone = match (&story.not_undone, story.undone_tasks) {
        (Some(name), _) => format!("; `{name}` could not be undone, and nothing before it was"),
        (None, 0) => String::new(),
        (None, count) => {
            let tasks = if count == 1 { "1 task".into() } else { format!("{} tasks", format_count(count)) };
            format!("; what had succeeded in the job was undone, {tasks}, the last first")
        }
    };
    match &job.cause {
        None if job.partial => "it succeeded in part: what failed was to be done without".into(),
        None => "it succeeded".into(),
        Some(cause) => format!("it {}: {}{undone}", ended(job.state), why(cause, story)),
    }
}

fn ended(state: JobState) -> &'static str {
    match state {
        JobState::Cancelled => "was cancelled",
        JobState::Succeeded => "succeeded",
        _ => "failed",
    }
}

fn why(cause: &JobCause, story: &JobStory) -> String {
    match cause {
        JobCause::Task { name, task } => {
            let id = task.to_string();
            let said = match story.failed.iter().find(|failed| failed.is_cause) {
                None => String::new(),
                Some(failed) if failed.task == id => format!(", {}", failed.cause),
                // Of a child, or of a child of that.
                Some(failed) => format!(" because of `{}`, {}", failed.name, failed.cause),
            };
            format!("`{name}` did not succeed{said}")
        }
        JobCause::Budget(name) => {
            let word = name.to_string();
            let budget = story.budgets.iter().find(|budget| budget.name == word);
            let spent = budget.map(|budget| match name {
                // A write that goes beyond it is refused whole, so that there is something left.
                BudgetName::ArtifactBytes if budget.spent < budget.limit => {
                    let left = format_bytes(budget.limit - budget.spent);
                    format!(", {}: an attempt wanted to write more than the {left} that were left", budget.spent_of())
                }
                _ => format!(", {}", budget.spent_of()),
            });
            format!("budget {word}{}", spent.unwrap_or_default())
        }
        JobCause::Cancelled(reason) if reason.is_empty() => "nobody said why".into(),
        JobCause::Cancelled(reason) => one_line(reason, MAX_REASON_CHARS),
        JobCause::Stuck(reason) => format!("it was stuck: {}", one_line(reason, MAX_REASON_CHARS)),
    }
}

/// For what tasks were undone, by the full name of who it is where that is known.
fn undone_for(why: &JobCause, failed: &[FailedTask]) -> String {
    match why {
        JobCause::Task { name, task } => {
            let id = task.to_string();
            let full = failed.iter().find(|failed| failed.task == id).map(|failed| failed.name.as_str());
            format!("`{}`, which did not succeed", full.unwrap_or(name.as_str()))
        }
        JobCause::Budget(name) => format!("its budget `{name}`, which is spent"),
        JobCause::Cancelled(_) => "its cancel".into(),
        JobCause::Stuck(_) => "being stuck".into(),
    }
}

fn next(job: &Job, story: &JobStory) -> String {
    let cause = job.cause.as_ref().map(|cause| format!(", for {}", why(cause, story))).unwrap_or_default();
    let left = format_count(job.tasks.unfinished());
    let first = story.waits.first().and_then(|wait| Some((&wait.name, wait.messages.first()?)));
    let waits = match first {
        Some((name, message)) => format!("; `{name}`: {message}"),
        None if job.tasks.planned > 0 => "; its tasks are being made".into(),
        None => String::new(),
    };
    match job.state {
        JobState::Compensating => format!("what has succeeded is being undone{cause}{waits}"),
        JobState::Stopping => format!("it ends when its last tasks have, {left} of them{cause}{waits}"),
        _ if job.cause.is_some() => format!("it fails when its last tasks have ended, {left} of them{cause}{waits}"),
        _ => format!("it has ended when its tasks have, {left} of them{waits}"),
    }
}

impl BudgetReport {
    /// How much of it is spent: `1,000 of 1,000`.
    pub(super) fn spent_of(&self) -> String {
        let (spent, limit) = match self.name.as_str() {
            "time" => {
                let time = |ms| format_duration(std::time::Duration::from_millis(ms));
                (time(self.spent), time(self.limit))
            }
            "artifact-bytes" => (format_bytes(self.spent), format_bytes(self.limit)),
            _ => (format_count(self.spent), format_count(self.limit)),
        };
        format!("{spent} of {limit}")
    }
}
