//! What the store's operations cost, beside a bare sled loop that makes as many bytes durable with the same barrier.
//!
//! `cargo bench --workspace --bench operations` runs it; `--quick` leaves the large backlogs out. Everything is on sled with a
//! barrier before each answer, in a folder of the system's temporary directory (`TMPDIR` names another: a file system in memory
//! would measure no barrier).
//!
//! - `life`: submit, lease and settle, each waited for by the same waiter, one task at a time.
//! - `submit`, `lease`, `settle`: one of them alone, in batches.
//! - `backlog`: a life while so many others wait.
//! - `bare sled`: as many waiters, whose every operation hands a third of the keys and bytes of such a life to one thread, which
//!   applies what has gathered as one batch, flushes sled, syncs its file and answers. It keeps no order, no leases and no records.

mod bare;
mod counted;
mod ours;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sunaba_bench::{Bench, Stopwatch, Unit, resident_bytes};
use tempfile::TempDir;

use bare::Bare;
use ours::Ours;

/// Nothing here takes so long on any machine.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Waiters at a time, as many as a host of some cores has.
const WAITERS: usize = 64;
const BATCHES: [usize; 4] = [1, 16, 64, 256];

fn folder() -> TempDir {
    tempfile::tempdir().expect("the system has room for temporary files")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("threads")
}

/// Set: nothing is measured, and somebody counts (`counted`).
const COUNTED: &str = "SUNABA_BENCH_COUNTED";
/// Set: open the store in this folder, and say what the process holds then.
const HELD: &str = "SUNABA_BENCH_HELD";

fn main() {
    if let Some(folder) = std::env::var_os(HELD) {
        return held(Path::new(&folder));
    }
    if let Ok(what) = std::env::var(COUNTED) {
        return counted::counted(&what);
    }
    let mut bench = Bench::start("store");
    lives(&mut bench);
    operations(&mut bench);
    backlogs(&mut bench);
    opening(&mut bench);
}

/// Tasks a measurement takes, so that it is some tenths of a second whatever the number of waiters.
fn tasks(bench: &Bench, waiters: usize) -> usize {
    let tasks = if waiters == 1 { 400 } else { 16_000 };
    if bench.is_quick() { tasks / 4 } else { tasks }
}

fn lives(bench: &mut Bench) {
    for waiters in [1, WAITERS] {
        let tasks = tasks(bench, waiters);
        let runtime = runtime();
        let (folder, beside) = (folder(), folder());
        let ours = Ours::open(&runtime, folder.path());
        // What a life writes, so that the bare loop writes the same.
        let written = ours.writes_of(&runtime, waiters, tasks);
        let bare = Bare::open(beside.path(), written);
        let name = format!("submit + lease + settle, {waiters} waiters");
        bench
            .case(name, Unit::PerSecond)
            .way("bare sled", || runtime.block_on(bare.lives(waiters, tasks)))
            .way("sunaba", || runtime.block_on(ours.lives(waiters, tasks)))
            .run();
    }
}

fn operations(bench: &mut Bench) {
    let batches = if bench.is_quick() { &BATCHES[2..3] } else { &BATCHES[..] };
    for waiters in [1, WAITERS] {
        for &batch in batches {
            let tasks = (tasks(bench, waiters) * batch.min(16)).min(64_000).next_multiple_of(waiters * batch);
            let runtime = runtime();
            let folder = folder();
            let ours = Ours::open(&runtime, folder.path());
            let name = |what: &str| format!("{what}, {waiters} waiters, batches of {batch}");
            let names = ["submit", "lease", "settle"].map(name);
            if names.iter().any(|name| bench.wants(name)) {
                ours.phases(bench, &runtime, names, waiters, batch, tasks);
            }
        }
    }
}

fn backlogs(bench: &mut Bench) {
    let backlogs: &[usize] = if bench.is_quick() { &[1_000, 20_000] } else { &[1_000, 100_000, 1_000_000] };
    let name = "submit + lease + settle, 64 waiters, with a backlog";
    if !bench.wants(name) {
        return;
    }
    let runtime = runtime();
    let tasks = tasks(bench, WAITERS);
    let houses: Vec<_> = backlogs
        .iter()
        .map(|&backlog| {
            let folder = folder();
            let ours = Ours::open(&runtime, folder.path());
            runtime.block_on(ours.fill(backlog));
            (backlog, ours, folder)
        })
        .collect();
    let mut case = bench.case(name, Unit::PerSecond);
    for (backlog, ours, _) in &houses {
        let runtime = &runtime;
        case = case.way(&format!("{backlog} waiting"), move || runtime.block_on(ours.lives(WAITERS, tasks)));
    }
    case.run();
}

/// What a store of many tasks takes when it is opened, and in memory.
fn opening(bench: &mut Bench) {
    let waiting = if bench.is_quick() { 100_000 } else { 1_000_000 };
    let (opened, held) = ("open a store, waiting tasks", "memory of a waiting task");
    if !bench.wants(opened) && !bench.wants(held) {
        return;
    }
    let runtime = runtime();
    let folder = folder();
    let path: PathBuf = folder.path().into();
    let ours = Ours::open(&runtime, &path);
    runtime.block_on(ours.fill(waiting));
    drop(ours);
    bench
        .case(opened, Unit::Seconds)
        .at(waiting as f64)
        .way("sunaba", || {
            let began = Stopwatch::start();
            let ours = Ours::open(&runtime, &path);
            let taken = began.elapsed().as_secs_f64();
            drop(ours);
            taken
        })
        .run();
    // In a process of its own each: an allocator keeps what was freed, and would hide it.
    let held_by = |folder: &Path| {
        let myself = std::env::current_exe().expect("the system says");
        let output = Command::new(myself).env(HELD, folder).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().expect("a number of bytes")
    };
    let empty = crate::folder();
    bench
        .case(held, Unit::Bytes)
        .at(waiting as f64)
        .way("sunaba", || (held_by(&path) - held_by(empty.path())) / waiting as f64)
        .run();
}

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn held(folder: &Path) {
    let ours = Ours::open(&runtime(), folder);
    println!("{}", resident_bytes());
    drop(ours);
}
