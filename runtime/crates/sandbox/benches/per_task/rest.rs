//! For scale and for operators: a process for each task, the memory of a slot, how far a guest gets past its timeout, and what
//! code costs before its first task.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sunaba_bench::{Bench, Stopwatch, Unit, cpu_time, resident_bytes};
use sunaba_sandbox::Sandbox;
use sunaba_task::{Executor as _, Fuel, FuelMode, Limits, Payload, Unattended};

use crate::{attempt, guest, request};

const PROCESSES: u32 = 300;
const SLOTS: u32 = 64;
const SPINS: usize = 100;
const TIMEOUT: Duration = Duration::from_millis(100);

/// CPU time of a process that does nothing, with what it takes to make one and to wait for it, in microseconds.
pub(crate) fn process() -> f64 {
    let all = || cpu_time().as_secs_f64() + children_time();
    let before = all();
    for _ in 0..PROCESSES {
        assert!(Command::new("/bin/true").status().is_ok_and(|status| status.success()), "/bin/true");
    }
    (all() - before) * 1e6 / f64::from(PROCESSES)
}

/// Seconds that processes have computed which this one has waited for. The kernel counts it in hundredths.
fn children_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let after_name = stat.rsplit(')').next().expect("the name is in parentheses");
    let ticks = |field: usize| after_name.split_whitespace().nth(field).and_then(|ticks| ticks.parse::<f64>().ok());
    // `cutime` and `cstime`, the 16th and 17th field of all.
    (ticks(13).expect("a number") + ticks(14).expect("a number")) / 100.0
}

/// What the process holds for a slot that has been used and is idle, and for one with a guest in it.
pub(crate) fn memory(bench: &mut Bench) {
    let (live, idle) = ("memory of a live instance", "memory of a slot that was used and is idle");
    if !bench.wants(live) && !bench.wants(idle) {
        return;
    }
    let [live_bytes, idle_bytes] = held();
    bench.note(live, Unit::Bytes, None, &[("sandbox".into(), vec![(0, live_bytes)])]);
    bench.note(idle, Unit::Bytes, None, &[("sandbox".into(), vec![(0, idle_bytes)])]);
}

fn held() -> [f64; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let sandbox = Arc::new(Sandbox::builder().slots(SLOTS).start().expect("threads"));
        let sleep = sandbox.load(guest("sleep"), FuelMode::Exact).await.expect("it loads");
        let limits = Limits::default();
        let started = resident_bytes();
        let fill = async || {
            let running = (0..SLOTS).map(|_| {
                let (sandbox, request) = (Arc::clone(&sandbox), request(&sleep, &limits, Payload::json("null")));
                tokio::spawn(async move { sandbox.execute(request, Arc::new(Unattended)).await })
            });
            let running: Vec<_> = running.collect();
            // Until all of them are asleep; a benchmark may wait.
            tokio::time::sleep(Duration::from_millis(500)).await;
            running
        };
        let running = fill().await;
        let live = resident_bytes();
        for attempt in running {
            assert!(!attempt.is_finished(), "it should be asleep");
            attempt.abort();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let idle = resident_bytes();
        [live, idle].map(|bytes| bytes.saturating_sub(started) as f64 / f64::from(SLOTS))
    })
}

/// How far past its timeout a guest gets that computes for ever, while every core is busy with something else.
pub(crate) fn overshoot(bench: &mut Bench) {
    let name = "stop of a spinning guest, overshoot";
    if !bench.wants(name) {
        return;
    }
    let done = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let others: Vec<_> = (0..cores)
        .map(|_| {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let over: Vec<f64> = runtime.block_on(async {
        let sandbox = Sandbox::builder().slots(1).start().expect("threads");
        let spin = sandbox.load(guest("spin"), FuelMode::Exact).await.expect("it loads");
        let limits = Limits { timeout: TIMEOUT, fuel: Fuel::Exact { limit: None }, ..Limits::default() };
        let mut over = Vec::with_capacity(SPINS);
        for _ in 0..SPINS {
            let report = attempt(&sandbox, request(&spin, &limits, Payload::json("null"))).await;
            assert!(report.receipt.wall >= TIMEOUT, "{:?}", report.result);
            over.push((report.receipt.wall - TIMEOUT).as_secs_f64() * 1e3);
        }
        over
    });
    done.store(true, Ordering::Relaxed);
    for other in others {
        other.join().expect("it only spins");
    }
    bench.distribution(name, Unit::Milliseconds, "sandbox", 0, over);
}

/// What code costs before its first task: to be compiled, and to be had from a compiled file.
pub(crate) fn code(bench: &mut Bench) {
    let folder = tempfile::tempdir().expect("the system has room for temporary files");
    // The sandbox makes it, for its owner alone.
    let artifacts = folder.path().join("code");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let load = |artifacts: Option<&Path>| {
        let builder = Sandbox::builder().slots(1);
        let builder = match artifacts {
            Some(folder) => builder.artifacts(folder),
            None => builder,
        };
        let sandbox = builder.start().expect("threads");
        let began = Stopwatch::start();
        runtime.block_on(sandbox.load(guest("hello"), FuelMode::Exact)).expect("it loads");
        began.elapsed().as_secs_f64() * 1e3
    };
    load(Some(artifacts.as_path()));
    bench
        .case("hello, made ready to run", Unit::Milliseconds)
        .way("sandbox, compiled", || load(None))
        .way("sandbox, from a compiled file", || load(Some(artifacts.as_path())))
        .run();
}
