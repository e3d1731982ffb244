//! Random jobs, run to their ends through failures, cancels and restarts: each ends, nothing runs before what it waits for or
//! after its job's end, and what has become of every task is what a small model says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    CancelWish, EmbeddedStore, Engine as _, LeaseRequest, Leased, ManualClock, MemoryEngine, PlanQuery, Queues,
    Settlement, Store, Writes,
};
use sunaba_task::job::{After, Awaited, Graph, JobId, JobSpec, JobState, NewJob, Node, NodeName, OnFailure};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, SessionId, StateName, TaskSpec, Timestamp,
    Verdict,
};

const SECOND: Duration = Duration::from_secs(1);
const SEEDS: u64 = 150;
/// A job of so few tasks that has not ended by then never will.
const MAX_STEPS: usize = 3_000;

/// What becomes of a task in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Succeeds,
    Fails,
    /// It is not run.
    Skipped,
}

struct Plan {
    job: NewJob,
    /// The nodes that fail when they are run.
    failing: BTreeSet<NodeName>,
}

impl Plan {
    fn random(random: &mut fastrand::Rng) -> Self {
        let rules = [OnFailure::Fail, OnFailure::Continue, OnFailure::Ignore];
        loop {
            let count = random.usize(0..14);
            let names: Vec<String> = (0..count)
                .map(|number| match random.usize(..3) {
                    0 => format!("n{number}"),
                    group => format!("g{group}/{number}"),
                })
                .collect();
            let mut nodes = Vec::new();
            for name in &names {
                let spec = TaskSpec::new("h/one".parse().expect("a name"), Digest::of(b"component"));
                let task = NewTask::new(spec, Payload::json("{}"));
                let mut node = Node::new(name.parse().expect("a name"), task);
                let mut awaited = BTreeSet::new();
                for _ in 0..random.usize(0..3) {
                    match random.usize(..4) {
                        0 => awaited.insert(format!("g{}/*", random.usize(1..3))),
                        _ => awaited.insert(names[random.usize(..count)].clone()),
                    };
                }
                for awaited in awaited {
                    let on_failure = random.bool().then(|| rules[random.usize(..3)]);
                    node.after.push(After { on_failure, ..After::new(awaited.parse().expect("it can be awaited")) });
                }
                nodes.push(node);
            }
            // One that goes round is refused, which other tests see to.
            if Graph::of(&nodes).is_err() {
                continue;
            }
            random.shuffle(&mut nodes);
            let on_failure = rules[random.usize(..3)];
            let spec = JobSpec { on_failure, stop_on_failure: random.u8(..4) == 0, ..JobSpec::default() };
            let failing = nodes.iter().filter(|_| random.u8(..4) == 0).map(|node| node.name.clone()).collect();
            return Self { job: NewJob { spec, nodes, fingerprint: None }, failing };
        }
    }

    /// What becomes of every node if nobody stops the job, and whether the job fails, and succeeds in part.
    fn fates(&self) -> (BTreeMap<NodeName, Fate>, bool, bool) {
        let (mut fates, mut fails, mut partial) = (BTreeMap::new(), false, false);
        let nodes = &self.job.nodes;
        let mut awaited: BTreeSet<NodeName> = BTreeSet::new();
        for place in Graph::of(nodes).expect("it can be run").order {
            let node = &nodes[place];
            let mut runs = true;
            for after in &node.after {
                let of: Vec<_> = match &after.awaited {
                    Awaited::Node(name) => vec![name.clone()],
                    Awaited::Group(group) => {
                        let members = nodes.iter().filter(|node| node.name.group() == Some(group));
                        members.map(|node| node.name.clone()).collect()
                    }
                };
                let is_well = of.iter().all(|name| fates[name] == Fate::Succeeds);
                awaited.extend(of);
                if is_well {
                    continue;
                }
                match after.on_failure.unwrap_or(self.job.spec.on_failure) {
                    OnFailure::Fail | OnFailure::Compensate => (fails, runs) = (true, false),
                    OnFailure::Continue => partial = true,
                    OnFailure::Ignore => {}
                }
            }
            let fate = match (runs, self.failing.contains(&node.name)) {
                (false, _) => Fate::Skipped,
                (true, true) => Fate::Fails,
                (true, false) => Fate::Succeeds,
            };
            fates.insert(node.name.clone(), fate);
        }
        for (name, fate) in &fates {
            if *fate != Fate::Succeeds && !awaited.contains(name) {
                match self.job.spec.on_failure {
                    OnFailure::Fail | OnFailure::Compensate => fails = true,
                    OnFailure::Continue => partial = true,
                    OnFailure::Ignore => {}
                }
            }
        }
        (fates, fails, partial)
    }
}

