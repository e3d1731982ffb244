//! Ten minutes at four fifths of what a host can do: what must not grow.
//!
//! Records are kept for a minute only, so that the disk shows what is left behind, and not what is kept on purpose.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sunaba_bench::{Bench, Stopwatch, Unit, resident_bytes};
use sunaba_runtime::task::Retention;

use crate::hosts::{Host, Work, threads};

/// How long, in seconds, unless this says otherwise.
const SECONDS: &str = "SUNABA_SOAK_SECONDS";
const LONG: u64 = 600;
const SHARE: f64 = 0.8;
/// Figures are taken so often.
const STEP: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
const KEPT: Duration = Duration::from_secs(60);
/// Tasks with which is found out what a host can do.
const CAPACITY: usize = 25_600;

const LATENCY: &str = "submit to result";
const WAITING: &str = "tasks that wait or run";
const RESIDENT: &str = "resident memory";
const DESCRIPTORS: &str = "file descriptors";
const DISK: &str = "disk";

pub(crate) fn run() {
    let mut bench = Bench::start("soak");
    if !bench.is_asked_for() {
        return;
    }
    let long = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(LONG);
    let threads = threads();
    let (host, work) = (threads.block_on(Host::durable()), Work::hello());
    let capacity = threads.block_on(async {
        let kept = Some(KEPT);
        let retention = Retention { result: KEPT, succeeded: kept, cancelled: kept, expired: kept, dead: kept };
        host.runtime.store().set_retention(retention).await.expect("a minute may be kept");
        host.round(&work, CAPACITY).await;
        host.round(&work, CAPACITY).await
    });
    let load = capacity * SHARE;
    let told = format!("{load:.0} no-op tasks a second for {long} s, of {capacity:.0} that it was seen to do");
    for case in [LATENCY, WAITING, RESIDENT, DESCRIPTORS, DISK] {
        bench.remark(case, if case == LATENCY { "p50" } else { "sunaba" }, &told);
    }
    let began = Stopwatch::start();
    let running = threads.block_on(async { host.load(&work, load) });
    while began.elapsed().as_secs() < long {
        let (latencies, waiting) = threads.block_on(probe(&host));
        step(&mut bench, &host, began.elapsed().as_secs_f64(), latencies, waiting);
    }
    drop(running);
    threads.block_on(host.drain());
}

/// Milliseconds of single tasks beside the load for one step, and what waited at its end.
async fn probe(host: &Host) -> (Vec<f64>, u64) {
    let (began, mut latencies) = (Stopwatch::start(), Vec::new());
    while began.elapsed() < STEP {
        tokio::time::sleep(PAUSE).await;
        latencies.push(host.probe(&Work::toil(0, 0)).await.1);
    }
    latencies.sort_by(f64::total_cmp);
    (latencies, host.left().await)
}

fn step(bench: &mut Bench, host: &Host, at: f64, latencies: Vec<f64>, waiting: u64) {
    let at = Some(at.round());
    let quantile = |share: f64| latencies[((latencies.len() - 1) as f64 * share).round() as usize];
    let one = |way: &str, value: f64| (way.to_owned(), vec![(0, value)]);
    bench.note(LATENCY, Unit::Milliseconds, at, &[one("p50", quantile(0.5)), one("p99", quantile(0.99))]);
    bench.note(WAITING, Unit::Count, at, &[one("sunaba", waiting as f64)]);
    bench.note(RESIDENT, Unit::Bytes, at, &[one("sunaba", resident_bytes() as f64)]);
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    bench.note(DESCRIPTORS, Unit::Count, at, &[one("sunaba", descriptors as f64)]);
    bench.note(DISK, Unit::Bytes, at, &[one("sunaba", disk_bytes(host.data()) as f64)]);
}

/// What all files in a folder take on the disk; what vanishes meanwhile takes nothing.
fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of_entry = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
        Err(_) => 0,
    };
    entries.flatten().map(of_entry).sum()
}
