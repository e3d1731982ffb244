//! The power is cut at every barrier of a job's life, with as little done in a turn as there can be: before what was written is
//! durable, or after it and before anybody is told. Each time the job goes on, and comes to the same end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sunaba_store::{
    EmbeddedStore, Engine, EngineError, LeaseRequest, ManualClock, MemoryEngine, Pair, PlanQuery, Queues, Settlement,
    Store, StoreError, Writes,
};
use sunaba_task::job::{After, Job, JobId, JobSpec, JobState, NewJob, NewPlan, Node, OnFailure};
use sunaba_task::{StateName, Task, TaskId, Timestamp, Verdict};
use tokio::task::JoinHandle;

use crate::block_on;
use crate::plans::{name, node, task};
use crate::world::{Hand, SECOND, link, settlement};

/// A driver that has not brought its job to the end by then never will.
const MAX_ROUNDS: usize = 2_000;

/// When the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Never,
    /// Before this barrier: what was written is lost.
    Before(u64),
    /// After it: what was written is durable, and nobody is told.
    After(u64),
}

struct Disk {
    durable: MemoryEngine,
    pending: Writes,
    barriers: u64,
    cut: Cut,
    is_off: bool,
}

/// Clones share the disk. What was applied reaches it with the next barrier.
#[derive(Clone)]
struct Powered {
    disk: Arc<Mutex<Disk>>,
    /// What the process sees.
    view: MemoryEngine,
}

impl Powered {
    fn new(cut: Cut) -> Self {
        let disk = Disk { durable: MemoryEngine::default(), pending: Writes::new(), barriers: 0, cut, is_off: false };
        Self { disk: Arc::new(Mutex::new(disk)), view: MemoryEngine::default() }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the next process finds.
    fn again(&self) -> Self {
        let mut disk = self.disk();
        (disk.pending, disk.is_off) = (Writes::new(), false);
        let view = crate::world::copy(&disk.durable, |_| true);
        drop(disk);
        Self { disk: Arc::clone(&self.disk), view }
    }
}

fn off() -> EngineError {
    EngineError::new("cannot sync", "the power is off")
}

impl Engine for Powered {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.view.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.view.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        let mut disk = self.disk();
        if disk.is_off {
            return Err(off());
        }
        disk.pending.extend(writes.clone());
        drop(disk);
        self.view.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        let mut disk = self.disk();
        disk.barriers += 1;
        disk.is_off |= disk.cut == Cut::Before(disk.barriers);
        if disk.is_off {
            return Err(off());
        }
        let pending = std::mem::take(&mut disk.pending);
        disk.durable.apply(&pending)?;
        disk.is_off = disk.cut == Cut::After(disk.barriers);
        if disk.is_off { Err(off()) } else { Ok(()) }
    }
}

/// A process: its store, and the worker in it.
struct Process {
    engine: Powered,
    clock: Hand,
    store: EmbeddedStore,
    serve: JoinHandle<()>,
    starts: u64,
}

impl Process {
    fn start(engine: &Powered, clock: &Hand, starts: u64) -> Self {
        // While a store is opened the power may be cut, too.
        for _ in 0..3 {
            let engine = engine.again();
            let opened = EmbeddedStore::open_step_by_step(engine.clone(), Arc::new(clock.clone()), starts, 1);
            if let Ok((store, serve)) = opened {
                return Self { engine, clock: clock.clone(), store, serve: tokio::spawn(serve), starts };
            }
        }
        panic!("it was cut once")
    }

    async fn restart(&mut self) {
        self.serve.abort();
        let _ = (&mut self.serve).await;
        *self = Self::start(&self.engine, &self.clock, self.starts + 1);
    }
}

/// A job with all that there is: groups and joins, a plan under a task, a failure that is met, and one that is undone.
fn job(fails: bool) -> NewJob {
    let undoable = |node: Node| Node { compensation: Some(task()), ..node };
    let after =
        |awaited: &str, on_failure| After { on_failure, ..After::new(awaited.parse().expect("it can be awaited")) };
    let mut nodes: Vec<_> = (0..4).map(|number| undoable(node(&format!("g/{number}")))).collect();
    nodes.push(Node { after: vec![after("g/*", Some(OnFailure::Continue))], ..node("split") });
    nodes.push(Node { after: vec![after("split", None), after("g/0", None)], ..undoable(node("last")) });
    nodes.push(node("bad"));
    nodes.push(Node { after: vec![after("bad", Some(OnFailure::Ignore))], ..node("good") });
    if fails {
        nodes.push(Node { after: vec![after("last", None)], ..node("worse") });
    }
    let spec = JobSpec { on_failure: OnFailure::Compensate, idempotency_key: Some("k".into()), ..JobSpec::default() };
    NewJob { spec, nodes, fingerprint: None }
}

