//! The bodies of the fuzz targets, for a moment each; `cargo xtask soak` drives them for longer.

use sunaba_proofs::fuzz::{self, BODIES};
use sunaba_proofs::seed;

/// What share of a round of the soak is run here.
const SHARE: u32 = 10;

fn holds(index: usize) {
    let (name, body, rounds) = BODIES[index];
    let seed = seed::wanted().unwrap_or_else(|| fastrand::u64(..));
    let tally = fuzz::drive(name, body, seed, rounds / SHARE);
    assert!(tally.holds(), "{:#?}", tally.problems);
}

#[test]
fn any_bytes_are_a_component_or_refused() {
    holds(0);
}

#[test]
fn any_host_calls_end_within_the_limits() {
    holds(1);
}

#[test]
fn end_at_any_point_gives_the_slot_back() {
    holds(2);
}
