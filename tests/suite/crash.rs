//! Processes that are killed, disks that fail: a few rounds of what `cargo xtask soak` does for as long as one likes.

use std::path::Path;

use sunaba_proofs::tally::Tally;
use sunaba_proofs::{crash, seed};

use crate::support::binaries;

/// Always the same here; `cargo xtask soak` draws others.
const SEED: u64 = 6;

fn test(proof: impl Fn(&Path, u64, u32) -> std::io::Result<Tally>, rounds: u32) {
    let tally =
        proof(&binaries().join("soak"), seed::wanted().unwrap_or(SEED), rounds).expect("the system lets us try");
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
