//! The bare loop: what the disk, the engine and the sandbox allow when there is no queue between them.
//!
//! It keeps no order, no limits of queues, no history and no API: it writes what a host was seen to write for as many tasks, in
//! batches of its own choice, with a barrier for the submits, one for the leases and one for the ends of each batch, and runs each
//! task in the same sandbox in between.

use std::sync::Arc;

use sunaba_bench::Stopwatch;
use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::store::{Engine as _, SledEngine, Writes};
use sunaba_runtime::task::{FuelMode, Unattended};

use crate::engine::Tape;
use crate::hosts::{Work, folder, guest};

/// Attempts without a queue.
pub(crate) struct Attempts {
    sandbox: Arc<Sandbox>,
    attempt: Attempt,
    /// Attempts at a time: many that do nothing, one for each core of those that compute.
    lanes: usize,
}

impl Attempts {
    pub(crate) async fn new(work: &Work) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let sandbox = Sandbox::builder().shards(cores).slots(32).start().expect("it starts");
        let info = sandbox.load(guest(work.guest), FuelMode::Exact).await.expect("it can be loaded");
        let attempt = Attempt::of(&info, work.guest).expect("it is there").input(work.input.clone()).expect("it fits");
        let lanes = if work.is_heavy() { cores } else { usize::MAX };
        Self { sandbox: Arc::new(sandbox), attempt, lanes }
    }

    pub(crate) async fn run(&self, count: usize) {
        let mut running = tokio::task::JoinSet::new();
        let lanes = self.lanes.min(count);
        for lane in 0..lanes {
            let (sandbox, attempt) = (Arc::clone(&self.sandbox), self.attempt.clone());
            running.spawn(async move {
                for _ in (lane..count).step_by(lanes) {
                    attempt.clone().run(&sandbox, Arc::new(Unattended)).await.expect("it runs");
                }
            });
        }
        running.join_all().await;
    }

    /// Milliseconds that one attempt takes in its sandbox.
    pub(crate) async fn wall_ms(&self) -> f64 {
        let report = self.attempt.clone().run(&self.sandbox, Arc::new(Unattended)).await.expect("it runs");
        report.receipt.wall.as_secs_f64() * 1e3
    }
}

/// How many tasks a second, in batches of so many.
pub(crate) async fn rate(tape: &Tape, tasks: usize, batch: usize, attempts: &Attempts) -> f64 {
    let folder = folder();
    let mut engine = SledEngine::open(folder.path()).expect("it opens");
    let mut pieces = tape.chunks(tape.len().div_ceil((tasks * 3).div_ceil(batch)).max(1));
    let mut write = || {
        let Some(piece) = pieces.next() else { return false };
        let writes: Writes = piece.iter().cloned().collect();
        engine.apply(&writes).and_then(|()| engine.barrier()).expect("it works");
        true
    };
    let (began, mut done) = (Stopwatch::start(), 0);
    while done < tasks {
        let count = batch.min(tasks - done);
        write();
        write();
        attempts.run(count).await;
        done += count;
        write();
    }
    while write() {}
    began.rate(done)
}
