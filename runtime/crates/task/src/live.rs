//! A look at an attempt while it runs: what tells one that is stuck from one that is slow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where an attempt is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveView {
    /// Since it was begun.
    pub running: Duration,
    /// Fuel used when it was last looked at: at each tick of a guest that computes (within a million), and when it began to
    /// wait for something. None: it is not counted.
    pub fuel: Option<u64>,
    /// Fuel used a second, over the last second or so; none before that, or when it is not counted.
    pub fuel_per_second: Option<u64>,
    /// The sum of its memories and tables, in bytes.
    pub memory_bytes: u64,
    /// Host calls so far.
    pub host_calls: u64,
    /// The host call that it is in, and for how long; none while it computes.
    pub host_call: Option<(String, Duration)>,
}

/// Whoever runs an attempt, to whoever wants to look at it. Asked from any thread; must not block.
pub trait Live: Send + Sync + 'static {
    /// Where the attempt is now.
    fn view(&self) -> LiveView;
}
