//! Which tasks of a job failed by themselves. One that is dead of a child is not told beside that child: it would say the same
//! once more, and less of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use sunaba_task::job::{Job, JobCause};
use sunaba_task::{State, StateName, Task, TaskId};

use super::node::last_failure;
use super::plain::one_line;
use super::story::FailedTask;

/// Tasks that failed, of which each is told.
const MAX_FAILED: usize = 10;
/// Tasks that are dead of a child which was not read, of which each is known by more than its child.
const MAX_PENDING: usize = 100;
/// The longest reason; the tasks' own stories have the whole.
const MAX_REASON_CHARS: usize = 300;

/// The tasks that failed, while a job is read. A parent comes before its children.
#[derive(Debug, Default)]
pub(super) struct Causes {
    /// The task for which the job does not end well, or the child of which that is dead, and so on down.
    wanted: Option<TaskId>,
    failed: Vec<FailedTask>,
    more: u64,
    /// The children of which tasks are dead, by these.
    child_of: HashMap<TaskId, TaskId>,
    /// Those who are dead of a child that was not read yet, by this.
    pending: BTreeMap<TaskId, FailedTask>,
    /// The children of further ones.
    more_pending: HashSet<TaskId>,
}

impl Causes {
    pub(super) fn of(job: &Job) -> Self {
        let wanted = match &job.cause {
            Some(JobCause::Task { task, .. }) => Some(*task),
            _ => None,
        };
        Self { wanted, ..Self::default() }
    }

    /// A task was read; whether it is told of here, now or when it is known what came of its child.
    pub(super) fn add(&mut self, task: &Task, name: &str) -> bool {
        self.pending.remove(&task.id);
        self.more_pending.remove(&task.id);
        let is_cause = self.wanted == Some(task.id);
        let has_failed = matches!(task.state.name(), StateName::Dead | StateName::Expired);
        if !(has_failed || is_cause && task.state == State::Cancelled) {
            return false;
        }
        let child = task.failed_child.as_ref().map(|child| child.task);
        // A join that was never made has no id of its own.
        if let Some(child) = child.filter(|child| has_failed && *child != task.id) {
            self.child_of.insert(task.id, child);
            if is_cause {
                self.wanted = Some(child);
            }
            if is_cause || self.pending.len() < MAX_PENDING {
                self.pending.insert(child, failed_task(task, name, is_cause));
            } else {
                self.more_pending.insert(child);
            }
        } else if is_cause || self.failed.len() < MAX_FAILED {
            self.push(failed_task(task, name, is_cause));
        } else {
            self.more += 1;
        }
        true
    }

    /// The one for which the job does not end well comes first, and has a place.
    fn push(&mut self, failed: FailedTask) {
        let place = if failed.is_cause { 0 } else { self.failed.len() };
        self.failed.insert(place, failed);
        if self.failed.len() > MAX_FAILED {
            self.failed.pop();
            self.more += 1;
        }
    }

    /// All has been read: what is dead of a child that was not is told itself.
    pub(super) fn finish(&mut self) {
        self.more += std::mem::take(&mut self.more_pending).len() as u64;
        for (_, failed) in std::mem::take(&mut self.pending) {
            self.push(failed);
        }
    }

    /// Those that are told, and how many more there are.
    pub(super) fn told(&self) -> (Vec<FailedTask>, u64) {
        (self.failed.clone(), self.more)
    }

    /// What a task is dead of, at the end of its chain of children, if that is told.
    pub(super) fn leaf(&self, task: &str) -> Option<&FailedTask> {
        let mut at: TaskId = task.parse().ok()?;
        // A child is made after its parent, so that this ends.
        while let Some(child) = self.child_of.get(&at).filter(|child| **child > at) {
            at = *child;
        }
        let leaf = at.to_string();
        self.failed.iter().find(|failed| failed.task == leaf && leaf != task)
    }
}

fn failed_task(task: &Task, name: &str, is_cause: bool) -> FailedTask {
    let cause = match task.state {
        State::Cancelled => task.cancel.as_ref().map(|cancel| format!("it was cancelled: {}", cancel.reason)),
        State::Expired => task.expires_at.map(|at| format!("it was not started by {at}")),
        _ => last_failure(task),
    };
    let cause = cause.unwrap_or_else(|| "nothing is known of its attempts".into());
    // Not what the cause says already, nor why a plan was made of which a child failed.
    let because = task.attempts.last().filter(|_| task.state == State::Dead && task.failed_child.is_none());
    let because = because.map(|last| last.decision.reason.as_str()).filter(|because| !cause.ends_with(because));
    FailedTask {
        name: name.to_owned(),
        task: task.id.to_string(),
        handler: task.spec.handler.to_string(),
        state: task.state.name(),
        attempts: task.attempts_started,
        because: because.map(|because| one_line(because, MAX_REASON_CHARS)),
        cause: one_line(&cause, MAX_REASON_CHARS),
        is_cause,
    }
}
