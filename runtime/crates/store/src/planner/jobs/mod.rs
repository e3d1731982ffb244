//! Jobs: their records, and what has to be done for them besides what is done for each task.
//!
//! A job's record has counts and no names, so that it costs the same however many tasks there are; of a turn that moves
//! many of them it is written once. What may take long (to make the tasks of a plan, to release all that wait for one task,
//! to stop a job) is a [`Chore`]: done in steps, a bounded number of them in a turn, and durable with the turn that made it
//! necessary. A crash in the middle loses no step, and repeats none.

mod again;
mod branch;
mod budget;
mod children;
mod chores;
mod ends;
mod keep;
mod look;
mod make;
mod query;
mod release;
mod stop;
mod submit;
mod undo;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_task::job::{
    Job, JobCause, JobHappening, JobId, JobLink, JobState, LowBudget, NodeName, OnFailure, Reserved,
};
use sunaba_task::{StateName, Task, TaskId, Timestamp};

use super::waiters::Waiters;
use super::{Planner, Reply, Turn};
use crate::{StoreError, codec, keys};
use chores::Chores;

pub(crate) use again::PreparedRetry;
pub(crate) use branch::Branch;
pub(super) use budget::Allowed;
pub(crate) use chores::Chore;
pub(crate) use submit::JobOwner;

/// Jobs whose records are at hand between two turns.
const MAX_AT_HAND: usize = 1_000;

/// A plan: a job's own, by the job's id, or that of one of its tasks, by the task's.
pub(crate) type Scope = [u8; 16];

/// The plan that a task is in.
pub(crate) fn scope(link: &JobLink) -> Scope {
    match link.parent {
        Some(undone) if link.undoes => undo_scope(undone),
        parent => scope_of(link.job, parent),
    }
}

/// The plan of a task of a job, or the job's own.
fn scope_of(job: JobId, parent: Option<TaskId>) -> Scope {
    parent.map_or_else(|| *job.as_bytes(), |parent| *parent.as_bytes())
}

/// Where the task is that undoes this one: not among its children, who may have any name. It is of another version than ids are.
fn undo_scope(undone: TaskId) -> Scope {
    let mut scope = *undone.as_bytes();
    scope[6] ^= 0x80;
    scope
}

/// How a group stands for which somebody waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Members that have not ended.
    pub(crate) left: u64,
    /// The first that has not succeeded.
    pub(crate) failed: Option<Failed>,
}

/// A task that has not succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) name: NodeName,
    pub(crate) task: TaskId,
}

/// What the planner has of jobs in memory.
#[derive(Default)]
pub(super) struct Jobs {
    at_hand: HashMap<JobId, AtHand>,
    /// Those that this turn has looked at, by plan and name.
    groups: BTreeMap<(Scope, String), Group>,
    /// Those of tasks that this turn has looked at.
    branches: BTreeMap<TaskId, Branch>,
    chores: Chores,
    /// What attempts may spend together which run, of jobs that have a budget of it.
    reserved: HashMap<JobId, Reserved>,
    /// No job has spent its time before.
    pub(super) next_deadline: Option<Timestamp>,
    /// When it is looked next whether a job is stuck; by the clock's `elapsed`.
    pub(super) next_look: Option<Duration>,
    /// Where that look goes on.
    look: look::Look,
    pub(super) waiters: Waiters<JobId, Reply<Option<Job>>>,
}

struct AtHand {
    job: Job,
    /// As it was when the turn began; none when the turn has not changed it.
    before: Option<Job>,
}

impl Planner {
    /// The record of a job, to be changed; none when there is none, or it cannot be read. Written at the end of the turn.
    fn job_mut(&mut self, turn: &Turn<'_>, id: JobId) -> Result<Option<&mut Job>, StoreError> {
        if !self.jobs.at_hand.contains_key(&id) {
            let Some(job) = self.read_job(turn, id)? else { return Ok(None) };
            self.jobs.at_hand.insert(id, AtHand { job, before: None });
        }
        let at_hand = self.jobs.at_hand.get_mut(&id);
        Ok(at_hand.map(|AtHand { job, before }| {
            before.get_or_insert_with(|| job.clone());
            job
        }))
    }

    /// The record of a job.
    fn job_ref(&mut self, turn: &Turn<'_>, id: JobId) -> Result<Option<&Job>, StoreError> {
        if !self.jobs.at_hand.contains_key(&id) {
            let Some(job) = self.read_job(turn, id)? else { return Ok(None) };
            self.jobs.at_hand.insert(id, AtHand { job, before: None });
        }
        Ok(self.jobs.at_hand.get(&id).map(|at_hand| &at_hand.job))
    }

