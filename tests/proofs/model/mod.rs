//! Random sequences of everything that can be done to a store, held against a model of plain maps that predicts every
//! answer and every record.

mod item;
mod real;
mod reference;
mod shelf;
mod step;
mod system;

use std::sync::atomic::Ordering;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest};

/// The longest sequence.
const MAX_STEPS: usize = 60;

/// What a run has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Steps, each of which was answered.
    pub steps: u64,
    /// Restarts among them.
    pub restarts: u64,
}

/// Runs so many sequences on the engine in memory.
///
/// # Errors
/// The store does not do what the model does; the shortest sequence that shows it.
pub fn in_memory(seed: u64, sequences: u32) -> Result<Counts, String> {
    run::<system::System<false>>(seed, sequences)
}

/// Runs so many sequences on sled.
///
/// # Errors
/// The store does not do what the model does; the shortest sequence that shows it.
pub fn on_disk(seed: u64, sequences: u32) -> Result<Counts, String> {
    run::<system::System<true>>(seed, sequences)
}

fn run<T>(seed: u64, sequences: u32) -> Result<Counts, String>
where
    T: StateMachineTest<Reference = system::Reference>,
{
    let counts =
        || Counts { steps: system::STEPS.load(Ordering::Relaxed), restarts: system::RESTARTS.load(Ordering::Relaxed) };
    let before = counts();
    let config = Config { cases: sequences, failure_persistence: None, ..Config::default() };
    let bytes: Vec<u8> = (0..4).flat_map(|part| crate::seed::nth(seed, part).to_be_bytes()).collect();
    let mut runner = TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let sequence = system::Reference::sequential_strategy(1..MAX_STEPS);
    let done = runner.run(&sequence, |(state, steps, seen)| {
        T::test_sequential(config.clone(), state, steps, seen);
        Ok(())
    });
    let after = counts();
    done.map_err(|error| format!("the model with seed {seed} and the store disagree: {error}"))?;
    Ok(Counts { steps: after.steps - before.steps, restarts: after.restarts - before.restarts })
}
