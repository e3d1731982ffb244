//! A hundred thousand attempts in one process leave nothing behind.

use std::sync::Arc;

use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{AttemptReport, AttemptResult, Cause, Fuel, Grants, Outcome, Payload};

use crate::support::{block_on, load, run, stop};

const RUNS: usize = 100_000;
/// Runs until everything that is made once has been made.
const WARM_UP: usize = 5_000;
/// Attempts at a time.
const LANES: usize = 8;
/// What resident memory may differ by: what allocators hold on to, and no more. A leak of 200 bytes a run would be more.
const MEMORY_BYTES: u64 = 16 << 20;

/// What a process has of its system.
#[derive(Debug)]
struct Used {
    descriptors: usize,
    threads: usize,
    resident_bytes: u64,
}

impl Used {
    fn now() -> Self {
        let count = |path: &str| std::fs::read_dir(path).expect("Linux has it").count();
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let kib = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        let resident = status.lines().find(|line| line.starts_with("VmRSS:")).and_then(kib).expect("it is there");
        Self { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task"), resident_bytes: resident << 10 }
    }
}

/// The guests that take turns: of each hundred, one that spins, one that traps, one that takes memory, one with files.
struct Guests {
    hello: Attempt,
    spin: Attempt,
    trap: Attempt,
    grow: Attempt,
    files: Attempt,
}

impl Guests {
    async fn load(sandbox: &Sandbox) -> Self {
        let attempt = async |name: &str| Attempt::of(&*load(sandbox, name).await, name).expect("it is there");
        let hello = attempt("hello").await.input(Payload::json(r#"{"name":"Ada"}"#)).expect("it matches");
        let mut spin = attempt("spin").await;
        spin.limits_mut().fuel = Fuel::Exact { limit: Some(50_000) };
        let mut grow = attempt("grow-memory").await;
        grow.limits_mut().memory_bytes = 8 << 20;
        let mess = Payload::json(r#"{"rounds":1,"files":2,"ending":"return"}"#);
        let files = attempt("deep-tree").await.input(mess).expect("it matches");
        let files = files.grants(Grants { scratch_bytes: Some(1 << 20), ..Grants::default() });
        Self { hello, spin, trap: attempt("trap").await, grow, files }
    }

    async fn run(&self, sandbox: &Sandbox, number: usize) {
        match number % 100 {
            20 => assert_eq!(stop(run(sandbox, self.spin.clone()).await).cause, Cause::Fuel),
            40 => assert_eq!(
                stop(run(sandbox, self.trap.clone()).await).cause,
                Cause::Trap("memory-out-of-bounds".into())
            ),
            60 => assert_eq!(stop(run(sandbox, self.grow.clone()).await).cause, Cause::Memory),
            80 => completed(&run(sandbox, self.files.clone()).await),
            _ => completed(&run(sandbox, self.hello.clone()).await),
        }
    }

    /// All numbers of this range, some at a time.
    async fn run_all(self: &Arc<Self>, sandbox: &Arc<Sandbox>, numbers: std::ops::Range<usize>) {
        let lanes = (0..LANES).map(|lane| {
            let (guests, sandbox, numbers) = (Arc::clone(self), Arc::clone(sandbox), numbers.clone());
            tokio::spawn(async move {
                for number in numbers.skip(lane).step_by(LANES) {
                    guests.run(&sandbox, number).await;
                }
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.expect("no attempt panicked");
        }
    }
}

fn completed(report: &AttemptReport) {
    let result = &report.result;
    assert!(matches!(result, AttemptResult::Returned(Outcome::Complete(_))), "{result:?}");
}

#[test]
fn a_hundred_thousand_runs_leave_nothing_behind() {
    block_on(async {
        let sandbox = Arc::new(Sandbox::builder().shards(2).slots(4).start().expect("threads"));
        let guests = Arc::new(Guests::load(&sandbox).await);
        guests.run_all(&sandbox, 0..WARM_UP).await;
        let before = Used::now();
        guests.run_all(&sandbox, WARM_UP..RUNS).await;
        let after = Used::now();
        let seen = format!("before {before:?}, after {after:?}");
        assert_eq!(before.descriptors, after.descriptors, "{seen}");
        // Threads of the blocking pools come when they are needed, and go when they have had nothing to do for a while.
        assert!(after.threads <= before.threads + 4 * LANES, "{seen}");
        assert!(after.resident_bytes <= before.resident_bytes + MEMORY_BYTES, "{seen}");
    });
}
