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

use sunaba_bench::{Bench, Unit, cpu_time};
use sunaba_sandbox::{ComponentInfo, Sandbox};
use sunaba_task::{
    AttemptContext, AttemptReport, AttemptRequest, AttemptResult, EnvGrant, Executor as _, Fuel, FuelMode, Grants,
    Limits, Outcome, Payload, TaskId, Unattended,
};

/// Tasks of each way in a round.
const TASKS: usize = 20_000;
/// Attempts that wait at the same time, in the busy way.
const LANES: usize = 32;

/// A built guest.
fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("SUNABA_GUESTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../target/guests"), PathBuf::from);
    let file = folder.join(name).with_extension("wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("`{}`: {error}: `cargo xtask guests` builds it", file.display()))
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
    /// In each measurement.
    tasks: usize,
}

impl Ours {
    fn new(tasks: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let sandbox = Sandbox::builder().slots(u32::try_from(LANES).expect("few")).start().expect("threads");
        let component = runtime.block_on(async {
            sandbox.load(guest("hello"), FuelMode::Off).await.expect("it loads");
            sandbox.load(guest("hello"), FuelMode::Exact).await.expect("it loads")
        });
        Self { sandbox: Arc::new(sandbox), component, runtime, tasks }
    }

    fn limits(&self, fuel: Fuel) -> Limits {
        Limits { fuel, ..self.component.handlers[0].settings.apply(Limits::default()) }
    }

    fn busy(&self, fuel: Fuel) {
        self.busy_with(fuel, &Grants::default());
    }

    /// With what costs something to prepare: a directory to be opened, variables, a host.
    fn granted(&self) {
        let http = vec!["https://example.com".parse().expect("an authority")];
        let env = vec![EnvGrant { key: "LEVEL".into(), value: "3".into() }];
        self.busy_with(Fuel::Exact { limit: None }, &Grants { env, http, ..Grants::default() });
    }

    fn busy_with(&self, fuel: Fuel, grants: &Grants) {
        let (limits, tasks) = (Arc::new(self.limits(fuel)), self.tasks);
        self.runtime.block_on(async {
            let lanes = (0..LANES).map(|_| {
                let (sandbox, component) = (Arc::clone(&self.sandbox), Arc::clone(&self.component));
                let (limits, grants) = (Arc::clone(&limits), grants.clone());
                tokio::spawn(async move {
                    for _ in 0..tasks / LANES {
                        let request = request(&component, &limits, input());
                        hello(&sandbox, AttemptRequest { grants: grants.clone(), ..request }).await;
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
            for _ in 0..self.tasks {
                hello(&self.sandbox, request(&self.component, &limits, input())).await;
            }
        });
    }
}

fn main() {
    let mut bench = Bench::start("sandbox");
    let tasks = if bench.is_quick() { TASKS / 5 } else { TASKS };
    loops(&mut bench, tasks);
    rest::memory(&mut bench);
    rest::overshoot(&mut bench);
    rest::code(&mut bench);
}

/// The loops that run `hello`, and a process for scale.
fn loops(bench: &mut Bench, tasks: usize) {
    let (bare, ours) = (bare::Bare::new(&guest("hello")), Ours::new(tasks));
    let exact = Fuel::Exact { limit: None };
    let per_task = |time: fn() -> Duration, work: &dyn Fn()| per_task(tasks, time, work);
    // What is mapped in and compiled lazily is, from here on.
    bare.run(tasks / 10);
    ours.busy(exact);
    bench
        .case("hello, CPU time of a task", Unit::Microseconds)
        .way("bare wasmtime", || per_task(cpu_time, &|| bare.run(tasks)))
        .way("sandbox", || per_task(cpu_time, &|| ours.busy(exact)))
        .way("sandbox, its shard alone", || per_task(Ours::shard_time, &|| ours.busy(exact)))
        .way("sandbox, fuel off", || per_task(cpu_time, &|| ours.busy(Fuel::Off)))
        .way("sandbox, fuel off, its shard alone", || per_task(Ours::shard_time, &|| ours.busy(Fuel::Off)))
        .way("sandbox, with grants", || per_task(cpu_time, &|| ours.granted()))
        .way("sandbox, one at a time", || per_task(cpu_time, &|| ours.one_at_a_time()))
        .way("fork + exec", rest::process)
        .run();
}
