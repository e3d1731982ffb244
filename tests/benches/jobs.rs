//! What jobs cost: a chain of 400, a group of 100,000 with a join, and, in a thorough run, a job of a million tasks.
//!
//! `cargo bench --workspace --bench jobs` runs it, on sled with its barrier, each task in a sandbox of its own: `hello`, as
//! `cargo xtask guests` has built it (`SUNABA_GUESTS` names another folder). `--quick` makes the group ten times smaller and leaves
//! the large job out. In that one a handler of the program decomposes into a thousand, each of which decomposes into the rest.
//!
//! Beside the time stands what the process held at each tenth of a job: it must not grow with the number of tasks that have ended.

use std::path::PathBuf;
use std::time::Duration;

use sunaba_bench::{Bench, Figures, Stopwatch, Unit, resident_bytes};
use sunaba_runtime::task::job::{After, Budget, Job, JobSpec, JobState, NewJob, Node};
use sunaba_runtime::task::{Child, Digest, Failure, NewTask, Outcome, Payload, Plan, StateName, TaskSpec};
use sunaba_runtime::{Native, Runtime};

const CHAIN: usize = 400;
const GROUP: usize = 100_000;
const LARGE: usize = 1_000_000;
/// Children of each handler that decomposes.
const PARTS: usize = 1_000;
/// One look at a job that runs.
const LOOK: Duration = Duration::from_millis(250);
/// Nothing here takes so long on any machine.
const LONGEST: Duration = Duration::from_secs(3 * 60 * 60);

fn guest() -> Vec<u8> {
    let folder = std::env::var_os("SUNABA_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests"), PathBuf::from);
    let file = folder.join("hello.wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}: `cargo xtask guests` builds it", file.display()))
}

fn input() -> Payload {
    Payload::json(r#"{"name":"Ada"}"#)
}

/// A handler that decomposes into as many tasks as it is asked for: itself, for a thousandth each, while they are many.
async fn fan(native: Native) -> Result<Outcome, Failure> {
    let tasks: usize = native.json()?;
    let (handler, count, input) = match tasks {
        0..=PARTS => ("hello/hello", tasks, input()),
        _ => ("bench/fan", PARTS, Payload::json((tasks / PARTS).to_string())),
    };
    let child = |number: usize| Child {
        name: format!("part/{number:04}"),
        handler: handler.into(),
        input: input.clone(),
        after: Vec::new(),
        settings: Vec::new(),
    };
    let children = (0..count).map(child).collect();
    Ok(Outcome::Decompose(Plan { children, join: None, settings: Vec::new() }))
}

/// A host, and what its tasks are made of.
struct House {
    threads: tokio::runtime::Runtime,
    runtime: Runtime,
    hello: Digest,
    fan: Digest,
    _folder: tempfile::TempDir,
}

/// What one job took.
#[derive(Default)]
struct Ran {
    seconds: f64,
    taken_on_ms: f64,
    tasks: u64,
    /// What the process held when so many tenths of the tasks had ended.
    resident: Vec<(u64, u64)>,
}

impl House {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("the system has room for temporary files");
        let threads =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let runtime = threads.block_on(async {
            let builder = Runtime::builder().data(folder.path().join("data")).expect("it is free");
            let runtime = builder.native("bench/fan", fan).start().await.expect("it starts");
            runtime.deploy("hello", guest().into()).await.expect("it can be deployed");
            runtime
        });
        let packages = runtime.packages();
        let component =
            |name: &str| packages.iter().find(|package| package.name == name).expect("it is there").component;
        let (hello, fan) = (component("hello"), component("bench"));
        Self { threads, runtime, hello, fan, _folder: folder }
    }

    fn node(&self, name: String, after: Option<String>) -> Node {
        let task = NewTask::new(TaskSpec::new("hello/hello".parse().expect("a name"), self.hello), input());
        let after = after.map(|name| After::new(name.parse().expect("it can be awaited")));
        Node { after: after.into_iter().collect(), ..Node::new(name.parse().expect("a name"), task) }
    }

    fn chain(&self, steps: usize) -> Vec<Node> {
        let step = |number: usize| {
            self.node(format!("step-{number}"), number.checked_sub(1).map(|last| format!("step-{last}")))
        };
        (0..steps).map(step).collect()
    }

    fn group(&self, tasks: usize) -> Vec<Node> {
        let members = (1..tasks).map(|number| self.node(format!("part/{number:06}"), None));
        members.chain([self.node("join".into(), Some("part/*".into()))]).collect()
    }

    fn large(&self, tasks: usize) -> Vec<Node> {
        let spec = TaskSpec::new("bench/fan".parse().expect("a name"), self.fan);
        vec![Node::new("main".parse().expect("a name"), NewTask::new(spec, Payload::json(tasks.to_string())))]
    }

    fn run(&self, nodes: Vec<Node>, tasks: usize) -> Ran {
        self.threads.block_on(async {
            let store = self.runtime.store();
            let budget = Budget { tasks: tasks as u64 * 2, ..Budget::default() };
            let spec = JobSpec { budget, ..JobSpec::default() };
            let began = Stopwatch::start();
            let job = NewJob { spec, nodes, fingerprint: None };
            let submitted = store.submit_job(job).await.expect("the store works").expect("it is taken on");
            let id = submitted.into_job().id;
            let mut ran = Ran { taken_on_ms: began.elapsed().as_secs_f64() * 1e3, ..Ran::default() };
            let job: Job = loop {
                let job = store.wait_job(id, LOOK).await.expect("the store works").expect("it is there");
                let tenths = job.tasks.in_state(StateName::Succeeded) * 10 / (tasks as u64).max(1);
                if ran.resident.last().is_none_or(|(last, _)| *last < tenths) {
                    ran.resident.push((tenths.min(10), resident_bytes()));
                }
                if job.state.is_terminal() {
                    break job;
                }
                assert!(began.elapsed() < LONGEST, "it takes too long: {job:?}");
            };
            ran.seconds = began.elapsed().as_secs_f64();
            ran.tasks = job.tasks.total();
            assert_eq!(job.state, JobState::Succeeded, "{:?}", job.cause);
            ran
        })
    }
}