fn plan() -> NewPlan {
    let mut nodes: Vec<_> = (0..3).map(|number| node(&format!("part/{number}"))).collect();
    let group = After::new("part/*".parse().expect("a group"));
    nodes.push(Node { after: vec![group], ..node("join") });
    NewPlan { nodes, join: Some(name("join")), ..NewPlan::default() }
}

/// What is said of each attempt, by the name of its task.
fn verdict(task: &Task) -> Verdict {
    match link(task).name.as_str() {
        "bad" | "worse" => Verdict::GiveUp,
        "split" => Verdict::Decompose,
        "part/1" if task.attempts_started == 1 => Verdict::Retry(Duration::ZERO),
        _ => Verdict::Succeed,
    }
}

/// Whether nothing is to be done any more for any job.
fn is_at_rest(engine: &Powered) -> bool {
    engine.scan(b"W", b"X", false).next().is_none()
}

/// Does what is next; tells how the job stands, if somebody is there to tell it.
async fn round(process: &Process, fails: bool) -> Result<Job, StoreError> {
    let store = &process.store;
    let job = store.submit_job(job(fails)).await?.expect("it is taken on").into_job();
    let session = store.open_session("w".into(), SECOND * 1_000_000).await?;
    let request = LeaseRequest { session, queues: Queues::All, slots: 2, wait: Duration::ZERO };
    for leased in store.lease(request).await? {
        let verdict = verdict(&leased.task);
        let plan = (verdict == Verdict::Decompose).then(|| Arc::new(plan()));
        let settlement = Settlement { plan, ..settlement(&leased, leased.task.revision, verdict) };
        store.settle(vec![settlement]).await?.remove(0).expect("it has the lease");
    }
    Ok(store.job(job.id).await?.expect("it is there"))
}

/// The tasks of a job, by the names from its root on; what undoes them, too.
async fn tasks(store: &EmbeddedStore, job: JobId) -> Result<BTreeMap<String, Task>, StoreError> {
    let (mut all, mut plans): (_, Vec<(String, Option<TaskId>)>) = (BTreeMap::new(), vec![(String::new(), None)]);
    while let Some((path, parent)) = plans.pop() {
        let query = PlanQuery { parent, ..PlanQuery::of(job, 100) };
        for task in store.plan(query).await?.tasks {
            let path = format!("{path}/{}", link(&task).name);
            plans.push((path.clone(), Some(task.id)));
            assert!(all.insert(path.clone(), task).is_none(), "there are two `{path}`");
        }
    }
    Ok(all)
}

/// The life of the job; how each of its tasks ended, and how many barriers there were.
async fn life(cut: Cut, fails: bool) -> (Job, BTreeMap<String, StateName>, u64) {
    let clock = Hand(ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
    let mut process = Process::start(&Powered::new(cut), &clock, 0);
    let mut ended = None;
    for _ in 0..MAX_ROUNDS {
        match round(&process, fails).await {
            Ok(job) if job.state.is_terminal() && is_at_rest(&process.engine) => {
                ended = Some((tasks(&process.store, job.id).await.expect("it works"), job));
                break;
            }
            Ok(_) => clock.0.advance(Duration::from_millis(1)),
            Err(StoreError::Failed(_)) => process.restart().await,
            Err(error) => panic!("{cut:?}: {error}"),
        }
    }
    let (tasks, job) = ended.unwrap_or_else(|| panic!("{cut:?}: it does not end"));
    for (path, task) in &tasks {
        let last = |verdict| matches!(verdict, Verdict::Succeed | Verdict::GiveUp | Verdict::Decompose);
        let ends = task.attempts.iter().filter(|attempt| last(attempt.decision.verdict)).count();
        assert!(ends <= 1, "{cut:?}: `{path}` is run again");
    }
    assert_eq!(job.tasks.total(), tasks.len() as u64, "{cut:?}");
    let barriers = process.engine.disk().barriers;
    (job, tasks.into_iter().map(|(path, task)| (path, task.state.name())).collect(), barriers)
}

fn goes_on_wherever_it_is_cut(fails: bool, state: JobState) {
    let (job, expected, barriers) = block_on(life(Cut::Never, fails));
    assert_eq!(job.state, state, "{job:#?}");
    assert!(barriers > 30, "{barriers}");
    for at in 1..=barriers {
        for cut in [Cut::Before(at), Cut::After(at)] {
            let (found, states, _) = block_on(life(cut, fails));
            assert_eq!(states, expected, "{cut:?}");
            assert_eq!((found.state, &found.tasks, found.partial), (state, &job.tasks, job.partial), "{cut:?}");
        }
    }
}

#[test]
fn job_goes_on_wherever_the_power_is_cut() {
    goes_on_wherever_it_is_cut(false, JobState::Succeeded);
}

#[test]
fn job_is_undone_wherever_the_power_is_cut() {
    goes_on_wherever_it_is_cut(true, JobState::Failed);
}
