//! sunaba beside what a user would pick instead, on tasks that do nothing.
//!
//! `cargo bench --workspace --bench peers` runs it. Each peer is brought from its own package registry into
//! `target/bench/peers` (`setup.rs`), has a server of its own on loopback, which is stopped again, and the settings that its
//! manual gives for many short tasks; each is tried with several numbers of workers, and the best of them is measured. What each
//! promises stands in the report, and so does what could not be set up, with the reason.
//!
//! All tasks wait before the first is taken, and what is counted is how many end a second.

mod isolation;
mod ours;
mod servers;
mod setup;

use std::fmt::Display;
use std::time::Duration;

use sunaba_bench::{Bench, Unit};

use ours::Ours;
use servers::{Postgres, Redis, Sync};
use setup::Peers;

/// Nothing here takes so long on any machine.
const LONGEST: Duration = Duration::from_secs(180);
/// Of peers that end so many thousands a second.
const TASKS: usize = 20_000;
const SATURATED: &str = "no-op tasks, saturated";

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
fn say(line: impl Display) {
    println!("{line}");
}

fn main() {
    let mut bench = Bench::start("peers");
    if bench.wants(SATURATED) {
        match Peers::prepare() {
            Ok(peers) => saturated(&mut bench, &peers),
            Err(error) => bench.gap(SATURATED, "every peer", format_args!("{error:#}")),
        }
    }
    isolation::run(&mut bench);
}

/// A way to run so many tasks with so many workers, and how many it ended a second.
type Run<'a> = Box<dyn Fn(usize, usize) -> anyhow::Result<f64> + 'a>;

struct Peer<'a> {
    name: &'static str,
    /// How durable it is, how it isolates, and in what batches it works.
    promise: &'static str,
    tasks: usize,
    /// What it is tried with.
    workers: &'static [usize],
    run: Run<'a>,
}

/// A server, if it starts; a gap for every peer that needs it, if it does not.
fn server<T>(bench: &mut Bench, made: anyhow::Result<T>, peers: &[&str]) -> Option<T> {
    made.map_err(|error| peers.iter().for_each(|peer| bench.gap(SATURATED, peer, format_args!("{error:#}")))).ok()
}

const BULLMQ: [&str; 2] = ["BullMQ + Redis, synced always", "BullMQ + Redis"];
const CELERY: [&str; 2] = ["Celery + Redis, synced always", "Celery + Redis"];
const RQ: [&str; 2] = ["RQ, no isolation", "RQ, a process per job"];
const APALIS: [&str; 2] = ["apalis + Redis, synced always", "apalis + SQLite"];
const GRAPHILE: &str = "Graphile Worker + PostgreSQL";

fn saturated(bench: &mut Bench, peers: &Peers) {
    let share = if bench.is_quick() { 4 } else { 1 };
    let synced = server(bench, Redis::start(peers, Sync::Always), &[BULLMQ[0], CELERY[0]]);
    let plain = server(bench, Redis::start(peers, Sync::Never), &[BULLMQ[1], CELERY[1], RQ[0], RQ[1]]);
    let postgres = server(bench, Postgres::start(peers), &[GRAPHILE]);
    let mut tried = Vec::new();
    for peer in all(bench, peers, synced.as_ref(), plain.as_ref(), postgres.as_ref()) {
        if !bench.wants_way(peer.name) {
            continue;
        }
        match best(&peer, peer.tasks / share / 2) {
            Ok(workers) => tried.push((peer, workers)),
            Err(error) => bench.gap(SATURATED, peer.name, format_args!("{error:#}")),
        }
    }
    let ours = Ours::start();
    let promise =
        "durable before each answer (sled, fdatasync), each task in a sandbox of its own; submitted 1,000 at a time";
    bench.remark(SATURATED, "sunaba", promise);
    for (peer, workers) in &tried {
        bench.remark(
            SATURATED,
            peer.name,
            &format!("{}; the best of {:?} at a time: {workers}", peer.promise, peer.workers),
        );
    }
    let mut case = bench.case(SATURATED, Unit::PerSecond).way("sunaba", || ours.rate(TASKS / share));
    for (peer, workers) in &tried {
        // What fails in a round is no number, which the report tells.
        case = case.way(peer.name, move || (peer.run)(peer.tasks / share, *workers).unwrap_or(f64::NAN));
    }
    case.run();
}

