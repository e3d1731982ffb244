//! Random trees of tasks, run to their ends through failures, retries, cancels, budgets and restarts: each job ends, nothing
//! runs before what it waits for, below what has ended, or after its job's end, and no budget is exceeded. And what no turn
//! touches is found, too; and very many children of one parent cost no more than themselves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    CancelWish, EmbeddedStore, Engine as _, LeaseRequest, Leased, ManualClock, MemoryEngine, PlanQuery, Queues,
    SettleError, Settlement, Store, Writes,
};
use sunaba_task::job::{
    After, Awaited, Budget, BudgetName, Graph, Job, JobCause, JobId, JobSpec, JobState, NewJob, NewPlan, Node,
    OnFailure,
};
use sunaba_task::{
    AttemptDetail, Decision, Digest, Ending, NewTask, Payload, Policy, SessionId, StateName, Task, TaskId, TaskSpec,
    Timestamp, Verdict,
};

const SECOND: Duration = Duration::from_secs(1);
const SEEDS: u64 = 120;
/// A job of so few tasks that has not ended by then never will.
const MAX_STEPS: usize = 6_000;
/// The deepest plan, and the most tasks.
const DEPTH: u32 = 4;
const TASKS: u64 = 40;

fn task() -> NewTask {
    let spec = TaskSpec::new("h/one".parse().expect("a name"), Digest::of(b"component"));
    NewTask::new(spec, Payload::json("{}"))
}

fn node(name: &str) -> Node {
    Node::new(name.parse().expect("a name"), task())
}

/// A plan that can be run; sometimes with a join of all others.
fn plan(random: &mut fastrand::Rng) -> NewPlan {
    let rules = [OnFailure::Fail, OnFailure::Continue, OnFailure::Ignore, OnFailure::Compensate];
    loop {
        let count = random.usize(0..5);
        let mut nodes: Vec<_> = (0..count).map(|number| node(&format!("g/{number}"))).collect();
        for node in nodes.iter_mut().skip(1) {
            if random.bool() {
                let awaited: Awaited = format!("g/{}", random.usize(..count)).parse().expect("a name");
                let on_failure = random.bool().then(|| rules[random.usize(..3)]);
                node.after.push(After { on_failure, ..After::new(awaited) });
            }
            node.compensation = (random.u8(..6) == 0).then(task);
        }
        let join = random.bool().then(|| "join".parse().expect("a name"));
        if join.is_some() {
            let group = "g/*".parse().expect("a group");
            nodes.push(Node { after: vec![After::new(group)], ..node("join") });
        }
        // One that goes round is refused, which other tests see to.
        if Graph::of(&nodes).is_ok() {
            let (on_failure, stop_on_failure) = (rules[random.usize(..4)], random.u8(..4) == 0);
            return NewPlan { nodes, join, on_failure, stop_on_failure };
        }
    }
}

struct World {
    random: fastrand::Rng,
    clock: ManualClock,
    engine: MemoryEngine,
    store: EmbeddedStore,
    session: SessionId,
    leased: Vec<Leased>,
    /// Tasks whose own part is over for good.
    over: BTreeSet<TaskId>,
    log: Vec<String>,
}

/// With a seed, and served by the test's own thread: the same seed does the same again.
fn open(engine: &MemoryEngine, clock: &ManualClock, seed: u64) -> EmbeddedStore {
    let opened = EmbeddedStore::open_seeded(engine.clone(), Arc::new(clock.clone()), seed);
    let (store, serve) = opened.expect("memory opens");
    tokio::spawn(serve);
    store
}

async fn session(store: &EmbeddedStore) -> SessionId {
    store.open_session("w".into(), SECOND * 1_000_000).await.expect("it works")
}

fn link(task: &Task) -> &sunaba_task::job::JobLink {
    task.job.as_ref().expect("it is of a job")
}

