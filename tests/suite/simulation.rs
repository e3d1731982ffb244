//! Thousands of simulated worlds, each from a seed of its own.

use std::time::Duration;

use sunaba_proofs::{seed, simulation};

/// Seeds of each of the tests below: all four together are to take some twenty seconds on two cores.
const SEEDS: u64 = 500;

fn run(master: u64) {
    for round in 0..SEEDS {
        if let Err(broken) = simulation::run(seed::nth(master, round)) {
            panic!("{broken}");
        }
    }
}

#[test]
fn simulated_worlds_of_spring_keep_every_promise() {
    run(1);
}

#[test]
fn simulated_worlds_of_summer_keep_every_promise() {
    run(2);
}

#[test]
fn simulated_worlds_of_autumn_keep_every_promise() {
    run(3);
}

#[test]
fn simulated_worlds_of_winter_keep_every_promise() {
    run(4);
}

/// Does nothing unless somebody names a seed.
#[test]
fn wanted_seed_keeps_every_promise() {
    if let Some(seed) = seed::wanted()
        && let Err(broken) = simulation::run(seed)
    {
        panic!("{broken}");
    }
}

#[test]
fn same_seed_gives_the_same_world() {
    for round in 0..20 {
        let seed = seed::nth(5, round);
        let run = || simulation::run(seed).unwrap_or_else(|broken| panic!("{broken}"));
        let (first, second) = (run(), run());
        let differs = first.lines.iter().zip(&second.lines).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.digest, second.digest, "seed {seed}");
    }
}

/// A simulation in which nothing goes wrong shows nothing.
#[test]
fn every_fault_fires_in_a_hundred_worlds() {
    let mut fired = std::collections::BTreeMap::<_, u64>::new();
    let mut longest = Duration::ZERO;
    for round in 0..100 {
        let outcome = simulation::run(seed::nth(6, round)).unwrap_or_else(|broken| panic!("{broken}"));
        outcome.fired.into_iter().for_each(|(fault, times)| *fired.entry(fault).or_default() += times);
        longest = longest.max(outcome.longest_recovery);
    }
    for fault in simulation::Fault::ALL {
        assert!(fired.get(&fault).is_some_and(|times| *times > 5), "{fault}: {fired:?}");
    }
    assert!(!longest.is_zero());
}
