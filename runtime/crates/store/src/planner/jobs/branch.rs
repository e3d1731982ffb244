//! How the plans of tasks stand, and the end of a task whose children have ended.
//!
//! A branch has counts and rules, and no names but those of the join and of the first failure: it has the same size however many
//! children there are.

use serde::{Deserialize, Serialize};
use sunaba_task::job::{JobCause, JobId, NodeName, OnFailure};
use sunaba_task::{Event, FailedChild, Payload, PayloadInfo, State, Task, TaskId, Verdict, transition};

use super::super::{Planner, Stored, Turn, inline_or_put};
use super::{Chore, Failed};
use crate::jobs::PlanPart;
use crate::{StoreError, codec, keys};

/// How the plan of a task stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Branch {
    /// Children that were made and have not ended.
    pub(crate) unfinished: u64,
    /// Those that are still to be made.
    pub(crate) planned: u64,
    /// The first for which the parent fails.
    pub(crate) failed: Option<Failed>,
    /// The child whose output is the parent's.
    pub(crate) join: Option<NodeName>,
    /// What it means that a child does not succeed, where a dependency does not say it.
    pub(crate) on_failure: OnFailure,
    /// Whether the first failure stops what else runs.
    pub(crate) stop_on_failure: bool,
    /// Whether what runs is being stopped, and nothing new begins.
    pub(crate) is_stopping: bool,
}

impl Branch {
    /// Whether all of it has ended.
    fn is_over(&self) -> bool {
        self.unfinished == 0 && self.planned == 0
    }
}