fn settlement(leased: &Leased, revision: u64, verdict: Verdict) -> Settlement {
    Settlement {
        token: leased.token,
        revision,
        ending: if verdict == Verdict::Succeed { Ending::Completed } else { Ending::Decomposed { children: 0 } },
        decision: Decision { verdict, charged: false, policy: Policy::Retry, reason: "r".into() },
        receipt: None,
        output: (verdict == Verdict::Succeed).then(|| Payload::json("1")),
        detail: AttemptDetail::default(),
        plan: None,
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000));
        let engine = MemoryEngine::default();
        let store = open(&engine, &clock, seed);
        let session = session(&store).await;
        let random = fastrand::Rng::with_seed(seed);
        Self { random, clock, engine, store, session, leased: Vec::new(), over: BTreeSet::new(), log: Vec::new() }
    }

    async fn task(&self, id: TaskId) -> Task {
        self.store.task(id).await.expect("it works").expect("it is there")
    }

    async fn job(&self, id: JobId) -> Job {
        self.store.job(id).await.expect("it works").expect("it is there")
    }

    async fn plan(&self, job: JobId, parent: Option<TaskId>, only: Option<Awaited>) -> Vec<Task> {
        let query = PlanQuery { parent, only, ..PlanQuery::of(job, 100) };
        self.store.plan(query).await.expect("it works").tasks
    }

    /// The tasks of a job, whatever they are below.
    async fn tree(&self, job: JobId) -> Vec<Task> {
        let (mut all, mut plans) = (Vec::new(), vec![None]);
        while let Some(parent) = plans.pop() {
            let tasks = self.plan(job, parent, None).await;
            plans.extend(tasks.iter().filter(|task| task.has_children || task.job.is_some()).map(|task| Some(task.id)));
            all.extend(tasks);
        }
        all
    }

    async fn lease_one(&self) -> Leased {
        let request = LeaseRequest { session: self.session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
        self.store.lease(request).await.expect("the session lives").remove(0)
    }

    async fn lease(&mut self, id: JobId) {
        let slots = self.random.usize(1..4);
        let request = LeaseRequest { session: self.session, queues: Queues::All, slots, wait: Duration::ZERO };
        let leased = self.store.lease(request).await.expect("the session lives");
        for leased in &leased {
            let link = link(&leased.task).clone();
            assert!(!self.job(id).await.state.is_terminal(), "`{}` runs after the end", link.name);
            assert!(!self.over.contains(&leased.task.id), "`{}` runs again", link.name);
            assert!(link.depth <= DEPTH || link.undoes, "`{}` is too deep: {}", link.name, link.depth);
            let above = match link.parent {
                Some(parent) if !link.undoes => Some(self.task(parent).await),
                _ => None,
            };
            assert!(above.is_none_or(|above| !above.state.is_terminal()), "`{}` runs below what has ended", link.name);
            // By the way that plans are made here, a join waits for its whole group.
            if link.name.as_str() == "join" {
                let group = self.plan(link.job, link.parent, Some("g/*".parse().expect("a group"))).await;
                assert!(group.iter().all(|task| task.state.is_terminal()), "a join runs before its group has ended");
            }
            self.log.push(format!("lease {} {}", link.depth, link.name));
        }
        self.leased.extend(leased);
    }

    async fn settle(&mut self) {
        if self.leased.is_empty() {
            return;
        }
        let leased = self.leased.swap_remove(self.random.usize(..self.leased.len()));
        let undoes = link(&leased.task).undoes;
        if self.random.u8(..6) == 0 && !undoes {
            let name = format!("s{}", self.random.u8(..2));
            // Refused or not: it may be stopping, or have spent its budgets.
            let _ = self.store.submit_child(leased.token, node(&name)).await.expect("it works");
        }
        let task = self.task(leased.task.id).await;
        let verdict = match (task.cancel.is_some(), self.random.u8(..12)) {
            (true, _) => Verdict::Cancel,
            (false, 0) => Verdict::Retry(Duration::ZERO),
            (false, 1..=2) => Verdict::GiveUp,
            (false, 3..=6) if !undoes => Verdict::Decompose,
            (false, _) => Verdict::Succeed,
        };
        let plan = (verdict == Verdict::Decompose).then(|| Arc::new(plan(&mut self.random)));
        self.log.push(format!("settle {} {} {verdict:?}", link(&task).depth, link(&task).name));
        let settlement = Settlement { plan, ..settlement(&leased, task.revision, verdict) };
        let settled = self.store.settle(vec![settlement]).await.expect("it works").remove(0).expect("it has the lease");
        let is_over = !matches!(verdict, Verdict::Retry(_));
        assert!(!is_over || settled.state.is_terminal() || settled.waits_for_children(), "{settled:#?}");
        if is_over {
            self.over.insert(task.id);
        }
    }

    /// Ends the process, and starts again on what is durable.
    async fn restart(&mut self) {
        self.log.push("restart".into());
        self.copy(|_| true);
        let seed = self.random.u64(..);
        self.store = open(&self.engine, &self.clock, seed);
        self.session = session(&self.store).await;
        self.leased.clear();
    }

    /// The store before may still be at work: it is left to itself.
    fn copy(&mut self, is_kept: impl Fn(&[u8]) -> bool) {
        let there = self.engine.scan(&[], &[u8::MAX], false).map(|pair| pair.expect("memory does not fail"));
        let there: Writes =
            there.filter(|(key, _)| is_kept(key)).map(|(key, value)| (key.to_vec(), Some(value))).collect();
        self.engine = MemoryEngine::default();
        self.engine.apply(&there).expect("memory does not fail");
    }

    async fn run(&mut self, cancels: bool) -> JobId {
        let NewPlan { nodes, on_failure, stop_on_failure, .. } = plan(&mut self.random);
        let budget = Budget { depth: DEPTH, tasks: TASKS, ..Budget::default() };
        let spec = JobSpec { on_failure, stop_on_failure, budget, ..JobSpec::default() };
        let submitted = self.store.submit_job(NewJob { spec, nodes, fingerprint: None }).await.expect("it works");
        let id = submitted.expect("it is taken on").into_job().id;
        for _ in 0..MAX_STEPS {
            let job = self.job(id).await;
            assert!(job.spent.tasks <= TASKS, "{job:#?}");
            if job.state.is_terminal() {
                return id;
            }
            match self.random.u8(..40) {
                0 => self.restart().await,
                1 if cancels => {
                    self.log.push("cancel".into());
                    self.store.cancel_job(id, CancelWish::default()).await.expect("it works");
                }
                2 if cancels && !self.leased.is_empty() => {
                    let one = self.leased[0].task.id;
                    self.store.cancel(vec![one], CancelWish::default()).await.expect("it works");
                }
                1..=17 => self.lease(id).await,
                _ => self.settle().await,
            }
        }
        panic!("it does not end: {:#?} after {:#?}: {:#?}", self.job(id).await, self.log, self.tree(id).await);
    }

    /// What must hold of every job that has ended.
    async fn check(&self, id: JobId) -> Job {
        let (job, tasks) = (self.job(id).await, self.tree(id).await);
        assert_eq!(job.tasks.unfinished(), 0, "{job:#?}");
        assert_eq!(job.tasks.total(), tasks.len() as u64, "{job:#?} {tasks:#?}");
        for state in StateName::ALL {
            let found = tasks.iter().filter(|task| task.state.name() == state).count() as u64;
            assert_eq!(job.tasks.in_state(state), found, "{state}");
        }
        assert!(tasks.iter().all(|task| task.state.is_terminal()));
        for task in tasks.iter().filter(|task| task.failed_child.is_some()) {
            assert_eq!(task.state.name(), StateName::Dead);
        }
        job
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(work)
}

async fn story(seed: u64, cancels: bool) -> (Job, Vec<String>) {
    let mut world = World::new(seed).await;
    let id = world.run(cancels).await;
    let job = world.check(id).await;
    // Nothing of it is left to be leased.
    let request = LeaseRequest { session: world.session, queues: Queues::All, slots: 9, wait: Duration::ZERO };
    assert!(world.store.lease(request).await.expect("the session lives").is_empty());
    (job, world.log)
}

#[test]
fn every_tree_ends() {
    let (mut deep, mut spent, mut failed, mut succeeded) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        let (job, log) = block_on(story(seed, false));
        deep += usize::from(log.iter().any(|line| line.starts_with("lease 3")));
        spent += usize::from(matches!(job.cause, Some(JobCause::Budget(_))));
        failed += usize::from(job.state == JobState::Failed);
        succeeded += usize::from(job.state == JobState::Succeeded);
        assert!(!matches!(job.cause, Some(JobCause::Stuck(_))), "{seed}: {job:#?}");
    }
    // They are of every kind, or this shows little.
    assert!(deep > 10 && spent > 5 && failed > 10 && succeeded > 10, "{deep} {spent} {failed} {succeeded}");
}