fn all<'a>(
    bench: &mut Bench,
    peers: &'a Peers,
    synced: Option<&'a Redis>,
    plain: Option<&'a Redis>,
    postgres: Option<&'a Postgres>,
) -> Vec<Peer<'a>> {
    let mut all: Vec<Peer<'a>> = Vec::new();
    let durable = [
        "durable: Redis syncs its log before each answer; no isolation: one Node.js process; added 1,000 at a time",
        "durable: Redis syncs its log before each answer, acknowledged late; a pool of reused processes; added one at a time",
    ];
    let not_durable = [
        "not durable: Redis keeps nothing on the disk; no isolation: one Node.js process; added 1,000 at a time",
        "not durable: Redis keeps nothing on the disk; a pool of reused processes; added one at a time",
    ];
    for (redis, number, promises) in [(synced, 0, durable), (plain, 1, not_durable)] {
        let Some(redis) = redis else { continue };
        let bullmq = |tasks: usize, workers: usize| peers.node("bullmq", &redis.port(), tasks, workers);
        all.push(peer(BULLMQ[number], promises[0], TASKS, &[10, 50, 200], bullmq));
        let celery = |tasks: usize, workers: usize| peers.python("celery", &redis.url(), tasks, workers);
        all.push(peer(CELERY[number], promises[1], TASKS / 5, &[1, 2, 4], celery));
    }
    if let Some(redis) = plain {
        let rq = |tasks: usize, workers: usize| peers.python("rq", &redis.url(), tasks, workers);
        let promise = "not durable; no isolation: jobs run in the worker's process; added 500 at a time";
        all.push(peer(RQ[0], promise, TASKS / 10, &[1, 2, 4], rq));
        let forking = |tasks: usize, workers: usize| peers.python("rq-fork", &redis.url(), tasks, workers);
        let promise = "not durable; a process is forked for each job; added 500 at a time";
        all.push(peer(RQ[1], promise, TASKS / 100, &[2, 4], forking));
    }
    if let Some(postgres) = postgres {
        let graphile = |tasks: usize, workers: usize| peers.node("graphile", postgres.url(), tasks, workers);
        let promise = "durable: PostgreSQL's own settings; no isolation: one Node.js process; fetched 500 at a time, completed in batches";
        all.push(peer(GRAPHILE, promise, TASKS, &[1, 10, 50], graphile));
    }
    if !APALIS.iter().any(|peer| bench.wants_way(peer)) {
        return all;
    }
    match peers.build_apalis() {
        Ok(()) => apalis(&mut all, peers, synced),
        Err(error) => APALIS.iter().for_each(|peer| bench.gap(SATURATED, peer, format_args!("{error:#}"))),
    }
    all
}

fn apalis<'a>(all: &mut Vec<Peer<'a>>, peers: &'a Peers, synced: Option<&'a Redis>) {
    if let Some(redis) = synced {
        let on_redis = |tasks: usize, workers: usize| peers.apalis("redis", &redis.url(), tasks, workers);
        let promise =
            "durable: Redis syncs its log before each answer; no isolation: one process; fetched 100 or more at a time";
        all.push(peer(APALIS[0], promise, TASKS / 4, &[10, 100, 1_000], on_redis));
    }
    let on_sqlite = |tasks: usize, workers: usize| {
        let folder = tempfile::tempdir()?;
        peers.apalis("sqlite", &folder.path().join("tasks.db").to_string_lossy(), tasks, workers)
    };
    let promise =
        "durable: write-ahead log, synced at each commit; no isolation: one process; fetched 100 or more at a time";
    all.push(peer(APALIS[1], promise, TASKS / 10, &[10, 100, 1_000], on_sqlite));
}

fn peer<'a>(
    name: &'static str,
    promise: &'static str,
    tasks: usize,
    workers: &'static [usize],
    run: impl Fn(usize, usize) -> anyhow::Result<f64> + 'a,
) -> Peer<'a> {
    Peer { name, promise, tasks, workers, run: Box::new(run) }
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
