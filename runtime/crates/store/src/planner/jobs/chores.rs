//! What is to be done for jobs, step by step.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use sunaba_task::TaskId;
use sunaba_task::job::{JobId, NodeName};

use super::super::{Planner, Turn};
use super::Failed;
use crate::{StoreError, codec, keys};

/// Tasks that chores make, release or stop in one turn, and what new ones are to wait for; more in the next.
pub(super) const MAX_STEPS: usize = 1_000;
/// Steps of one chore before it is another job's turn.
const MAX_SLICE: usize = 64;
/// Keys that chores write in one turn: tasks may have many artifacts.
const MAX_KEYS: usize = 10_000;
/// Bytes that chores write in one turn: records may be large.
const MAX_BYTES: usize = 4 << 20;

/// Something that takes as long as there are tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Chore {
    /// Makes the tasks of a plan of a job, its own or that of one of its tasks, from this part of it on. So many are left, if all of
    /// it can be read.
    Make { job: JobId, parent: Option<TaskId>, part: u32, left: u64 },
    /// Something has ended for which others of its plan wait.
    Release(Released),
    /// Stops all tasks of a plan that have not ended, from the one after this name on.
    Stop { job: JobId, parent: Option<TaskId>, after: Option<NodeName> },
    /// Ends a task of a job whose children have ended, if it waits for nothing else.
    Resolve { job: JobId, task: TaskId },
    /// Makes the task that undoes what has succeeded last.
    Undo(JobId),
    /// Notes until when the tasks of a plan of a job that has ended are kept, from the one after this name on.
    Keep { job: JobId, parent: Option<TaskId>, after: Option<NodeName> },
}

impl Chore {
    fn job(&self) -> JobId {
        match self {
            Self::Release(released) => released.job,
            Self::Undo(job) => *job,
            Self::Make { job, .. } | Self::Stop { job, .. } | Self::Resolve { job, .. } | Self::Keep { job, .. } => {
                *job
            }
        }
    }
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

/// Chores, of each job in the order in which they came. Jobs take turns: one of many tasks holds up no other.
#[derive(Default)]
pub(super) struct Chores {
    /// Of those that have some.
    by_job: BTreeMap<JobId, VecDeque<Waiting>>,
    /// The same jobs, whose turn is next first.
    turns: VecDeque<JobId>,
    /// How many of them the chore at hand has put before all others of its job.
    first: usize,
    /// Steps that the chore at hand has done beyond those that it had.
    pub(super) overdrawn: usize,
    /// The keys of those that were done in this turn.
    done: Vec<u64>,
    /// Steps of one turn, where a test wants fewer of them.
    max_steps: Option<usize>,
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
        self.insert(usize::MAX, Waiting { chore, sequence: None, is_written: false });
    }

    /// Before all others of its job: what follows from a chore that goes down or up a tree comes before the rest of that chore.
    pub(super) fn push_first(&mut self, chore: Chore) {
        self.insert(0, Waiting { chore, sequence: None, is_written: false });
        self.first += 1;
    }

    /// After all that is to be told of ends, and before what stops: a parent ends as its children have, whatever is stopped next.
    pub(super) fn push_resolve(&mut self, job: JobId, task: TaskId) {
        let of_job: &VecDeque<Waiting> = self.by_job.entry(job).or_insert_with(|| {
            self.turns.push_back(job);
            VecDeque::new()
        });
        let told = of_job.iter().rposition(|waiting| matches!(waiting.chore, Chore::Release(_))).map_or(0, |at| at + 1);
        let stop = of_job.iter().skip(told).position(|waiting| matches!(waiting.chore, Chore::Stop { .. }));
        let at = stop.map_or(of_job.len(), |stop| told + stop);
        self.insert(at, Waiting { chore: Chore::Resolve { job, task }, sequence: None, is_written: false });
    }

    /// At this place among those of its job.
    fn insert(&mut self, at: usize, waiting: Waiting) {
        let (turns, job) = (&mut self.turns, waiting.chore.job());
        let of_job = self.by_job.entry(job).or_insert_with(|| {
            turns.push_back(job);
            VecDeque::new()
        });
        of_job.insert(at.min(of_job.len()), waiting);
    }

