//! What is deployed is ready before its first task is begun, and a task waits for nothing that is not its own.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sunaba_runtime::compile::{CompileLimits, Compiler};
use sunaba_runtime::server::api::QueueView;
use sunaba_runtime::store::{Hold, Package, Readiness, Stalled};
use sunaba_runtime::task::{Fuel, HandlerChange, Payload, StateName, Task, When};
use sunaba_runtime::{Runtime, TaskRequest};

use crate::support::{self, binaries, block_on, guest};

const WAIT: Duration = Duration::from_secs(120);
const GRACE: Duration = Duration::from_secs(30);

/// The guest `hello` as another component: with a section that means nothing.
fn hello(variant: u8) -> Vec<u8> {
    let mut bytes = std::fs::read(guest("hello")).expect("it is there");
    bytes.extend([0, 3, 1, b'v', variant]);
    bytes
}

async fn start(data: &Path, compiler: Compiler) -> Runtime {
    let builder = Runtime::builder().data(data).expect("it opens").concurrency(2).compiler(compiler);
    builder.start().await.expect("it starts")
}

async fn deploy(runtime: &Runtime, name: &str, variant: u8) -> Arc<Package> {
    runtime.deploy(name, hello(variant).into()).await.expect("it is taken")
}

fn request(package: &str) -> TaskRequest {
    let request = TaskRequest::new(format!("{package}/hello").parse().expect("a name"));
    request.input(Payload::json(r#"{"name":"Ada"}"#))
}

async fn submit(runtime: &Runtime, request: TaskRequest) -> Task {
    runtime.submit(request).await.expect("it is taken on").into_task()
}

async fn ended(runtime: &Runtime, task: &Task) -> Task {
    let task = runtime.wait(task.id, WAIT).await.expect("the store works").expect("it is there");
    assert_eq!(task.state.name(), StateName::Succeeded, "{task:#?}");
    task
}

async fn now(runtime: &Runtime, task: &Task) -> Task {
    runtime.store().task(task.id).await.expect("the store works").expect("it is there")
}

async fn holds(runtime: &Runtime, task: &Task) -> Vec<Hold> {
    runtime.store().standing(task.id).await.expect("the store works").holds
}

/// Sees to it that a component's code on disk is of no use.
fn spoil_code(data: &Path, package: &Package) {
    let begin = package.component.to_string().replace("sha256:", "");
    for entry in std::fs::read_dir(data.join("artifacts")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin)) {
            std::fs::write(path, b"flipped").expect("written");
        }
    }
}

/// A compiler that gives no code.
fn refusing() -> Compiler {
    let limits = CompileLimits { artifact_bytes: 1 << 10, ..CompileLimits::default() };
    Compiler::child(binaries().join("sunaba")).limits(limits)
}

/// What it says.
const REFUSED: &str = "compiling it gave more than 1.0 KiB of code";

fn forget_code(data: &Path) {
    std::fs::remove_dir_all(data.join("artifacts")).expect("it was there");
}

/// A compiler that begins when it is let.
struct Gate {
    program: PathBuf,
    gate: PathBuf,
}

impl Gate {
    fn new(folder: &Path) -> Self {
        let (program, gate) = (folder.join("compiler"), folder.join("gate"));
        assert!(Command::new("mkfifo").arg(&gate).status().expect("it starts").success());
        let real = binaries().join("sunaba");
        let text = format!("#!/bin/sh\nread line < {}\nexec {} \"$@\"\n", gate.display(), real.display());
        std::fs::write(&program, text).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("ours");
        Self { program, gate }
    }

    fn compiler(&self) -> Compiler {
        Compiler::child(&self.program)
    }

    /// Lets one compilation begin that has been asked for.
    async fn open(&self) {
        let gate = self.gate.clone();
        // Waits until there is somebody who reads.
        let opening =
            tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(gate)?.write_all(b"go\n"));
        opening.await.expect("no panic").expect("somebody reads");
    }
}

#[test]
fn restart_with_twenty_packages_compiles_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<_> = (0..20).map(|number| format!("hello-{number}")).collect();
    block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        for (variant, name) in (0..).zip(&names) {
            deploy(&runtime, name, variant).await;
        }
        assert_eq!(runtime.compilations(), 20);
        runtime.stop(GRACE).await.expect("it stops");
    });
    block_on(async {
        let begun = support::now();
        let runtime = start(folder.path(), Compiler::in_process()).await;
        let started = begun.elapsed();
        let mut firsts = Vec::new();
        for name in &names {
            let begun = support::now();
            let task = submit(&runtime, request(name)).await;
            let task = ended(&runtime, &task).await;
            let receipt = task.attempts[0].receipt.as_ref().expect("it ran").wall;
            firsts.push((begun.elapsed(), receipt));
        }
        assert_eq!(runtime.compilations(), 0);
        let (whole, attempt) = firsts[0];
        firsts.sort();
        let median = firsts[firsts.len() / 2];
        // Seen with `--no-capture`; how fast it is depends on the machine, and is not asserted.
        let mut out = std::io::stdout();
        let _ = writeln!(
            out,
            "started with 20 packages in {started:.1?}; first result {whole:.1?} after its submit, attempt {attempt:.1?}; \
             median of first tasks {:.1?}, attempt {:.1?}",
            median.0, median.1
        );
        runtime.stop(GRACE).await.expect("it stops");
    });
}

