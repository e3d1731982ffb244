//! What a world's tasks and jobs are: pure functions of its seed and of a number. So whoever checks them knows what was asked for,
//! whether or not anybody was told that it was taken on. Nothing here knows what becomes of them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use sunaba_runtime::task::job::{
    After, Awaited, Budget, Flow, Job, JobSpec, NewJob, NewPlan, Node, NodeName, OnFailure,
};
use sunaba_runtime::task::{Digest, Fuel, NewTask, Payload, Task, TaskSpec, Timestamp, Verdict, When};

use super::replay::{HANDLER, QUEUES};

/// The attributes that say which of a simulation's tasks it is, and how deep.
const NUMBER: &str = "number";
const DEPTH: &str = "depth";
/// A task as deep as that makes no plan.
const DEEPEST: u32 = 3;
/// Single children of a task.
const CHILDREN: u32 = 2;
const RULES: [OnFailure; 4] = [OnFailure::Fail, OnFailure::Continue, OnFailure::Ignore, OnFailure::Compensate];
const START_MS: u64 = 1_767_225_600_000;

/// The shapes of a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shapes {
    pub(super) seed: u64,
}

/// A plan as it was asked for.
pub(super) struct Wanted {
    /// What has to be there, if nothing was stopped.
    pub(super) plan: NewPlan,
    /// What may be there besides.
    pub(super) children: Vec<Node>,
}

fn attribute(attributes: &[(String, String)], name: &str) -> Option<u32> {
    attributes.iter().find(|(key, _)| key == name).and_then(|(_, number)| number.parse().ok())
}

/// The number of one of the simulation's tasks.
pub(super) fn number(attributes: &[(String, String)]) -> u32 {
    attribute(attributes, NUMBER).unwrap_or(u32::MAX)
}

fn depth(attributes: &[(String, String)]) -> u32 {
    attribute(attributes, DEPTH).unwrap_or(1)
}

/// Whether a task with these attributes may have children.
pub(super) fn may_decompose(attributes: &[(String, String)]) -> bool {
    depth(attributes) < DEEPEST
}

/// Whether a dependency is on this node.
pub(super) fn covers(awaited: &Awaited, name: &NodeName) -> bool {
    match awaited {
        Awaited::Node(awaited) => awaited == name,
        Awaited::Group(group) => name.group() == Some(group),
    }
}

/// The names of the single children that a task may have.
pub(super) fn names_of_children() -> impl Iterator<Item = String> {
    (0..CHILDREN).map(|index| format!("s{index}"))
}

/// Any task, of a job or alone.
pub(super) fn work(random: &mut fastrand::Rng, number: u32, depth: u32) -> NewTask {
    let mut spec = TaskSpec::new(HANDLER.parse().expect("a name"), Digest::of(b"simulated"));
    spec.attributes = vec![(NUMBER.into(), number.to_string()), (DEPTH.into(), depth.to_string())];
    spec.queue = QUEUES[random.usize(..QUEUES.len())].into();
    spec.key = random.bool().then(|| format!("key-{}", random.u32(..2)));
    spec.priority = random.i32(-1..=1);
    spec.max_attempts = random.u32(1..=4);
    spec.max_hosts_lost = random.u32(1..=3);
    let backoff = ["fixed(1s)", "exponential(500ms, max = 4s)", "linear(1s)"][random.usize(..3)];
    spec.backoff = backoff.parse().expect("a backoff");
    spec.limits.fuel = Fuel::Exact { limit: (random.u32(..3) == 0).then(|| random.u64(1..60)) };
    let start = match random.u32(..10) {
        0 => Some(When::After(Duration::from_millis(random.u64(..9_000)))),
        1 => Some(When::At(Timestamp::from_unix_ms(START_MS + random.u64(..60_000)))),
        _ => None,
    };
    let input = Payload::json("0".repeat(random.usize(1..400)));
    let expires = (random.u32(..8) == 0).then(|| When::After(Duration::from_millis(random.u64(1..20_000))));
    NewTask { start, expires, ..NewTask::new(spec, input) }
}

/// The shape of a plan.
fn flow(random: &mut fastrand::Rng) -> Flow<()> {
    let tasks = |count| (0..count).map(|_| Flow::Task(Box::new(()))).collect::<Vec<_>>();
    let (first, more) = (random.usize(..4), random.usize(..3));
    match random.u32(..4) {
        0 => Flow::Chain(tasks(first)),
        1 => Flow::Group(tasks(first)),
        2 => Flow::Chord(tasks(first), Box::new(Flow::Task(Box::new(())))),
        _ => Flow::Chain(vec![Flow::Group(tasks(first)), Flow::Chord(tasks(more), Box::new(Flow::Chain(tasks(1))))]),
    }
}

/// Names, and what each waits for; without circles, since each waits for what comes before it.
fn graph(random: &mut fastrand::Rng) -> Vec<(NodeName, BTreeSet<Awaited>)> {
    let count = random.usize(1..6);
    let named = |index: usize| if index.is_multiple_of(2) { format!("g/{index}") } else { format!("n{index}") };
    let mut nodes: Vec<(NodeName, BTreeSet<Awaited>)> = Vec::new();
    for index in 0..count {
        let some = if index == 0 { 0 } else { random.usize(..3) };
        let after = (0..some).map(|_| named(random.usize(..index)).parse().expect("a name")).collect();
        nodes.push((named(index).parse().expect("a name"), after));
    }
    // Of the first nobody is a member.
    let all = ["none/*", "g/*", "g/*"][random.usize(..3)].parse().expect("a group");
    nodes.push(("last".parse().expect("a name"), BTreeSet::from([all])));
    nodes
}

