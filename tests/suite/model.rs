//! Random sequences against a model of plain maps.

use sunaba_proofs::model::{self, Counts};
use sunaba_proofs::seed;

/// Always the same here; `cargo xtask soak` draws others.
const SEED: u64 = 4;

fn check(done: Result<Counts, String>) {
    let counts = done.unwrap_or_else(|error| panic!("{error}"));
    assert!(counts.steps > 100 && counts.restarts > 0, "{counts:?}");
}

#[test]
fn store_in_memory_does_what_the_model_does() {
    check(model::in_memory(seed::wanted().unwrap_or(SEED), 2_000));
}

#[test]
fn store_on_disk_does_what_the_model_does() {
    check(model::on_disk(seed::wanted().unwrap_or(SEED), 50));
}
