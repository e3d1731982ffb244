//! What the end of a task means to its job, and the end of a job.

use sunaba_task::job::{Awaited, Job, JobCause, JobId};
use sunaba_task::{Block, State, StateName, Task};

use super::super::parking::answer;
use super::super::{Planner, Turn};
use super::chores::Released;
use super::{Chore, Failed, scope};
use crate::{StoreError, keys};

/// Names that are told of what waits for ever.
const SHOWN_NAMES: usize = 3;
/// Tasks that are looked at for them.
const MAX_LOOKS: usize = 1_000;

impl Planner {
    /// A task of a job has ended.
    pub(in super::super) fn task_of_job_ended(&mut self, turn: &mut Turn<'_>, task: &Task) -> Result<(), StoreError> {
        let Some(link) = &task.job else { return Ok(()) };
        if link.undoes {
            return self.undone(turn, task, link);
        }
        if link.can_be_undone && task.state == State::Succeeded {
            self.can_be_undone(turn, task, link)?;
        }
        let failed = (task.state != State::Succeeded).then(|| Failed { name: link.name.clone(), task: task.id });
        let (job, parent, scope) = (link.job, link.parent, scope(link));
        let released =
            |awaited: &Awaited, failed| Chore::Release(Released { job, parent, awaited: awaited.to_string(), failed });
        if link.is_awaited {
            self.jobs.chores.push(released(&Awaited::Node(link.name.clone()), failed.clone()));
        }
        if let Some(name) = link.name.group().filter(|_| link.is_counted) {
            let name = name.to_owned();
            if let Some(group) = self.group_mut(turn, job, &scope, &name)? {
                group.left = group.left.saturating_sub(1);
                if group.failed.is_none() {
                    group.failed.clone_from(&failed);
                }
                if group.left == 0 {
                    let failed = group.failed.clone();
                    self.jobs.chores.push(released(&Awaited::Group(name), failed));
                }
            }
        }
        // Where nothing waits for it, the rule of its plan says what it means.
        if let (Some(failed), false, false) = (&failed, link.is_awaited, link.is_counted)
            && !self.end_with_founder(turn, task)?
        {
            self.meet_failure(turn, job, parent, None, failed)?;
        }
        parent.map_or(Ok(()), |parent| self.child_ended(turn, job, parent))
    }

    /// Has a job be cancelled as the task is that it was founded for; whether it is. One that is stopped for another reason has
    /// that one.
    fn end_with_founder(&mut self, turn: &Turn<'_>, task: &Task) -> Result<bool, StoreError> {
        let link = task.job.as_ref().filter(|link| link.parent.is_none() && task.state == State::Cancelled);
        let (Some(link), Some(cancel)) = (link, &task.cancel) else { return Ok(false) };
        let job = self.job_mut(turn, link.job)?.filter(|job| job.is_founded && job.cause.is_none());
        let Some(job) = job else { return Ok(false) };
        job.end_for(JobCause::Cancelled(cancel.reason.clone()));
        Ok(true)
    }

    /// Ends a job in which nothing is left that could move it on.
    pub(super) fn end_if_stuck(&mut self, turn: &Turn<'_>, id: JobId) -> Result<(), StoreError> {
        let Some(at_hand) = self.jobs.at_hand.get(&id) else { return Ok(()) };
        let tasks = &at_hand.job.tasks;
        let blocked = tasks.in_state(StateName::Blocked);
        let moves = tasks.unfinished() > blocked || !self.jobs.chores.is_empty();
        if blocked == 0 || moves || at_hand.job.state.is_terminal() {
            return Ok(());
        }
        let reason = self.what_is_stuck(turn, id, blocked)?;
        tracing::error!(job = %id, reason, "a job is stuck");
        if let Some(job) = self.job_mut(turn, id)? {
            job.end_for(JobCause::Stuck(reason));
            self.jobs.chores.push(Chore::Stop { job: id, parent: None, after: None });
        }
        Ok(())
    }

    /// Stops a job of which something cannot be read that it needs, unless it is being stopped.
    pub(super) fn give_up(&mut self, turn: &Turn<'_>, id: JobId, reason: String) -> Result<(), StoreError> {
        tracing::error!(job = %id, reason, "a job is stopped");
        if let Some(job) = self.job_mut(turn, id)?.filter(|job| !job.state.is_terminal() && !job.is_stopping()) {
            job.end_for(JobCause::Stuck(reason));
            self.jobs.chores.push(Chore::Stop { job: id, parent: None, after: None });
        }
        Ok(())
    }

    /// Goes down to those who wait for others: whoever waits for his children waits for these.
    fn what_is_stuck(&self, turn: &Turn<'_>, id: JobId, blocked: u64) -> Result<String, StoreError> {
        let (mut names, mut plans, mut looks) = (Vec::new(), vec![*id.as_bytes()], MAX_LOOKS);
        while let Some(plan) = plans.pop() {
            let page = self.names(turn, &plan, None, looks)?;
            looks -= page.len();
            for (name, task) in page {
                match self.readable(turn, task)?.map(|stored| stored.task.state) {
                    Some(State::Blocked(Block::Others { .. })) => names.push(format!("`{name}`")),
                    Some(State::Blocked(Block::Children)) => plans.push(*task.as_bytes()),
                    _ => {}
                }
            }
            if names.len() >= SHOWN_NAMES || looks == 0 {
                break;
            }
        }
        names.truncate(SHOWN_NAMES);
        Ok(format!("{blocked} tasks wait for what will not come; among them {}", names.join(", ")))
    }

    /// A job has ended; its record is written.
    pub(super) fn job_ended(&mut self, turn: &mut Turn<'_>, job: &Job) {
        for at in [job.late_at(), job.deadline()].into_iter().flatten() {
            turn.txn.delete(keys::job_deadline(at, job.id));
        }
        for reply in self.jobs.waiters.take(job.id) {
            turn.answers.push(answer(reply, Ok(Some(job.clone()))));
        }
        self.keep_job(turn, job);
        self.jobs.chores.push(Chore::Keep { job: job.id, parent: None, after: None });
    }
}
