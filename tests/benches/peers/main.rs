//! sunaba beside what a user would pick instead, on tasks that do nothing.
//!
//! `cargo bench --workspace --bench peers` runs it. Each peer is brought from its own package registry into
//! `target/bench/peers` (`setup.rs`), has a server of its own on loopback, which is stopped again, and the settings that its
//! manual gives for many short tasks; each is tried with several numbers of workers, and the best of them is measured. What
//! cannot be set up is said, and is not in the report.
//!
//! All tasks wait before the first is taken, and what is counted is how many end a second. Of sunaba's, each runs in a sandbox of its
//! own and is on the disk before anybody is told; what the peers promise stands in their names.

mod ours;
mod servers;
mod setup;

use std::fmt::Display;
use std::time::Duration;

use sunaba_bench::{Bench, Stopwatch, Unit};

use ours::Ours;
use servers::{Postgres, Redis, Sync};
use setup::{Peers, run};

/// Nothing here takes so long on any machine.
const LONGEST: Duration = Duration::from_secs(180);
/// Of peers that end so many thousands a second.
const TASKS: usize = 20_000;
const STARTS: usize = 20;

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: impl Display) {
    println!("{line}");
}

/// What could not be set up is said, and left out.
fn or_say<T>(what: &str, made: anyhow::Result<T>) -> Option<T> {
    made.map_err(|error| say(format_args!("peers: {what} is left out: {error:#}"))).ok()
}

fn main() {
    let mut bench = Bench::start("peers");
    let Some(peers) = or_say("every peer", Peers::prepare()) else { return };
    saturated(&mut bench, &peers);
    isolation(&mut bench);
}

/// A way to run so many tasks with so many workers, and how many it ended a second.
type Run<'a> = Box<dyn Fn(usize, usize) -> anyhow::Result<f64> + 'a>;

struct Peer<'a> {
    name: &'static str,
    tasks: usize,
    /// What it is tried with.
    workers: &'static [usize],
    run: Run<'a>,
}

fn saturated(bench: &mut Bench, peers: &Peers) {
    let share = if bench.is_quick() { 4 } else { 1 };
    let plain = or_say("Redis", Redis::start(peers, Sync::Never));
    let synced = or_say("Redis, synced always", Redis::start(peers, Sync::Always));
    let postgres = or_say("PostgreSQL", Postgres::start(peers));
    let mut all: Vec<Peer<'_>> = Vec::new();
    if let Some(redis) = &synced {
        let bullmq = |tasks: usize, workers: usize| peers.node("bullmq", &redis.port(), tasks, workers);
        all.push(peer("BullMQ + Redis, synced always", TASKS, &[10, 50, 200], bullmq));
        let celery = |tasks: usize, workers: usize| peers.python("celery", &redis.url(), tasks, workers);
        all.push(peer("Celery + Redis, synced always", TASKS / 5, &[1, 2, 4], celery));
    }
    if let Some(redis) = &plain {
        let bullmq = |tasks: usize, workers: usize| peers.node("bullmq", &redis.port(), tasks, workers);
        all.push(peer("BullMQ + Redis", TASKS, &[10, 50, 200], bullmq));
        let celery = |tasks: usize, workers: usize| peers.python("celery", &redis.url(), tasks, workers);
        all.push(peer("Celery + Redis", TASKS / 5, &[1, 2, 4], celery));
        let rq = |tasks: usize, workers: usize| peers.python("rq", &redis.url(), tasks, workers);
        all.push(peer("RQ, no isolation", TASKS / 10, &[1, 2, 4], rq));
        let forking = |tasks: usize, workers: usize| peers.python("rq-fork", &redis.url(), tasks, workers);
        all.push(peer("RQ, a process per job", TASKS / 100, &[2, 4], forking));
    }
    if let Some(postgres) = &postgres {
        let graphile = |tasks: usize, workers: usize| peers.node("graphile", postgres.url(), tasks, workers);
        all.push(peer("Graphile Worker + PostgreSQL, synced", TASKS, &[1, 10, 50], graphile));
    }
    let ours = Ours::start();
    let mut case = bench.case("no-op tasks, saturated", Unit::PerSecond);
    case = case.way("sunaba", || ours.rate(TASKS / share));
    for peer in &all {
        let tasks = peer.tasks / share;
        let Some(workers) = or_say(peer.name, best(peer, tasks / 2)) else { continue };
        case = case.way(peer.name, move || (peer.run)(tasks, workers).unwrap_or(f64::NAN));
    }
    case.run();
}

fn peer<'a>(
    name: &'static str,
    tasks: usize,
    workers: &'static [usize],
    run: impl Fn(usize, usize) -> anyhow::Result<f64> + 'a,
) -> Peer<'a> {
    Peer { name, tasks, workers, run: Box::new(run) }
}

/// With how many workers it is fastest.
fn best(peer: &Peer<'_>, tasks: usize) -> anyhow::Result<usize> {
    let mut best = (0.0, 0);
    for &workers in peer.workers {
        let rate = (peer.run)(tasks.max(20), workers)?;
        say(format_args!("peers: {} with {workers}: {}", peer.name, Unit::PerSecond.format(rate)));
        if rate > best.0 {
            best = (rate, workers);
        }
    }
    Ok(best.1)
}

/// What it takes to have a process, or what people put around one, do nothing.
fn isolation(bench: &mut Bench) {
    const WAYS: [(&str, &[&str]); 4] = [
        ("fork + exec", &["/bin/true"]),
        ("bubblewrap", &["bwrap", "--ro-bind", "/", "/", "--unshare-all", "/bin/true"]),
        ("python", &["python3", "-c", "pass"]),
        ("node", &["node", "-e", "0"]),
    ];
    let ours = Ours::start();
    let mut case = bench.case("one isolated no-op after another", Unit::Milliseconds);
    case = case.way("sunaba, durable", || ours.one_by_one(STARTS));
    for (name, command) in WAYS {
        if or_say(name, run(command, LONGEST)).is_none() {
            continue;
        }
        case = case.way(name, move || {
            let began = Stopwatch::start();
            let done = (0..STARTS).all(|_| run(command, LONGEST).is_ok());
            if done { began.elapsed().as_secs_f64() * 1e3 / STARTS as f64 } else { f64::NAN }
        });
    }
    case.run();
}
