//! Makes jobs over again: what has succeeded stands as it was, and the rest is run anew.

use std::collections::BTreeMap;

use bytes::Bytes;
use sunaba_task::job::{After, Job, JobId, JobLink, Node, NodeName};
use sunaba_task::{HandlerName, Happening, MAX_ARTIFACTS, NewTask, State, Task, TaskId, Timestamp};

use super::super::callbacks::without_key;
use super::super::{Planner, Stored, Turn, body, inline_or_put};
use super::{scope, undo_scope};
use crate::jobs::{PlannedNode, PreparedJob, Work};
use crate::retry::{OldNode, RetryJobError};
use crate::{PlanQuery, StoreError, SubmittedJob, keys};

/// Bytes of inputs and outputs that are copied at a time.
const MAX_COPIED_BYTES: u64 = 1 << 20;

/// A node of which everything is at hand to make its task.
pub(super) struct ReadyNode {
    pub(super) name: NodeName,
    pub(super) after: Vec<After>,
    pub(super) task: NewTask,
    pub(super) compensation: Option<NewTask>,
    /// What has succeeded in its stead, in a job that has ended.
    pub(super) done: Option<Box<Stored>>,
    pub(super) is_awaited: bool,
    pub(super) is_counted: bool,
}

impl From<Node> for ReadyNode {
    fn from(node: Node) -> Self {
        let Node { name, task, after, compensation } = node;
        Self { name, after, task, compensation, done: None, is_awaited: false, is_counted: false }
    }
}

/// A job to be made over again, as it was prepared outside of the commit thread.
#[derive(Debug)]
pub(crate) struct PreparedRetry {
    pub(crate) old: JobId,
    /// As it was when this was prepared.
    pub(crate) revision: u64,
    pub(crate) job: PreparedJob,
    /// One of the tasks of each handler that is run anew.
    pub(crate) handlers: BTreeMap<HandlerName, TaskId>,
}

impl Planner {
    /// Makes a job over again.
    pub(crate) fn retry_job(
        &mut self,
        turn: &mut Turn<'_>,
        prepared: PreparedRetry,
    ) -> Result<Result<Job, RetryJobError>, StoreError> {
        let PreparedRetry { old, revision, job, handlers } = prepared;
        let Some(before) = self.job(turn, old)? else { return Ok(Err(RetryJobError::Unknown(old))) };
        if let Some(successor) = before.successor.filter(|_| before.revision != revision) {
            return Ok(Err(RetryJobError::Already { job: old, successor }));
        }
        for (handler, task) in handlers {
            let Some(stored) = self.readable(turn, task)? else {
                return Ok(Err(RetryJobError::Gone { job: old, task }));
            };
            // What no package has is of the host's own program.
            let Some(package) = self.package(turn, &handler.package)? else { continue };
            if package.handler(&handler.handler).is_none() {
                return Ok(Err(RetryJobError::NoHandler { job: old, handler }));
            }
            if !self.takes_the_same(turn, &stored.task.spec, &package) {
                return Ok(Err(RetryJobError::OtherInput { job: old, handler, version: package.version }));
            }
        }
        let new = match self.submit_job(turn, job)? {
            Ok(SubmittedJob::Created(new) | SubmittedJob::Existing(new)) => *new,
            Err(error) => return Ok(Err(error.into())),
        };
        if let Some(before) = self.job_mut(turn, old)? {
            before.successor = Some(new.id);
        }
        let Some(job) = self.job_mut(turn, new.id)? else { return Ok(Err(RetryJobError::Unknown(new.id))) };
        (job.origin, job.is_founded) = (Some(old), before.is_founded);
        Ok(Ok(job.clone()))
    }

    /// Tasks of the plan of a job that has ended, as one that is made of it needs to know them; and where to go on.
    pub(crate) fn old_nodes(
        &self,
        turn: &Turn<'_>,
        query: &PlanQuery,
    ) -> Result<(Vec<OldNode>, Option<NodeName>), StoreError> {
        let page = self.plan(turn, query)?;
        let mut nodes = Vec::with_capacity(page.tasks.len());
        for (task, after) in page.tasks.iter().zip(page.after) {
            nodes.extend(OldNode::of(task, after, self.was_undone(turn, task)?));
        }
        Ok((nodes, page.next))
    }

    /// Whether what a task did is undone. What could not be undone stands.
    fn was_undone(&self, turn: &Turn<'_>, task: &Task) -> Result<bool, StoreError> {
        if !task.job.as_ref().is_some_and(|link| link.can_be_undone) {
            return Ok(false);
        }
        let undoes = self.names(turn, &undo_scope(task.id), None, 1)?.pop();
        let undoes = undoes.map(|(_, id)| self.readable(turn, id)).transpose()?.flatten();
        Ok(undoes.is_some_and(|stored| stored.task.state == State::Succeeded))
    }

