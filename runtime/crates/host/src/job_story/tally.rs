//! What a story needs of all tasks, whether or not each has a node: who failed, who was not run and why, who waits now.

use sunaba_task::job::Job;
use sunaba_task::{StateName, Task, TaskId, Timestamp};

use super::causes::Causes;
use super::graph::GraphNode;
use super::plain::one_line;
use super::story::NotRun;
use super::undone::Undoing;

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
    /// Whether an attempt of it runs: those for which that is not so come first.
    pub(super) runs: bool,
    pub(super) since: Timestamp,
    pub(super) task: TaskId,
    /// With the names of those in whose plans it is.
    pub(super) name: String,
}

impl Waiting {
    fn order(&self) -> (bool, Timestamp, TaskId) {
        (self.runs, self.since, self.task)
    }
}

/// What there was among the tasks.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Tasks that were read.
    pub(super) read: u64,
    pub(super) causes: Causes,
    pub(super) undoing: Undoing,
    pub(super) not_run: Vec<NotRun>,
    /// Those that were not run or were stopped for other reasons.
    pub(super) more_not_run: u64,
    /// Those that wait longest, and then those that run longest.
    pub(super) waiting: Vec<Waiting>,
    /// Those that could run, beyond these.
    pub(super) more_waiting: u64,
}

impl Tally {
    pub(super) fn of(job: &Job) -> Self {
        Self { causes: Causes::of(job), ..Self::default() }
    }

    /// A task; `within` has the names of those in whose plans it is.
    pub(super) fn add(&mut self, task: &Task, node: &GraphNode, within: &str) {
        self.read += 1;
        let name = format!("{within}{}", node.name);
        if node.undoes {
            self.undoing.add(task, node, within);
            // How it ended is told with what it undoes.
            if task.state.is_terminal() {
                return;
            }
        } else if self.causes.add(task, &name) {
            return;
        }
        match task.state.name() {
            StateName::Cancelled => self.add_not_run(task, &name),
            StateName::Succeeded | StateName::Dead | StateName::Expired | StateName::Blocked => {}
            state => {
                self.add_waiting(Waiting { runs: state == StateName::Running, since: task.since, task: task.id, name });
            }
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
        let place = self.waiting.partition_point(|known| known.order() <= waiting.order());
        self.waiting.insert(place, waiting);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop();
            self.more_waiting += 1;
        }
    }
}
