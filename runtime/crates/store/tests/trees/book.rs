//! What a test has been told and has done: plain maps, and nothing of how a store keeps them. What must follow is in `claims`.

use std::collections::{BTreeMap, BTreeSet};

use sunaba_store::Leased;
use sunaba_task::job::{Awaited, Job, JobId, JobLink, NewJob, NewPlan, Node, NodeName, OnFailure};
use sunaba_task::{Fuel, Receipt, Task, TaskId, Verdict};

use crate::fuel::Gets;
use crate::world::{has_ended, link};

/// Where a task is: its job, its parent, its name, and whether it undoes that parent.
type Place = (JobId, Option<TaskId>, NodeName, bool);

/// What a job has spent, as its workers know it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spent {
    pub(crate) attempts: u64,
    /// Of those, what undid something: that is held to no budget.
    pub(crate) undoing: u64,
    pub(crate) fuel: u64,
    /// Of that, what undid something.
    pub(crate) fuel_of_undoing: u64,
}

/// A lease that somebody holds.
struct Live {
    job: JobId,
    limit: u64,
    undoes: bool,
    gets: Gets,
}

#[derive(Default)]
pub(crate) struct Book {
    jobs: BTreeMap<JobId, NewJob>,
    plans: BTreeMap<(JobId, Option<TaskId>), NewPlan>,
    live: BTreeMap<TaskId, Live>,
    spent: BTreeMap<JobId, Spent>,
    /// What was said of the last attempt of a task.
    said: BTreeMap<TaskId, Verdict>,
    places: BTreeMap<Place, TaskId>,
    /// Tasks of which an attempt had too small a share of fuel.
    pub(crate) small_shares: BTreeSet<TaskId>,
    /// Tasks that somebody has cancelled by themselves.
    pub(crate) by_hand: BTreeSet<TaskId>,
    /// Jobs that were cancelled before they were to end.
    pub(crate) cancelled: BTreeSet<JobId>,
    /// What stands in a job that is made over again, with what it stands for.
    pub(crate) standing: BTreeMap<JobId, BTreeMap<NodeName, TaskId>>,
}

/// Whether a dependency is on this node.
pub(crate) fn covers(awaited: &Awaited, name: &NodeName) -> bool {
    match awaited {
        Awaited::Node(awaited) => awaited == name,
        Awaited::Group(group) => name.group() == Some(group),
    }
}

impl Book {
    pub(crate) fn taken_on(&mut self, id: JobId, job: NewJob) {
        let NewJob { spec, nodes, .. } = &job;
        let plan = NewPlan {
            nodes: nodes.clone(),
            join: None,
            on_failure: spec.on_failure,
            stop_on_failure: spec.stop_on_failure,
        };
        self.plans.insert((id, None), plan);
        self.jobs.insert(id, job);
    }

    pub(crate) fn taken_on_again(&mut self, old: JobId, new: JobId, standing: BTreeMap<NodeName, TaskId>) {
        self.taken_on(new, self.jobs[&old].clone());
        self.standing.insert(new, standing);
    }

    pub(crate) fn leased(&mut self, leased: &Leased) {
        let JobLink { job, parent, name, undoes, .. } = link(&leased.task).clone();
        let id = leased.task.id;
        assert!(!self.said.contains_key(&id), "`{name}` runs again");
        let stands = self.standing.get(&job).is_some_and(|all| parent.is_none() && all.contains_key(&name));
        assert!(!stands || undoes, "`{name}` runs, and stands for what has succeeded");
        let first = *self.places.entry((job, parent, name.clone(), undoes)).or_insert(id);
        assert_eq!(first, id, "there are two tasks `{name}`");
        let gets = self.gets(leased);
        let spent = self.spent.entry(job).or_default();
        spent.attempts += 1;
        spent.undoing += u64::from(undoes);
        let limit = match leased.task.spec.limits.fuel {
            Fuel::Exact { limit } => limit.unwrap_or(0),
            Fuel::Off => 0,
        };
        assert!(self.live.insert(id, Live { job, limit, undoes, gets }).is_none(), "`{name}` is leased twice");
    }

    /// What a lease is of its job's budget of fuel.
    fn gets(&self, leased: &Leased) -> Gets {
        let link = link(&leased.task);
        let budget = self.jobs.get(&link.job).and_then(|job| job.spec.budget.fuel);
        let (Some(budget), Fuel::Exact { limit: Some(limit) }) = (budget, leased.task.spec.limits.fuel) else {
            return Gets::Own;
        };
        let own = self.node(link).map(|node| node.task.spec.limits.fuel);
        let is_own = own == Some(Fuel::Exact { limit: Some(limit) });
        let left = budget - self.spent.get(&link.job).map_or(0, |spent| spent.fuel);
        let gets = match limit {
            _ if is_own || link.undoes => Gets::Own,
            limit if limit == left => Gets::All,
            _ => Gets::Share,
        };
        let has_all = gets != Gets::Share || !self.small_shares.contains(&leased.task.id);
        assert!(has_all, "`{}` has a share again, of {limit} and not {left}", link.name);
        gets
    }

    /// The same of a lease that somebody holds.
    pub(crate) fn has(&self, id: TaskId) -> Gets {
        self.live.get(&id).map_or(Gets::Own, |live| live.gets)
    }

