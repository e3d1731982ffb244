//! Gives running tasks children: those of a plan, or one at a time.

use sunaba_task::job::{BudgetName, Job, JobId, JobLink, JobSpec, NodeName, Spent};
use sunaba_task::{CancelRequest, Event, LeaseToken, StateName, Task, TaskId, transition};

use super::super::{Planner, Stored, Turn};
use super::again::ReadyNode;
use super::{Chore, stop};
use crate::children::{PreparedChild, PreparedPlan};
use crate::jobs::queues_of;
use crate::{ChildPlanError, StoreError, SubmitChildError, Submitted, codec, keys};

/// The name of a task in the job that is founded for it.
const NAME: &str = "main";

/// Why a task gets no more children, as those are told who end with it.
enum NoMore {
    Stopping(String),
    Budget(BudgetName, String),
}

impl Planner {
    /// Whether a running task can have this plan.
    pub(in super::super) fn check_plan(
        &mut self,
        turn: &Turn<'_>,
        task: &Task,
        plan: &PreparedPlan,
    ) -> Result<Result<(), ChildPlanError>, StoreError> {
        let Some(link) = &task.job else { return Ok(Ok(())) };
        if link.undoes {
            return Ok(Err(ChildPlanError::Undoes));
        }
        if let Some(name) = &plan.uncounted
            && self.counts_fuel(turn, link.job)?
        {
            return Ok(Err(ChildPlanError::FuelNotCounted(name.clone())));
        }
        for name in plan.names.iter().filter(|_| task.has_children) {
            if turn.txn.get(&keys::node(task.id.as_bytes(), name.as_str()))?.is_some() {
                return Ok(Err(ChildPlanError::Taken(name.clone())));
            }
        }
        Ok(Ok(()))
    }

    fn counts_fuel(&mut self, turn: &Turn<'_>, job: JobId) -> Result<bool, StoreError> {
        Ok(self.job_ref(turn, job)?.is_some_and(|job| job.spec.budget.fuel.is_some()))
    }

    /// Gives a task its plan, which is settled in this turn. One that can have no more children is cancelled, and says why.
    pub(in super::super) fn begin_plan(
        &mut self,
        turn: &mut Turn<'_>,
        stored: &mut Stored,
        plan: PreparedPlan,
    ) -> Result<(), StoreError> {
        let link = self.found(turn, stored)?;
        let (id, PreparedPlan { planned, parts, queues, join, on_failure, stop_on_failure, .. }) =
            (stored.task.id, plan);
        if let Some(NoMore::Stopping(reason) | NoMore::Budget(_, reason)) = self.no_more(turn, &link, planned)? {
            let request = CancelRequest { at: turn.now, reason, grace: None };
            return happen(turn, &mut stored.task, Event::CancelRequested(request));
        }
        for (number, part) in (0..).zip(parts) {
            turn.txn.put(keys::plan_part(id.as_bytes(), number), part);
        }
        if let Some(job) = self.job_mut(turn, link.job)? {
            job.tasks.planned += planned;
            job.queues.join(&queues);
        }
        let branch = self.branch_mut(turn, id)?;
        branch.planned = planned;
        (branch.join, branch.on_failure, branch.stop_on_failure) = (join, on_failure, stop_on_failure);
        // What those mean that were submitted before, and have failed, must not depend on when they did.
        if let Some(failed) = branch.failed.take() {
            self.meet_failure_of_child(turn, link.job, id, None, &failed)?;
        }
        self.jobs.chores.push(Chore::Make { job: link.job, parent: Some(id), part: 0, left: planned });
        Ok(())
    }

    /// Makes a child of a task that runs, or finds the one that was made before.
    pub(crate) fn submit_child(
        &mut self,
        turn: &mut Turn<'_>,
        token: &LeaseToken,
        PreparedChild { node, body, is_uncounted }: PreparedChild,
    ) -> Result<Result<Submitted, SubmitChildError>, StoreError> {
        let running = self.running.get(&token.task).filter(|_| self.has_lease(token));
        let Some(mut stored) = running.map(|running| running.stored.clone()) else {
            return Ok(Err(SubmitChildError::LeaseLost));
        };
        let (parent, name) = (stored.task.id, node.name.clone());
        let place = keys::node(parent.as_bytes(), name.as_str());
        if let Some(found) = turn.txn.get(&place)? {
            return self.submitted_before(turn, name, keys::body_of_node(&found) == Some(body), &found);
        }
        turn.txn.check_room()?;
        if stored.task.job.as_ref().is_some_and(|link| link.undoes) {
            return Ok(Err(SubmitChildError::Undoes));
        }
        if let Some(cancel) = &stored.task.cancel {
            return Ok(Err(SubmitChildError::Stopping(format!("its parent was cancelled: {}", cancel.reason))));
        }
        let queue = &node.task.spec.queue;
        if let Some((waiting, limit)) = self.lanes.overflow(queue) {
            return Ok(Err(SubmitChildError::QueueFull { queue: queue.clone(), waiting, limit }));
        }
        let link = self.found(turn, &mut stored)?;
        turn.txn.put(keys::task(parent), codec::write(&stored));
        if let Some(running) = self.running.get_mut(&parent) {
            running.stored = stored;
        }
        match self.no_more(turn, &link, 1)? {
            None => {}
            Some(NoMore::Stopping(reason)) => return Ok(Err(SubmitChildError::Stopping(reason))),
            Some(NoMore::Budget(name, _)) => return Ok(Err(SubmitChildError::Budget(name))),
        }
        if is_uncounted && self.counts_fuel(turn, link.job)? {
            return Ok(Err(SubmitChildError::FuelNotCounted(name)));
        }
        self.branch_mut(turn, parent)?.unfinished += 1;
        if let Some(job) = self.job_mut(turn, link.job)? {
            job.spent.tasks += 1;
            job.queues.join(&queues_of([&node]));
        }
        let child = self.make_one(turn, link.job, Some((parent, link.depth)), ReadyNode::from(node))?;
        turn.txn.put(place, keys::submitted_node(body, child));
        let made =
            self.stored(turn, child)?.ok_or_else(|| codec::damaged(&keys::task(child), "it is not there".into()))?;
        Ok(Ok(Submitted::Created(made.task)))
    }