#[test]
fn tasks_wait_uncharged_for_code_that_is_gone_and_others_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, gate) = (folder.path().join("data"), Gate::new(folder.path()));
    block_on(async {
        let runtime = start(&data, Compiler::in_process()).await;
        deploy(&runtime, "kept", 1).await;
        let lost = deploy(&runtime, "lost", 2).await;
        runtime.stop(GRACE).await.expect("it stops");
        spoil_code(&data, &lost);
    });
    block_on(async {
        let runtime = start(&data, gate.compiler()).await;
        let lost = submit(&runtime, request("lost")).await;
        let kept = submit(&runtime, request("kept")).await;
        ended(&runtime, &kept).await;
        let waiting = now(&runtime, &lost).await;
        assert_eq!((waiting.state.name(), waiting.attempts_started), (StateName::Queued, 0));
        let component = waiting.spec.component;
        assert_eq!(holds(&runtime, &lost).await, [Hold::Compiling { component, problem: None }]);
        let packages = runtime.packages();
        let of = |name: &str| runtime.readiness(packages.iter().find(|one| one.name == name).expect("it is there"));
        assert_eq!([of("kept"), of("lost")], [None, Some(Readiness::Compiling(None))]);
        gate.open().await;
        let done = ended(&runtime, &lost).await;
        assert_eq!((done.attempts_started, done.failures_charged), (1, 0));
        assert_eq!((of("lost"), runtime.compilations()), (None, 1));
        runtime.stop(GRACE).await.expect("it stops");
    });
}

#[test]
fn tasks_of_a_component_that_cannot_be_compiled_wait_and_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        deploy(&runtime, "hello", 1).await;
        runtime.stop(GRACE).await.expect("it stops");
    });
    let task = block_on(async {
        forget_code(folder.path());
        let runtime = start(folder.path(), refusing()).await;
        let task = submit(&runtime, request("hello")).await;
        let package = runtime.packages().remove(0);
        while runtime.readiness(&package) == Some(Readiness::Compiling(None)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(runtime.readiness(&package), Some(Readiness::Failed(REFUSED.into())));
        let (component, problem) = (package.component, REFUSED.to_owned());
        // The store is told a little later.
        while holds(&runtime, &task).await != [Hold::Uncompilable { component, problem: problem.clone() }] {}
        let waiting = now(&runtime, &task).await;
        assert_eq!((waiting.state.name(), waiting.attempts_started), (StateName::Queued, 0));
        runtime.stop(GRACE).await.expect("it stops");
        task
    });
    // A host that can compile it runs what has waited.
    block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        assert_eq!(ended(&runtime, &task).await.attempts_started, 1);
        runtime.stop(GRACE).await.expect("it stops");
    });
}

#[test]
fn submit_in_another_fuel_mode_is_compiled_before_its_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, gate) = (folder.path().join("data"), Gate::new(folder.path()));
    block_on(async {
        let runtime = start(&data, Compiler::in_process()).await;
        deploy(&runtime, "hello", 1).await;
        runtime.stop(GRACE).await.expect("it stops");
    });
    block_on(async {
        let runtime = start(&data, gate.compiler()).await;
        let mut other = request("hello");
        other.fuel = Some(Fuel::Off);
        let other = submit(&runtime, other).await;
        gate.open().await;
        let done = ended(&runtime, &other).await;
        // It may have been leased before the worker was told, and was handed back then.
        assert_eq!((done.failures_charged, runtime.compilations()), (0, 1));
        runtime.stop(GRACE).await.expect("it stops");
    });
}

#[test]
fn task_of_an_older_version_is_run_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let handler = || "hello/hello".parse().expect("a name");
    let (old, task) = block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        let old = deploy(&runtime, "hello", 1).await;
        let pause = vec![HandlerChange::Paused(true)];
        runtime.store().set_handler(handler(), pause).await.expect("it is in range");
        let task = submit(&runtime, request("hello")).await;
        deploy(&runtime, "hello", 2).await;
        runtime.stop(GRACE).await.expect("it stops");
        (old, task)
    });
    block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        let go_on = vec![HandlerChange::Paused(false)];
        runtime.store().set_handler(handler(), go_on).await.expect("it is in range");
        let done = ended(&runtime, &task).await;
        let receipt = done.attempts.last().and_then(|attempt| attempt.receipt.as_ref()).expect("it ran");
        assert_eq!((receipt.component, done.failures_charged), (old.component, 0));
        runtime.stop(GRACE).await.expect("it stops");
    });
}

