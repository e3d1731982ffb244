//! Reads a job from a store: its plan, and the plans under it, page by page and within bounds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sunaba_store::{PlanQuery, Store, StoreError};
use sunaba_task::job::{Job, JobId, NodeName};
use sunaba_task::{State, StateName, Task, TaskId, Timestamp};

use super::gather::{Gather, Place, Places, Row};
use super::graph::{GraphBounds, GraphEdge, GraphNode, JobGraph};
use super::node::MAX_CAUSE_CHARS;
use super::plain::one_line;
use super::story::JobStory;
use super::tally::Tally;

/// Tasks of one page: a store has others to serve between two.
const PAGE: usize = 200;
/// The most edges of a graph, besides one of each node: that to what it waited for last.
const MAX_EDGES: usize = 10_000;
/// The longest name of what a task is within.
const MAX_NAME_CHARS: usize = 400;

/// A job as it was read.
#[derive(Debug)]
pub struct JobRead {
    /// The graph of its tasks.
    pub graph: JobGraph,
    pub(super) job: Job,
    pub(super) tally: Tally,
}

/// Reads a job; none when there is none of this id.
///
/// # Errors
/// The store does not answer.
pub async fn read_job(store: &dyn Store, id: JobId, bounds: GraphBounds) -> Result<Option<JobRead>, StoreError> {
    let Some(job) = store.job(id).await? else { return Ok(None) };
    let tally = Tally::of(&job);
    let mut reader = Reader {
        store,
        job,
        bounds,
        now: None,
        rows: Vec::new(),
        edges: Vec::new(),
        more_edges: 0,
        tally,
        plans: Default::default(),
        looks: 0,
        shown: 0,
    };
    reader.read_all().await?;
    Ok(Some(reader.finish()))
}

/// Why a job is where it is; none when there is none of this id.
///
/// # Errors
/// The store does not answer.
pub async fn explain_job(store: &dyn Store, id: JobId, bounds: GraphBounds) -> Result<Option<JobStory>, StoreError> {
    let Some(read) = read_job(store, id, bounds).await? else { return Ok(None) };
    let waits = super::waits::reports(store, &read.tally.waiting, read.graph.now).await?;
    Ok(Some(super::tell::tell(&read, waits)))
}

/// Whether a task may have a plan of its own. The only place that knows: what is not asked for is not shown.
pub(crate) fn may_have_plan(job: &Job, task: &Task) -> bool {
    let undone =
        |link: &sunaba_task::job::JobLink| link.can_be_undone && job.compensates && task.state == State::Succeeded;
    task.has_children || task.job.as_ref().is_some_and(undone)
}

/// By what the longest chain chooses: the greatest.
type Order = (bool, bool, bool, Option<Timestamp>, usize);

/// A plan to be read.
struct Scope {
    /// Whose it is; none: the job's own.
    parent: Option<TaskId>,
    /// The node of that; none of a task that is one of many in its node.
    node: Option<usize>,
    /// What stands before the name of the parent, and that name.
    above: Arc<str>,
    name: Option<NodeName>,
}

impl Scope {
    fn own() -> Self {
        Self { parent: None, node: None, above: Arc::from(""), name: None }
    }

    /// What stands before the names of its tasks.
    fn within(&self) -> Arc<str> {
        match &self.name {
            None => Arc::clone(&self.above),
            Some(name) => one_line(&format!("{}{name} > ", self.above), MAX_NAME_CHARS).into(),
        }
    }
}

/// A task that may have a plan, as it was found.
struct Above {
    task: TaskId,
    name: NodeName,
    is_dead: bool,
}

struct Reader<'s> {
    store: &'s dyn Store,
    job: Job,
    bounds: GraphBounds,
    now: Option<Timestamp>,
    rows: Vec<Row>,
    edges: Vec<GraphEdge>,
    more_edges: u64,
    tally: Tally,
    /// Plans to be read: of what is dead, which tell why, and then of all else. Each level by level, so that what is high up is
    /// there if there is no room for all.
    plans: [VecDeque<Scope>; 2],
    /// Tasks that were asked for; a plan without any counts as one.
    looks: u64,
    /// Tasks that are a node, or in one.
    shown: u64,
}

