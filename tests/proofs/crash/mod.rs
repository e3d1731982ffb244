//! Real processes on a real disk: killed at random and at every write, cut off from power, out of room, and with a disk
//! that fails; and whether everything that they had acknowledged is there afterwards.
//!
//! What a machine may lack (the right to trace a process, to mount a file system) is probed, and there is another way to
//! show the same; the tally says which one was taken.

mod child;
mod fail_point;
mod full;
mod kill;
mod ledger;
mod means;
mod mount;
mod order;
mod power;
mod run;
mod trace;

use std::time::Duration;

pub use child::{Orders, live};
pub use full::disk_full;
pub use kill::{at_random, at_writes, sync_fails};
pub use means::Means;
pub use power::power_cut;

/// Measures real time.
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "how long a real store takes to open is a matter of real time")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