impl Planner {
    /// How the plan of a task stands, to be changed; written at the end of the turn.
    pub(super) fn branch_mut(&mut self, turn: &Turn<'_>, parent: TaskId) -> Result<&mut Branch, StoreError> {
        if !self.jobs.branches.contains_key(&parent) {
            let key = keys::branch(parent);
            let branch = match turn.txn.get(&key)?.map(|stored| codec::read(&key, &stored)).transpose() {
                Ok(branch) => branch.unwrap_or_default(),
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(%error, task = %parent, "how the plan of a task stands cannot be read; its job is stopped");
                    self.recount(turn, parent)?
                }
                Err(error) => return Err(error),
            };
            self.jobs.branches.insert(parent, branch);
        }
        Ok(self.jobs.branches.entry(parent).or_default())
    }

    /// Whether the plan of a task is being stopped. Changes nothing, so that nothing is written for it.
    pub(super) fn is_stopping(&self, turn: &Turn<'_>, parent: TaskId) -> Result<bool, StoreError> {
        if let Some(branch) = self.jobs.branches.get(&parent) {
            return Ok(branch.is_stopping);
        }
        let key = keys::branch(parent);
        let stored = turn.txn.get(&key)?;
        // One that cannot be read is found to be so by whoever changes it.
        Ok(stored.is_some_and(|stored| codec::read::<Branch>(&key, &stored).is_ok_and(|branch| branch.is_stopping)))
    }

    /// Counts again what a damaged branch had, and stops its job: by which rules it is to go on nobody knows.
    fn recount(&mut self, turn: &Turn<'_>, parent: TaskId) -> Result<Branch, StoreError> {
        let mut branch = Branch { is_stopping: true, ..Branch::default() };
        let (first, end) = keys::nodes(parent.as_bytes());
        for pair in turn.txn.scan(&first, &end, false) {
            let id = keys::id_of(&pair?.1);
            let child = id.map(|id| self.readable(turn, id)).transpose()?.flatten();
            branch.unfinished += u64::from(child.is_some_and(|child| !child.task.state.is_terminal()));
        }
        let parts = (keys::plan_part(parent.as_bytes(), 0), keys::plan_part(parent.as_bytes(), u32::MAX));
        for pair in turn.txn.scan(&parts.0, &parts.1, false) {
            let (key, value) = pair?;
            branch.planned += codec::read::<PlanPart>(&key, &value).map_or(0, |part| part.nodes.len() as u64);
        }
        let link = self.readable(turn, parent)?.and_then(|stored| stored.task.job);
        if let Some(link) = link {
            self.give_up(turn, link.job, format!("how the plan of `{}` stands is damaged", link.name))?;
        }
        Ok(branch)
    }

    /// A child has not succeeded, under this rule; whether whoever waits for it goes on.
    pub(super) fn meet_failure_of_child(
        &mut self,
        turn: &Turn<'_>,
        id: JobId,
        parent: TaskId,
        own: Option<OnFailure>,
        failed: &Failed,
    ) -> Result<bool, StoreError> {
        let branch = self.branch_mut(turn, parent)?;
        let rule = own.unwrap_or(branch.on_failure);
        if !rule.lets_go_on() && branch.failed.is_none() {
            branch.failed = Some(failed.clone());
            if branch.stop_on_failure {
                self.stop_branch(turn, id, parent)?;
            }
        }
        if let Some(job) = self.job_mut(turn, id)? {
            job.partial |= rule == OnFailure::Continue;
            if rule == OnFailure::Compensate {
                job.undo_for(JobCause::Task { name: failed.name.clone(), task: failed.task });
            }
        }
        Ok(rule.lets_go_on())
    }

    /// A child has ended, whatever it came to.
    pub(super) fn child_ended(&mut self, turn: &Turn<'_>, job: JobId, parent: TaskId) -> Result<(), StoreError> {
        let branch = self.branch_mut(turn, parent)?;
        branch.unfinished = branch.unfinished.saturating_sub(1);
        self.resolve_if_over(turn, job, parent)
    }

    /// Ends a task whose children have ended, if it waits for nothing else.
    pub(super) fn resolve_if_over(&mut self, turn: &Turn<'_>, job: JobId, parent: TaskId) -> Result<(), StoreError> {
        if self.branch_mut(turn, parent)?.is_over() {
            // Not at once: the record of the child that is the last is not written yet. And not before it is known to all what
            // the ends of the children mean.
            self.jobs.chores.push_resolve(job, parent);
        }
        Ok(())
    }

    /// The own part of a task is over, or somebody wants it cancelled meanwhile. If it cannot end well any more, neither need
    /// its children.
    pub(in super::super) fn has_to_wait(&mut self, turn: &Turn<'_>, task: &Task) -> Result<(), StoreError> {
        let verdict = task.attempts.last().map(|last| last.decision.verdict);
        if task.cancel.is_some() || matches!(verdict, Some(Verdict::GiveUp | Verdict::Cancel)) {
            self.stop_children(turn, task)?;
        }
        let Some(link) = &task.job else { return Ok(()) };
        self.resolve_if_over(turn, link.job, task.id)
    }

    /// Stops the children of a task, if it has some.
    pub(in super::super) fn stop_children(&mut self, turn: &Turn<'_>, task: &Task) -> Result<(), StoreError> {
        match &task.job {
            Some(link) if task.has_children => self.stop_branch(turn, link.job, task.id),
            _ => Ok(()),
        }
    }

    fn stop_branch(&mut self, turn: &Turn<'_>, job: JobId, parent: TaskId) -> Result<(), StoreError> {
        let branch = self.branch_mut(turn, parent)?;
        if !std::mem::replace(&mut branch.is_stopping, true) {
            self.jobs.chores.push_first(Chore::Stop { job, parent: Some(parent), after: None });
        }
        Ok(())
    }

    /// Ends a task that waits for its children, if these have ended.
    pub(super) fn resolve(&mut self, turn: &mut Turn<'_>, id: TaskId) -> Result<(), StoreError> {
        let Some(mut stored) = self.readable(turn, id)?.filter(|stored| stored.task.waits_for_children()) else {
            return Ok(());
        };
        let branch = self.branch_mut(turn, id)?.clone();
        if !branch.is_over() {
            return Ok(());
        }
        let (output, failed) = self.gives(turn, &stored.task, branch)?;
        let event = Event::ChildrenEnded { output: output.as_ref().map(PayloadInfo::of), failed: failed.map(Box::new) };
        let end = transition(&stored.task, event.clone(), turn.now).map(|change| change.task.state);
        if output.is_some() && stored.task.completion.is_some() {
            // What was given, and is not its output after all.
            turn.txn.delete(keys::output(id));
        }
        match output {
            Some(output) if end == Ok(State::Succeeded) => {
                stored.output = inline_or_put(turn, keys::output(id), &output.bytes);
            }
            _ if end == Ok(State::Succeeded) => {}
            _ => forget_output(turn, &mut stored),
        }
        self.change(turn, stored, event).map(drop)
    }

    /// What the children of a task have made for it, and for which of them it fails.
    fn gives(
        &self,
        turn: &Turn<'_>,
        task: &Task,
        Branch { failed, join, .. }: Branch,
    ) -> Result<(Option<Payload>, Option<FailedChild>), StoreError> {
        let child = |failed: Failed| FailedChild { name: failed.name, task: failed.task };
        let decomposed = task.attempts.last().is_some_and(|last| last.decision.verdict == Verdict::Decompose);
        let (Some(join), true, None) = (join, decomposed, &failed) else {
            let nothing = (decomposed && failed.is_none()).then(|| Payload::json("null"));
            return Ok((nothing, failed.map(child)));
        };
        let found = turn.txn.get(&keys::node(task.id.as_bytes(), join.as_str()))?.as_deref().and_then(keys::id_of);
        let end = found.map(|join| self.readable(turn, join)).transpose()?.flatten().map(|stored| stored.task.state);
        let id = found.unwrap_or(task.id);
        if end != Some(State::Succeeded) {
            // Whatever its rule is: there is nothing that the parent could give.
            return Ok((None, Some(FailedChild { name: join, task: id })));
        }
        match self.output(turn, id) {
            Ok(output) => Ok((Some(output.unwrap_or_else(|| Payload::json("null"))), None)),
            Err(StoreError::Damaged { .. }) => Ok((None, Some(FailedChild { name: join, task: id }))),
            Err(error) => Err(error),
        }
    }
}

/// What a handler had given that did not succeed in the end.
fn forget_output(turn: &mut Turn<'_>, stored: &mut Stored) {
    if stored.task.output.is_some() && stored.output.take().is_none() {
        turn.txn.delete(keys::output(stored.task.id));
    }
}