struct World {
    random: fastrand::Rng,
    clock: ManualClock,
    engine: MemoryEngine,
    store: EmbeddedStore,
    session: SessionId,
    leased: Vec<Leased>,
    /// Nodes whose attempts have ended for good.
    ended: BTreeSet<NodeName>,
    log: Vec<String>,
}

async fn session(store: &EmbeddedStore) -> SessionId {
    store.open_session("w".into(), SECOND * 1_000_000).await.expect("it works")
}

fn open(engine: &MemoryEngine, clock: &ManualClock) -> EmbeddedStore {
    EmbeddedStore::open(engine.clone(), Arc::new(clock.clone())).expect("memory opens")
}

fn name(leased: &Leased) -> NodeName {
    leased.task.job.as_ref().expect("it is of a job").name.clone()
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let engine = MemoryEngine::default();
        let store = open(&engine, &clock);
        let session = session(&store).await;
        let random = fastrand::Rng::with_seed(seed);
        Self { random, clock, engine, store, session, leased: Vec::new(), ended: BTreeSet::new(), log: Vec::new() }
    }

    async fn lease(&mut self, plan: &Plan, job: JobId) {
        let request = LeaseRequest {
            session: self.session,
            queues: Queues::All,
            slots: self.random.usize(1..4),
            wait: Duration::ZERO,
        };
        let leased = self.store.lease(request).await.expect("the session lives");
        if leased.is_empty() {
            return;
        }
        let now = self.store.job(job).await.expect("it works").expect("it is there");
        assert!(!now.state.is_terminal(), "something runs after the end");
        for leased in &leased {
            let name = name(leased);
            assert!(!self.ended.contains(&name), "`{name}` runs again");
            let node = plan.job.nodes.iter().find(|node| node.name == name).expect("it is of the plan");
            for after in &node.after {
                let waits = |other: &&Node| match &after.awaited {
                    Awaited::Node(awaited) => other.name == *awaited,
                    Awaited::Group(group) => other.name.group() == Some(group),
                };
                let is_over = async |other: &Node| {
                    let only = Some(Awaited::Node(other.name.clone()));
                    let page = self.store.plan(PlanQuery { only, ..PlanQuery::of(job, 1) }).await.expect("it works");
                    page.tasks[0].state.is_terminal()
                };
                for other in plan.job.nodes.iter().filter(waits) {
                    assert!(is_over(other).await, "`{name}` runs before `{}` has ended", other.name);
                }
            }
            self.log.push(format!("lease {name}"));
        }
        self.leased.extend(leased);
    }

    async fn settle(&mut self, plan: &Plan) {
        if self.leased.is_empty() {
            return;
        }
        let leased = self.leased.swap_remove(self.random.usize(..self.leased.len()));
        let name = name(&leased);
        let task = self.store.task(leased.task.id).await.expect("it works").expect("it is there");
        let verdict = match (task.cancel.is_some(), self.random.u8(..8), plan.failing.contains(&name)) {
            (true, ..) => Verdict::Cancel,
            (false, 0, _) => Verdict::Retry(Duration::ZERO),
            (false, _, true) => Verdict::GiveUp,
            (false, _, false) => Verdict::Succeed,
        };
        if !matches!(verdict, Verdict::Retry(_)) {
            self.ended.insert(name.clone());
        }
        self.log.push(format!("settle {name} {verdict:?}"));
        let settlement = Settlement {
            token: leased.token,
            revision: task.revision,
            ending: if verdict == Verdict::Succeed { Ending::Completed } else { Ending::HandedBack },
            decision: Decision { verdict, charged: false, policy: Policy::Retry, reason: "r".into() },
            receipt: None,
            output: (verdict == Verdict::Succeed).then(|| Payload::json("1")),
            detail: AttemptDetail::default(),
            plan: None,
        };
        self.store.settle(vec![settlement]).await.expect("it works").remove(0).expect("it has the lease");
    }

    /// Ends the process, and starts again on what is durable.
    async fn restart(&mut self) {
        self.log.push("restart".into());
        // The store before may still be at work: it is left to itself.
        let there = self.engine.scan(&[], &[u8::MAX], false).map(|pair| pair.expect("memory does not fail"));
        let there: Writes = there.map(|(key, value)| (key.to_vec(), Some(value))).collect();
        self.engine = MemoryEngine::default();
        self.engine.apply(&there).expect("memory does not fail");
        self.store = open(&self.engine, &self.clock);
        self.session = session(&self.store).await;
        self.leased.clear();
    }

    async fn run(&mut self, plan: &Plan, restarts: bool, cancels: bool) -> (JobId, bool) {
        let submitted = self.store.submit_job(plan.job.clone()).await.expect("it works").expect("it is taken on");
        let id = submitted.into_job().id;
        let mut is_cancelled = false;
        for _ in 0..MAX_STEPS {
            let job = self.store.job(id).await.expect("it works").expect("it is there");
            if job.state.is_terminal() {
                return (id, is_cancelled);
            }
            match self.random.u8(..20) {
                0 if restarts => self.restart().await,
                1 if cancels => {
                    self.log.push("cancel".into());
                    is_cancelled = true;
                    self.store.cancel_job(id, CancelWish::default()).await.expect("it works");
                }
                0..=9 => self.lease(plan, id).await,
                _ => self.settle(plan).await,
            }
        }
        let job = self.store.job(id).await.expect("it works").expect("it is there");
        panic!("it does not end: {job:#?} after {:?} of {plan:#?}", self.log, plan = plan.job);
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(work)
}

