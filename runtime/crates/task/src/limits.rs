//! What an attempt may use at most.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Limit;
use crate::units::{format_bytes, format_duration};

/// The largest memory limit: all that a 32-bit guest can address.
pub const MAX_MEMORY_BYTES: u64 = 4 << 30;
/// The longest timeout.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The stack of a guest and of the host calls on top of it.
const STACK_BYTES: u64 = 2 << 20;
/// The most that the host holds for one handle: a request that is not sent, with its headers (32 KiB, and as much again for
/// how they are kept), texts (9 KiB), two pieces of its body (16 KiB each) and its trailers (16 KiB).
const HANDLE_BYTES: u64 = 128 << 10;
/// The buffers of a connection, its encryption, and a piece of a response.
const CONNECTION_BYTES: u64 = 256 << 10;
/// A kept line without its text: thirty-two fields.
const LINE_BYTES: u64 = 4 << 10;

/// Whether the engine counts fuel. Each way has its own compiled code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FuelMode {
    /// Instructions are counted exactly.
    Exact,
    /// Nothing is counted; tight loops run up to twice as fast.
    Off,
}

impl fmt::Display for FuelMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Off => "off",
        })
    }
}

/// How an attempt's fuel is counted and limited. Written `exact`, `off`, or the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fuel {
    /// Counted, and limited if there is a limit.
    Exact {
        /// The attempt is stopped when it has used so much.
        limit: Option<u64>,
    },
    /// Not counted.
    Off,
}

impl Fuel {
    /// Which compiled code this needs.
    pub fn mode(self) -> FuelMode {
        match self {
            Self::Exact { .. } => FuelMode::Exact,
            Self::Off => FuelMode::Off,
        }
    }
}

/// A text or number that is no such limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// Not a fuel setting.
    #[error("`{0}` is not a fuel limit\nhint: write a number of instructions from 1, `exact` or `off`")]
    Fuel(String),
    /// Outside what can be enforced.
    #[error("the memory limit `{}` is out of range\nhint: it goes from 64 KiB to {}", format_bytes(*.0), format_bytes(MAX_MEMORY_BYTES))]
    Memory(u64),
    /// Outside what can be enforced.
    #[error("the limit `{limit}` cannot be `{}`\nhint: it goes from {} to {}", .limit.format(*.value), .limit.format(.limit.range().0), .limit.format(.limit.range().1))]
    Range {
        /// Which.
        limit: Limit,
        /// What was asked for.
        value: u64,
    },
    /// Outside what can be enforced.
    #[error("the timeout `{}` is out of range\nhint: it goes from 1ms to {}", format_duration(*.0), format_duration(MAX_TIMEOUT))]
    Timeout(Duration),
}

impl FromStr for Fuel {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        match text.trim() {
            "off" => Ok(Self::Off),
            "exact" => Ok(Self::Exact { limit: None }),
            digits => match digits.replace('_', "").parse() {
                Ok(limit) if limit > 0 => Ok(Self::Exact { limit: Some(limit) }),
                _ => Err(LimitError::Fuel(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Fuel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Exact { limit: None } => f.write_str("exact"),
            Self::Exact { limit: Some(limit) } => limit.fmt(f),
        }
    }
}

/// What one attempt may use at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Instructions. Default: counted, without a limit.
    pub fuel: Fuel,
    /// Guest and host time together, from the start of the attempt. Default: 300 s.
    pub timeout: Duration,
    /// The sum of all memories and tables of the instance. Default: 128 MiB.
    pub memory_bytes: u64,
    /// The output, or the detail of a failure. Over it the attempt is stopped. Default: 1 MiB.
    pub output_bytes: u64,
    /// What is kept of standard output. The rest is dropped with a mark. Default: 64 KiB.
    pub stdout_bytes: u64,
    /// What is kept of standard error. The rest is dropped with a mark. Default: 64 KiB.
    pub stderr_bytes: u64,
    /// What is kept of `host.log`. The rest is dropped with a mark. Default: 64 KiB.
    pub log_bytes: u64,
    /// How many lines are kept of all three together. The rest is dropped with a mark. Default: 1,000.
    pub log_lines: u64,
    /// What the guest may hand to one host call. Over it the attempt is stopped. Default: 4 MiB.
    pub host_call_bytes: u64,
    /// What all host calls together may move between the guest and the host. Default: 4 GiB.
    pub moved_bytes: u64,
    /// Handles that the guest may hold (files, streams, timers). Default: 128.
    pub resources: u32,
    /// Core instances that the component may have. Default: 64.
    pub instances: u32,
    /// Tables of all of them together. Default: 32.
    pub tables: u32,
    /// Files and directories that the guest may have open: each is a descriptor of the host. Default: 64.
    pub open_files: u32,
    /// What the guest may write to files, all together; growing a file counts. Default: 1 GiB.
    pub written_bytes: u64,
    /// Random bytes that the guest may ask for. Default: 1 MiB.
    pub random_bytes: u64,
    /// Outgoing requests. Default: 100.
    pub requests: u32,
    /// Outgoing requests at a time. Default: 8.
    pub concurrent_requests: u32,
    /// Heads and bodies of all outgoing requests and their responses together. Default: 64 MiB.
    pub request_bytes: u64,
    /// What is written to artifacts, all together. Over it the attempt is stopped. Default: 256 MiB.
    pub artifact_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: Fuel::Exact { limit: None },
            timeout: Duration::from_secs(300),
            memory_bytes: 128 << 20,
            output_bytes: 1 << 20,
            stdout_bytes: 64 << 10,
            stderr_bytes: 64 << 10,
            log_bytes: 64 << 10,
            log_lines: 1_000,
            host_call_bytes: 4 << 20,
            moved_bytes: 4 << 30,
            resources: 128,
            instances: 64,
            tables: 32,
            open_files: 64,
            written_bytes: 1 << 30,
            random_bytes: 1 << 20,
            requests: 100,
            concurrent_requests: 8,
            request_bytes: 64 << 20,
            artifact_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// Whether the sandbox can enforce these.
    ///
    /// # Errors
    /// [`LimitError::Memory`], [`LimitError::Timeout`] or [`LimitError::Range`]: the value is out of range.
    pub fn check(&self) -> Result<(), LimitError> {
        check_timeout(self.timeout)?;
        check_memory(self.memory_bytes)?;
        for limit in Limit::ALL {
            let ((least, most), value) = (limit.range(), self.get(limit));
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return Err(LimitError::Range { limit, value });
            }
        }
        Ok(())
    }

