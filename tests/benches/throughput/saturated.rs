//! As many tasks as go through, beside the bare loop.

use sunaba_bench::{Bench, Stopwatch, Unit};

use crate::api::Api;
use crate::bare::{self, Attempts};
use crate::hosts::{CALLERS, Host, SATURATING, Work, threads};

/// Tasks of a round that do nothing.
const TASKS: usize = 12_800;
/// Tasks of a round that compute or write to memory.
const HEAVY: usize = 640;
/// Tasks of one batch of the bare loop. The best counts.
const BATCHES: [usize; 2] = [64, 256];
/// Of `toil`, to see how many steps a machine does in a millisecond.
const STEPS: u64 = 2_000_000;
const PROMISE: &str = "durable before each answer, each task in a sandbox of its own";

pub(crate) fn run(bench: &mut Bench, suffix: &str) {
    let (tasks, heavy) = if bench.is_quick() { (TASKS / 4, HEAVY / 5) } else { (TASKS, HEAVY) };
    let name = format!("no-op tasks, saturated{suffix}");
    if bench.wants(&name) {
        case(bench, &name, &Work::hello(), tasks);
    }
    let computing = format!("tasks of 10 ms of CPU, saturated{suffix}");
    if bench.wants(&computing) {
        let threads = threads();
        let fastest = threads.block_on(async {
            let attempts = Attempts::new(&Work::toil(STEPS, 0)).await;
            let mut fastest = f64::INFINITY;
            for _ in 0..5 {
                fastest = fastest.min(attempts.wall_ms().await);
            }
            fastest
        });
        let work = Work::toil((STEPS as f64 * 10.0 / fastest) as u64, 0);
        case(bench, &computing, &work, heavy);
    }
    let dirtying = format!("tasks that dirty 1 MiB of memory, saturated{suffix}");
    if bench.wants(&dirtying) {
        case(bench, &dirtying, &Work::toil(0, 1 << 20), tasks / 2);
    }
}

fn case(bench: &mut Bench, name: &str, work: &Work, tasks: usize) {
    let threads = threads();
    let is_heavy = tasks < TASKS / 8;
    let (tape, durable, memory, attempts) = threads.block_on(async {
        let (watched, seen) = Host::watched().await;
        watched.round(work, tasks.min(TASKS / 10)).await;
        seen.start_tape();
        watched.round(work, tasks).await;
        let tape = seen.take_tape();
        let (durable, memory) = (Host::durable().await, Host::in_memory().await);
        let attempts = Attempts::new(work).await;
        for host in [&durable, &memory] {
            host.round(work, tasks / 10).await;
        }
        attempts.run(tasks / 10).await;
        (tape, durable, memory, attempts)
    });
    let bytes: usize = tape.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, bytes::Bytes::len)).sum();
    let each = |count: usize| count as f64 / tasks as f64;
    let batches: &[usize] = if is_heavy { &BATCHES[..1] } else { &BATCHES };
    let loops = format!(
        "no queue: {:.1} keys and {:.0} bytes a task, as a host writes them, in the best of batches of {batches:?}, a barrier for \
         submits, leases and ends of each; the same sandbox",
        each(tape.len()),
        each(bytes)
    );
    bench.remark(name, "bare loop", &loops);
    bench.remark(name, "sunaba", &format!("{PROMISE}; {SATURATING} callers, one task at a time each"));
    bench.remark(name, "sunaba, in memory", "nothing is durable, each task in a sandbox of its own");
    bench.remark(name, "sunaba, over HTTP", &format!("{PROMISE}; {CALLERS} keep-alive connections"));
    let api = threads.block_on(Api::start(&durable));
    bench
        .case(name, Unit::PerSecond)
        .way("bare loop", || {
            let rate = |batch: &usize| threads.block_on(bare::rate(&tape, tasks, *batch, &attempts));
            batches.iter().map(rate).fold(0.0, f64::max)
        })
        .way("sunaba", || threads.block_on(durable.round(work, tasks)))
        .way("sunaba, in memory", || threads.block_on(memory.round(work, tasks)))
        .way("sunaba, over HTTP", || threads.block_on(over_http(&api, &durable, work, tasks)))
        .run();
}

async fn over_http(api: &Api, host: &Host, work: &Work, tasks: usize) -> f64 {
    let began = Stopwatch::start();
    api.submit(work, tasks).await;
    host.drain().await;
    began.rate(tasks / CALLERS * CALLERS)
}