    fn submitted_before(
        &self,
        turn: &Turn<'_>,
        name: NodeName,
        is_same: bool,
        found: &[u8],
    ) -> Result<Result<Submitted, SubmitChildError>, StoreError> {
        let task = keys::id_of(found).ok_or_else(|| codec::damaged(found, "it has no task".into()))?;
        if !is_same {
            return Ok(Err(SubmitChildError::Conflict { name, task }));
        }
        let stored = self.stored(turn, task)?;
        let stored = stored.ok_or_else(|| codec::damaged(&keys::task(task), "it is not there".into()))?;
        Ok(Ok(Submitted::Existing(stored.task)))
    }

    /// Has a running task have children: one that is of no job becomes the main task of a new one.
    fn found(&mut self, turn: &mut Turn<'_>, stored: &mut Stored) -> Result<JobLink, StoreError> {
        let task = &mut stored.task;
        let (link, founded) = match &task.job {
            Some(link) => (link.clone(), None),
            None => {
                let link = self.found_job(turn, task);
                (link.clone(), Some(Box::new(link)))
            }
        };
        if !task.has_children {
            happen(turn, task, Event::HasChildren(founded))?;
        }
        Ok(link)
    }

    fn found_job(&mut self, turn: &mut Turn<'_>, task: &Task) -> JobLink {
        let sequence = self.sequence(turn);
        let id = JobId::from_bytes(*self.task_id(turn, sequence).as_bytes());
        let name: NodeName = NAME.parse().expect("it is a name");
        let spec = JobSpec {
            name: task.spec.handler.to_string(),
            tags: task.spec.tags.clone(),
            result: Some(name.clone()),
            ..JobSpec::default()
        };
        let mut job = Job::submitted(id, spec, 0, turn.now);
        job.plan = 1;
        job.queues.add(&task.spec.queue);
        job.tasks.moved(None, StateName::Running);
        job.is_founded = true;
        let before = task.used_before.as_deref().cloned().unwrap_or_default();
        job.spent = Spent { attempts: task.attempts_started.into(), tasks: 1, ..before };
        task.attempts.iter().filter_map(|attempt| attempt.receipt.as_ref()).for_each(|used| job.spent.add(used));
        self.begin_job(turn, job);
        turn.txn.put(keys::node(id.as_bytes(), NAME), bytes::Bytes::copy_from_slice(task.id.as_bytes()));
        JobLink {
            job: id,
            parent: None,
            name,
            depth: 1,
            is_awaited: false,
            is_counted: false,
            can_be_undone: false,
            undoes: false,
        }
    }

    /// Why a task can have no so many children more, if that is so. A budget that they would exceed is spent.
    fn no_more(&mut self, turn: &Turn<'_>, link: &JobLink, more: u64) -> Result<Option<NoMore>, StoreError> {
        let Some(job) = self.job_ref(turn, link.job)? else { return Ok(None) };
        if job.is_stopping() || job.state.is_terminal() {
            return Ok(Some(NoMore::Stopping(stop::reason(job))));
        }
        let budget = &job.spec.budget;
        let tasks = job.spent.tasks.saturating_add(job.tasks.planned).saturating_add(more);
        let name = match () {
            () if more > 0 && link.depth >= budget.depth => BudgetName::Depth,
            () if tasks > budget.tasks => BudgetName::Tasks,
            () => return Ok(None),
        };
        self.end_for(turn, link.job, name)?;
        let reason = self.job_ref(turn, link.job)?.map(stop::reason).unwrap_or_default();
        Ok(Some(NoMore::Budget(name, reason)))
    }
}

/// Applies an event to a record that runs.
fn happen(turn: &Turn<'_>, task: &mut Task, event: Event) -> Result<(), StoreError> {
    *task = transition(task, event, turn.now)
        .map_err(|error| codec::damaged(&keys::task(task.id), error.to_string()))?
        .task;
    Ok(())
}

/// The task whose plan a new task is in, and how deep that one's own plan is.
pub(super) type Above = Option<(TaskId, u32)>;
