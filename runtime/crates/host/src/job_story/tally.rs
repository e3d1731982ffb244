//! What a story needs of all tasks, whether or not each has a node: who failed, who was not run and why, who waits now.

use sunaba_task::job::Job;
use sunaba_task::{State, StateName, Task, TaskId, Timestamp};

use super::node::last_failure;
use super::plain::one_line;
use super::story::{FailedTask, NotRun};

/// Tasks that failed, of which each is told.
const MAX_FAILED: usize = 10;
/// Reasons for which tasks were not run or were stopped, of which each is told.
const MAX_REASONS: usize = 8;
/// Names that are told of those for each.
const MAX_NAMES: usize = 3;
/// Tasks that are asked what they wait for.
const MAX_WAITING: usize = 8;
/// The longest reason; the tasks' own stories have the whole.
const MAX_REASON_CHARS: usize = 300;

/// A task that has not ended, and could run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) since: Timestamp,
    pub(super) task: TaskId,
    /// With the names of those in whose plans it is.
    pub(super) name: String,
}

/// What there was among the tasks.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Tasks that were read.
    pub(super) read: u64,
    pub(super) failed: Vec<FailedTask>,
    /// Those that failed beyond these.
    pub(super) more_failed: u64,
    pub(super) not_run: Vec<NotRun>,
    /// Those that were not run or were stopped for other reasons.
    pub(super) more_not_run: u64,
    /// The longest waiting ones, the first first.
    pub(super) waiting: Vec<Waiting>,
    /// Those that could run, beyond these.
    pub(super) more_waiting: u64,
}

impl Tally {
    /// A task; `name` is with the names of those in whose plans it is.
    pub(super) fn add(&mut self, job: &Job, task: &Task, name: &str) {
        self.read += 1;
        let undoes = task.job.as_ref().is_some_and(|link| link.undoes);
        let is_cause =
            matches!(&job.cause, Some(sunaba_task::job::JobCause::Task { task: cause, .. }) if *cause == task.id);
        match task.state.name() {
            // What undoes others is told with them.
            _ if undoes && task.state.is_terminal() => {}
            StateName::Dead | StateName::Expired => self.add_failed(task, name, is_cause),
            StateName::Cancelled if is_cause => self.add_failed(task, name, true),
            StateName::Cancelled => self.add_not_run(task, name),
            StateName::Succeeded | StateName::Blocked => {}
            _ => self.add_waiting(Waiting { since: task.since, task: task.id, name: name.to_owned() }),
        }
    }

    fn add_failed(&mut self, task: &Task, name: &str, is_cause: bool) {
        if self.failed.len() >= MAX_FAILED && !is_cause {
            self.more_failed += 1;
            return;
        }
        let decision = task.attempts.last().filter(|_| task.state == State::Dead);
        let cancel = || task.cancel.as_ref().map(|cancel| format!("it was cancelled: {}", cancel.reason));
        let expired = || task.expires_at.map(|at| format!("it was not started by {at}"));
        let cause = match task.state {
            State::Cancelled => cancel(),
            State::Expired => expired(),
            _ => last_failure(task),
        };
        let failed = FailedTask {
            name: name.to_owned(),
            task: task.id.to_string(),
            handler: task.spec.handler.to_string(),
            state: task.state.name(),
            attempts: task.attempts_started,
            cause: one_line(&cause.unwrap_or_else(|| "nothing is known of its attempts".into()), MAX_REASON_CHARS),
            because: decision.map(|last| one_line(&last.decision.reason, MAX_REASON_CHARS)),
        };
        if is_cause {
            self.failed.insert(0, failed);
            if self.failed.len() > MAX_FAILED {
                self.failed.pop();
                self.more_failed += 1;
            }
        } else {
            self.failed.push(failed);
        }
    }

    fn add_not_run(&mut self, task: &Task, name: &str) {
        let begun = task.attempts_started > 0;
        let reason = task.cancel.as_ref().map_or("", |cancel| cancel.reason.as_str());
        let reason = one_line(reason, MAX_REASON_CHARS);
        if let Some(known) = self.not_run.iter_mut().find(|known| known.reason == reason && known.begun == begun) {
            known.count += 1;
            if known.names.len() < MAX_NAMES {
                known.names.push(name.to_owned());
            }
        } else if self.not_run.len() < MAX_REASONS {
            self.not_run.push(NotRun { reason, begun, count: 1, names: vec![name.to_owned()] });
        } else {
            self.more_not_run += 1;
        }
    }

    fn add_waiting(&mut self, waiting: Waiting) {
        let place = self.waiting.partition_point(|known| (known.since, known.task) <= (waiting.since, waiting.task));
        self.waiting.insert(place, waiting);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop();
            self.more_waiting += 1;
        }
    }
}