fn main() {
    let mut bench = Bench::start("jobs");
    let group = if bench.is_quick() { GROUP / 10 } else { GROUP };
    let (chain, group_name) = (format!("chain of {CHAIN}"), format!("group of {group} with a join"));
    let large = format!("job of {LARGE}");
    let promise = "durable, each task in a sandbox of its own; `hello`";
    if bench.wants(&chain) {
        let house = House::open();
        house.run(house.chain(CHAIN / 4), CHAIN / 4);
        bench.remark(&chain, "sunaba", promise);
        bench.case(&chain, Unit::Seconds).way("sunaba", || house.run(house.chain(CHAIN), CHAIN).seconds).run();
    }
    if bench.wants(&group_name) {
        let house = House::open();
        house.run(house.chain(CHAIN / 4), CHAIN / 4);
        // What takes minutes is not done five times.
        let rounds = bench.rounds().min(3);
        let ran = (0..rounds).map(|_| house.run(house.group(group), group)).collect();
        note(&mut bench, &group_name, promise, ran);
    }
    if !bench.is_quick() && bench.wants(&large) {
        let house = House::open();
        house.run(house.chain(CHAIN / 4), CHAIN / 4);
        let ran = vec![house.run(house.large(LARGE), LARGE)];
        note(&mut bench, &large, promise, ran);
    }
}

/// What large jobs took, how many tasks a second they did, and what the process held meanwhile.
fn note(bench: &mut Bench, case: &str, promise: &str, ran: Vec<Ran>) {
    let figures = |figure: fn(&Ran) -> f64| -> Vec<(String, Figures)> {
        vec![("sunaba".into(), ran.iter().enumerate().map(|(round, ran)| (round, figure(ran))).collect())]
    };
    let remark = format!("{promise}; {} tasks", ran[0].tasks);
    bench.remark(case, "sunaba", &remark);
    bench.note(case, Unit::Seconds, None, &figures(|ran| ran.seconds));
    bench.note(&format!("{case}, tasks"), Unit::PerSecond, None, &figures(|ran| ran.tasks as f64 / ran.seconds));
    bench.note(&format!("{case}, taken on"), Unit::Milliseconds, None, &figures(|ran| ran.taken_on_ms));
    let held = format!("{case}, resident memory");
    for (tenths, bytes) in &ran[0].resident {
        bench.note(&held, Unit::Bytes, Some(*tenths as f64), &[("sunaba".into(), vec![(0, *bytes as f64)])]);
    }
}
