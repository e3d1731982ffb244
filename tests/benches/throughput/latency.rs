//! How long one task takes: from its submit until its guest runs, and until its result is durable.
//!
//! The guest says when it began, by the same clock by which the submit was taken down.

use sunaba_bench::{Bench, Unit};

use crate::engine::Seen;
use crate::hosts::{Host, Work, threads};

/// Tasks of a round, one after another.
const TASKS: usize = 300;
/// Tasks with which is found out what a host can do.
const CAPACITY: usize = 12_800;
/// Between two probes of a host that has other things to do.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(3);
/// A submit and a settle: what cannot be had with fewer.
const BARRIERS: f64 = 2.0;

pub(crate) fn run(bench: &mut Bench, suffix: &str) {
    idle(bench, suffix);
    half_loaded(bench, suffix);
}

fn idle(bench: &mut Bench, suffix: &str) {
    let name = |what: &str| format!("idle, {what}{suffix}");
    let (start, result) = (name("submit to start"), name("submit to result"));
    let (beyond, count) = (name("submit to result, beyond two barriers"), name("barriers of a task"));
    if ![&start, &result, &beyond, &count].iter().any(|case| bench.wants(case)) {
        return;
    }
    let tasks = if bench.is_quick() { TASKS / 3 } else { TASKS };
    let threads = threads();
    let (host, seen) = threads.block_on(Host::watched());
    let work = Work::toil(0, 0);
    threads.block_on(probes(&host, &seen, &work, tasks / 10));
    let mut barriers = Vec::new();
    for round in 0..bench.rounds() {
        let probes = threads.block_on(probes(&host, &seen, &work, tasks));
        let of = |figure: fn(&Probe) -> f64| probes.iter().map(figure).collect::<Vec<_>>();
        bench.distribution(&start, Unit::Milliseconds, "sunaba", round, of(|probe| probe.start));
        bench.distribution(&result, Unit::Milliseconds, "sunaba", round, of(|probe| probe.result));
        bench.distribution(&result, Unit::Milliseconds, "one barrier", round, of(|probe| probe.barrier));
        let over = of(|probe| probe.result - BARRIERS * probe.barrier);
        bench.distribution(&beyond, Unit::Milliseconds, "sunaba", round, over);
        barriers.push((round, probes.iter().map(|probe| probe.barriers).sum::<f64>() / tasks as f64));
    }
    bench.remark(&result, "one barrier", "the mean of those that the host's own engine made for the same task");
    bench.note(&count, Unit::Count, None, &[("sunaba".into(), barriers)]);
}

/// One task, in milliseconds.
struct Probe {
    start: f64,
    result: f64,
    /// One of its barriers, in the mean.
    barrier: f64,
    /// How many there were.
    barriers: f64,
}

async fn probes(host: &Host, seen: &Seen, work: &Work, tasks: usize) -> Vec<Probe> {
    let mut probes = Vec::with_capacity(tasks);
    for _ in 0..tasks {
        let before = seen.barriers();
        let (start, result) = host.probe(work).await;
        let after = seen.barriers();
        let barriers = (after.0 - before.0) as f64;
        probes.push(Probe { start, result, barrier: (after.1 - before.1) / barriers.max(1.0), barriers });
    }
    probes
}

fn half_loaded(bench: &mut Bench, suffix: &str) {
    let name = |what: &str| format!("half loaded, {what}{suffix}");
    let (start, result) = (name("submit to start"), name("submit to result"));
    if !bench.wants(&start) && !bench.wants(&result) {
        return;
    }
    let tasks = if bench.is_quick() { TASKS / 3 } else { TASKS };
    let threads = threads();
    let (host, work) = (threads.block_on(Host::durable()), Work::hello());
    let capacity = threads.block_on(async {
        host.round(&work, CAPACITY / 4).await;
        host.round(&work, CAPACITY).await
    });
    let half = capacity / 2.0;
    let told = format!("beside {half:.0} no-op tasks a second, half of the {capacity:.0} that it was seen to do");
    bench.remark(&start, "sunaba", &told);
    bench.remark(&result, "sunaba", &told);
    for round in 0..bench.rounds() {
        let probes = threads.block_on(async {
            let load = host.load(&work, half);
            let mut probes = Vec::with_capacity(tasks);
            for _ in 0..tasks {
                tokio::time::sleep(PAUSE).await;
                probes.push(host.probe(&Work::toil(0, 0)).await);
            }
            drop(load);
            host.drain().await;
            probes
        });
        let (starts, results) = probes.into_iter().unzip();
        bench.distribution(&start, Unit::Milliseconds, "sunaba", round, starts);
        bench.distribution(&result, Unit::Milliseconds, "sunaba", round, results);
    }
}