impl Reader<'_> {
    /// Every plan there is, as far as the bound of reads goes: what a fold stands for has plans too, which tell why it failed.
    async fn read_all(&mut self) -> Result<(), StoreError> {
        self.plans[1].push_back(Scope::own());
        while self.looks < self.bounds.reads {
            let [dead, others] = &mut self.plans;
            let Some(scope) = dead.pop_front().or_else(|| others.pop_front()) else { break };
            let within = scope.within();
            let (rows, above) = self.read_plan(&scope, &within).await?;
            self.tie(&rows);
            let first = self.rows.len();
            let nodes: HashMap<TaskId, usize> =
                rows.iter().zip(first..).filter_map(|(row, index)| Some((row.plan_of?, index))).collect();
            self.rows.extend(rows);
            for Above { task, name, is_dead } in above {
                let node = nodes.get(&task).copied();
                let scope = Scope { parent: Some(task), node, above: Arc::clone(&within), name: Some(name) };
                self.plans[usize::from(!is_dead)].push_back(scope);
            }
        }
        self.tally.causes.finish();
        Ok(())
    }

    /// The nodes of a plan, and those of its tasks that may have plans. Where there is no place for nodes, it is only looked at.
    async fn read_plan(&mut self, scope: &Scope, within: &str) -> Result<(Vec<Row>, Vec<Above>), StoreError> {
        let room = self.bounds.nodes.saturating_sub(self.rows.len());
        let is_shown = room > 0 && (scope.node.is_some() || scope.parent.is_none());
        let (mut gather, mut above) = (Gather::new(self.bounds.fold, room), Vec::new());
        let mut query = PlanQuery { parent: scope.parent, ..PlanQuery::of(self.job.id, PAGE) };
        while self.looks < self.bounds.reads {
            let page = self.store.plan(query.clone()).await?;
            self.looks += page.tasks.len().max(1) as u64;
            for (task, after) in page.tasks.into_iter().zip(page.after) {
                let now = self.now(&task).await?;
                let Some(name) = task.job.as_ref().map(|link| link.name.clone()) else { continue };
                let node = GraphNode { parent: scope.node, ..GraphNode::of(&task, now) };
                self.tally.add(&task, &node, within);
                let plan_of = may_have_plan(&self.job, &task).then_some(task.id);
                if plan_of.is_some() {
                    let is_dead = node.state == StateName::Dead;
                    above.push(Above { task: task.id, name: name.clone(), is_dead });
                }
                if is_shown {
                    self.shown += 1;
                    gather.add(&name.clone(), Row { node, plan_of, after, place: Place::Node(name) });
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        Ok((gather.finish(), above))
    }

    /// Now, by the store's clock, which only a look at a task tells.
    async fn now(&mut self, task: &Task) -> Result<Timestamp, StoreError> {
        if let Some(now) = self.now.or(self.job.ended_at) {
            return Ok(now);
        }
        let now = self.store.standing(task.id).await?.now.unwrap_or(task.since);
        self.now = Some(now);
        Ok(now)
    }

    /// Notes who waits for whom in a plan whose rows come next. Of what a row waits for, what ended last is always noted: by
    /// that the longest chain goes.
    fn tie(&mut self, rows: &[Row]) {
        let first = self.rows.len();
        let places = Places::of(rows, first);
        for (row, to) in rows.iter().zip(first..) {
            // Each of what it waits for once: a fold may stand for several.
            let mut known = HashSet::from([to]);
            let mut last: Option<(Order, bool, GraphEdge)> = None;
            for after in &row.after {
                for from in places.find(&after.awaited).into_iter().filter(|from| known.insert(*from)) {
                    let edge = GraphEdge { from, to, rule: after.on_failure, critical: false };
                    let is_kept = self.edges.len() < MAX_EDGES;
                    let order = self.order(&rows[from - first], row, from);
                    if last.as_ref().is_none_or(|(known, ..)| *known < order) {
                        last = Some((order, is_kept, edge.clone()));
                    }
                    if is_kept {
                        self.edges.push(edge);
                    } else {
                        self.more_edges += 1;
                    }
                }
            }
            if let Some((_, false, edge)) = last {
                self.edges.push(edge);
                self.more_edges -= 1;
            }
        }
    }

    /// Among those that a row waits for, the longest chain goes by what ended last before it began.
    fn order(&self, from: &Row, to: &Row, index: usize) -> Order {
        let now = self.job.ended_at.or(self.now).unwrap_or(self.job.submitted_at);
        let (end, began) = (from.node.ended_at, to.node.started_at.or(to.node.ended_at).unwrap_or(now));
        let unended = end.is_none() && !self.job.state.is_terminal();
        (from.place != Place::Rest, end.is_some_and(|end| end <= began), unended, end, index)
    }

    fn finish(self) -> JobRead {
        let Self { job, now, rows, edges, more_edges, tally, shown, .. } = self;
        let mut nodes: Vec<_> = rows.into_iter().map(|row| row.node).collect();
        nodes.iter_mut().for_each(|node| node.tell_leaves(&tally));
        let mut graph = JobGraph {
            id: job.id.to_string(),
            name: job.spec.name.clone(),
            state: job.state,
            submitted_at: job.submitted_at,
            ended_at: job.ended_at,
            now: job.ended_at.or(now).unwrap_or(job.submitted_at),
            tasks: job.tasks.total().saturating_add(job.tasks.planned),
            // What came into being meanwhile may have been read, too.
            not_shown: job.tasks.total().saturating_add(job.tasks.planned).saturating_sub(shown),
            fuel: job.spent.fuel,
            nodes,
            edges,
            edges_not_shown: more_edges,
            path: Vec::new(),
        };
        graph.in_order();
        graph.mark_path();
        JobRead { graph, job, tally }
    }
}

impl GraphNode {
    /// Of those that a group tells of because they failed: what they are dead of, where that is a child, which has no node.
    fn tell_leaves(&mut self, tally: &Tally) {
        for failed in self.fold.iter_mut().flat_map(|fold| &mut fold.failed) {
            let leaf = failed.task.as_deref().and_then(|task| tally.causes.leaf(task));
            if let (Some(leaf), Some(cause)) = (leaf, &mut failed.cause) {
                *cause = one_line(&format!("{cause}: {}", leaf.cause), MAX_CAUSE_CHARS);
            }
        }
    }
}

impl JobGraph {
    /// Puts the nodes in their order: a parent before its plan, and in a plan each after what it waits for, then by name.
    pub(super) fn in_order(&mut self) {
        let (layers, children) = (super::layout::layers(self.nodes.len(), &self.edges), self.children());
        let key = |index: &usize| (layers[*index], *index);
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut next: VecDeque<Option<usize>> = VecDeque::from([None]);
        // Plan by plan, so that the nodes of one stand together.
        while let Some(parent) = next.pop_front() {
            let mut plan: Vec<_> = match parent {
                None => self.plan(None).collect(),
                Some(parent) => children[parent].clone(),
            };
            plan.sort_by_key(key);
            next.extend(plan.iter().copied().filter(|index| !children[*index].is_empty()).map(Some));
            order.extend(plan);
        }
        let mut place = vec![0; self.nodes.len()];
        order.iter().enumerate().for_each(|(new, old)| place[*old] = new);
        let mut nodes: Vec<_> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.iter().filter_map(|old| nodes[*old].take()).collect();
        for node in &mut self.nodes {
            node.parent = node.parent.map(|old| place[old]);
        }
        for edge in &mut self.edges {
            (edge.from, edge.to) = (place[edge.from], place[edge.to]);
        }
    }
}
