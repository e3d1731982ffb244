//! Makes the tasks of a plan. Each comes after all that it waits for.

#[cfg(test)]
mod tests;

use sunaba_task::job::{After, Awaited, JobId, JobLink};
use sunaba_task::{NewTask, State, TaskId};

use super::super::{Planner, Turn};
use super::again::ReadyNode;
use super::children::Above;
use super::{Chore, Failed, Group, Scope, scope, scope_of};
use crate::jobs::PlanPart;
use crate::{StoreError, codec, keys};

/// How something stands that a new task is to wait for.
enum Found {
    /// It has not ended.
    Waits,
    /// It has; what of it did not succeed.
    Ended(Option<Failed>),
}

impl Planner {
    /// Makes tasks, part by part of the plan; what is left to do.
    pub(super) fn make(
        &mut self,
        turn: &mut Turn<'_>,
        (id, parent): (JobId, Option<TaskId>),
        mut part: u32,
        mut left: u64,
        steps: &mut usize,
    ) -> Result<Option<Chore>, StoreError> {
        let scope = scope_of(id, parent);
        let Some(above) = self.above(turn, parent)? else {
            return self.all_made(turn, id, parent, left).map(|()| None);
        };
        while *steps > 0 {
            let key = keys::plan_part(&scope, part);
            let Some(stored) = turn.txn.get(&key)? else {
                return self.all_made(turn, id, parent, left).map(|()| None);
            };
            turn.txn.delete(key.clone());
            part += 1;
            *steps = steps.saturating_sub(1);
            let Some(mut plan) = turn.read_or_set_aside::<PlanPart>(&key, &stored)? else { continue };
            let nodes = plan.nodes.split_off(self.at_once(turn, &plan.nodes)?);
            if !nodes.is_empty() {
                turn.txn.put(key, codec::write(&PlanPart { groups: Vec::new(), nodes }));
                (part, *steps) = (part - 1, 0);
            }
            let count = plan.nodes.len() as u64;
            left = left.saturating_sub(count);
            if !self.count_made(turn, id, parent, count)? {
                continue;
            }
            for (name, left) in plan.groups {
                self.jobs.groups.insert((scope, name), Group { left, failed: None });
            }
            // What a task waits for is looked at one by one, which takes longer than to make the task.
            let looks: usize = plan.nodes.iter().map(|node| node.after.len()).sum();
            let cost = plan.nodes.len() + looks;
            self.jobs.chores.overdrawn += cost.saturating_sub(*steps);
            *steps = steps.saturating_sub(cost);
            for planned in plan.nodes {
                if let Some(ready) = self.ready(turn, id, planned)? {
                    self.make_one(turn, id, above, ready)?;
                }
            }
        }
        Ok(Some(Chore::Make { job: id, parent, part, left }))
    }

    /// Where the plan of a task is in the tree; none when the task is not there any more.
    fn above(&self, turn: &Turn<'_>, parent: Option<TaskId>) -> Result<Option<Above>, StoreError> {
        let Some(parent) = parent else { return Ok(Some(None)) };
        let link = self.readable(turn, parent)?.and_then(|stored| stored.task.job);
        Ok(link.map(|link| Some((parent, link.depth))))
    }

    /// Counts tasks of a plan that are not to be made any more: they are made now, if this says so, or never.
    fn count_made(
        &mut self,
        turn: &Turn<'_>,
        id: JobId,
        parent: Option<TaskId>,
        count: u64,
    ) -> Result<bool, StoreError> {
        let Some(job) = self.job_mut(turn, id)? else { return Ok(false) };
        job.tasks.planned = job.tasks.planned.saturating_sub(count);
        let mut goes_on = !job.is_stopping();
        job.tasks.not_made += if goes_on || parent.is_some() { 0 } else { count };
        if let Some(parent) = parent {
            let branch = self.branch_mut(turn, parent)?;
            branch.planned = branch.planned.saturating_sub(count);
            goes_on &= !branch.is_stopping;
            // All at once, before the first of them may end.
            branch.unfinished += if goes_on { count } else { 0 };
        }
        if let Some(job) = self.job_mut(turn, id)?.filter(|_| goes_on) {
            job.spent.tasks += count;
        }
        Ok(goes_on)
    }

    /// There is nothing more of a plan to be made. So many of it are damaged, and never will be.
    fn all_made(&mut self, turn: &Turn<'_>, id: JobId, parent: Option<TaskId>, damaged: u64) -> Result<(), StoreError> {
        if let Some(parent) = parent {
            self.branch_mut(turn, parent)?.planned = 0;
        }
        if let Some(job) = self.job_mut(turn, id)?.filter(|_| damaged > 0) {
            job.tasks.planned = job.tasks.planned.saturating_sub(damaged);
            job.tasks.not_made += if parent.is_none() { damaged } else { 0 };
            self.give_up(turn, id, format!("{damaged} tasks of a plan cannot be read"))?;
        }
        parent.map_or(Ok(()), |parent| self.resolve_if_over(turn, id, parent))
    }