    /// The first of the job whose turn it is, which comes last from then on.
    fn take(&mut self) -> Option<Waiting> {
        let job = self.turns.pop_front()?;
        let of_job = self.by_job.get_mut(&job)?;
        let waiting = of_job.pop_front();
        if of_job.is_empty() {
            self.by_job.remove(&job);
        } else {
            self.turns.push_back(job);
        }
        self.first = 0;
        waiting
    }

    /// Those of a job.
    fn of(&self, job: JobId) -> impl Iterator<Item = &Chore> {
        self.by_job.get(&job).into_iter().flatten().map(|waiting| &waiting.chore)
    }

    pub(super) fn has(&self, chore: &Chore) -> bool {
        self.of(chore.job()).any(|waiting| waiting == chore)
    }

    /// Whether some of a job's tasks are still to be told what has ended.
    pub(super) fn releases(&self, id: JobId) -> bool {
        self.of(id).any(|chore| matches!(chore, Chore::Release(_)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_job.is_empty()
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
                self.jobs.chores.insert(usize::MAX, Waiting { chore, sequence: Some(sequence), is_written: true });
            }
        }
        Ok(())
    }

    pub(in super::super) fn has_chores(&self) -> bool {
        !self.jobs.chores.is_empty()
    }

    /// Has a turn do no more steps than these.
    pub(crate) fn limit_chores(&mut self, steps: usize) {
        self.jobs.chores.max_steps = Some(steps.clamp(1, MAX_STEPS));
    }

    /// Does what there is to do, as far as a turn may.
    pub(crate) fn do_chores(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let mut steps = self.jobs.chores.max_steps.unwrap_or(MAX_STEPS);
        let (keys, bytes) = (turn.txn.len() + MAX_KEYS, turn.txn.written_bytes() + MAX_BYTES);
        while steps > 0
            && turn.txn.len() < keys
            && turn.txn.written_bytes() < bytes
            && let Some(Waiting { chore, sequence, .. }) = self.jobs.chores.take()
        {
            let mut slice = steps.min(MAX_SLICE);
            steps -= slice;
            let left = self.do_chore(turn, chore, &mut slice)?;
            steps = (steps + slice).saturating_sub(std::mem::take(&mut self.jobs.chores.overdrawn));
            match (left, sequence) {
                (Some(chore), sequence) => {
                    let at = self.jobs.chores.first;
                    self.jobs.chores.insert(at, Waiting { chore, sequence, is_written: false });
                }
                (None, Some(sequence)) => self.jobs.chores.done.push(sequence),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Does a chore as far as these steps suffice; what is left of it.
    fn do_chore(&mut self, turn: &mut Turn<'_>, chore: Chore, steps: &mut usize) -> Result<Option<Chore>, StoreError> {
        match chore {
            Chore::Make { job, parent, part, left } => self.make(turn, (job, parent), part, left, steps),
            Chore::Release(released) => self.release_all(turn, released, steps),
            Chore::Stop { job, parent, after } => self.stop_all(turn, job, parent, after, steps),
            Chore::Resolve { task, .. } => {
                *steps = steps.saturating_sub(1);
                self.resolve(turn, task).map(|()| None)
            }
            Chore::Undo(job) => {
                *steps = steps.saturating_sub(1);
                self.undo(turn, job)
            }
            Chore::Keep { job, parent, after } => self.keep_all(turn, job, parent, after, steps),
        }
    }

    /// Writes what is left to do, with what has made it necessary.
    pub(super) fn write_chores(&mut self, turn: &mut Turn<'_>) {
        for sequence in std::mem::take(&mut self.jobs.chores.done) {
            turn.txn.delete(keys::chore(sequence));
        }
        let mut by_job = std::mem::take(&mut self.jobs.chores.by_job);
        for waiting in by_job.values_mut().flatten().filter(|waiting| !waiting.is_written) {
            let sequence = match waiting.sequence {
                Some(sequence) => sequence,
                None => self.sequence(turn),
            };
            (waiting.sequence, waiting.is_written) = (Some(sequence), true);
            turn.txn.put(keys::chore(sequence), codec::write(&waiting.chore));
        }
        self.jobs.chores.by_job = by_job;
    }
}
