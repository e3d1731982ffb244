//! What an attempt used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Digest, Seed};

/// What an attempt used. Written by the executor when the sandbox is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The component that ran.
    pub component: Digest,
    /// Fuel used; none when it was not counted.
    pub fuel: Option<u64>,
    /// Whether `fuel` is exact. Otherwise it is a lower bound, within the yield interval of a million.
    pub fuel_exact: bool,
    /// From the first step of making the sandbox to the last of taking it down.
    pub wall: Duration,
    /// The part of `wall` that was not the guest's call: making the sandbox and taking it down.
    pub overhead: Duration,
    /// The highest sum of all memories and tables of the instance, in bytes.
    pub peak_memory_bytes: u64,
    /// The input's size.
    pub input_bytes: u64,
    /// The output's size; 0 when there is none.
    pub output_bytes: u64,
    /// Bytes kept of what the guest wrote by `host.log`.
    pub log_bytes: u64,
    /// Bytes kept of its standard output.
    pub stdout_bytes: u64,
    /// Bytes kept of its standard error.
    pub stderr_bytes: u64,
    /// Bytes of logs, standard output and standard error that were dropped over their limits.
    pub dropped_bytes: u64,
    /// Host calls, of every interface.
    pub host_calls: u64,
    /// The same by what was called, such as `wasi:filesystem/types.descriptor.read`; the most frequent ones first, at most 32.
    pub host_calls_by: Vec<(String, u64)>,
    /// The part of `wall` that the guest spent in host calls.
    pub host_call_time: Duration,
    /// Bytes that host calls moved between the guest and the host.
    pub moved_bytes: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
    /// Outgoing requests.
    pub requests: u64,
    /// Heads and bodies of outgoing requests and their responses.
    pub request_bytes: u64,
    /// Bytes written to artifacts, finished or not.
    pub artifact_bytes: u64,
    /// How long the task had waited: from when it could have run until it did, in its queue and then in its worker. None: there was
    /// no queue.
    pub queue_wait: Option<Duration>,
    /// What the attempt's clock and random numbers were made from, if it was deterministic.
    pub seed: Option<Seed>,
}

impl Receipt {
    /// The receipt of an attempt of which nothing was measured.
    pub fn unmeasured(component: Digest) -> Self {
        Self {
            component,
            fuel: None,
            fuel_exact: false,
            wall: Duration::ZERO,
            overhead: Duration::ZERO,
            peak_memory_bytes: 0,
            input_bytes: 0,
            output_bytes: 0,
            log_bytes: 0,
            stdout_bytes: 0,
            stderr_bytes: 0,
            dropped_bytes: 0,
            host_calls: 0,
            host_calls_by: Vec::new(),
            host_call_time: Duration::ZERO,
            moved_bytes: 0,
            written_bytes: 0,
            requests: 0,
            request_bytes: 0,
            artifact_bytes: 0,
            queue_wait: None,
            seed: None,
        }
    }
}
