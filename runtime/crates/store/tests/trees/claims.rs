//! What must hold: when a task is leased, between any two steps, and when a job has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use sunaba_store::{Engine as _, LeaseRequest, Leased, PlanQuery, Queues, Store as _};
use sunaba_task::job::{BudgetName, Job, JobCause, JobId, JobState, NewPlan, NodeName, OnFailure};
use sunaba_task::{Clock as _, Policy, State, StateName, Task, TaskId, Verdict};

use crate::book::covers;
use crate::world::{World, has_ended, link};

/// All that a store does for jobs in one turn, where a test does not want less.
const WHOLE_TURN: usize = 1_000;

/// A task may be run now. `before`: the jobs as they stood when somebody asked for work.
pub(crate) async fn may_run(world: &World, leased: &Leased, before: &[Job]) {
    let (task, link) = (&leased.task, link(&leased.task).clone());
    let job = before.iter().find(|job| job.id == link.job).expect("it is one of ours");
    let name = &link.name;
    assert!(!world.job(job.id).await.state.is_terminal(), "`{name}` runs after the end of its job");
    if link.undoes {
        let parent = world.task(link.parent.expect("it undoes that")).await;
        assert_eq!(parent.state, State::Succeeded, "what is undone has been done");
        let rest = world.tree(job.id).await;
        let has_ended = |task: &Task| crate::world::link(task).undoes || has_ended(task);
        assert!(rest.iter().all(has_ended), "it is undone while others run");
        return;
    }
    let may = matches!(job.state, JobState::Running);
    assert!(may && !job.is_stopping(), "`{name}` begins while its job is {}: {:?}", job.state, job.cause);
    let late = job.deadline().is_some_and(|at| at <= world.clock.now());
    assert!(!late, "`{name}` begins after the deadline of its job");
    assert!(link.depth <= job.spec.budget.depth, "`{name}` is too deep: {}", link.depth);
    assert_eq!(task.cancel, None, "`{name}` was cancelled");
    if let Some(parent) = link.parent {
        let parent = world.task(parent).await;
        assert!(!has_ended(&parent), "`{name}` runs below what has ended");
        // What this lease has come to may have stopped all of it.
        let goes_on = world.steps == WHOLE_TURN && !world.job(job.id).await.is_stopping();
        assert!(!goes_on || parent.cancel.is_none(), "`{name}` runs below what was cancelled: {:#?}", world.log);
    }
    let budget = &job.spec.budget;
    let spent = world.book.spent(job.id);
    if let Some(limit) = budget.attempts {
        assert!(spent.attempts - spent.undoing < limit, "an attempt begins over the budget of {limit}");
    }
    if let Some(limit) = budget.fuel {
        let sunaba_task::Fuel::Exact { limit: Some(own) } = task.spec.limits.fuel else {
            panic!("`{name}` has no limit")
        };
        let most = spent.fuel + world.book.reserved(job.id) + own;
        assert!(own > 0 && most <= limit, "{own} for `{name}`, {most} of {limit} together");
    }
    dependencies_have_ended(world, leased).await;
}

async fn dependencies_have_ended(world: &World, leased: &Leased) {
    let link = link(&leased.task).clone();
    let Some(plan) = world.book.plan(link.job, link.parent) else { panic!("`{}` is of no plan", link.name) };
    let Some(node) = plan.nodes.iter().find(|node| node.name == link.name) else {
        panic!("`{}` is not of its plan", link.name)
    };
    for after in &node.after {
        let only = Some(after.awaited.clone());
        let query = PlanQuery { parent: link.parent, only, ..PlanQuery::of(link.job, 100) };
        let found = world.store.plan(query).await.expect("it works").tasks;
        let awaited = plan.nodes.iter().filter(|other| covers(&after.awaited, &other.name)).count();
        assert_eq!(found.len(), awaited, "`{}` runs before all of `{}` is there", link.name, after.awaited);
        let rule = after.on_failure.unwrap_or(plan.on_failure);
        for other in &found {
            assert!(has_ended(other), "`{}` runs before `{}` has ended", link.name, after.awaited);
            let is_well = other.state == State::Succeeded || rule.lets_go_on();
            assert!(is_well, "`{}` runs, and `{}` did not succeed", link.name, after.awaited);
        }
    }
}

/// While nothing runs, what is queued is leased, or its job is to end: nobody waits for what will not come back.
pub(crate) async fn nothing_waits_for_nothing(world: &World, before: &[Job]) {
    for job in before.iter().filter(|job| job.tasks.in_state(StateName::Queued) > 0) {
        let now = world.job(job.id).await;
        let waits = now.tasks.in_state(StateName::Queued) > 0 && !now.is_stopping();
        assert!(!waits, "nothing runs, and nothing is leased: {now:#?} {:#?}", world.log);
    }
}