    fn read_job(&self, turn: &Turn<'_>, id: JobId) -> Result<Option<Job>, StoreError> {
        let key = keys::job(id);
        let Some(stored) = turn.txn.get(&key)? else { return Ok(None) };
        match codec::read(&key, &stored) {
            Ok(job) => Ok(Some(job)),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, job = %id, "the record of a job cannot be read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A task of a plan has not succeeded, under this rule; whether whoever waits for it goes on.
    fn meet_failure(
        &mut self,
        turn: &Turn<'_>,
        id: JobId,
        parent: Option<TaskId>,
        own: Option<OnFailure>,
        failed: &Failed,
    ) -> Result<bool, StoreError> {
        if let Some(parent) = parent {
            return self.meet_failure_of_child(turn, id, parent, own, failed);
        }
        let Some(job) = self.job_mut(turn, id)? else { return Ok(false) };
        let rule = own.unwrap_or(job.spec.on_failure);
        let cause = || JobCause::Task { name: failed.name.clone(), task: failed.task };
        if job.failed(rule, cause) && job.is_stopping() {
            self.jobs.chores.push(Chore::Stop { job: id, parent: None, after: None });
        }
        Ok(rule.lets_go_on())
    }

    /// Counts that a task of a job came into being or moved.
    pub(super) fn count_moved(
        &mut self,
        turn: &Turn<'_>,
        before: Option<&Task>,
        after: &Task,
    ) -> Result<(), StoreError> {
        let Some(link) = &after.job else { return Ok(()) };
        let (state, awaited) = (after.state.name(), before.is_some_and(|before| before.awaits.is_some()));
        let before = before.map(|before| before.state.name());
        if before == Some(state) {
            return Ok(());
        }
        if let Some(job) = self.job_mut(turn, link.job)? {
            job.tasks.moved(before, state);
            job.tasks.awaiting =
                (job.tasks.awaiting + u64::from(after.awaits.is_some())).saturating_sub(u64::from(awaited));
            if state == StateName::Running {
                job.spent.attempts += 1;
            }
            if link.undoes {
                let is_over = after.state.is_terminal();
                job.tasks.undoing =
                    (job.tasks.undoing + u64::from(before.is_none())).saturating_sub(u64::from(is_over));
            }
        }
        Ok(())
    }

    /// Counts what an attempt has used.
    pub(super) fn count_used(&mut self, turn: &Turn<'_>, task: &Task) -> Result<(), StoreError> {
        let Some(link) = &task.job else { return Ok(()) };
        let receipt = task.attempts.last().and_then(|attempt| attempt.receipt.as_ref());
        if let (Some(receipt), Some(job)) = (receipt, self.job_mut(turn, link.job)?) {
            job.spent.add(receipt);
        }
        Ok(())
    }

    /// Works out where a job stands that is at hand. All of its tasks may have ended, and what that means not be known yet to all who
    /// waited for them.
    fn settle_job(&mut self, turn: &Turn<'_>, id: JobId) {
        let Some(AtHand { job, .. }) = self.jobs.at_hand.get_mut(&id) else { return };
        if job.tasks.unfinished() > 0 || !self.jobs.chores.releases(id) {
            job.settle(turn.now);
        }
    }

    /// Works out where the jobs stand that this turn has touched, and writes them.
    pub(super) fn write_jobs(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let mut touched: Vec<_> =
            self.jobs.at_hand.iter().filter(|(_, at_hand)| at_hand.before.is_some()).map(|(id, _)| *id).collect();
        // In an order that a simulation can repeat.
        touched.sort_unstable();
        for id in touched {
            self.end_if_spent(turn, id)?;
            self.end_if_stuck(turn, id)?;
            self.settle_job(turn, id);
            let Some(AtHand { job, before }) = self.jobs.at_hand.get_mut(&id) else { continue };
            let Some(before) = before.take() else { continue };
            // Of one that has ended nobody is told any more, though its record changes when another is made in its stead.
            let low = if before.state.is_terminal() { Vec::new() } else { job.warn(turn.now) };
            if *job == before {
                continue;
            }
            let what = JobHappening::between(&before, job);
            let undoes = job.state == JobState::Compensating && job.tasks.undoing == 0;
            if undoes && !self.jobs.chores.has(&Chore::Undo(id)) {
                self.jobs.chores.push(Chore::Undo(id));
            }
            job.revision += 1;
            turn.txn.put(keys::job(id), codec::write(&*job));
            let job = job.clone();
            let low = low.into_iter().map(|LowBudget { budget, spent, limit }| JobHappening::BudgetLow {
                budget,
                spent,
                limit,
            });
            low.chain(what).for_each(|what| self.tell_of_job(turn, &job, what));
            if job.state.is_terminal() && !before.state.is_terminal() {
                self.job_ended(turn, &job);
            }
        }
        for ((scope, name), group) in std::mem::take(&mut self.jobs.groups) {
            turn.txn.put(keys::group(&scope, &name), codec::write(&group));
        }
        for (parent, branch) in std::mem::take(&mut self.jobs.branches) {
            turn.txn.put(keys::branch(parent), codec::write(&branch));
        }
        if self.jobs.at_hand.len() > MAX_AT_HAND {
            self.jobs.at_hand.clear();
        }
        self.write_chores(turn);
        Ok(())
    }
}
