//! The options that a handler brings for its tasks: the keys of the contract's `settings`, read and checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{check_memory, check_timeout};
use crate::units::{format_bytes, format_duration, parse_bytes, parse_duration};
use crate::{Backoff, Fuel, GrantRequests, LimitCaps, Limits, NamedLimitError, is_name};

/// Every key that a handler may set.
const KEYS: [&str; 19] = [
    "max-attempts",
    "backoff",
    "retry-on",
    "never-retry-on",
    "retry-for",
    "timeout",
    "fuel",
    "fuel-budget",
    "memory",
    "queue",
    "priority",
    "limits",
    "env",
    "dirs",
    "http",
    "secrets",
    "scratch",
    "clock",
    "deterministic",
];
/// The longest span of a task's life that can be set: a year.
pub const MAX_SPAN: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A handler's options. What is none is left to the host's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerSettings {
    /// Failures until a task is dead, from 1.
    pub max_attempts: Option<u32>,
    /// The delays between attempts.
    pub backoff: Option<Backoff>,
    /// The error kinds that are retried. None: every kind that is not fatal.
    pub retry_on: Option<Vec<String>>,
    /// The error kinds that are not retried, whatever else is said. None: no kind.
    pub never_retry_on: Option<Vec<String>>,
    /// No retry begins later than this after the submit; above zero, up to [`MAX_SPAN`].
    pub retry_for: Option<Duration>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// How fuel is counted and limited.
    pub fuel: Option<Fuel>,
    /// The fuel that all attempts of a task may use together, from 1.
    pub fuel_budget: Option<u64>,
    /// How much memory an attempt may use.
    pub memory_bytes: Option<u64>,
    /// The queue of its tasks.
    pub queue: Option<String>,
    /// Higher first.
    pub priority: Option<i32>,
    /// Other limits of an attempt.
    pub limits: LimitCaps,
    /// What it asks to be granted: it gets no more than this, and of this only what operator and submitter grant.
    pub requests: GrantRequests,
    /// Whether its clock and random numbers come from a seed that is kept.
    pub deterministic: Option<bool>,
}

/// A setting that the host does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The key means nothing to this host.
    #[error("unknown setting `{0}`\nhint: this host knows {keys}", keys = KEYS.join(", "))]
    Unknown(String),
    /// The key stands there twice.
    #[error("the setting `{0}` is given twice")]
    Repeated(String),
    /// The value does not fit the key.
    #[error("the setting `{key}` cannot be `{value}`: {reason}")]
    Value {
        /// The key.
        key: String,
        /// What stood there.
        value: String,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
}

