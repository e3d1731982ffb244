//! What an attempt used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Digest;

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
    /// Calls of the `host` interface.
    pub host_calls: u64,
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
        }
    }
}
