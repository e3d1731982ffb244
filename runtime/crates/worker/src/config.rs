//! What a worker is like.

use std::time::Duration;

use sunaba_store::Queues;
use sunaba_task::LimitCaps;
use sunaba_task::trace::Spans;

/// What a worker is like.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Its name in the records.
    pub name: String,
    /// Attempts at a time, from 1. [`Worker::set_slots`] changes that.
    pub slots: usize,
    /// The most that can be set while it runs; no less than `slots`.
    pub max_slots: usize,
    /// Where it takes tasks from.
    pub queues: Queues,
    /// How long its leases live without a renewal: how long its tasks wait when it is lost. From 1 s to a day.
    pub lease_time: Duration,
    /// How long a cancelled attempt has to end by itself.
    pub cancel_grace: Duration,
    /// What attempts say of their progress is passed on at most so often: of each the last that it said. What an attempt
    /// says shortly before its end may be dropped.
    pub progress_interval: Duration,
    /// What all its attempts at a time may make their host hold, by [`Limits::host_bytes`](sunaba_task::Limits::host_bytes). None:
    /// no matter how much.
    pub memory_bytes: Option<u64>,
    /// What an attempt may use here at most, whatever its task and its queue say.
    pub attempt: LimitCaps,
    /// Who is told of the spans of attempts.
    pub spans: Spans,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            name: "worker".into(),
            slots: 1,
            max_slots: 1,
            queues: Queues::All,
            lease_time: Duration::from_secs(30),
            cancel_grace: Duration::from_secs(1),
            progress_interval: Duration::from_secs(1),
            memory_bytes: None,
            attempt: LimitCaps::NONE,
            spans: Spans::default(),
        }
    }
}
