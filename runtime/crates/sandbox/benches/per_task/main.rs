//! What a task costs in the sandbox, beside a bare loop over the engine that has no limits at all.
//!
//! `cargo bench --workspace --bench per_task` runs it on the guests that `cargo xtask guests` has built (`SUNABA_GUESTS` names
//! another folder). Absolute times move by a factor of two on a shared machine and ratios do not, so each round measures
//! every way once, right after each other, and the ratio is taken within the round. What is measured is the CPU time of the
//! whole process, with every thread that takes part.
//!
//! The ways:
//!
//! - `bare`: a fresh store, the instantiation and the call of `hello`, with the best settings of the engine and WASI linked;
//!   no limits, no fuel, no epochs, nobody to stop it.
//! - `sandbox, busy`: the same guest through [`Sandbox`] on one shard with many attempts waiting: all limits, exact fuel, epochs,
//!   WASI, grants, the call and the receipt.
//! - `..., its shard alone`: of the same, the CPU time of the thread that runs guests: without what it takes whoever asks to make
//!   the request, to be woken by the answer, and to read it.
//! - `sandbox, fuel off`: the same without fuel.
//! - `sandbox, one at a time`: each attempt waits for the one before, so that both threads are woken for each.

mod bare;
mod rest;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sunaba_sandbox::{ComponentInfo, Sandbox};
use sunaba_task::{
    AttemptContext, AttemptReport, AttemptRequest, AttemptResult, Executor as _, Fuel, FuelMode, Grants, Limits,
    Outcome, Payload, TaskId, Unattended,
};

const ROUNDS: usize = 9;
/// Tasks of each way in a round.
const TASKS: usize = 20_000;
/// Attempts that wait at the same time, in the busy way.
const LANES: usize = 32;

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

/// A built guest.
fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("SUNABA_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../target/guests"), PathBuf::from);
    let file = folder.join(name).with_extension("wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}: `cargo xtask guests` builds it", file.display()))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}

/// Microseconds of this CPU time that each of so many tasks took.
fn per_task(tasks: usize, time: fn() -> Duration, work: impl FnOnce()) -> f64 {
    let before = time();
    work();
    (time() - before).as_secs_f64() * 1e6 / tasks as f64
}

