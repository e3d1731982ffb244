//! A whole world from one seed: several production workers, the production store and its commit loop, clients who submit tasks
//! and jobs, and whatever can go wrong, in one thread and in a time of its own. Only clock, executor and engine are replaced.
//!
//! The same seed gives the same world, event for event.

mod book;
mod claims;
mod client;
mod clock;
mod engine;
mod gate;
mod job_book;
mod journal;
mod link;
mod link_schedules;
mod link_webhooks;
mod order;
mod replay;
mod script;
mod shapes;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub use journal::Fault;

/// Lines of a failed simulation that are shown.
const SHOWN_LINES: usize = 60;

/// What a simulation came to in which every promise was kept.
#[derive(Debug)]
pub struct Outcome {
    /// Of every event in its order.
    pub digest: u64,
    /// How often each fault fired.
    pub fired: BTreeMap<Fault, u64>,
    /// Submits, leases, settlements and cancels that were acknowledged.
    pub acknowledged: u64,
    /// From the loss of a worker until the last of its tasks was taken back, in the simulation's time.
    pub longest_recovery: Duration,
    /// Every event.
    pub lines: Vec<String>,
}

/// A promise was broken.
#[derive(Debug)]
pub struct Broken {
    /// The seed that shows it.
    pub seed: u64,
    /// What was found wrong.
    pub problems: Vec<String>,
    /// Every event.
    pub lines: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, problems, lines } = self;
        writeln!(f, "the simulation with seed {seed} broke {} promises", problems.len())?;
        problems.iter().take(5).try_for_each(|problem| writeln!(f, "- {problem}"))?;
        let shown = if crate::seed::wanted().is_some() { lines.len() } else { SHOWN_LINES };
        lines.iter().skip(lines.len().saturating_sub(shown)).try_for_each(|line| writeln!(f, "  {line}"))?;
        let variable = crate::seed::VARIABLE;
        write!(
            f,
            "hint: `{variable}={seed} cargo xtask test wanted_seed_keeps_every_promise` runs it alone, and shows all"
        )
    }
}

/// Runs the world of this seed.
///
/// # Errors
/// A promise was broken.
///
/// # Panics
/// The system gives no runtime.
pub fn run(seed: u64) -> Result<Outcome, Box<Broken>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    // A task of its own: what is woken runs in its turn, which the future of `block_on` does not.
    let world = async { tokio::spawn(world::run(seed)).await.expect("the world does not panic") };
    let written = runtime.expect("a runtime").block_on(world);
    let journal::Written { digest, lines, problems, fired, acknowledged, longest_recovery } = written;
    if problems.is_empty() {
        Ok(Outcome { digest, fired, acknowledged, longest_recovery, lines })
    } else {
        Err(Box::new(Broken { seed, problems, lines }))
    }
}
