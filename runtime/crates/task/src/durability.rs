//! When what a store answers is safe.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{format_duration, parse_duration};

/// When what a store answers is on stable storage. Written `sync`, or `relaxed(50ms)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Before the answer.
    #[default]
    Sync,
    /// No later than this after the answer, and when the store is closed: a crash takes what was answered since.
    Relaxed {
        /// Until the store begins to make it durable; from [`Durability::MIN_WITHIN`] to [`Durability::MAX_WITHIN`].
        within: Duration,
    },
}

impl Durability {
    /// The shortest time that can be allowed.
    pub const MIN_WITHIN: Duration = Duration::from_millis(1);
    /// The longest time that can be allowed.
    pub const MAX_WITHIN: Duration = Duration::from_secs(10);

    /// Relaxed by so much.
    ///
    /// # Errors
    /// It is too short or too long.
    pub fn relaxed(within: Duration) -> Result<Self, DurabilityError> {
        if (Self::MIN_WITHIN..=Self::MAX_WITHIN).contains(&within) {
            Ok(Self::Relaxed { within })
        } else {
            Err(DurabilityError::OutOfRange(within))
        }
    }

    /// For how long before a crash what was answered may be lost. None: nothing is.
    pub fn loss(self) -> Option<Duration> {
        match self {
            Self::Sync => None,
            Self::Relaxed { within } => Some(within),
        }
    }
}

/// A text that is no durability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurabilityError {
    /// It cannot be read.
    #[error("`{0}` is not a durability\nhint: write `sync`, or `relaxed(50ms)`")]
    Unreadable(String),
    /// The time is out of range.
    #[error("a durability relaxed by {} is out of range, 1ms to 10s\nhint: write `sync`, or `relaxed(50ms)`", format_duration(*.0))]
    OutOfRange(Duration),
}

impl FromStr for Durability {
    type Err = DurabilityError;

    fn from_str(text: &str) -> Result<Self, DurabilityError> {
        let unreadable = || DurabilityError::Unreadable(text.to_owned());
        if text.trim() == "sync" {
            return Ok(Self::Sync);
        }
        let within =
            text.trim().strip_prefix("relaxed(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unreadable)?;
        Self::relaxed(parse_duration(within).map_err(|_| unreadable())?)
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync => f.write_str("sync"),
            Self::Relaxed { within } => write!(f, "relaxed({})", humantime::format_duration(*within)),
        }
    }
}

impl Serialize for Durability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Durability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back() {
        for text in ["sync", "relaxed(1ms)", "relaxed(50ms)", "relaxed(1s 500ms)", "relaxed(10s)"] {
            assert_eq!(text.parse::<Durability>().expect("it can be read").to_string(), text);
        }
        assert_eq!("sync".parse(), Ok(Durability::default()));
    }

    #[test]
    fn what_is_out_of_range_or_no_durability_is_refused() {
        for text in ["", "async", "relaxed", "relaxed()", "relaxed(50)", "relaxed(50ms"] {
            let error = text.parse::<Durability>().expect_err("it cannot be read").to_string();
            assert!(error.starts_with(&format!("`{text}` is not a durability\nhint: ")), "{error}");
        }
        for text in ["relaxed(0ms)", "relaxed(999us)", "relaxed(10s 1ms)", "relaxed(1year)"] {
            let error = text.parse::<Durability>().expect_err("it is out of range");
            assert!(matches!(error, DurabilityError::OutOfRange(_)), "{error}");
        }
    }
}
