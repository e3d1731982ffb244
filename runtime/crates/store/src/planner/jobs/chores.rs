//! What is to be done for jobs, step by step.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sunaba_task::TaskId;
use sunaba_task::job::{JobId, NodeName};

use super::super::{Planner, Turn};
use super::Failed;
use crate::{StoreError, codec, keys};

/// Tasks that chores make, release or stop in one turn, and what new ones are to wait for; more in the next.
pub(super) const MAX_STEPS: usize = 1_000;

/// Something that takes as long as there are tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Chore {
    /// Makes the tasks of a plan of a job, its own or that of one of its tasks, from this part of it on.
    Make { job: JobId, parent: Option<TaskId>, part: u32 },
    /// Something has ended for which others of its plan wait.
    Release(Released),
    /// Stops all tasks of a plan that have not ended, from the one after this name on.
    Stop { job: JobId, parent: Option<TaskId>, after: Option<NodeName> },
    /// Ends a task whose children have ended, if it waits for nothing else.
    Resolve(TaskId),
    /// Makes the task that undoes what has succeeded last.
    Undo(JobId),
    /// Notes until when the tasks of a plan of a job that has ended are kept, from the one after this name on.
    Keep { job: JobId, parent: Option<TaskId>, after: Option<NodeName> },
}

/// Something that others wait for has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Released {
    pub(crate) job: JobId,
    /// The task whose plan it is. None: the job's own.
    pub(crate) parent: Option<TaskId>,
    /// As those who wait have written it.
    pub(crate) awaited: String,
    /// What did not succeed: the task itself, or one of the group.
    pub(crate) failed: Option<Failed>,
}

/// Chores in the order in which they came.
#[derive(Default)]
pub(super) struct Chores {
    waiting: VecDeque<Waiting>,
    /// How many of them the chore at hand has put before all others.
    first: usize,
    /// The keys of those that were done in this turn.
    done: Vec<u64>,
}

struct Waiting {
    chore: Chore,
    /// Its key, when it is stored.
    sequence: Option<u64>,
    /// Whether it is as it is stored.
    is_written: bool,
}

impl Chores {
    pub(super) fn push(&mut self, chore: Chore) {
        self.waiting.push_back(Waiting { chore, sequence: None, is_written: false });
    }

    /// Before all others: what follows from a chore that goes down or up a tree comes before the rest of that chore.
    pub(super) fn push_first(&mut self, chore: Chore) {
        self.waiting.push_front(Waiting { chore, sequence: None, is_written: false });
        self.first += 1;
    }

    pub(super) fn has(&self, chore: &Chore) -> bool {
        self.waiting.iter().any(|waiting| waiting.chore == *chore)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Planner {
    /// Reads what the process before has left.
    pub(in super::super) fn read_chores(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'W');
        let stored: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
        for (key, value) in stored {
            let Some(sequence) = keys::chore_sequence(&key) else { continue };
            if let Some(chore) = turn.read_or_set_aside(&key, &value)? {
                self.jobs.chores.waiting.push_back(Waiting { chore, sequence: Some(sequence), is_written: true });
            }
        }
        Ok(())
    }

    pub(in super::super) fn has_chores(&self) -> bool {
        !self.jobs.chores.is_empty()
    }

    /// Does what there is to do, as far as a turn may.
    pub(crate) fn do_chores(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let mut steps = MAX_STEPS;
        while steps > 0
            && let Some(Waiting { chore, sequence, .. }) = self.jobs.chores.waiting.pop_front()
        {
            self.jobs.chores.first = 0;
            let left = match chore {
                Chore::Make { job, parent, part } => self.make(turn, job, parent, part, &mut steps)?,
                Chore::Release(released) => self.release_all(turn, released, &mut steps)?,
                Chore::Stop { job, parent, after } => self.stop_all(turn, job, parent, after, &mut steps)?,
                Chore::Resolve(task) => {
                    steps = steps.saturating_sub(1);
                    self.resolve(turn, task)?;
                    None
                }
                Chore::Undo(job) => {
                    steps = steps.saturating_sub(1);
                    self.undo(turn, job)?
                }
                Chore::Keep { job, parent, after } => self.keep_all(turn, job, parent, after, &mut steps)?,
            };
            match (left, sequence) {
                (Some(chore), sequence) => {
                    let at = self.jobs.chores.first;
                    self.jobs.chores.waiting.insert(at, Waiting { chore, sequence, is_written: false });
                }
                (None, Some(sequence)) => self.jobs.chores.done.push(sequence),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Writes what is left to do, with what has made it necessary.
    pub(super) fn write_chores(&mut self, turn: &mut Turn<'_>) {
        for sequence in std::mem::take(&mut self.jobs.chores.done) {
            turn.txn.delete(keys::chore(sequence));
        }
        for index in 0..self.jobs.chores.waiting.len() {
            if self.jobs.chores.waiting[index].is_written {
                continue;
            }
            let sequence = match self.jobs.chores.waiting[index].sequence {
                Some(sequence) => sequence,
                None => self.sequence(turn),
            };
            let waiting = &mut self.jobs.chores.waiting[index];
            (waiting.sequence, waiting.is_written) = (Some(sequence), true);
            turn.txn.put(keys::chore(sequence), codec::write(&waiting.chore));
        }
    }
}
