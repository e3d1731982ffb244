//! A running task as it is now: what tells one that is stuck from one that is slow.

use serde::{Deserialize, Serialize};
use sunaba_task::LiveView;

use super::ms;

/// Where the running attempt of a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunningView {
    /// From 1.
    pub attempt: u32,
    /// Since it began.
    pub running_ms: u64,
    /// Fuel used when it was last looked at. Null: it is not counted.
    pub fuel: Option<u64>,
    /// Fuel used a second, over the last second or so. Null before that.
    pub fuel_per_second: Option<u64>,
    /// The sum of its memories and tables.
    pub memory_bytes: u64,
    /// Host calls so far.
    pub host_calls: u64,
    /// The host call that it is in. Null while it computes.
    pub host_call: Option<String>,
    /// For how long.
    pub host_call_ms: Option<u64>,
}

impl RunningView {
    /// What the attempt of this number shows.
    pub fn new(attempt: u32, live: LiveView) -> Self {
        let (host_call, since) = live.host_call.unzip();
        Self {
            attempt,
            running_ms: ms(live.running),
            fuel: live.fuel,
            fuel_per_second: live.fuel_per_second,
            memory_bytes: live.memory_bytes,
            host_calls: live.host_calls,
            host_call,
            host_call_ms: since.map(ms),
        }
    }
}
