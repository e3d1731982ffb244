//! Shows jobs, and waits for their ends.

use std::time::Duration;

use sunaba_task::job::{After, Awaited, Job, JobId, NodeName};
use sunaba_task::{Payload, TaskId};

use super::super::parking::answer;
use super::super::{Planner, Reply, Turn};
use super::Scope;
use crate::{Awaitee, AwaiteePage, JobPage, JobQuery, MAX_PAGE, PlanPage, PlanQuery, StoreError, codec, keys};

/// Records that one query looks at. The commit thread does it, and has others to serve.
const MAX_LOOKS: usize = 500;
/// Bytes of outputs after which a page has no more.
const MAX_BYTES: u64 = 4 << 20;
/// Callers that may wait for the end of a job at a time.
const MAX_WAITERS: usize = 10_000;

impl Planner {
    /// The record of a job, as it stands within the turn.
    pub(crate) fn job(&self, turn: &Turn<'_>, id: JobId) -> Result<Option<Job>, StoreError> {
        match self.jobs.at_hand.get(&id) {
            Some(at_hand) => Ok(Some(at_hand.job.clone())),
            None => self.read_job(turn, id),
        }
    }

    /// The output of a job that has ended.
    pub(crate) fn job_output(&self, turn: &Turn<'_>, id: JobId) -> Result<Option<Payload>, StoreError> {
        let job = self.job(turn, id)?.filter(|job| job.state.is_terminal());
        let Some(result) = job.and_then(|job| job.spec.result) else { return Ok(None) };
        let task = turn.txn.get(&keys::node(id.as_bytes(), result.as_str()))?.as_deref().and_then(keys::id_of);
        task.map_or(Ok(None), |task| self.output(turn, task))
    }

    pub(crate) fn jobs(&self, turn: &Turn<'_>, query: &JobQuery) -> Result<JobPage, StoreError> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let (first, end) = keys::all(b'j');
        let end = query.before.map_or(end.to_vec(), keys::job);
        let mut page = JobPage::default();
        for (looks, pair) in turn.txn.scan(&first, &end, true).enumerate() {
            let (key, value) = pair?;
            let Ok(job) = codec::read::<Job>(&key, &value) else { continue };
            let id = job.id;
            let is_wanted = (query.states.is_empty() || query.states.contains(&job.state))
                && query.tag.as_ref().is_none_or(|tag| job.spec.tags.contains(tag));
            if is_wanted {
                page.jobs.push(job);
            }
            if page.jobs.len() == limit || looks + 1 == MAX_LOOKS {
                page.next = Some(id);
                break;
            }
        }
        Ok(page)
    }

    pub(crate) fn plan(&self, turn: &Turn<'_>, query: &PlanQuery) -> Result<PlanPage, StoreError> {
        let scope = query.parent.map_or_else(|| *query.job.as_bytes(), |parent| *parent.as_bytes());
        if let Some(parent) = query.parent {
            let link = self.readable(turn, parent)?.and_then(|stored| stored.task.job);
            // Whoever may see one job must not see another by it.
            if link.is_none_or(|link| link.job != query.job) {
                return Ok(PlanPage::default());
            }
        }
        let limit = query.limit.clamp(1, MAX_LOOKS);
        let Wanted { names, next } =
            self.wanted_nodes(turn, &scope, query.only.as_ref(), query.after.as_ref(), limit)?;
        let mut page = PlanPage { next, ..PlanPage::default() };
        for (_, id) in names {
            if let Some(stored) = self.readable(turn, id)? {
                page.tasks.push(stored.task);
                page.after.push(after(turn, id)?);
            }
        }
        if let Some(undone) = query.parent.filter(|_| query.only.is_none() && page.next.is_none()) {
            let undoes = self.names(turn, &super::undo_scope(undone), None, 1)?.pop();
            let undoes = undoes.map(|(_, id)| self.readable(turn, id)).transpose()?.flatten();
            if let Some(stored) = undoes {
                page.tasks.push(stored.task);
                page.after.push(Vec::new());
            }
        }
        Ok(page)
    }

    /// What came of those of a task's plan for which it could wait.
    pub(crate) fn awaited(
        &self,
        turn: &Turn<'_>,
        task: TaskId,
        only: &Awaited,
        after: Option<&NodeName>,
    ) -> Result<AwaiteePage, StoreError> {
        let Some(task) = self.stored(turn, task)?.map(|stored| stored.task) else {
            return Ok(AwaiteePage::default());
        };
        let Some(link) = &task.job else { return Ok(AwaiteePage::default()) };
        // Its own children come before others of its plan, whatever page is wanted.
        let own = task.has_children && {
            let own = self.wanted_nodes(turn, task.id.as_bytes(), Some(only), None, 1)?;
            !own.names.is_empty() || own.next.is_some()
        };
        let scope = if own { *task.id.as_bytes() } else { super::scope(link) };
        let Wanted { names, next } = self.wanted_nodes(turn, &scope, Some(only), after, MAX_LOOKS)?;
        let waits = self::after(turn, task.id)?;
        let covers = |after: &After| match (&after.awaited, only) {
            (Awaited::Group(group), Awaited::Node(name)) => name.group() == Some(group),
            (awaited, only) => awaited == only,
        };
        // One that waits for nobody may ask for children that it has not made yet.
        let is_childless = waits.is_empty() && names.is_empty() && next.is_none() && after.is_none();
        let is_waited_for = own || is_childless || waits.iter().any(covers);
        let (mut page, mut bytes) = (AwaiteePage { is_waited_for, ..AwaiteePage::default() }, 0);
        let last = names.last().map(|(name, _)| name.clone());
        for (name, id) in names {
            let Some(stored) = self.readable(turn, id)? else { continue };
            let output = self.output(turn, id)?;
            bytes += output.as_ref().map_or(0, |output| output.bytes.len() as u64);
            page.awaited.push(Awaitee { name: name.clone(), task: id, state: stored.task.state.name(), output });
            if bytes >= MAX_BYTES {
                page.next = Some(name).filter(|name| next.is_some() || Some(name) != last.as_ref());
                return Ok(page);
            }
        }
        page.next = next;
        Ok(page)
    }

