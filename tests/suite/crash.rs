//! Processes that are killed, disks that fail: a few rounds of what `cargo xtask soak` does for as long as one likes.

use std::path::Path;

use sunaba_proofs::crash::{self, Means};
use sunaba_proofs::seed;
use sunaba_proofs::tally::Tally;

use crate::support::binaries;

/// Always the same here; `cargo xtask soak` draws others.
const SEED: u64 = 6;

type Proof = fn(&Path, Means, u64, u32) -> std::io::Result<Tally>;

fn run(proof: Proof, means: Means, rounds: u32) -> Tally {
    proof(&binaries().join("soak"), means, seed::wanted().unwrap_or(SEED), rounds).expect("the system lets us try")
}

/// By whatever means there are here.
fn test(proof: Proof, rounds: u32) {
    let tally = run(proof, Means::here(), rounds);
    assert!(tally.holds(), "{tally:#?}");
}

#[test]
fn nothing_acknowledged_is_lost_to_a_kill() {
    test(crash::at_random, 12);
}

#[test]
fn nothing_acknowledged_is_lost_to_a_kill_at_any_write() {
    test(crash::at_writes, 12);
}

#[test]
fn nothing_is_acknowledged_once_a_sync_has_failed() {
    test(crash::sync_fails, 6);
}

#[test]
fn nothing_acknowledged_is_lost_to_a_power_cut() {
    test(crash::power_cut, 4);
}

#[test]
fn nothing_acknowledged_is_lost_to_a_full_disk() {
    test(crash::disk_full, 1);
}

/// Where nothing may be traced or mounted, the same is shown in another way, and the row says so.
#[test]
fn machine_that_lets_us_do_nothing_shows_as_much_in_other_ways() {
    for (proof, way) in [
        (crash::at_writes as Proof, "abort at a fail point"),
        (crash::sync_fails, "failing barrier"),
        (crash::disk_full, "file size limit (no power cut)"),
    ] {
        let tally = run(proof, Means::NONE, 3);
        assert!(tally.holds() && tally.way == way, "{tally:#?}");
    }
}

#[test]
fn power_cut_that_cannot_be_had_is_shown_by_the_order_of_calls_or_fails() {
    let tally = run(crash::power_cut, Means { trace: Means::here().trace, ..Means::NONE }, 1);
    assert_eq!(tally.holds(), Means::here().trace, "{tally:#?}");
    let nothing = run(crash::power_cut, Means::NONE, 1);
    assert!(!nothing.holds() && nothing.problems[0].ends_with("nothing was shown"), "{nothing:#?}");
}
