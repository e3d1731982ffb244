//! What attempts have used, summed.

use serde::{Deserialize, Serialize};
use sunaba_store::{Usage, UsageOf, UsageSums};

use super::ms;

/// What the attempts of one handler, or of one tag, have used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UsageView {
    /// The handler, or the tag; `(others)` for all beyond the first thousand.
    pub name: String,
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
    pub wall_ms: u64,
    /// The part of that in host calls.
    pub host_call_ms: u64,
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
    pub queue_wait_ms: u64,
}

/// Some of these sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UsagesView {
    /// By name.
    pub usage: Vec<UsageView>,
    /// `after` of the next page, if there may be one.
    pub next: Option<String>,
}

/// By what is summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UsageBy {
    /// By `package/handler`.
    #[default]
    Handler,
    /// By tag. What has several tags is in the sum of each.
    Tag,
}

impl From<UsageBy> for UsageOf {
    fn from(by: UsageBy) -> Self {
        match by {
            UsageBy::Handler => Self::Handlers,
            UsageBy::Tag => Self::Tags,
        }
    }
}

impl From<Usage> for UsageView {
    fn from(Usage { name, sums }: Usage) -> Self {
        let UsageSums { attempts, succeeded, snoozed, failed, stopped, unfinished, receipts, .. } = sums;
        Self {
            name,
            attempts,
            succeeded,
            snoozed,
            failed,
            stopped,
            unfinished,
            receipts,
            fuel: sums.fuel,
            fuel_exact: sums.fuel_exact,
            fuel_off: sums.fuel_off,
            wall_ms: ms(sums.wall),
            host_call_ms: ms(sums.host_call_time),
            host_calls: sums.host_calls,
            peak_memory_bytes: sums.peak_memory_bytes,
            input_bytes: sums.input_bytes,
            output_bytes: sums.output_bytes,
            log_bytes: sums.log_bytes,
            moved_bytes: sums.moved_bytes,
            written_bytes: sums.written_bytes,
            requests: sums.requests,
            request_bytes: sums.request_bytes,
            queue_wait_ms: ms(sums.queue_wait),
        }
    }
}
