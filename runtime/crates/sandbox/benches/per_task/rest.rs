//! For scale and for operators: a process for each task, the memory of a slot, and how far a guest gets past its timeout.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sunaba_sandbox::Sandbox;
use sunaba_task::{Executor as _, Fuel, FuelMode, Limits, Payload, Unattended};

use crate::{attempt, guest, request, say};

const PROCESSES: u32 = 300;
const SLOTS: u32 = 64;
const SPINS: usize = 100;
const TIMEOUT: Duration = Duration::from_millis(100);

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A process for each task, which does nothing.
pub(crate) fn processes() {
    let begun = now();
    for _ in 0..PROCESSES {
        assert!(Command::new("/bin/true").status().is_ok_and(|status| status.success()), "/bin/true");
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(PROCESSES);
    say(format_args!("for scale: fork, exec and wait for /bin/true: {each:.0} us of wall time"));
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is there");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// What the process holds for a slot that has been used and is idle, and for one with a guest in it.
pub(crate) fn memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let sandbox = Arc::new(Sandbox::builder().slots(SLOTS).start().expect("threads"));
        let sleep = sandbox.load(guest("sleep"), FuelMode::Exact).await.expect("it loads");
        let limits = Limits::default();
        let started = resident_kib();
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
        let live = resident_kib();
        for attempt in running {
            assert!(!attempt.is_finished(), "it should be asleep");
            attempt.abort();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let idle = resident_kib();
        let each = |kib: f64| (kib - started) / f64::from(SLOTS);
        let (live, idle) = (each(live), each(idle));
        say(format_args!(
            "resident memory: {live:.0} KiB a live instance, {idle:.0} KiB a slot that was used and is idle"
        ));
    });
}

/// How far past its timeout a guest gets that computes for ever, while every core is busy with something else.
pub(crate) fn overshoot() {
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
    let mut over: Vec<Duration> = runtime.block_on(async {
        let sandbox = Sandbox::builder().slots(1).start().expect("threads");
        let spin = sandbox.load(guest("spin"), FuelMode::Exact).await.expect("it loads");
        let limits = Limits { timeout: TIMEOUT, fuel: Fuel::Exact { limit: None }, ..Limits::default() };
        let mut over = Vec::with_capacity(SPINS);
        for _ in 0..SPINS {
            let report = attempt(&sandbox, request(&spin, &limits, Payload::json("null"))).await;
            assert!(report.receipt.wall >= TIMEOUT, "{:?}", report.result);
            over.push(report.receipt.wall - TIMEOUT);
        }
        over
    });
    done.store(true, Ordering::Relaxed);
    for other in others {
        other.join().expect("it only spins");
    }
    over.sort();
    let ms = |part: usize| over[(SPINS * part / 100).min(SPINS - 1)].as_secs_f64() * 1e3;
    say(format_args!(
        "a spinning guest with a timeout of 100 ms, every core busy: {:.1} ms over at p50, {:.1} ms at p99",
        ms(50),
        ms(99)
    ));
}