#[test]
fn tasks_of_another_version_go_past_one_that_cannot_be_compiled() {
    let folder = tempfile::tempdir().expect("a folder");
    let handler = || "hello/hello".parse().expect("a name");
    let (old, stuck) = block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        let old = deploy(&runtime, "hello", 1).await;
        let pause = vec![HandlerChange::Paused(true)];
        runtime.store().set_handler(handler(), pause).await.expect("it is in range");
        let mut expiring = request("hello");
        expiring.expires = Some(When::After(WAIT * 100));
        let stuck = submit(&runtime, expiring).await;
        deploy(&runtime, "hello", 2).await;
        runtime.stop(GRACE).await.expect("it stops");
        spoil_code(folder.path(), &old);
        (old, stuck)
    });
    block_on(async {
        let runtime = start(folder.path(), refusing()).await;
        let go_on = vec![HandlerChange::Paused(false)];
        runtime.store().set_handler(handler(), go_on).await.expect("it is in range");
        let uncompilable = Hold::Uncompilable { component: old.component, problem: REFUSED.into() };
        // Nobody has asked for an older version's code before its first lease, which is handed back.
        while holds(&runtime, &stuck).await != std::slice::from_ref(&uncompilable) {
            tokio::task::yield_now().await;
        }
        let next = submit(&runtime, request("hello")).await;
        ended(&runtime, &next).await;
        let waiting = now(&runtime, &stuck).await;
        assert_eq!((waiting.state.name(), waiting.failures_charged), (StateName::Queued, 0));
        assert!(waiting.is_unstarted(), "it may still expire: {waiting:#?}");
        let queue = runtime.store().queue("default".into()).await.expect("the store works");
        assert_eq!(queue.stalled, [Stalled { handler: handler(), queued: 1, hold: uncompilable }]);
        let told = QueueView::from(queue).attention.remove(0);
        assert!(told.starts_with("1 task waits for code of `hello/hello`: component sha256:"), "{told}");
        assert!(told.contains("cannot be compiled on any host: compiling it gave more"), "{told}");
        runtime.stop(GRACE).await.expect("it stops");
    });
}

#[test]
fn task_that_asks_for_no_fuel_runs_at_once_where_fuel_is_limited_since() {
    let folder = tempfile::tempdir().expect("a folder");
    let handler = || "hello/hello".parse().expect("a name");
    let task = block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        deploy(&runtime, "hello", 1).await;
        let pause = vec![HandlerChange::Paused(true)];
        runtime.store().set_handler(handler(), pause).await.expect("it is in range");
        let mut off = request("hello");
        off.fuel = Some(Fuel::Off);
        let task = submit(&runtime, off).await;
        assert_eq!(task.spec.limits.fuel, Fuel::Off);
        runtime.stop(GRACE).await.expect("it stops");
        task
    });
    block_on(async {
        let builder = Runtime::builder().data(folder.path()).expect("it opens").compiler(refusing());
        let ceilings = "fuel=1_000_000_000".parse().expect("limits");
        let runtime = builder.ceilings(&ceilings).start().await.expect("it starts");
        let go_on = vec![HandlerChange::Paused(false)];
        runtime.store().set_handler(handler(), go_on).await.expect("it is in range");
        let done = ended(&runtime, &task).await;
        // It was never looked for in a mode in which it is not run here.
        assert_eq!((done.attempts_started, runtime.compilations()), (1, 0));
        assert!(done.attempts[0].receipt.as_ref().is_some_and(|receipt| receipt.fuel.is_some()), "{done:#?}");
        runtime.stop(GRACE).await.expect("it stops");
    });
}

/// The active version, the one before, and what a task is pinned to: the rest is on disk, and comes from there when it is needed.
#[test]
fn versions_that_nothing_runs_do_not_stay_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        let runtime = start(folder.path(), Compiler::in_process()).await;
        deploy(&runtime, "hello", 0).await;
        let later = Some(When::After(WAIT * 100));
        let pinned = submit(&runtime, TaskRequest { start: later, ..request("hello") }).await;
        for variant in 1..30 {
            deploy(&runtime, "hello", variant).await;
            assert!(runtime.loaded() <= 3, "{} are loaded", runtime.loaded());
        }
        assert_eq!((runtime.loaded(), runtime.compilations()), (3, 30));
        assert_eq!(runtime.versions("hello").await.expect("it is there").len(), 30, "all of them are kept");
        runtime.rollback("hello", Some(5), false).await.expect("it is kept");
        let task = submit(&runtime, request("hello")).await;
        ended(&runtime, &task).await;
        runtime.store().run_now(vec![pinned.id]).await.expect("the store works");
        ended(&runtime, &pinned).await;
        assert_eq!(runtime.compilations(), 30, "nothing was compiled again");
        deploy(&runtime, "hello", 30).await;
        assert_eq!(runtime.loaded(), 2, "what is active, and what was before");
        runtime.stop(GRACE).await.expect("it stops");
    });
}