/// The states of a job's tasks, by their names.
async fn states(store: &EmbeddedStore, id: JobId) -> BTreeMap<NodeName, StateName> {
    let page = store.plan(PlanQuery::of(id, 100)).await.expect("it works");
    page.tasks.into_iter().map(|task| (task.job.expect("it is of a job").name, task.state.name())).collect()
}

#[test]
fn every_job_ends_as_the_model_says() {
    let (mut failed, mut partly) = (0, 0);
    for seed in 0..SEEDS {
        block_on(async {
            let mut world = World::new(seed).await;
            let mut plan = Plan::random(&mut world.random);
            plan.job.spec.stop_on_failure = false;
            let (id, _) = world.run(&plan, true, false).await;
            let (fates, fails, partial) = plan.fates();
            let states = states(&world.store, id).await;
            let expected = fates.into_iter().map(|(name, fate)| {
                let state = match fate {
                    Fate::Succeeds => StateName::Succeeded,
                    Fate::Fails => StateName::Dead,
                    Fate::Skipped => StateName::Cancelled,
                };
                (name, state)
            });
            assert!(
                states.iter().map(|(name, state)| (name.clone(), *state)).eq(expected),
                "{seed}: {states:#?} of {:#?}",
                plan.job
            );
            let job = world.store.job(id).await.expect("it works").expect("it is there");
            let state = if fails { JobState::Failed } else { JobState::Succeeded };
            assert_eq!((job.state, job.partial), (state, partial), "{seed}: {:?} of {:#?}", job.cause, plan.job);
            (failed, partly) = (failed + usize::from(fails), partly + usize::from(partial));
        });
    }
    // They are of every kind, or this shows little.
    assert!(failed > 20 && partly > 20 && failed + 20 < SEEDS as usize, "{failed} failed, {partly} in part");
}

#[test]
fn every_job_that_is_stopped_ends_with_all_that_it_has() {
    let mut cancelled = 0;
    for seed in 0..SEEDS {
        block_on(async {
            let mut world = World::new(1_000 + seed).await;
            let plan = Plan::random(&mut world.random);
            let (id, is_cancelled) = world.run(&plan, true, true).await;
            let job = world.store.job(id).await.expect("it works").expect("it is there");
            assert_eq!((job.tasks.unfinished(), job.ended_at.is_some()), (0, true));
            assert!(states(&world.store, id).await.values().all(|state| state.is_terminal()));
            // Nothing of it is left to be leased.
            let request = LeaseRequest { session: world.session, queues: Queues::All, slots: 9, wait: Duration::ZERO };
            assert!(world.store.lease(request).await.expect("the session lives").is_empty());
            assert!(job.state != JobState::Cancelled || is_cancelled);
            cancelled += usize::from(job.state == JobState::Cancelled);
        });
    }
    assert!(cancelled > 20, "{cancelled}");
}