    fn wanted_nodes(
        &self,
        turn: &Turn<'_>,
        scope: &Scope,
        only: Option<&Awaited>,
        after: Option<&NodeName>,
        limit: usize,
    ) -> Result<Wanted, StoreError> {
        match only {
            None => {
                let names = self.names(turn, scope, after, limit)?;
                let next = names.last().filter(|_| names.len() == limit).map(|(name, _)| name.clone());
                Ok(Wanted { names, next })
            }
            Some(Awaited::Node(name)) => {
                let id = turn.txn.get(&keys::node(scope, name.as_str()))?;
                let id = id.as_deref().and_then(keys::id_of).filter(|_| after.is_none_or(|after| after < name));
                Ok(Wanted { names: id.map(|id| (name.clone(), id)).into_iter().collect(), next: None })
            }
            Some(Awaited::Group(group)) => members(turn, scope, group, after, limit),
        }
    }

    pub(crate) fn park_job(&mut self, turn: &mut Turn<'_>, id: JobId, wait: Duration, reply: Reply<Option<Job>>) {
        match self.job(turn, id) {
            Ok(Some(job)) if !job.state.is_terminal() => {}
            ended => return turn.answers.push(answer(reply, ended)),
        }
        let waiters = &mut self.jobs.waiters;
        if waiters.len() >= MAX_WAITERS {
            waiters.forget(Reply::is_closed);
        }
        if waiters.len() >= MAX_WAITERS {
            return turn.answers.push(answer(reply, Err(StoreError::Busy { waiting: MAX_WAITERS })));
        }
        waiters.add(id, turn.elapsed.saturating_add(wait), reply);
    }

    pub(in super::super) fn answer_late_for_jobs(&mut self, turn: &mut Turn<'_>) {
        for (id, reply) in self.jobs.waiters.take_due(turn.elapsed) {
            let job = self.job(turn, id);
            turn.answers.push(answer(reply, job));
        }
    }
}

/// Tasks of a plan by their names, and the last name that was looked at when there may be more.
#[derive(Default)]
struct Wanted {
    names: Vec<(NodeName, TaskId)>,
    next: Option<NodeName>,
}

/// The members of a group. Groups within it are leapt over, each with one look; where there are many of them, a page may have
/// few names or none, and go on.
fn members(
    turn: &Turn<'_>,
    scope: &Scope,
    group: &str,
    after: Option<&NodeName>,
    limit: usize,
) -> Result<Wanted, StoreError> {
    let (first, end) = keys::members(scope, group);
    let mut from = after.map_or(first.clone(), |name| after_member(scope, group, name)).max(first);
    let mut wanted = Wanted::default();
    for _ in 0..MAX_LOOKS {
        let mut leap = None;
        for pair in turn.txn.scan(&from, &end, false) {
            let (key, value) = pair?;
            let (Some(name), Some(id)) = (keys::node_name(&key), keys::id_of(&value)) else { continue };
            if name.group() != Some(group) {
                leap = Some(name);
                break;
            }
            wanted.names.push((name.clone(), id));
            if wanted.names.len() == limit {
                wanted.next = Some(name);
                return Ok(wanted);
            }
        }
        let Some(name) = leap else {
            wanted.next = None;
            return Ok(wanted);
        };
        from = after_member(scope, group, &name);
        wanted.next = Some(name);
    }
    Ok(wanted)
}

/// The first key after that of a member of a group, or after all of the group within it that has this name.
fn after_member(scope: &Scope, group: &str, name: &NodeName) -> Vec<u8> {
    let inner = name.as_str().strip_prefix(group).and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
    match inner {
        Some((inner, _)) => keys::members(scope, &format!("{group}/{inner}")).1,
        None => keys::after_node(scope, name.as_str()),
    }
}

/// What a task was to wait for. What cannot be read is told, and nothing: the task itself is whole.
fn after(turn: &Turn<'_>, id: TaskId) -> Result<Vec<After>, StoreError> {
    let key = keys::after(id);
    let Some(stored) = turn.txn.get(&key)? else { return Ok(Vec::new()) };
    Ok(codec::read(&key, &stored).unwrap_or_else(|error| {
        tracing::error!(%error, task = %id, "what a task was to wait for cannot be read");
        Vec::new()
    }))
}