fn input() -> Payload {
    Payload::json(r#"{"name":"Ada"}"#)
}

/// What a worker would ask for.
fn request(component: &ComponentInfo, limits: &Limits, input: Payload) -> AttemptRequest {
    AttemptRequest {
        component: component.digest,
        handler: component.handlers[0].name.clone(),
        context: AttemptContext {
            task_id: TaskId::from_bytes([7; 16]),
            job_id: None,
            queue: "default".into(),
            attempt: 1,
            failures: 0,
            max_attempts: 4,
            submitted_at_ms: 1,
            started_at_ms: 2,
            deadline_ms: Some(3),
            idempotency_key: None,
            attributes: Vec::new(),
        },
        input,
        limits: limits.clone(),
        grants: Grants::default(),
        secrets: Vec::new(),
        seed: None,
        capture: sunaba_task::Capture::default(),
    }
}

async fn attempt(sandbox: &Sandbox, request: AttemptRequest) -> AttemptReport {
    sandbox.execute(request, Arc::new(Unattended)).await.expect("the host can do its part")
}

async fn hello(sandbox: &Sandbox, request: AttemptRequest) {
    let report = attempt(sandbox, request).await;
    assert!(matches!(report.result, AttemptResult::Returned(Outcome::Complete(_))), "{:?}", report.result);
}

/// A sandbox with one shard and `hello` in it.
struct Ours {
    sandbox: Arc<Sandbox>,
    component: Arc<ComponentInfo>,
    runtime: tokio::runtime::Runtime,
}

impl Ours {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let sandbox = Sandbox::builder().slots(u32::try_from(LANES).expect("few")).start().expect("threads");
        let component = runtime.block_on(async {
            sandbox.load(guest("hello"), FuelMode::Off).await.expect("it loads");
            sandbox.load(guest("hello"), FuelMode::Exact).await.expect("it loads")
        });
        Self { sandbox: Arc::new(sandbox), component, runtime }
    }

    fn limits(&self, fuel: Fuel) -> Limits {
        Limits { fuel, ..self.component.handlers[0].settings.apply(Limits::default()) }
    }

    fn busy(&self, fuel: Fuel) {
        let limits = Arc::new(self.limits(fuel));
        self.runtime.block_on(async {
            let lanes = (0..LANES).map(|_| {
                let (sandbox, component) = (Arc::clone(&self.sandbox), Arc::clone(&self.component));
                let limits = Arc::clone(&limits);
                tokio::spawn(async move {
                    for _ in 0..TASKS / LANES {
                        hello(&sandbox, request(&component, &limits, input())).await;
                    }
                })
            });
            for lane in lanes.collect::<Vec<_>>() {
                lane.await.expect("no panic");
            }
        });
    }

    /// CPU time that the thread that runs guests has used.
    fn shard_time() -> Duration {
        let tasks = std::fs::read_dir("/proc/self/task").expect("a system with /proc").filter_map(Result::ok);
        let shard = tasks
            .map(|task| task.path())
            .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("sunaba-shard")))
            .expect("the sandbox has one");
        let times = std::fs::read_to_string(shard.join("schedstat")).expect("the kernel counts");
        let nanos = times.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number");
        Duration::from_nanos(nanos)
    }

    fn one_at_a_time(&self) {
        let limits = self.limits(Fuel::Exact { limit: None });
        self.runtime.block_on(async {
            for _ in 0..TASKS {
                hello(&self.sandbox, request(&self.component, &limits, input())).await;
            }
        });
    }
}

/// What it is called, what is measured of it, and what it does.
type Way<'a> = (&'a str, fn() -> Duration, &'a dyn Fn());

/// The smallest, the middle and the largest.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn main() {
    let (bare, ours) = (bare::Bare::new(&guest("hello")), Ours::new());
    let exact = Fuel::Exact { limit: None };
    let ways: [Way<'_>; 6] = [
        ("bare", cpu_time, &|| bare.run(TASKS)),
        ("sandbox, busy", cpu_time, &|| ours.busy(exact)),
        ("  its shard alone", Ours::shard_time, &|| ours.busy(exact)),
        ("sandbox, fuel off", cpu_time, &|| ours.busy(Fuel::Off)),
        ("  its shard alone", Ours::shard_time, &|| ours.busy(Fuel::Off)),
        ("sandbox, one at a time", cpu_time, &|| ours.one_at_a_time()),
    ];
    let only = std::env::var("PER_TASK").ok();
    let ways: Vec<_> = ways.into_iter().filter(|(name, ..)| only.as_deref().is_none_or(|only| only == *name)).collect();
    for (.., way) in &ways {
        way();
    }
    let rounds: Vec<Vec<f64>> =
        (0..ROUNDS).map(|_| ways.iter().map(|(_, time, way)| per_task(TASKS, *time, way)).collect()).collect();
    say(format_args!("CPU time a task of `hello`, {ROUNDS} rounds of {TASKS}: min / median / max"));
    for (index, (name, ..)) in ways.iter().enumerate() {
        let [least, middle, most] = spread(rounds.iter().map(|round| round[index]).collect());
        let [low, ratio, high] = spread(rounds.iter().map(|round| round[index] / round[0]).collect());
        say(format_args!(
            "  {name:<24} {least:>6.1} / {middle:>6.1} / {most:>6.1} us    of the first: {low:.2} / {ratio:.2} / {high:.2}"
        ));
    }
    if only.is_none() {
        rest::processes();
        rest::memory();
        rest::overshoot();
    }
}
