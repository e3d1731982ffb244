//! What jobs cost: a chain of 400, a group of 100,000 with a join, and, if asked for, a job of a million tasks.
//!
//! `cargo bench --workspace --bench jobs` runs it, on sled with its barrier, each task in a sandbox of its own: `hello`, as
//! `cargo xtask guests` has built it (`SUNABA_GUESTS` names another folder). `cargo bench --workspace --bench jobs -- 1000000` adds a
//! job of so many tasks: a handler of the program decomposes into a thousand, each of which decomposes into the rest.
//!
//! Beside each time stands what the process held: it must not grow with the number of tasks that have ended.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sunaba_runtime::task::job::{After, Budget, Job, JobSpec, JobState, NewJob, Node};
use sunaba_runtime::task::{Child, Failure, NewTask, Outcome, Payload, Plan, StateName, TaskSpec};
use sunaba_runtime::{Native, Runtime};

const CHAIN: usize = 400;
const GROUP: usize = 100_000;
/// Children of each handler that decomposes.
const PARTS: usize = 1_000;
const WAIT: Duration = Duration::from_secs(2);
/// Nothing here takes so long on any machine.
const LONGEST: Duration = Duration::from_secs(3 * 60 * 60);

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "what a benchmark is for")]
fn now() -> Instant {
    Instant::now()
}

/// What the process holds, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") >> 10
}

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

async fn run(runtime: &Runtime, what: &str, nodes: Vec<Node>, budget: Budget) -> Duration {
    let began = now();
    let spec = JobSpec { budget, ..JobSpec::default() };
    let job = NewJob { spec, nodes, fingerprint: None };
    let submitted = runtime.store().submit_job(job).await.expect("the store works").expect("it is taken on");
    let id = submitted.into_job().id;
    let taken = began.elapsed();
    let mut told = began;
    let mut peak = resident_mib();
    let job: Job = loop {
        let job = runtime.store().wait_job(id, WAIT).await.expect("the store works").expect("it is there");
        peak = peak.max(resident_mib());
        if job.state.is_terminal() {
            break job;
        }
        assert!(began.elapsed() < LONGEST, "it takes too long: {job:?}");
        if told.elapsed() > Duration::from_secs(10) {
            told = now();
            let (ended, time) = (job.tasks.in_state(StateName::Succeeded), began.elapsed());
            say(format_args!(
                "  {what}: {ended} of {} ended after {time:.1?}, {} MiB",
                job.tasks.total(),
                resident_mib()
            ));
        }
    };
    assert_eq!(job.state, JobState::Succeeded, "{:?}", job.cause);
    let (time, tasks) = (began.elapsed(), job.tasks.total());
    let rate = tasks as f64 / time.as_secs_f64();
    say(format_args!(
        "{what}: {tasks} tasks in {time:.2?} ({rate:.0} a second), taken on in {taken:.1?}, at most {peak} MiB resident"
    ));
    time
}

fn main() {
    let million = std::env::args().skip(1).find_map(|argument| argument.parse::<usize>().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    runtime.block_on(measure(million));
}

async fn measure(million: Option<usize>) {
    let folder = tempfile::tempdir().expect("a folder");
    let builder = Runtime::builder().data(folder.path().join("data")).expect("it is free").native("bench/fan", fan);
    let runtime = builder.start().await.expect("it starts");
    runtime.deploy("hello", guest().into()).await.expect("it can be deployed");
    let packages = runtime.packages();
    let component = packages.iter().find(|package| package.name == "hello").expect("it was deployed").component;
    let task = || NewTask::new(TaskSpec::new("hello/hello".parse().expect("a name"), component), input());
    let node = |name: String, after: Option<String>| {
        let after = after.map(|name| After::new(name.parse().expect("it can be awaited")));
        Node { after: after.into_iter().collect(), ..Node::new(name.parse().expect("a name"), task()) }
    };

    let chain =
        |number: usize| node(format!("step-{number}"), number.checked_sub(1).map(|last| format!("step-{last}")));
    run(&runtime, "warm-up", (0..100).map(chain).collect(), Budget::default()).await;
    run(&runtime, "chain", (0..CHAIN).map(chain).collect(), Budget::default()).await;
    let members = (1..GROUP).map(|number| node(format!("part/{number:06}"), None));
    let group = members.chain([node("join".into(), Some("part/*".into()))]).collect();
    run(&runtime, "group with a join", group, Budget::default()).await;
    if let Some(tasks) = million {
        let spec = TaskSpec::new("bench/fan".parse().expect("a name"), digest_of(&runtime));
        let root = Node::new("main".parse().expect("a name"), NewTask::new(spec, Payload::json(tasks.to_string())));
        let budget = Budget { tasks: tasks as u64 * 2, ..Budget::default() };
        run(&runtime, "large job", vec![root], budget).await;
    }
    runtime.stop(WAIT).await.expect("the store works");
}

/// What stands for the component of the program's own handler.
fn digest_of(runtime: &Runtime) -> sunaba_runtime::task::Digest {
    let packages = runtime.packages();
    packages.iter().find(|package| package.name == "bench").expect("it is the program's own").component
}
