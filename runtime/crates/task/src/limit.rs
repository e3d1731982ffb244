//! The limits by name: what each counts, where it may lie, and how it is written.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{Fuel, FuelMode, Limits, MAX_MEMORY_BYTES, MAX_TIMEOUT};
use crate::units::{format_bytes, format_count, format_duration, parse_bytes, parse_duration};

/// One of the limits of an attempt. Its name is how it is written in options and in a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// [`Limits::fuel`].
    Fuel,
    /// [`Limits::timeout`], in milliseconds.
    Timeout,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::output_bytes`].
    Output,
    /// [`Limits::stdout_bytes`].
    Stdout,
    /// [`Limits::stderr_bytes`].
    Stderr,
    /// [`Limits::log_bytes`].
    Log,
    /// [`Limits::log_lines`].
    LogLines,
    /// [`Limits::host_call_bytes`].
    HostCallBytes,
    /// [`Limits::moved_bytes`].
    MovedBytes,
    /// [`Limits::resources`].
    Resources,
    /// [`Limits::instances`].
    Instances,
    /// [`Limits::tables`].
    Tables,
    /// [`Limits::open_files`].
    OpenFiles,
    /// [`Limits::written_bytes`].
    WrittenBytes,
    /// [`Limits::random_bytes`].
    RandomBytes,
    /// [`Limits::requests`].
    Requests,
    /// [`Limits::concurrent_requests`].
    ConcurrentRequests,
    /// [`Limits::request_bytes`].
    RequestBytes,
    /// [`Limits::artifact_bytes`].
    ArtifactBytes,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Bytes,
    Milliseconds,
}

impl Limit {
    /// Every limit, in the order in which they are shown.
    pub const ALL: [Self; 20] = [
        Self::Fuel,
        Self::Timeout,
        Self::Memory,
        Self::Output,
        Self::Stdout,
        Self::Stderr,
        Self::Log,
        Self::LogLines,
        Self::HostCallBytes,
        Self::MovedBytes,
        Self::Resources,
        Self::Instances,
        Self::Tables,
        Self::OpenFiles,
        Self::WrittenBytes,
        Self::RandomBytes,
        Self::Requests,
        Self::ConcurrentRequests,
        Self::RequestBytes,
        Self::ArtifactBytes,
    ];

    /// How it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Log => "log",
            Self::LogLines => "log-lines",
            Self::HostCallBytes => "host-call-bytes",
            Self::MovedBytes => "moved-bytes",
            Self::Resources => "resources",
            Self::Instances => "instances",
            Self::Tables => "tables",
            Self::OpenFiles => "open-files",
            Self::WrittenBytes => "written-bytes",
            Self::RandomBytes => "random-bytes",
            Self::Requests => "requests",
            Self::ConcurrentRequests => "concurrent-requests",
            Self::RequestBytes => "request-bytes",
            Self::ArtifactBytes => "artifact-bytes",
        }
    }

    fn unit(self) -> Unit {
        match self {
            Self::Timeout => Unit::Milliseconds,
            Self::Memory
            | Self::Output
            | Self::Stdout
            | Self::Stderr
            | Self::Log
            | Self::HostCallBytes
            | Self::MovedBytes
            | Self::WrittenBytes
            | Self::RandomBytes
            | Self::RequestBytes
            | Self::ArtifactBytes => Unit::Bytes,
            _ => Unit::Count,
        }
    }

    /// The smallest and the largest value that can be enforced.
    pub fn range(self) -> (u64, u64) {
        match self {
            Self::Fuel => (1, u64::MAX),
            Self::Timeout => (1, u64::try_from(MAX_TIMEOUT.as_millis()).unwrap_or(u64::MAX)),
            Self::Memory => (64 << 10, MAX_MEMORY_BYTES),
            // What the host holds of an attempt, and what a store keeps of it.
            Self::Output | Self::Stdout | Self::Stderr | Self::Log | Self::HostCallBytes => (0, 64 << 20),
            Self::LogLines => (0, 100_000),
            Self::Resources => (1, 10_000),
            // What a slot of the sandbox's pool has.
            Self::Instances => (1, 64),
            Self::Tables => (1, 32),
            Self::OpenFiles => (0, 1_000),
            Self::ConcurrentRequests => (0, 100),
            Self::Requests => (0, 100_000),
            Self::MovedBytes | Self::WrittenBytes | Self::RandomBytes | Self::RequestBytes | Self::ArtifactBytes => {
                (0, 1 << 40)
            }
        }
    }

    /// A value of this limit as people read it.
    pub fn format(self, value: u64) -> String {
        match self.unit() {
            Unit::Count => format_count(value),
            Unit::Bytes => format_bytes(value),
            Unit::Milliseconds => format_duration(Duration::from_millis(value)),
        }
    }

    fn parse(self, text: &str) -> Result<u64, NamedLimitError> {
        let value = match self.unit() {
            Unit::Count => text.replace('_', "").parse().ok(),
            Unit::Bytes => parse_bytes(text).ok(),
            Unit::Milliseconds => {
                parse_duration(text).ok().and_then(|duration| u64::try_from(duration.as_millis()).ok())
            }
        };
        let (least, most) = self.range();
        value
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| NamedLimitError::Value { limit: self, value: text.chars().take(64).collect() })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Limit {
    type Err = NamedLimitError;

    fn from_str(text: &str) -> Result<Self, NamedLimitError> {
        let named = Self::ALL.into_iter().find(|limit| limit.name() == text);
        named.ok_or_else(|| NamedLimitError::Unknown(text.chars().take(64).collect()))
    }
}

/// A text that sets no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamedLimitError {
    /// Not NAME=VALUE.
    #[error("`{0}` sets no limit\nhint: write NAME=VALUE, such as `open-files=16` or `output=4MiB`")]
    Form(String),
    /// No such limit.
    #[error("there is no limit `{0}`\nhint: the limits are {names}", names = Limit::ALL.map(Limit::name).join(", "))]
    Unknown(String),
    /// Set twice.
    #[error("the limit `{0}` is set twice")]
    Twice(Limit),
    /// Not a value of this limit, or out of its range.
    #[error("the limit `{limit}` cannot be `{value}`\nhint: it goes from {} to {}", .limit.format(.limit.range().0), .limit.format(.limit.range().1))]
    Value {
        /// Which.
        limit: Limit,
        /// What stood there.
        value: String,
    },
}

/// Some of the limits, each with a value. Written `open-files=16,output=4MiB`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct LimitCaps(BTreeMap<Limit, u64>);

impl LimitCaps {
    /// None.
    pub const NONE: Self = Self(BTreeMap::new());

    /// The value of this limit, if it has one.
    pub fn get(&self, limit: Limit) -> Option<u64> {
        self.0.get(&limit).copied()
    }

    /// Gives this limit a value, in its range.
    pub fn set(&mut self, limit: Limit, value: u64) {
        let (least, most) = limit.range();
        self.0.insert(limit, value.clamp(least, most));
    }

    /// Whether no limit has a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each limit that has a value, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = (Limit, u64)> {
        self.0.iter().map(|(limit, value)| (*limit, *value))
    }

    /// The mode in which an attempt runs that asks for this one: whoever limits fuel has it counted.
    pub fn fuel_mode(&self, asked: FuelMode) -> FuelMode {
        if self.get(Limit::Fuel).is_some() { FuelMode::Exact } else { asked }
    }

    /// Of each limit the smaller of the two values, or the one that there is.
    #[must_use]
    pub fn tighter(mut self, other: &Self) -> Self {
        for (limit, value) in other.iter() {
            self.0.entry(limit).and_modify(|own| *own = (*own).min(value)).or_insert(value);
        }
        self
    }
}

impl FromStr for LimitCaps {
    type Err = NamedLimitError;

    fn from_str(text: &str) -> Result<Self, NamedLimitError> {
        let mut caps = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let form = || NamedLimitError::Form(part.chars().take(64).collect());
            let (name, value) = part.split_once('=').ok_or_else(form)?;
            let limit: Limit = name.trim().parse()?;
            if caps.insert(limit, limit.parse(value.trim())?).is_some() {
                return Err(NamedLimitError::Twice(limit));
            }
        }
        Ok(Self(caps))
    }
}

impl fmt::Display for LimitCaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (limit, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match limit.unit() {
                Unit::Milliseconds => {
                    let value = format_duration(Duration::from_millis(value)).replace(' ', "");
                    write!(f, "{comma}{limit}={value}")?;
                }
                // A number of bytes reads back exactly.
                Unit::Bytes | Unit::Count => write!(f, "{comma}{limit}={value}")?,
            }
        }
        Ok(())
    }
}

impl From<LimitCaps> for String {
    fn from(caps: LimitCaps) -> Self {
        caps.to_string()
    }
}

impl TryFrom<String> for LimitCaps {
    type Error = NamedLimitError;

    fn try_from(text: String) -> Result<Self, NamedLimitError> {
        text.parse()
    }
}

impl Limits {
    /// The value of a limit; none for fuel without one.
    pub fn get(&self, limit: Limit) -> Option<u64> {
        Some(match limit {
            Limit::Fuel => match self.fuel {
                Fuel::Exact { limit } => return limit,
                Fuel::Off => return None,
            },
            Limit::Timeout => u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            Limit::Memory => self.memory_bytes,
            Limit::Output => self.output_bytes,
            Limit::Stdout => self.stdout_bytes,
            Limit::Stderr => self.stderr_bytes,
            Limit::Log => self.log_bytes,
            Limit::LogLines => self.log_lines,
            Limit::HostCallBytes => self.host_call_bytes,
            Limit::MovedBytes => self.moved_bytes,
            Limit::Resources => u64::from(self.resources),
            Limit::Instances => u64::from(self.instances),
            Limit::Tables => u64::from(self.tables),
            Limit::OpenFiles => u64::from(self.open_files),
            Limit::WrittenBytes => self.written_bytes,
            Limit::RandomBytes => self.random_bytes,
            Limit::Requests => u64::from(self.requests),
            Limit::ConcurrentRequests => u64::from(self.concurrent_requests),
            Limit::RequestBytes => self.request_bytes,
            Limit::ArtifactBytes => self.artifact_bytes,
        })
    }

    /// Gives a limit a value. With one, fuel is counted.
    pub fn set(&mut self, limit: Limit, value: u64) {
        let count = u32::try_from(value).unwrap_or(u32::MAX);
        match limit {
            Limit::Fuel => self.fuel = Fuel::Exact { limit: Some(value) },
            Limit::Timeout => self.timeout = Duration::from_millis(value),
            Limit::Memory => self.memory_bytes = value,
            Limit::Output => self.output_bytes = value,
            Limit::Stdout => self.stdout_bytes = value,
            Limit::Stderr => self.stderr_bytes = value,
            Limit::Log => self.log_bytes = value,
            Limit::LogLines => self.log_lines = value,
            Limit::HostCallBytes => self.host_call_bytes = value,
            Limit::MovedBytes => self.moved_bytes = value,
            Limit::Resources => self.resources = count,
            Limit::Instances => self.instances = count,
            Limit::Tables => self.tables = count,
            Limit::OpenFiles => self.open_files = count,
            Limit::WrittenBytes => self.written_bytes = value,
            Limit::RandomBytes => self.random_bytes = value,
            Limit::Requests => self.requests = count,
            Limit::ConcurrentRequests => self.concurrent_requests = count,
            Limit::RequestBytes => self.request_bytes = value,
            Limit::ArtifactBytes => self.artifact_bytes = value,
        }
    }

    /// The same with these values instead: what a handler or a submitter wants.
    #[must_use]
    pub fn with(mut self, caps: &LimitCaps) -> Self {
        caps.iter().for_each(|(limit, value)| self.set(limit, value));
        self
    }

    /// The same with nothing above these values: what an operator or a queue allows.
    #[must_use]
    pub fn at_most(mut self, caps: &LimitCaps) -> Self {
        for (limit, value) in caps.iter() {
            if self.get(limit).is_none_or(|own| own > value) {
                self.set(limit, value);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> LimitCaps {
        text.parse().expect("limits")
    }

    #[test]
    fn every_limit_is_set_and_read_by_its_name() {
        for limit in Limit::ALL {
            assert_eq!(limit.name().parse(), Ok(limit));
            let (least, most) = limit.range();
            for value in [least, most] {
                let mut limits = Limits::default();
                limits.set(limit, value);
                let expected = if limit == Limit::Timeout { value.min(86_400_000) } else { value };
                assert_eq!(limits.get(limit), Some(expected), "{limit}");
                assert_eq!(limits.check(), Ok(()), "{limit}");
            }
        }
    }

    #[test]
    fn caps_read_back_as_they_are_written() {
        for text in ["", "timeout=90s,open-files=16,output=4MiB", "fuel=1_000", "log-lines=0"] {
            let parsed = caps(text);
            assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()), "{parsed}");
        }
        assert_eq!(caps("output=1MiB").get(Limit::Output), Some(1 << 20));
    }

    #[test]
    fn malformed_caps_are_refused() {
        let refused = |text: &str| text.parse::<LimitCaps>().expect_err(text);
        assert!(matches!(refused("output"), NamedLimitError::Form(_)));
        assert!(matches!(refused("speed=9"), NamedLimitError::Unknown(_)));
        assert!(matches!(refused("output=1KiB,output=2KiB"), NamedLimitError::Twice(Limit::Output)));
        for text in ["output=1GiB", "timeout=9", "memory=1KiB", "open-files=-1", "instances=65", "fuel=0"] {
            assert!(matches!(refused(text), NamedLimitError::Value { .. }), "{text}");
        }
    }

    #[test]
    fn effective_limit_is_the_smallest_that_was_stated() {
        let wanted = caps("open-files=50,output=2MiB").tighter(&caps("open-files=20,requests=3"));
        let limits = Limits::default().with(&wanted).at_most(&caps("output=1KiB,random-bytes=10,fuel=5"));
        assert_eq!((limits.open_files, limits.requests, limits.output_bytes), (20, 3, 1 << 10));
        assert_eq!((limits.random_bytes, limits.fuel), (10, Fuel::Exact { limit: Some(5) }));
        assert_eq!(limits.tables, Limits::default().tables);
    }

    #[test]
    fn mode_of_fuel_is_that_of_the_limits_whatever_the_caps() {
        for text in ["", "fuel=7", "memory=1MiB", "fuel=1,memory=1MiB"] {
            for fuel in [Fuel::Off, Fuel::Exact { limit: None }, Fuel::Exact { limit: Some(9) }] {
                let limits = Limits { fuel, ..Limits::default() };
                let mode = caps(text).fuel_mode(fuel.mode());
                assert_eq!(limits.at_most(&caps(text)).fuel.mode(), mode, "{text} {fuel}");
            }
        }
    }
}