    /// The most that an attempt can make its host hold: its memory and stack, what the host keeps of its talk, its input and
    /// its output, and what stands behind its handles, its connections and its lines. What a node admits by.
    pub fn host_bytes(&self) -> u64 {
        // What is no text is kept as text, in which each of its bytes has three.
        let talk = self.stdout_bytes.saturating_add(self.stderr_bytes).saturating_mul(3);
        // The engine holds the result to what a call may copy, and a result has room for its escapes.
        let call = self.host_call_bytes.max(self.output_bytes.saturating_mul(2));
        let kept = [self.output_bytes, talk, self.log_bytes, call];
        let each = [
            HANDLE_BYTES.saturating_mul(self.resources.into()),
            CONNECTION_BYTES.saturating_mul(self.concurrent_requests.into()),
            LINE_BYTES.saturating_mul(self.log_lines),
        ];
        kept.into_iter().chain(each).fold(self.memory_bytes.saturating_add(STACK_BYTES), u64::saturating_add)
    }
}

pub(crate) fn check_timeout(timeout: Duration) -> Result<Duration, LimitError> {
    if (Duration::from_millis(1)..=MAX_TIMEOUT).contains(&timeout) {
        Ok(timeout)
    } else {
        Err(LimitError::Timeout(timeout))
    }
}

pub(crate) fn check_memory(memory_bytes: u64) -> Result<u64, LimitError> {
    if (64 << 10..=MAX_MEMORY_BYTES).contains(&memory_bytes) {
        Ok(memory_bytes)
    } else {
        Err(LimitError::Memory(memory_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuel_reads_its_three_forms() {
        assert_eq!("off".parse(), Ok(Fuel::Off));
        assert_eq!("exact".parse(), Ok(Fuel::Exact { limit: None }));
        assert_eq!("1_000".parse(), Ok(Fuel::Exact { limit: Some(1_000) }));
        for text in ["", "0", "-1", "1.5", "on", "99999999999999999999999"] {
            assert!(text.parse::<Fuel>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory_bounds_obeyed() {
        assert_eq!(check_memory(64 << 10), Ok(64 << 10));
        assert_eq!(check_memory(MAX_MEMORY_BYTES), Ok(MAX_MEMORY_BYTES));
    }

    #[test]
    fn memory_bounds_violated() {
        assert_eq!(check_memory((64 << 10) - 1), Err(LimitError::Memory((64 << 10) - 1)));
        assert_eq!(check_memory(MAX_MEMORY_BYTES + 1), Err(LimitError::Memory(MAX_MEMORY_BYTES + 1)));
    }

    #[test]
    fn what_the_host_holds_grows_with_every_limit_of_what_it_holds() {
        let least = Limits::default();
        let more: [fn(&mut Limits); 9] = [
            |limits| limits.memory_bytes += 1,
            |limits| limits.output_bytes += 1,
            |limits| limits.stdout_bytes += 1,
            |limits| limits.stderr_bytes += 1,
            |limits| limits.log_bytes += 1,
            |limits| limits.log_lines += 1,
            |limits| limits.host_call_bytes += 1,
            |limits| limits.resources += 1,
            |limits| limits.concurrent_requests += 1,
        ];
        for change in more {
            let mut limits = least.clone();
            change(&mut limits);
            assert!(limits.host_bytes() > least.host_bytes(), "{limits:?}");
        }
    }

    #[test]
    fn timeout_bounds_obeyed() {
        assert!(check_timeout(Duration::from_millis(1)).is_ok());
        assert!(check_timeout(MAX_TIMEOUT).is_ok());
    }

    #[test]
    fn timeout_bounds_violated() {
        assert!(check_timeout(Duration::ZERO).is_err());
        assert!(check_timeout(MAX_TIMEOUT + Duration::from_millis(1)).is_err());
    }
}