fn budget(random: &mut fastrand::Rng, nodes: usize) -> Budget {
    let few = if random.u32(..4) == 0 { random.u64(1..8) } else { 40 };
    Budget {
        attempts: (random.u32(..4) == 0).then(|| random.u64(1..30)),
        time: (random.u32(..5) == 0).then(|| Duration::from_secs(random.u64(2..90))),
        fuel: (random.u32(..3) == 0).then(|| random.u64(10..300)),
        artifact_bytes: None,
        tasks: nodes.max(1) as u64 + few,
        depth: random.u32(1..=4),
    }
}

impl Shapes {
    fn random(self, what: &str, number: u32, which: u32) -> fastrand::Rng {
        let mut hasher = DefaultHasher::new();
        (self.seed, what, number, which).hash(&mut hasher);
        fastrand::Rng::with_seed(hasher.finish())
    }

    /// The nodes of a plan, those that wait after those that they wait for.
    fn nodes(self, random: &mut fastrand::Rng, depth: u32) -> Vec<Node> {
        let named: Vec<(NodeName, BTreeSet<Awaited>)> = if random.bool() {
            graph(random)
        } else {
            let steps = flow(random).steps("x").expect("its names are short").steps;
            steps.into_iter().map(|step| (step.name, step.after.into_iter().collect())).collect()
        };
        // No two tasks of a world have the same number, but by a chance that does no harm.
        let next = |random: &mut fastrand::Rng| random.u32(1 << 31..u32::MAX);
        let node = |(name, after): (NodeName, BTreeSet<Awaited>)| {
            let number = next(random);
            let task = work(random, number, depth);
            let rule = |random: &mut fastrand::Rng| random.bool().then(|| RULES[random.usize(..RULES.len())]);
            let after = after.into_iter().map(|awaited| After { on_failure: rule(random), ..After::new(awaited) });
            let after = after.collect();
            let number = next(random);
            let compensation = (random.u32(..3) == 0).then(|| work(random, number, depth));
            Node { name, task, after, compensation }
        };
        named.into_iter().map(node).collect()
    }

    /// The job of this number.
    pub(super) fn job(self, number: u32) -> NewJob {
        let random = &mut self.random("job", number, 0);
        let nodes = self.nodes(random, 1);
        let spec = JobSpec {
            name: format!("job-{number}"),
            tags: Vec::new(),
            on_failure: RULES[random.usize(..RULES.len())],
            stop_on_failure: random.u32(..4) == 0,
            budget: budget(random, nodes.len()),
            result: nodes.last().filter(|_| random.bool()).map(|node| node.name.clone()),
            idempotency_key: (random.u32(..4) > 0).then(|| format!("job-{number}")),
        };
        NewJob { spec, nodes, fingerprint: None }
    }

    /// What an attempt of this task makes of it, should it make a plan.
    pub(super) fn plan(self, parent: &Task, attempt: u32) -> NewPlan {
        let attributes = &parent.spec.attributes;
        let random = &mut self.random("plan", number(attributes), attempt);
        let nodes = self.nodes(random, depth(attributes) + 1);
        let join = nodes.last().filter(|_| random.bool()).map(|node| node.name.clone());
        let (on_failure, stop_on_failure) = (RULES[random.usize(..RULES.len())], random.u32(..4) == 0);
        NewPlan { nodes, join, on_failure, stop_on_failure }
    }

    /// A single child of this task: the same on every attempt.
    pub(super) fn child(self, parent: &Task, name: &str) -> Node {
        let (attributes, which) = (&parent.spec.attributes, name.bytes().map(u32::from).sum());
        let random = &mut self.random("child", number(attributes), which);
        let number = random.u32(1 << 31..u32::MAX);
        Node::new(name.parse().expect("a name"), work(random, number, depth(attributes) + 1))
    }

    /// The job that this one was asked for as, whether it was taken on or made over again; none of one that was founded.
    pub(super) fn job_of(self, job: &Job) -> Option<NewJob> {
        let number = job.spec.name.strip_prefix("job-").and_then(|number| number.parse().ok());
        number.filter(|_| !job.is_founded).map(|number| self.job(number))
    }

    /// The plan of a job, or of a task of it.
    pub(super) fn wanted(self, job: &Job, parent: Option<&Task>) -> Wanted {
        match parent {
            None => {
                let NewJob { spec, nodes, .. } = self.job_of(job).unwrap_or_default();
                let JobSpec { on_failure, stop_on_failure, .. } = spec;
                Wanted { plan: NewPlan { nodes, join: None, on_failure, stop_on_failure }, children: Vec::new() }
            }
            Some(parent) => {
                let decomposed = parent.attempts.iter().find(|one| one.decision.verdict == Verdict::Decompose);
                let plan = decomposed.map(|one| self.plan(parent, one.number)).unwrap_or_default();
                let children = names_of_children().map(|name| self.child(parent, &name)).collect();
                Wanted { plan, children }
            }
        }
    }
}

impl Wanted {
    /// The node of this name.
    pub(super) fn node(&self, name: &NodeName) -> Option<&Node> {
        self.plan.nodes.iter().chain(&self.children).find(|node| node.name == *name)
    }

    /// What it means to whom that a node has not succeeded: to each who waits for it, or else to the plan.
    pub(super) fn rules(&self, name: &NodeName) -> Vec<OnFailure> {
        let edges = self.plan.nodes.iter().flat_map(|node| &node.after);
        let rules: Vec<_> = edges.filter(|after| covers(&after.awaited, name)).map(|after| self.rule(after)).collect();
        if rules.is_empty() { vec![self.plan.on_failure] } else { rules }
    }

    pub(super) fn rule(&self, after: &After) -> OnFailure {
        after.on_failure.unwrap_or(self.plan.on_failure)
    }
}