    pub(super) fn make_one(
        &mut self,
        turn: &mut Turn<'_>,
        job: JobId,
        above: Above,
        ready: ReadyNode,
    ) -> Result<TaskId, StoreError> {
        let ReadyNode { name, after: all, task, compensation, done, is_awaited, is_counted } = ready;
        let can_be_undone = compensation.is_some();
        let (undoes, parent) = (false, above.map(|(parent, _)| parent));
        let depth = above.map_or(1, |(_, depth)| depth + 1);
        let link = JobLink { job, parent, name, depth, is_awaited, is_counted, can_be_undone, undoes };
        let scope = scope(&link);
        if let Some(done) = done {
            let id = self.reuse(turn, *done, link)?;
            keep_beside(turn, id, &all, compensation.as_ref());
            return Ok(id);
        }
        let (mut waits_for, mut not_run) = (Vec::new(), None);
        for after in &all {
            match self.look_at(turn, job, &scope, &after.awaited)? {
                Found::Waits => waits_for.push(after),
                Found::Ended(None) => {}
                Found::Ended(Some(failed)) => {
                    if !self.meet_failure(turn, job, parent, after.on_failure, &failed)? {
                        not_run = Some(not_run_for(&after.awaited));
                    }
                }
            }
        }
        let id = self.take_on_for_job(turn, &task, link, waits_for.len() as u64)?;
        keep_beside(turn, id, &all, compensation.as_ref());
        for after in waits_for {
            let key = keys::waits(&scope, &after.awaited.to_string(), id);
            turn.txn.put(key, codec::write(&after.on_failure));
        }
        if let Some(reason) = not_run {
            self.do_not_run(turn, id, reason)?;
        }
        Ok(id)
    }

    fn look_at(&mut self, turn: &Turn<'_>, job: JobId, scope: &Scope, awaited: &Awaited) -> Result<Found, StoreError> {
        Ok(match awaited {
            Awaited::Group(name) => match self.group_mut(turn, job, scope, name)? {
                Some(Group { left, .. }) if *left > 0 => Found::Waits,
                group => Found::Ended(group.and_then(|group| group.failed.clone())),
            },
            Awaited::Node(name) => {
                let found = turn.txn.get(&keys::node(scope, name.as_str()))?.as_deref().and_then(keys::id_of);
                let Some(task) = found else { return Ok(Found::Waits) };
                match self.readable(turn, task)? {
                    Some(stored) if !stored.task.state.is_terminal() => Found::Waits,
                    Some(stored) if stored.task.state == State::Succeeded => Found::Ended(None),
                    // What is damaged did not succeed, as far as anybody can tell.
                    _ => Found::Ended(Some(Failed { name: name.clone(), task })),
                }
            }
        })
    }

    /// A record; none when there is none that can be read.
    pub(super) fn readable(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<super::super::Stored>, StoreError> {
        match self.stored(turn, id) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            other => other,
        }
    }

    /// A group of a plan, to be changed; none when nobody waits for it.
    pub(super) fn group_mut(
        &mut self,
        turn: &Turn<'_>,
        job: JobId,
        scope: &Scope,
        name: &str,
    ) -> Result<Option<&mut Group>, StoreError> {
        let place = (*scope, name.to_owned());
        if !self.jobs.groups.contains_key(&place) {
            let key = keys::group(scope, name);
            let Some(stored) = turn.txn.get(&key)? else { return Ok(None) };
            let group = match codec::read(&key, &stored) {
                Ok(group) => group,
                Err(StoreError::Damaged { .. }) => self.count_again(turn, job, scope, name)?,
                Err(error) => return Err(error),
            };
            self.jobs.groups.insert(place.clone(), group);
        }
        Ok(self.jobs.groups.get_mut(&place))
    }

    /// Counts again what a damaged group had, and stops its job: whether all of it was made, and has succeeded, nobody knows.
    fn count_again(&mut self, turn: &Turn<'_>, job: JobId, scope: &Scope, name: &str) -> Result<Group, StoreError> {
        let (mut group, (first, end)) = (Group { left: 0, failed: None }, keys::members(scope, name));
        for pair in turn.txn.scan(&first, &end, false) {
            let id = keys::id_of(&pair?.1);
            let member = id.map(|id| self.readable(turn, id)).transpose()?.flatten();
            group.left += u64::from(member.is_some_and(|member| !member.task.state.is_terminal()));
        }
        self.give_up(turn, job, format!("how the group `{name}` stands is damaged"))?;
        Ok(group)
    }
}

/// Keeps what is to be known of a task besides its record: what it was to wait for, and what undoes it.
fn keep_beside(turn: &mut Turn<'_>, id: TaskId, after: &[After], compensation: Option<&NewTask>) {
    if let Some(compensation) = compensation {
        turn.txn.put(keys::compensation(id), codec::write(compensation));
    }
    if !after.is_empty() {
        turn.txn.put(keys::after(id), codec::write(&after));
    }
}

/// Why a task is not run.
pub(super) fn not_run_for(awaited: &impl std::fmt::Display) -> String {
    format!("`{awaited}`, which it waits for, did not succeed")
}
