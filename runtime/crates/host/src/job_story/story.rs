//! The shape of a job's story: what `job explain` prints as JSON, and what its text is made of. Instants are in RFC 3339.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sunaba_task::StateName;
use sunaba_task::job::{JobState, OnFailure};

/// Why a job is where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct JobStory {
    /// The job.
    pub id: String,
    /// Its name, for people; may be empty.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// The job that it is over again.
    pub origin: Option<String>,
    /// The newest job that was made in its stead.
    pub successor: Option<String>,
    /// When the store had it.
    pub submitted_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
    /// From its submit to its end, or to now.
    pub took_ms: u64,
    /// What it means that a task does not succeed, where a dependency does not say it.
    pub on_failure: OnFailure,
    /// Whether the first failure stops what else runs.
    pub stop_on_failure: bool,
    /// The task whose output is the job's.
    pub result: Option<String>,
    /// Its tasks, by where they stand.
    pub tasks: BTreeMap<StateName, u64>,
    /// Tasks that are still to be made.
    pub planned: u64,
    /// What its attempts have used.
    pub used: UsedReport,
    /// What it may spend, and has spent of that.
    pub budgets: Vec<BudgetReport>,
    /// Tasks that did not succeed, the one for which the job does not first. What is dead of a child is left out where that is told.
    pub failed: Vec<FailedTask>,
    /// Further ones.
    pub more_failed: u64,
    /// Tasks that were not run, or were stopped, by the reason.
    pub not_run: Vec<NotRun>,
    /// Further ones, for other reasons.
    pub more_not_run: u64,
    /// How many tasks were undone, in all of the job.
    pub undone_tasks: u64,
    /// Why, in a line; null where nothing is to be undone.
    pub undone_for: Option<String>,
    /// What was undone, or is being, in that order.
    pub undone: Vec<UndoneTask>,
    /// Further ones that were looked at.
    pub more_undone: u64,
    /// What could not be undone. Nothing before it was, then.
    pub not_undone: Option<String>,
    /// The longest chain of ends that led to the job's own, or to where it stands; the first one first.
    pub path: Vec<PathStep>,
    /// What its tasks wait for that could run.
    pub waits: Vec<WaitReport>,
    /// Further ones that could.
    pub more_waiting: u64,
    /// Tasks that were not looked at.
    pub not_shown: u64,
    /// Dependencies between tasks beyond the number that is kept. The longest chain goes by those that ended last, which are.
    pub edges_not_shown: u64,
    /// What happens next, or why it has ended as it did; for people.
    pub conclusion: String,
}

/// What a job's attempts have used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UsedReport {
    /// Attempts that began.
    pub attempts: u64,
    /// Instructions of those that have ended.
    pub fuel: u64,
    /// Their time, one after the other.
    pub wall_ms: u64,
    /// The part of that in host calls.
    pub host_call_ms: u64,
    /// The most that one of them held.
    pub peak_memory_bytes: u64,
    /// Their outputs.
    pub output_bytes: u64,
    /// What they have written to artifacts.
    pub artifact_bytes: u64,
}

/// What a job may spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BudgetReport {
    /// Which.
    pub name: String,
    /// How much is spent; of time milliseconds.
    pub spent: u64,
    /// How much may be; of time milliseconds.
    pub limit: u64,
}

/// A task that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FailedTask {
    /// Its name, after those of the tasks in whose plans it is: `count > part/1`.
    pub name: String,
    /// Its id.
    pub task: String,
    /// Who ran it.
    pub handler: String,
    /// How it ended.
    pub state: StateName,
    /// Attempts that began.
    pub attempts: u32,
    /// Its last attempt and what that came to, in one line.
    pub cause: String,
    /// Why that was its last, where the cause does not say it.
    pub because: Option<String>,
    /// Whether the job does not end well for it, or for one that is dead of it.
    pub is_cause: bool,
}

/// Tasks that were not run, or were stopped, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NotRun {
    /// Why.
    pub reason: String,
    /// Whether they had begun, and were stopped.
    pub begun: bool,
    /// How many.
    pub count: u64,
    /// The names of the first few.
    pub names: Vec<String>,
}

/// A task that was undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UndoneTask {
    /// Its name.
    pub name: String,
    /// The task that undoes it.
    pub undo: String,
    /// Who runs that.
    pub handler: String,
    /// Where that stands.
    pub state: StateName,
    /// How long that ran.
    pub ran_ms: u64,
    /// Why that does not succeed, in one line.
    pub cause: Option<String>,
}

/// A task of the longest chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PathStep {
    /// Its name, after those of the tasks in whose plans it is.
    pub name: String,
    /// Its id; none of a group.
    pub task: Option<String>,
    /// Where it stands.
    pub state: StateName,
    /// From the end of the step before to its first attempt.
    pub waited_ms: u64,
    /// How long its attempts ran, and its children that are not in the chain.
    pub ran_ms: u64,
    /// Between its attempts: until the next was due, and in the queue. Of a group it is in `ran_ms`, and so is what follows.
    pub between_attempts_ms: u64,
    /// For somebody to complete it.
    pub for_somebody_ms: u64,
    /// The percentage of the job's time that all of it is.
    pub share: u64,
}

/// What a task waits for that could run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WaitReport {
    /// Its name, after those of the tasks in whose plans it is.
    pub name: String,
    /// Its id.
    pub task: String,
    /// Where it stands.
    pub state: StateName,
    /// For people: what holds it up, or what happens next.
    pub messages: Vec<String>,
}