    /// The process has ended, and every lease with it.
    pub(crate) fn lost(&mut self) {
        self.live.clear();
    }

    pub(crate) fn handed_back(&mut self, leased: &Leased) {
        self.live.remove(&leased.task.id);
    }

    pub(crate) fn has_child(&mut self, parent: TaskId, link: &JobLink, child: Node) {
        self.plans.entry((link.job, Some(parent))).or_default().nodes.push(child);
    }

    pub(crate) fn settled(&mut self, task: &Task, verdict: Verdict, plan: Option<&NewPlan>, receipt: &Receipt) {
        let JobLink { job, undoes, .. } = *link(task);
        self.live.remove(&task.id);
        let (spent, used) = (self.spent.entry(job).or_default(), receipt.fuel.unwrap_or(0));
        spent.fuel += used;
        spent.fuel_of_undoing += if undoes { used } else { 0 };
        let said = match verdict {
            Verdict::Retry(_) | Verdict::Snooze(_) | Verdict::Requeue => return,
            Verdict::Await(_) if task.completion.is_none() => return,
            Verdict::Await(_) => Verdict::Succeed,
            verdict => verdict,
        };
        assert!(has_ended(task) || task.waits_for_children(), "it goes on: {task:#?}");
        self.said.insert(task.id, said);
        // One that could have no more children was cancelled instead.
        if let Some(plan) = plan.filter(|_| task.cancel.is_none()) {
            let written = self.plans.entry((job, Some(task.id))).or_default();
            written.nodes.extend(plan.nodes.iter().cloned());
            written.join.clone_from(&plan.join);
            (written.on_failure, written.stop_on_failure) = (plan.on_failure, plan.stop_on_failure);
        }
    }

    pub(crate) fn completed(&mut self, task: &Task) {
        if has_ended(task) || task.waits_for_children() {
            self.said.insert(task.id, Verdict::Succeed);
        }
    }

    pub(crate) fn job_cancelled(&mut self, before: &Job) {
        if matches!(before.state, sunaba_task::job::JobState::Running | sunaba_task::job::JobState::Stopping) {
            self.cancelled.insert(before.id);
        }
    }

    pub(crate) fn task_cancelled(&mut self, id: TaskId) {
        self.by_hand.insert(id);
    }

    pub(crate) fn said(&self, id: TaskId) -> Option<Verdict> {
        self.said.get(&id).copied()
    }

    pub(crate) fn plan(&self, job: JobId, parent: Option<TaskId>) -> Option<&NewPlan> {
        self.plans.get(&(job, parent))
    }

    pub(crate) fn names_of_plan(&self, job: JobId, parent: Option<TaskId>) -> Vec<NodeName> {
        self.plan(job, parent).into_iter().flat_map(|plan| &plan.nodes).map(|node| node.name.clone()).collect()
    }

    pub(crate) fn node(&self, link: &JobLink) -> Option<&Node> {
        self.plan(link.job, link.parent)?.nodes.iter().find(|node| node.name == link.name)
    }

    pub(crate) fn spent(&self, job: JobId) -> Spent {
        self.spent.get(&job).cloned().unwrap_or_default()
    }

    /// What those may use together that hold leases, and are held to the budget.
    pub(crate) fn reserved(&self, job: JobId) -> u64 {
        self.live.values().filter(|live| live.job == job && !live.undoes).map(|live| live.limit).sum()
    }

    /// What is to stand when a job is made over again: what has succeeded and was not undone, unless it is named, or waits for
    /// something that does not stand.
    pub(crate) fn standing(&self, job: JobId, tree: &[Task], from: &[NodeName]) -> BTreeMap<NodeName, TaskId> {
        let undone: BTreeSet<_> = tree
            .iter()
            .filter(|task| link(task).undoes && task.state == sunaba_task::State::Succeeded)
            .filter_map(|task| link(task).parent)
            .collect();
        let of_plan = tree.iter().filter(|task| link(task).parent.is_none());
        let mut standing: BTreeMap<_, _> = of_plan
            .filter(|task| task.state == sunaba_task::State::Succeeded && !undone.contains(&task.id))
            .map(|task| (link(task).name.clone(), task.id))
            .collect();
        standing.retain(|name, _| !from.contains(name));
        let nodes = &self.plans[&(job, None)].nodes;
        loop {
            let runs = |name: &NodeName| !standing.contains_key(name);
            let waits = nodes.iter().filter(|node| standing.contains_key(&node.name)).find(|node| {
                let mut all = node.after.iter().flat_map(|after| {
                    nodes.iter().map(|other| &other.name).filter(|other| covers(&after.awaited, other))
                });
                all.any(runs)
            });
            let Some(name) = waits.map(|node| node.name.clone()) else { return standing };
            standing.remove(&name);
        }
    }

    /// The rules by which it is told what it means that a node has not succeeded.
    pub(crate) fn rules(&self, plan: &NewPlan, name: &NodeName) -> Vec<OnFailure> {
        let waiting = plan.nodes.iter().flat_map(|node| &node.after).filter(|after| covers(&after.awaited, name));
        let rules: Vec<_> = waiting.map(|after| after.on_failure.unwrap_or(plan.on_failure)).collect();
        if rules.is_empty() { vec![plan.on_failure] } else { rules }
    }
}