impl HandlerSettings {
    /// Reads the contract's pairs.
    ///
    /// # Errors
    /// An unknown key, a repeated key, or a value that does not fit its key; by name.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        for (key, value) in pairs {
            if seen.contains(&key) {
                return Err(SettingError::Repeated(key.to_owned()));
            }
            seen.push(key);
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), SettingError> {
        let wrong = |reason: String| SettingError::Value { key: key.to_owned(), value: value.to_owned(), reason };
        let number = |what: &str| wrong(format!("it takes {what}"));
        match key {
            "max-attempts" => {
                let attempts = value.parse().ok().filter(|attempts| *attempts > 0);
                self.max_attempts = Some(attempts.ok_or_else(|| number("a whole number from 1"))?);
            }
            "backoff" => self.backoff = Some(value.parse::<Backoff>().map_err(|error| wrong(error.to_string()))?),
            "retry-on" | "never-retry-on" => {
                let kinds: Vec<String> = value.split(',').map(|kind| kind.trim().to_owned()).collect();
                if !kinds.iter().all(|kind| is_name(kind)) {
                    return Err(number("error kinds with commas between them"));
                }
                let place = if key == "retry-on" { &mut self.retry_on } else { &mut self.never_retry_on };
                *place = Some(kinds);
            }
            "retry-for" => {
                let span = parse_duration(value).map_err(|error| wrong(error.to_string()))?;
                if span.is_zero() || span > MAX_SPAN {
                    return Err(number("a duration above zero, of up to a year"));
                }
                self.retry_for = Some(span);
            }
            "timeout" => {
                let timeout = parse_duration(value).map_err(|error| wrong(error.to_string()))?;
                self.timeout = Some(check_timeout(timeout).map_err(|error| wrong(error.to_string()))?);
            }
            "fuel" => self.fuel = Some(value.parse::<Fuel>().map_err(|error| wrong(error.to_string()))?),
            "fuel-budget" => {
                let fuel = value.replace('_', "").parse().ok().filter(|fuel| *fuel > 0);
                self.fuel_budget = Some(fuel.ok_or_else(|| number("a number of instructions from 1"))?);
            }
            "memory" => {
                let bytes = parse_bytes(value).map_err(|error| wrong(error.to_string()))?;
                self.memory_bytes = Some(check_memory(bytes).map_err(|error| wrong(error.to_string()))?);
            }
            "queue" if is_name(value) => self.queue = Some(value.to_owned()),
            "queue" => return Err(number("up to 64 lower-case letters, digits and `-`")),
            "priority" => {
                self.priority = Some(value.parse().map_err(|_| number("a whole number of 32 bits"))?);
            }
            "limits" => self.limits = value.parse().map_err(|error: NamedLimitError| wrong(error.to_string()))?,
            "deterministic" => {
                self.deterministic = Some(value.parse().map_err(|_| number("`true` or `false`"))?);
            }
            _ if !self.requests.set(key, value).map_err(|error| wrong(error.to_string()))? => {
                return Err(SettingError::Unknown(key.to_owned()));
            }
            _ => {}
        }
        Ok(())
    }

    /// What the handler says, as it would be written, in the order of the keys.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, String)> {
        let values = [
            self.max_attempts.map(|value| value.to_string()),
            self.backoff.map(|value| value.to_string()),
            self.retry_on.as_ref().map(|kinds| kinds.join(",")),
            self.never_retry_on.as_ref().map(|kinds| kinds.join(",")),
            self.retry_for.map(format_duration),
            self.timeout.map(format_duration),
            self.fuel.map(|value| value.to_string()),
            self.fuel_budget.map(|value| value.to_string()),
            self.memory_bytes.map(format_bytes),
            self.queue.clone(),
            self.priority.map(|value| value.to_string()),
            Some(self.limits.to_string()).filter(|limits| !limits.is_empty()),
        ];
        let requests = ["env", "dirs", "http", "secrets", "scratch", "clock"].map(|key| self.requests.get(key));
        let values = values.into_iter().chain(requests).chain([self.deterministic.map(|value| value.to_string())]);
        KEYS.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?)))
    }

    /// `limits` with what the handler says instead.
    pub fn apply(&self, limits: Limits) -> Limits {
        Limits {
            fuel: self.fuel.unwrap_or(limits.fuel),
            timeout: self.timeout.unwrap_or(limits.timeout),
            memory_bytes: self.memory_bytes.unwrap_or(limits.memory_bytes),
            ..limits
        }
        .with(&self.limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let settings = HandlerSettings::parse([
            ("max-attempts", "5"),
            ("backoff", "exponential(1s, max = 1m)"),
            ("retry-on", "network,timeout"),
            ("never-retry-on", "quota"),
            ("retry-for", "48h"),
            ("timeout", "30s"),
            ("fuel", "off"),
            ("fuel-budget", "1000"),
            ("memory", "64MiB"),
            ("queue", "mail"),
            ("priority", "-3"),
            ("limits", "open-files=4,output=2MiB"),
            ("env", "COLOR, SIZE"),
            ("dirs", "/in,/out:rw"),
            ("http", "https://api.example.com"),
            ("secrets", "API_KEY"),
            ("scratch", "16MiB"),
            ("clock", "fine"),
            ("deterministic", "true"),
        ])
        .expect("all valid");
        assert_eq!(settings.max_attempts, Some(5));
        assert_eq!(settings.retry_on.as_deref(), Some(&["network".to_owned(), "timeout".to_owned()][..]));
        assert_eq!(settings.never_retry_on.as_deref(), Some(&["quota".to_owned()][..]));
        assert_eq!(settings.retry_for, Some(Duration::from_secs(48 * 60 * 60)));
        assert_eq!(settings.priority, Some(-3));
        let limits = settings.apply(Limits::default());
        assert_eq!((limits.fuel, limits.timeout, limits.memory_bytes), (Fuel::Off, Duration::from_secs(30), 64 << 20));
        assert_eq!((limits.output_bytes, limits.open_files), (2 << 20, 4));
        assert_eq!(limits.log_bytes, Limits::default().log_bytes);
        assert_eq!(settings.requests.scratch_bytes, Some(16 << 20));
        assert_eq!(settings.given().count(), KEYS.len());
    }

    #[test]
    fn what_is_given_reads_back() {
        let pairs = [
            ("backoff", "fixed(5s)"),
            ("retry-on", "a,b"),
            ("memory", "64.0 MiB"),
            ("priority", "-3"),
            ("dirs", "/in,/out:rw"),
            ("deterministic", "false"),
        ];
        let settings = HandlerSettings::parse(pairs).expect("all valid");
        let given: Vec<_> = settings.given().collect();
        assert_eq!(given.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>(), pairs);
    }

    #[test]
    fn unknown_and_repeated_keys_are_refused_by_name() {
        assert_eq!(HandlerSettings::parse([("speed", "9")]), Err(SettingError::Unknown("speed".into())));
        let twice = [("queue", "a"), ("queue", "b")];
        assert_eq!(HandlerSettings::parse(twice), Err(SettingError::Repeated("queue".into())));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        for (key, value) in [
            ("max-attempts", "0"),
            ("max-attempts", "-1"),
            ("backoff", "5s"),
            ("retry-on", ""),
            ("retry-on", "Network"),
            ("never-retry-on", ""),
            ("retry-for", "0s"),
            ("retry-for", "367days"),
            ("timeout", "30"),
            ("timeout", "0s"),
            ("fuel", "0"),
            ("memory", "5GiB"),
            ("queue", "a b"),
            ("priority", "3000000000"),
            ("limits", "speed=1"),
            ("env", "A=B"),
            ("dirs", "in"),
            ("http", "example.com"),
            ("secrets", "key"),
            ("scratch", "0"),
            ("clock", "slow"),
            ("deterministic", "yes"),
        ] {
            let error = HandlerSettings::parse([(key, value)]).expect_err(value);
            assert!(matches!(error, SettingError::Value { .. }), "{key} = {value}: {error}");
        }
    }
}