/// What a job has spent is what its workers know, and within its budgets.
pub(crate) fn budgets_hold(world: &World, job: &Job) {
    let (spent, budget) = (world.book.spent(job.id), &job.spec.budget);
    assert_eq!((job.spent.attempts, job.spent.fuel), (spent.attempts, spent.fuel), "attempts and fuel of {job:#?}");
    assert!(job.spent.tasks + job.tasks.planned <= budget.tasks, "{job:#?}");
    let held = (spent.attempts - spent.undoing, spent.fuel - spent.fuel_of_undoing);
    assert!(budget.attempts.is_none_or(|limit| held.0 <= limit), "{job:#?}");
    assert!(budget.fuel.is_none_or(|limit| held.1 <= limit), "{job:#?}");
}

/// What the failures of a plan mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Met {
    fails: bool,
    partial: bool,
    compensates: bool,
}

/// A job that has ended, with all of its tasks.
struct Ended<'w> {
    world: &'w World,
    job: Job,
    tasks: BTreeMap<TaskId, Task>,
    /// Of all plans in which nothing was stopped.
    met: Met,
    /// Whether something was stopped anywhere, so that not all of it follows from rules.
    is_disturbed: bool,
}

/// What must hold of every job that has ended.
pub(crate) async fn has_ended_well(world: &World, id: JobId) -> Job {
    let (job, tasks) = (world.job(id).await, world.tree(id).await);
    counts_are_right(&job, &tasks);
    budgets_hold(world, &job);
    cause_is_true(world, &job, &tasks);
    let tasks: BTreeMap<_, _> = tasks.into_iter().map(|task| (task.id, task)).collect();
    for task in tasks.values() {
        if let Some(parent) = link(task).parent.filter(|_| !link(task).undoes) {
            assert!(tasks[&parent].ended_at >= task.ended_at, "a child ends after its parent");
        }
    }
    crate::stops::nothing_begins_after_a_stop(world, id, &tasks).await;
    let mut ended = Ended { world, job, tasks, met: Met::default(), is_disturbed: false };
    ended.check().await;
    ended.job
}

fn counts_are_right(job: &Job, tasks: &[Task]) {
    assert!(job.state.is_terminal() && job.ended_at.is_some());
    assert_eq!((job.tasks.unfinished(), job.tasks.undoing), (0, 0), "{job:#?}");
    assert_eq!(job.tasks.total(), tasks.len() as u64, "{job:#?} {tasks:#?}");
    for state in StateName::ALL {
        let found = tasks.iter().filter(|task| task.state.name() == state).count() as u64;
        assert_eq!(job.tasks.in_state(state), found, "{state}");
    }
    assert!(tasks.iter().all(has_ended));
    assert_eq!(job.spent.tasks, tasks.iter().filter(|task| !link(task).undoes).count() as u64, "{job:#?}");
}

fn cause_is_true(world: &World, job: &Job, tasks: &[Task]) {
    let (spent, budget) = (world.book.spent(job.id), &job.spec.budget);
    let held = (spent.attempts - spent.undoing, spent.fuel - spent.fuel_of_undoing);
    assert_eq!(job.cause.is_none(), job.state == JobState::Succeeded, "{job:#?}");
    match &job.cause {
        None => {}
        Some(JobCause::Task { name, task }) => {
            let found = tasks.iter().find(|found| found.id == *task).expect("it is there");
            assert!(link(found).name == *name && found.state != State::Succeeded, "{job:#?}");
        }
        Some(JobCause::Budget(BudgetName::Attempts)) => assert_eq!(Some(held.0), budget.attempts, "{job:#?}"),
        Some(JobCause::Budget(BudgetName::Fuel)) => assert_eq!(Some(held.1), budget.fuel, "{job:#?}"),
        Some(JobCause::Budget(BudgetName::Time)) => assert!(job.ended_at >= job.deadline(), "{job:#?}"),
        Some(JobCause::Budget(BudgetName::ArtifactBytes)) => panic!("nobody has limited it"),
        Some(JobCause::Budget(BudgetName::Tasks | BudgetName::Depth)) => {}
        Some(JobCause::Cancelled(_)) => assert!(world.book.cancelled.contains(&job.id), "{job:#?}"),
        Some(JobCause::Stuck(reason)) => panic!("{reason}: {:#?}", world.log),
    }
    let is_cancelled = matches!(job.cause, Some(JobCause::Cancelled(_)));
    assert_eq!(job.state == JobState::Cancelled, is_cancelled);
}