    /// Everything that it takes to make the task of a node; none when it cannot be made any more, and its job is stopped.
    pub(super) fn ready(
        &mut self,
        turn: &mut Turn<'_>,
        id: JobId,
        planned: PlannedNode,
    ) -> Result<Option<ReadyNode>, StoreError> {
        let PlannedNode { name, after, work, is_awaited, is_counted } = planned;
        let (task, compensation, done) = match work {
            Work::New { task, compensation } => (*task, compensation.map(|task| *task), None),
            Work::Again { old, is_done } => match self.read_again(turn, old, is_done)? {
                Some(read) => read,
                None => {
                    if let Some(job) = self.job_mut(turn, id)? {
                        job.tasks.not_made += 1;
                        job.spent.tasks -= 1;
                    }
                    self.give_up(turn, id, format!("what `{name}` was is not kept any more"))?;
                    return Ok(None);
                }
            },
        };
        Ok(Some(ReadyNode { name, after, task, compensation, done, is_awaited, is_counted }))
    }

    /// What a task was submitted with, and what undoes it; and the task, if it stands. None when it is not kept any more.
    #[expect(clippy::type_complexity, reason = "the parts of a node, for one caller")]
    fn read_again(
        &mut self,
        turn: &mut Turn<'_>,
        old: TaskId,
        is_done: bool,
    ) -> Result<Option<(NewTask, Option<NewTask>, Option<Box<Stored>>)>, StoreError> {
        let Some(stored) = self.readable(turn, old)? else { return Ok(None) };
        let task = &stored.task;
        let Ok(input) = body(turn, &keys::input(old), stored.input.as_ref(), &task.input.media_type) else {
            return Ok(None);
        };
        let mut spec = without_key(&task.spec);
        if let Some(package) = self.package(turn, &spec.handler.package)?
            && self.takes_the_same(turn, &spec, &package)
        {
            spec.component = package.component;
        }
        let place = keys::compensation(old);
        let compensation = match turn.txn.get(&place)? {
            Some(how) => turn.read_or_set_aside::<NewTask>(&place, &how)?,
            None => None,
        };
        // What it gave may be gone by now: then it is run again.
        let stands = is_done && self.has_output(turn, &stored)?;
        Ok(Some((NewTask::new(spec, input), compensation, stands.then(|| Box::new(stored)))))
    }

    fn has_output(&self, turn: &Turn<'_>, stored: &Stored) -> Result<bool, StoreError> {
        let Some(info) = &stored.task.output else { return Ok(stored.task.state == State::Succeeded) };
        match body(turn, &keys::output(stored.task.id), stored.output.as_ref(), &info.media_type) {
            Ok(_) => Ok(stored.task.state == State::Succeeded),
            Err(StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many nodes of a part of a plan are made at a time, and one at least: what stands is copied with all that it has.
    pub(super) fn at_once(&self, turn: &Turn<'_>, nodes: &[PlannedNode]) -> Result<usize, StoreError> {
        let (mut artifacts, mut bytes) = (0, 0);
        for (count, node) in nodes.iter().enumerate() {
            let Work::Again { old, is_done: true } = &node.work else { continue };
            artifacts += self.count_artifacts(turn, *old)?;
            if let Some(stored) = self.readable(turn, *old)? {
                let output = stored.task.output.as_ref().map_or(0, |output| output.size_bytes);
                bytes += stored.task.input.size_bytes + output;
            }
            if count > 0 && (artifacts > MAX_ARTIFACTS || bytes > MAX_COPIED_BYTES) {
                return Ok(count);
            }
        }
        Ok(nodes.len())
    }

    /// Makes a task that stands for one which has succeeded in another job, with what that gave.
    pub(super) fn reuse(&mut self, turn: &mut Turn<'_>, old: Stored, link: JobLink) -> Result<TaskId, StoreError> {
        let sequence = self.sequence(turn);
        let id = self.task_id(turn, sequence);
        let place = keys::node(&scope(&link), link.name.as_str());
        let input = body(turn, &keys::input(old.task.id), old.input.as_ref(), &old.task.input.media_type)?;
        let output = match &old.task.output {
            Some(info) => Some(body(turn, &keys::output(old.task.id), old.output.as_ref(), &info.media_type)?),
            None => None,
        };
        let task = Task::standing_for(&old.task, id, sequence, link, turn.now);
        let mut stored = Stored {
            input: inline_or_put(turn, keys::input(id), &input.bytes),
            output: output.and_then(|output| inline_or_put(turn, keys::output(id), &output.bytes)),
            output_until: task.output.as_ref().map(|_| Timestamp::from_unix_ms(u64::MAX)),
            record_until: None,
            has_checkpoint: false,
            task,
        };
        for tag in &stored.task.spec.tags {
            turn.txn.put(keys::among(keys::with_tag(tag), id), Bytes::new());
        }
        if let Some(key) = keys::in_state(stored.task.state.name()) {
            turn.txn.put(keys::among(key, id), Bytes::new());
        }
        self.name_again(turn, old.task.id, id)?;
        self.put(turn, &mut stored);
        turn.txn.put(place, Bytes::copy_from_slice(id.as_bytes()));
        self.tell_of(turn, &stored.task, Happening::Submitted);
        // Whoever counts by the feed what has not ended must not wait for this one.
        self.tell_of(turn, &stored.task, Happening::Succeeded);
        self.count_moved(turn, None, &stored.task)?;
        self.task_of_job_ended(turn, &stored.task)?;
        Ok(id)
    }
}
