//! The proofs that share the time, and what a round of each comes to.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use sunaba_proofs::crash::{self, Means};
use sunaba_proofs::fuzz;
use sunaba_proofs::model::{self, Counts};
use sunaba_proofs::simulation::{self, Fault};
use sunaba_proofs::{seed, tally::Tally};

/// Simulated worlds of one round.
const WORLDS: u64 = 400;
/// Sequences of one round.
const SEQUENCES: u32 = 400;
const SEQUENCES_ON_DISK: u32 = 20;
/// Rounds of each crash test in one round of all.
const CRASHES: u32 = 8;

/// One proof; gives a row for each kind of fault.
pub(crate) type Proof = fn(&Path, Means, u64) -> Result<Vec<Tally>>;

/// Every proof, by the name that the progress shows.
pub(crate) const ALL: [(&str, Proof); 11] = [
    ("simulation", |_, _, seed| Ok(simulate(seed))),
    ("model in memory", |_, _, seed| {
        Ok(vec![follow("restart, held against a model", "in memory", model::in_memory(seed, SEQUENCES))])
    }),
    ("model on disk", |_, _, seed| {
        Ok(vec![follow("restart, held against a model", "sled", model::on_disk(seed, SEQUENCES_ON_DISK))])
    }),
    ("kill at random", |soak, means, seed| Ok(vec![crash::at_random(soak, means, seed, CRASHES)?])),
    ("kill at a write", |soak, means, seed| Ok(vec![crash::at_writes(soak, means, seed, CRASHES)?])),
    ("failing fsync", |soak, means, seed| Ok(vec![crash::sync_fails(soak, means, seed, CRASHES)?])),
    ("power cut", |soak, means, seed| Ok(vec![crash::power_cut(soak, means, seed, CRASHES / 2)?])),
    ("full disk", |soak, means, seed| Ok(vec![crash::disk_full(soak, means, seed, 1)?])),
    ("fuzzed components", |_, _, seed| Ok(vec![attack(0, seed)])),
    ("fuzzed host calls", |_, _, seed| Ok(vec![attack(1, seed)])),
    ("fuzzed ends", |_, _, seed| Ok(vec![attack(2, seed)])),
];

/// A round of one of the fuzzers' bodies.
fn attack(index: usize, seed: u64) -> Tally {
    let (name, body, rounds) = fuzz::BODIES[index];
    fuzz::drive(name, body, seed, rounds)
}

fn simulate(master: u64) -> Vec<Tally> {
    let mut rows: BTreeMap<Fault, Tally> =
        Fault::ALL.iter().map(|fault| (*fault, Tally::new(fault.to_string(), "simulation"))).collect();
    for round in 0..WORLDS {
        match simulation::run(seed::nth(master, round)) {
            Ok(outcome) => {
                for (fault, times) in outcome.fired {
                    let Some(row) = rows.get_mut(&fault) else { continue };
                    row.fired += times;
                    row.acknowledged += outcome.acknowledged;
                    if fault == Fault::WorkerKilled {
                        row.recovery = row.recovery.max(Some(outcome.longest_recovery));
                    }
                }
            }
            Err(broken) => {
                // Which of its faults was to blame, nobody can tell.
                for row in rows.values_mut() {
                    row.lost += 1;
                }
                if let Some(row) = rows.values_mut().next() {
                    row.problems.push(broken.to_string());
                }
                break;
            }
        }
    }
    rows.into_values().collect()
}

fn follow(fault: &str, way: &str, done: Result<Counts, String>) -> Tally {
    let mut tally = Tally::new(fault, way);
    match done {
        Ok(counts) => {
            tally.fired = counts.restarts;
            tally.acknowledged = counts.steps;
        }
        Err(problem) => {
            tally.lost += 1;
            tally.problems.push(problem);
        }
    }
    tally
}
