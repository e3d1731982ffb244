//! What is known of a host at an instant: plain data, by which alerts are decided and of which metrics are made.

use std::time::Duration;

use sunaba_task::{BreakerState, TaskId, Timestamp};

/// An instant by both parts of the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// What time it is: for whoever is told, since somebody may set it.
    pub at: Timestamp,
    /// The part that never jumps: all durations count by it.
    pub elapsed: Duration,
}

/// What is known of a host at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The same by the part of that clock that never jumps.
    pub elapsed: Duration,
    /// How long the store has been open.
    pub up: Duration,
    /// How long the worker's leases live without a renewal.
    pub lease_time: Duration,
    /// Attempts at a time.
    pub slots: usize,
    /// Attempts that run.
    pub running: usize,
    /// What attempts may hold of the machine's memory.
    pub memory_budget_bytes: Option<u64>,
    /// What those that run may hold of it.
    pub memory_held_bytes: u64,
    /// What the process has of the machine's memory, where the system says.
    pub resident_bytes: Option<u64>,
    /// What the disk of the store has left.
    pub free_bytes: Option<u64>,
    /// Below that nothing new is taken on.
    pub floor_bytes: u64,
    /// What the store has on its disk, when it was looked at last.
    pub store_bytes: Option<u64>,
    /// Why the store takes no changes any more.
    pub failure: Option<String>,
    /// Why the store could not be asked this time: what it knows is not in here.
    pub unseen: Option<String>,
    /// Sessions of workers that are open.
    pub workers: usize,
    /// How long ago the quietest of them was heard of.
    pub quietest: Option<Duration>,
    /// Dead tasks that are kept.
    pub dead: u64,
    /// The first queues, by name.
    pub queues: Vec<QueueSample>,
    /// The first handlers, by name.
    pub handlers: Vec<HandlerSample>,
    /// Attempts of handlers in the window of the failure rate.
    pub failures: Vec<FailureSample>,
    /// Attempts that are in a host call.
    pub waiting: Vec<WaitingSample>,
    /// The webhooks that their failures have disabled, and why.
    pub failed_webhooks: Vec<(String, String)>,
}

impl Sample {
    pub(crate) fn moment(&self) -> Moment {
        Moment { at: self.at, elapsed: self.elapsed }
    }
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSample {
    /// Its name.
    pub name: String,
    /// Nothing of it is started.
    pub paused: bool,
    /// Tasks that wait for a slot.
    pub queued: u64,
    /// Tasks that wait for an instant.
    pub scheduled: u64,
    /// Tasks that run.
    pub running: u64,
    /// How long the first of those that wait for a slot has waited.
    pub oldest: Option<Duration>,
}

/// A handler.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerSample {
    /// `package/handler`.
    pub name: String,
    /// Where its breaker stands.
    pub breaker: BreakerState,
}

/// How many attempts of a handler failed lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureSample {
    /// `package/handler`.
    pub handler: String,
    /// Attempts that ended by themselves or failed.
    pub attempts: u64,
    /// Those that failed.
    pub failed: u64,
}

/// An attempt that waits in a host call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingSample {
    /// Its task.
    pub task: TaskId,
    /// The host call.
    pub host_call: String,
    /// For how long.
    pub since: Duration,
}
