//! Reads a job from a store: its plan, and the plans under it, page by page and within bounds.

use std::collections::VecDeque;

use sunaba_store::{PlanQuery, Store, StoreError};
use sunaba_task::job::{Job, JobId};
use sunaba_task::{State, Task, TaskId, Timestamp};

use super::gather::{Gather, Place, Places, Row};
use super::graph::{GraphBounds, GraphEdge, GraphNode, JobGraph};
use super::plain::one_line;
use super::story::{JobStory, WaitReport};
use super::tally::Tally;

/// Tasks of one page: a store has others to serve between two.
const PAGE: usize = 200;
/// The most edges of a graph.
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
    let mut reader = Reader {
        store,
        job,
        bounds,
        now: None,
        rows: Vec::new(),
        edges: Vec::new(),
        more_edges: 0,
        tally: Tally::default(),
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
    let waits = waits(store, &read).await?;
    Ok(Some(super::tell::tell(&read, waits)))
}

/// What those wait for that could run, each as its own story has it.
async fn waits(store: &dyn Store, read: &JobRead) -> Result<Vec<WaitReport>, StoreError> {
    let mut waits = Vec::new();
    for waiting in &read.tally.waiting {
        let Some(task) = store.task(waiting.task).await? else { continue };
        let standing = store.standing(waiting.task).await?;
        let story = crate::explain::explain(&task, Some(&standing), None, standing.now.unwrap_or(read.graph.now));
        let held = story.holds.iter().map(|hold| hold.message.clone());
        let messages = if story.holds.is_empty() { vec![story.conclusion] } else { held.collect() };
        let (name, state) = (waiting.name.clone(), task.state.name());
        waits.push(WaitReport { name, task: task.id.to_string(), state, messages });
    }
    Ok(waits)
}

/// Whether a task may have a plan of its own. The only place that knows: what is not asked for is not shown.
pub(crate) fn may_have_plan(job: &Job, task: &Task) -> bool {
    let undone =
        |link: &sunaba_task::job::JobLink| link.can_be_undone && job.compensates && task.state == State::Succeeded;
    task.has_children || task.job.as_ref().is_some_and(undone)
}

/// A plan to be read.
#[derive(Default)]
struct Scope {
    parent: Option<(TaskId, usize)>,
    /// What stands before the names of its tasks.
    within: String,
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
}

impl Reader<'_> {
    /// Level by level, so that what is high up is there if there is no room for all.
    async fn read_all(&mut self) -> Result<(), StoreError> {
        let mut scopes = VecDeque::from([Scope::default()]);
        while let Some(scope) = scopes.pop_front() {
            let room = self.bounds.nodes.saturating_sub(self.rows.len());
            if room == 0 || self.tally.read >= self.bounds.reads {
                return Ok(());
            }
            let rows = self.read_plan(&scope, room).await?;
            self.tie(&rows);
            for row in rows {
                let index = self.rows.len();
                if let Some(task) = row.plan_of {
                    let within = one_line(&format!("{}{} > ", scope.within, row.node.name), MAX_NAME_CHARS);
                    scopes.push_back(Scope { parent: Some((task, index)), within });
                }
                self.rows.push(row);
            }
        }
        Ok(())
    }

    async fn read_plan(&mut self, scope: &Scope, room: usize) -> Result<Vec<Row>, StoreError> {
        let mut gather = Gather::new(self.bounds.fold, room);
        let parent = scope.parent.map(|(task, _)| task);
        let mut query = PlanQuery { parent, ..PlanQuery::of(self.job.id, PAGE) };
        while self.tally.read < self.bounds.reads {
            let page = self.store.plan(query.clone()).await?;
            for (task, after) in page.tasks.into_iter().zip(page.after) {
                let now = self.now(&task).await?;
                let Some(name) = task.job.as_ref().map(|link| link.name.clone()) else { continue };
                self.tally.add(&self.job, &task, &format!("{}{name}", scope.within));
                let node = GraphNode { parent: scope.parent.map(|(_, index)| index), ..GraphNode::of(&task, now) };
                let plan_of = may_have_plan(&self.job, &task).then_some(task.id);
                gather.add(&name.clone(), Row { node, plan_of, after, place: Place::Node(name) });
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        Ok(gather.finish())
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

    /// Notes who waits for whom in a plan whose rows come next.
    fn tie(&mut self, rows: &[Row]) {
        let first = self.rows.len();
        let places = Places::of(rows, first);
        for (row, to) in rows.iter().zip(first..) {
            // Each of what it waits for once: a fold may stand for several.
            let mut known = std::collections::HashSet::from([to]);
            for after in &row.after {
                for from in places.find(&after.awaited) {
                    if !known.insert(from) {
                        continue;
                    }
                    if self.edges.len() >= MAX_EDGES {
                        self.more_edges += 1;
                        continue;
                    }
                    self.edges.push(GraphEdge { from, to, rule: after.on_failure, critical: false });
                }
            }
        }
    }

    fn finish(self) -> JobRead {
        let Self { job, now, rows, edges, more_edges, tally, .. } = self;
        let nodes = rows.into_iter().map(|row| row.node).collect();
        let mut graph = JobGraph {
            id: job.id.to_string(),
            name: job.spec.name.clone(),
            state: job.state,
            submitted_at: job.submitted_at,
            ended_at: job.ended_at,
            now: job.ended_at.or(now).unwrap_or(job.submitted_at),
            tasks: job.tasks.total().saturating_add(job.tasks.planned),
            // What came into being meanwhile may have been read, too.
            not_shown: job.tasks.total().saturating_add(job.tasks.planned).saturating_sub(tally.read),
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
