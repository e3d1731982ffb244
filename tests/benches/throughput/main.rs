//! What goes all the way: submitted, leased, run in a sandbox of its own, settled, on sled with its barrier.
//!
//! `cargo bench --workspace --bench throughput` runs it; `--quick` leaves most out, and words choose cases. Guests are those that
//! `cargo xtask guests` has built (`SUNABA_GUESTS` names another folder). A word of `soak` adds ten minutes at 80 % load
//! (`SUNABA_SOAK_SECONDS` says how many seconds instead).
//!
//! - `saturated`: 256 callers submit one task at a time each, beside a bare loop that writes the same keys and bytes and runs the
//!   same attempts, without a queue.
//! - `idle`, `half loaded`: one task after another, on a host that has nothing else to do, or half of what it can.
//! - `submits`: the HTTP API beside the embedding API, without the tasks being run.
//! - the same on one core: this program once more, under `taskset`.

mod api;
mod bare;
mod engine;
mod hosts;
mod latency;
mod saturated;
mod soak;
mod starts;

use std::process::Command;
use std::time::Duration;

use sunaba_bench::Bench;

/// Nothing here takes so long on any machine.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Set in a process that has one core to itself.
const ALONE: &str = "SUNABA_BENCH_ONE_CORE";

fn main() {
    let mut bench = Bench::start("end to end");
    if std::env::var_os(ALONE).is_some() {
        saturated::run(&mut bench, ", one core");
        latency::run(&mut bench, ", one core");
        return;
    }
    soak::run();
    saturated::run(&mut bench, "");
    latency::run(&mut bench, "");
    api::run(&mut bench);
    starts::run(&mut bench);
    one_core(&mut bench);
}

/// This very program, with the first core alone.
fn one_core(bench: &mut Bench) {
    let case = "no-op tasks, saturated, one core";
    if !bench.wants(case) && !bench.wants("idle, submit to result, one core") {
        return;
    }
    let myself = std::env::current_exe().expect("the system says");
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(myself).args(std::env::args_os().skip(1)).env(ALONE, "1");
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => bench.gap(case, "sunaba", format_args!("`taskset -c 0` ended with {status}")),
        Err(error) => {
            bench.gap(case, "sunaba", format_args!("`taskset`: {error} (Debian: `apt-get install util-linux`)"));
        }
    }
}