#[test]
fn every_tree_that_is_stopped_ends_with_all_that_it_has() {
    let mut cancelled = 0;
    for seed in 1_000..1_000 + SEEDS {
        let (job, _) = block_on(story(seed, true));
        cancelled += usize::from(job.state == JobState::Cancelled);
    }
    assert!(cancelled > 10, "{cancelled}");
}

#[test]
fn same_seed_does_the_same_again() {
    for seed in 0..10 {
        assert_eq!(block_on(story(seed, true)).1, block_on(story(seed, true)).1, "{seed}");
    }
}

/// As if a fault had lost who waits for what, in a turn in which nobody could tell: no turn touches the job any more.
#[test]
fn job_that_nothing_touches_is_found_to_be_stuck() {
    block_on(async {
        let mut world = World::new(1).await;
        let top = NewJob { nodes: vec![node("top")], ..NewJob::default() };
        let id = world.store.submit_job(top).await.expect("it works").expect("it is taken on").into_job().id;
        let nodes = vec![node("a"), Node { after: vec![After::new("a".parse().expect("a name"))], ..node("b") }];
        let plan = Some(Arc::new(NewPlan { nodes, ..NewPlan::default() }));
        let leased = world.lease_one().await;
        let decomposed = Settlement { plan, ..settlement(&leased, leased.task.revision, Verdict::Decompose) };
        world.store.settle(vec![decomposed]).await.expect("it works").remove(0).expect("it has the lease");
        world.copy(|key| key[0] != b'D');
        world.store = open(&world.engine, &world.clock, 2);
        world.session = session(&world.store).await;
        let leased = world.lease_one().await;
        let last = settlement(&leased, leased.task.revision, Verdict::Succeed);
        // In the same turn there is so much to do that some is left: it may be what moves the job on.
        let large = NewJob { nodes: (0..3_000).map(|number| node(&number.to_string())).collect(), ..NewJob::default() };
        let (large, settled) = tokio::join!(world.store.submit_job(large), world.store.settle(vec![last]));
        large.expect("it works").expect("it is taken on");
        settled.expect("it works").remove(0).expect("it has the lease");
        assert_eq!(world.job(id).await.state, JobState::Running);
        world.clock.advance(SECOND * 61);
        let job = tokio::time::timeout(SECOND * 60, world.store.wait_job(id, SECOND * 60)).await.expect("it is found");
        let job = job.expect("it works").expect("it is there");
        let Some(JobCause::Stuck(reason)) = &job.cause else { panic!("{job:#?}") };
        assert_eq!((job.state, reason.contains("`b`")), (JobState::Failed, true), "{reason}");
    });
}