impl Ended<'_> {
    async fn check(&mut self) {
        let is_stopped = match &self.job.cause {
            None => false,
            Some(JobCause::Task { .. }) => self.job.spec.stop_on_failure,
            Some(_) => true,
        };
        let met = self.plan(None, !is_stopped);
        let is_forced = matches!(&self.job.cause, Some(cause) if !matches!(cause, JobCause::Task { .. }));
        if !is_stopped {
            assert_eq!(met.fails, self.job.state == JobState::Failed, "{:#?} {:#?}", self.job, self.world.log);
        }
        let wants = is_forced && self.job.spec.on_failure == OnFailure::Compensate;
        let (job, all) = (&self.job, self.met);
        assert!(job.partial || !all.partial, "{job:#?}");
        assert!(job.compensates || !(all.compensates || wants), "{job:#?} {:#?}", self.world.log);
        if !self.is_disturbed {
            assert_eq!((job.partial, job.compensates), (all.partial, all.compensates), "{job:#?}");
        }
        self.undoing();
        self.outputs().await;
    }

    /// Whether each task of a plan is what its own attempts, what it waited for and its children make of it, unless something
    /// was stopped; what its failures mean.
    fn plan(&mut self, parent: Option<TaskId>, mut is_whole: bool) -> Met {
        let Some(plan) = self.world.book.plan(self.job.id, parent).cloned() else { return Met::default() };
        let of_plan = self.tasks.values().filter(|task| link(task).parent == parent && !link(task).undoes);
        let tasks: BTreeMap<NodeName, Task> = of_plan.map(|task| (link(task).name.clone(), task.clone())).collect();
        let met = self.met(&plan, &tasks);
        is_whole &= !(plan.stop_on_failure && met.fails);
        self.is_disturbed |= !is_whole;
        if is_whole {
            assert_eq!(tasks.len(), plan.nodes.len(), "all of it is made: {:#?} {:#?}", self.job, self.world.log);
            self.met.partial |= met.partial;
            self.met.compensates |= met.compensates;
        }
        for task in tasks.values() {
            let below = self.below(task, is_whole);
            if is_whole {
                self.follows(&plan, &tasks, task, below);
            }
        }
        met
    }

    fn met(&self, plan: &NewPlan, tasks: &BTreeMap<NodeName, Task>) -> Met {
        let mut met = Met::default();
        for name in plan.nodes.iter().map(|node| &node.name) {
            if tasks.get(name).is_some_and(|task| task.state != State::Succeeded) {
                for rule in self.world.book.rules(plan, name) {
                    met.fails |= !rule.lets_go_on();
                    met.partial |= rule == OnFailure::Continue;
                    met.compensates |= rule == OnFailure::Compensate;
                }
            }
        }
        met
    }

    /// Whether the children of a task are such that it cannot succeed.
    fn below(&mut self, task: &Task, is_whole: bool) -> bool {
        let said = self.world.book.said(task.id);
        let goes_on = matches!(said, Some(Verdict::Succeed | Verdict::Decompose)) && task.cancel.is_none();
        let met = self.plan(Some(task.id), is_whole && goes_on);
        let plan = self.world.book.plan(self.job.id, Some(task.id));
        let join = plan.and_then(|plan| plan.join.clone()).filter(|_| said == Some(Verdict::Decompose));
        let is_join = |other: &&Task| {
            link(other).parent == Some(task.id) && Some(&link(other).name) == join.as_ref() && !link(other).undoes
        };
        let joined = self.tasks.values().find(is_join).is_some_and(|join| join.state == State::Succeeded);
        met.fails || (join.is_some() && !joined)
    }

    fn follows(&self, plan: &NewPlan, tasks: &BTreeMap<NodeName, Task>, task: &Task, below: bool) {
        let name = &link(task).name;
        let node = plan.nodes.iter().find(|node| node.name == *name).expect("it is of the plan");
        let may_run = node.after.iter().all(|after| {
            let mut awaited = tasks.iter().filter(|(other, _)| covers(&after.awaited, other));
            let rule = after.on_failure.unwrap_or(plan.on_failure);
            awaited.all(|(_, other)| other.state == State::Succeeded || rule.lets_go_on())
        });
        let ends_by_itself = self.world.book.by_hand.contains(&task.id) || task.state == State::Expired;
        if ends_by_itself {
            return;
        }
        let stands = self.world.book.standing.get(&self.job.id).and_then(|all| all.get(name));
        if link(task).parent.is_none() && stands.is_some() {
            assert_eq!((&task.state, task.attempts_started), (&State::Succeeded, 0), "`{name}` stands");
            return;
        }
        let last = task.attempts.last().map(|last| &last.decision);
        let is_lost = last.is_some_and(|last| last.policy == Policy::Poison);
        let expected = match (may_run, self.world.book.said(task.id)) {
            (false, said) => {
                assert_eq!((task.attempts_started, said), (0, None), "`{name}` is run");
                State::Cancelled
            }
            (true, None) if is_lost => State::Dead,
            (true, Some(Verdict::GiveUp)) => State::Dead,
            (true, Some(Verdict::Succeed | Verdict::Decompose)) if below => State::Dead,
            (true, Some(Verdict::Succeed | Verdict::Decompose)) => State::Succeeded,
            (true, said) => panic!("`{name}` has not been run to its end: {said:?} {task:#?} {:#?}", self.world.log),
        };
        assert_eq!(task.state, expected, "`{name}`: {task:#?} of {:#?}: {:#?}", self.job, self.world.log);
    }

    /// What has succeeded and can be undone is undone, each once and the last first, until that fails; or nothing is.
    fn undoing(&self) {
        let mut undos: Vec<_> = self.tasks.values().filter(|task| link(task).undoes).collect();
        undos.sort_by_key(|task| task.sequence);
        let done = |task: &Task| &self.tasks[&link(task).parent.expect("it undoes that")];
        assert!(undos.windows(2).all(|two| done(two[0]).ended_at >= done(two[1]).ended_at), "the last first");
        let can_be = |task: &&Task| {
            let node = self.world.book.node(link(task)).filter(|_| !link(task).undoes);
            task.state == State::Succeeded && node.is_some_and(|node| node.compensation.is_some())
        };
        let count = self.tasks.values().filter(can_be).count();
        let failed = undos.iter().position(|task| task.state != State::Succeeded);
        let told = failed.map(|at| link(done(undos[at])).name.clone());
        assert_eq!(self.job.not_undone, told, "{:#?}", self.job);
        assert!(failed.is_none_or(|at| at + 1 == undos.len()), "nothing is undone after a failure");
        let expected = if self.job.state == JobState::Succeeded || !self.job.compensates { 0 } else { count };
        let is_enough = if failed.is_some() { undos.len() <= expected } else { undos.len() == expected };
        assert!(is_enough, "{} of {expected} are undone: {:#?} {:#?}", undos.len(), self.job, self.world.log);
    }

    /// A parent gives what its join has given, and what stands for another what that one has.
    async fn outputs(&self) {
        let output = async |id| self.world.store.output(id).await.expect("it works");
        for task in self.tasks.values().filter(|task| task.state == State::Succeeded && !link(task).undoes) {
            let stands = self.world.book.standing.get(&self.job.id).and_then(|all| all.get(&link(task).name));
            if let (Some(old), None) = (stands, link(task).parent) {
                assert_eq!(output(task.id).await, output(*old).await);
                continue;
            }
            let plan = self.world.book.plan(self.job.id, Some(task.id));
            let join = plan.and_then(|plan| plan.join.as_ref());
            let children = self.tasks.values().filter(|other| link(other).parent == Some(task.id));
            let join = children.into_iter().find(|other| Some(&link(other).name) == join && !link(other).undoes);
            assert!(output(task.id).await.is_some());
            if let (Some(Verdict::Decompose), Some(join)) = (self.world.book.said(task.id), join) {
                assert_eq!(output(task.id).await, output(join.id).await, "{task:#?}");
            }
        }
    }
}

/// Nothing is left of jobs that have all ended that anybody would still act on.
pub(crate) async fn nothing_is_left(world: &World) {
    for worker in &world.workers {
        assert!(worker.leased.is_empty(), "somebody still runs something");
    }
    let session = world.store.open_session("late".into(), Duration::from_secs(9)).await.expect("it works");
    let request = LeaseRequest { session, queues: Queues::All, slots: 9, wait: Duration::ZERO };
    assert!(world.store.lease(request).await.expect("the session lives").is_empty());
    // What is to be done for them (`W`) is done turn by turn.
    for _ in 0..10_000 {
        if world.engine.scan(b"W", b"X", false).next().is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Chores, parts of plans, who waits for others or for an instant or in a queue, and leases.
    for kind in *b"WPDdql" {
        let left: Vec<_> = world.engine.scan(&[kind], &[kind + 1], false).collect();
        assert!(left.is_empty(), "{} is left: {left:?} of {:#?}", char::from(kind), world.log);
    }
}
