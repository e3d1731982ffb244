//! What the trees are made of: random plans, tasks and budgets.

use std::collections::BTreeSet;
use std::time::Duration;

use sunaba_task::job::{After, Awaited, Budget, Graph, JobSpec, NewJob, NewPlan, Node, NodeName, OnFailure};
use sunaba_task::{Digest, Fuel, NewTask, Payload, TaskSpec, When};

const SECOND: Duration = Duration::from_secs(1);
const RULES: [OnFailure; 4] = [OnFailure::Fail, OnFailure::Continue, OnFailure::Ignore, OnFailure::Compensate];
/// The deepest plan that any tree has, and the most tasks: so that each ends soon.
const DEPTH: u32 = 4;
const TASKS: u64 = 40;

/// What may happen to a tree besides failures, retries, waits and restarts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trouble {
    /// Jobs and tasks are cancelled.
    pub(crate) cancels: bool,
    /// Jobs have budgets of attempts, fuel and time, and small ones of tasks and depth.
    pub(crate) budgets: bool,
    /// The first failure may stop what else runs; tasks may expire.
    pub(crate) stops: bool,
    /// Hosts are lost, and the process with its store.
    pub(crate) restarts: bool,
    /// Those who wait for others are cancelled, and what failures mean is said by them rather than by the plan.
    pub(crate) waiters: bool,
}

impl Trouble {
    pub(crate) const ALL: Self = Self { cancels: true, budgets: true, stops: true, restarts: true, waiters: false };
}

pub(crate) fn task() -> NewTask {
    let spec = TaskSpec::new("h/one".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::json("{}"))
}

pub(crate) fn node(name: &str) -> Node {
    Node::new(name.parse().expect("a name"), task())
}

pub(crate) fn name(text: &str) -> NodeName {
    text.parse().expect("a name")
}

fn some_task(random: &mut fastrand::Rng, trouble: Trouble) -> NewTask {
    let mut task = task();
    // More than one lane, and more than one order.
    task.spec.handler = ["h/one", "h/two"][random.usize(..2)].parse().expect("a name");
    task.spec.priority = random.i32(-1..2);
    if trouble.budgets {
        task.spec.limits.fuel = match random.u8(..24) {
            0 => Fuel::Off,
            1..=12 => Fuel::Exact { limit: Some(random.u64(1..60)) },
            _ => Fuel::Exact { limit: None },
        };
    }
    task.start = (random.u8(..10) == 0).then(|| When::After(SECOND * random.u32(1..4)));
    task.expires = (trouble.stops && random.u8(..10) == 0).then(|| When::After(SECOND * random.u32(2..60)));
    task
}

/// A plan that can be run; sometimes with a join of all others.
pub(crate) fn plan(random: &mut fastrand::Rng, trouble: Trouble) -> NewPlan {
    let own_rule = |random: &mut fastrand::Rng| {
        let is_own = random.bool() || (trouble.waiters && random.bool());
        is_own.then(|| RULES[random.usize(..4)])
    };
    loop {
        let count = if trouble.waiters { random.usize(2..5) } else { random.usize(0..6) };
        let named = |number: usize| if number == 5 { "alone".to_owned() } else { format!("g/{number}") };
        let mut nodes: Vec<_> =
            (0..count).map(|number| Node { task: some_task(random, trouble), ..node(&named(number)) }).collect();
        for node in nodes.iter_mut().skip(1) {
            let awaited: BTreeSet<_> = (0..random.usize(0..3)).map(|_| named(random.usize(..count))).collect();
            for awaited in awaited {
                let awaited: Awaited = awaited.parse().expect("a name");
                let on_failure = own_rule(random);
                node.after.push(After { on_failure, ..After::new(awaited) });
            }
        }
        for node in &mut nodes {
            node.compensation = (random.u8(..5) == 0).then(task);
        }
        let join = random.bool().then(|| name("join"));
        if join.is_some() {
            let on_failure = own_rule(random);
            let group = After { on_failure, ..After::new("g/*".parse().expect("a group")) };
            nodes.push(Node { after: vec![group], task: some_task(random, trouble), ..node("join") });
        }
        // One that goes round is refused, which other tests see to.
        if Graph::of(&nodes).is_ok() {
            random.shuffle(&mut nodes);
            let stop_on_failure = trouble.stops && random.u8(..4) == 0;
            let on_failure = RULES[random.usize(if trouble.waiters { 1..3 } else { 0..4 })];
            return NewPlan { nodes, join, on_failure, stop_on_failure };
        }
    }
}

/// A job that can be taken on.
pub(crate) fn job(random: &mut fastrand::Rng, trouble: Trouble) -> NewJob {
    let NewPlan { mut nodes, on_failure, stop_on_failure, join } = plan(random, trouble);
    let mut budget = Budget { depth: DEPTH, tasks: TASKS, ..Budget::default() };
    if trouble.budgets {
        budget.depth = random.u32(2..=DEPTH);
        budget.tasks = random.u64(7..=TASKS);
        budget.attempts = random.bool().then(|| random.u64(1..40));
        budget.fuel = random.bool().then(|| random.u64(1..400));
        budget.time = (random.u8(..3) == 0).then(|| SECOND * random.u32(5..120));
    }
    if budget.fuel.is_some() {
        for node in nodes.iter_mut().filter(|node| node.task.spec.limits.fuel == Fuel::Off) {
            node.task.spec.limits.fuel = Fuel::Exact { limit: Some(30) };
        }
    }
    let spec = JobSpec { on_failure, stop_on_failure, budget, result: join, ..JobSpec::default() };
    NewJob { spec, nodes, fingerprint: None }
}