/// No value grows with the number of children, and each child costs a bounded number of writes.
#[test]
fn hundred_thousand_children_of_one_parent_end() {
    const CHILDREN: usize = 100_000;
    block_on(async {
        let world = World::new(3).await;
        let nodes = (0..CHILDREN).map(|number| node(&format!("part/{number:06}")));
        let join = Node { after: vec![After::new("part/*".parse().expect("a group"))], ..node("join") };
        let plan = NewPlan {
            nodes: nodes.take(CHILDREN - 1).chain([join]).collect(),
            join: Some("join".parse().expect("a name")),
            ..NewPlan::default()
        };
        let main =
            world.store.submit(vec![task()]).await.expect("it works").remove(0).expect("it is taken on").into_task();
        let lease = async || {
            let request = LeaseRequest { session: world.session, queues: Queues::All, slots: 5_000, wait: SECOND * 30 };
            world.store.lease(request).await.expect("the session lives")
        };
        let leased = lease().await.remove(0);
        let settlement_of_main =
            Settlement { plan: Some(Arc::new(plan)), ..settlement(&leased, leased.task.revision, Verdict::Decompose) };
        world.store.settle(vec![settlement_of_main]).await.expect("it works").remove(0).expect("it has the lease");
        let mut done = 0;
        while done < CHILDREN {
            let leased = lease().await;
            assert!(!leased.is_empty(), "{done}");
            done += leased.len();
            let all = leased.iter().map(|leased| settlement(leased, leased.task.revision, Verdict::Succeed)).collect();
            let settled: Result<Vec<_>, SettleError> =
                world.store.settle(all).await.expect("it works").into_iter().collect();
            settled.expect("they have their leases");
        }
        let main = world.store.wait(main.id, SECOND * 60).await.expect("it works").expect("it is there");
        assert_eq!(main.state.name(), StateName::Succeeded);
        let job = world.job(link(&main).job).await;
        assert_eq!((job.state, job.tasks.total()), (JobState::Succeeded, CHILDREN as u64 + 1));
        let longest = world.engine.scan(&[], &[u8::MAX], false).map(|pair| pair.expect("memory does not fail"));
        let longest =
            longest.filter(|(key, _)| !matches!(key[0], b'v' | b'l' | b'e' | b'P')).map(|(_, value)| value.len()).max();
        assert!(longest.is_some_and(|bytes| bytes < 4_096), "{longest:?}");
        assert_ne!(job.cause, Some(JobCause::Budget(BudgetName::Tasks)));
    });
}
