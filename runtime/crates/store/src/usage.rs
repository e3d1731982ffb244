//! What attempts have used, summed for ever: a purge of records takes nothing away.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_task::{AttemptRecord, Ending, Receipt};

/// Handlers, or tags, that have a sum of their own; the first that came. The others share one.
pub const MAX_SUMMED: usize = 1_000;
/// The name of the sum of those that have none of their own. No handler and no tag is called so: a tag that were would be
/// among them.
pub const OTHERS: &str = "(others)";

/// Whose sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsageOf {
    /// By `package/handler`.
    Handlers,
    /// By tag. What has several tags is in the sum of each.
    Tags,
}

/// What the attempts of one handler, or of one tag, have used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The handler or the tag; [`OTHERS`] for the rest.
    pub name: String,
    /// The sums.
    pub sums: UsageSums,
}

/// Sums over attempts. What is too large stays as large as it can be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSums {
    /// Attempts that have ended, however they did.
    pub attempts: u64,
    /// Those that gave an output.
    pub succeeded: u64,
    /// Those that asked to be run again later.
    pub snoozed: u64,
    /// Those whose handler failed.
    pub failed: u64,
    /// Those that the host stopped.
    pub stopped: u64,
    /// Those whose host was lost, was stopped, or could not do its part.
    pub unfinished: u64,
    /// Those that have a receipt. Whatever follows is of these.
    pub receipts: u64,
    /// Fuel.
    pub fuel: u64,
    /// Attempts whose fuel is exact.
    pub fuel_exact: u64,
    /// Attempts whose fuel was not counted.
    pub fuel_off: u64,
    /// From the first step of making each sandbox to the last of taking it down.
    pub wall: Duration,
    /// The part of that in host calls.
    pub host_call_time: Duration,
    /// Host calls.
    pub host_calls: u64,
    /// The largest memory of any attempt.
    pub peak_memory_bytes: u64,
    /// Inputs.
    pub input_bytes: u64,
    /// Outputs.
    pub output_bytes: u64,
    /// What was kept of logs, standard output and standard error.
    pub log_bytes: u64,
    /// What host calls moved.
    pub moved_bytes: u64,
    /// What was written to files.
    pub written_bytes: u64,
    /// Outgoing requests.
    pub requests: u64,
    /// Heads and bodies of those and of their responses.
    pub request_bytes: u64,
    /// How long the tasks had waited for these attempts, from when each could have run.
    pub queue_wait: Duration,
}

impl UsageSums {
    /// Adds an attempt that has ended.
    pub fn add(&mut self, attempt: &AttemptRecord) {
        self.attempts = self.attempts.saturating_add(1);
        let count = match attempt.ending {
            Ending::Completed | Ending::Decomposed { .. } => &mut self.succeeded,
            Ending::Snoozed { .. } => &mut self.snoozed,
            Ending::Failed { .. } => &mut self.failed,
            Ending::Stopped { .. } => &mut self.stopped,
            Ending::HostFailed { .. } | Ending::HostLost | Ending::HandedBack => &mut self.unfinished,
        };
        *count = count.saturating_add(1);
        if let Some(receipt) = &attempt.receipt {
            self.add_receipt(receipt);
        }
    }

    fn add_receipt(&mut self, receipt: &Receipt) {
        let logs = receipt.log_bytes.saturating_add(receipt.stdout_bytes).saturating_add(receipt.stderr_bytes);
        for (sum, more) in [
            (&mut self.receipts, 1),
            (&mut self.fuel, receipt.fuel.unwrap_or(0)),
            (&mut self.fuel_exact, u64::from(receipt.fuel.is_some() && receipt.fuel_exact)),
            (&mut self.fuel_off, u64::from(receipt.fuel.is_none())),
            (&mut self.host_calls, receipt.host_calls),
            (&mut self.input_bytes, receipt.input_bytes),
            (&mut self.output_bytes, receipt.output_bytes),
            (&mut self.log_bytes, logs),
            (&mut self.moved_bytes, receipt.moved_bytes),
            (&mut self.written_bytes, receipt.written_bytes),
            (&mut self.requests, receipt.requests),
            (&mut self.request_bytes, receipt.request_bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.peak_memory_bytes = self.peak_memory_bytes.max(receipt.peak_memory_bytes);
        self.wall = self.wall.saturating_add(receipt.wall);
        self.host_call_time = self.host_call_time.saturating_add(receipt.host_call_time);
        self.queue_wait = self.queue_wait.saturating_add(receipt.queue_wait.unwrap_or_default());
    }
}
