//! What every benchmark shares: ways that do the same work, measured side by side, and the samples that they leave.
//!
//! Absolute times move by a factor of two on a shared machine, and ratios do not. So a [`Case`] runs each of its ways once in a
//! round, right after each other and in turning order, and ratios are taken within the round. A sample is one figure of one way in
//! one round; all of them are kept, so that whoever doubts a table can make it again.

mod case;
mod clock;
mod sample;
mod stats;

/// As the binary has it, for every way alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use case::{Bench, Case, Figures};
pub use clock::{Stopwatch, cpu_time, resident_bytes, unix_micros};
pub use sample::{Better, Remark, Sample, Unit, Written, read_samples};
pub use stats::{Spread, ratios};
