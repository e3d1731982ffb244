//! When a failed task runs again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::parse_duration;

/// How the delay grows from one retry to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Growth {
    /// The first delay every time.
    Fixed,
    /// The first delay times the number of the retry.
    Linear,
    /// Twice the delay before.
    Exponential,
}

impl Growth {
    fn word(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        }
    }
}

/// The delays between the attempts of a task, written `exponential(1s, max = 1m)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Backoff {
    /// How the delay grows.
    pub growth: Growth,
    /// Before the first retry.
    pub first: Duration,
    /// No delay is longer than this.
    pub max: Option<Duration>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { growth: Growth::Exponential, first: Duration::from_secs(5), max: None }
    }
}

/// A text that is no backoff.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a backoff\nhint: write `fixed(5s)`, `linear(5s)` or `exponential(1s)`, each perhaps with a cap: \
     `exponential(1s, max = 1m)`"
)]
pub struct BackoffError(String);

impl FromStr for Backoff {
    type Err = BackoffError;

    fn from_str(text: &str) -> Result<Self, BackoffError> {
        let error = || BackoffError(text.to_owned());
        let (growth, parameters) =
            text.trim().strip_suffix(')').and_then(|text| text.split_once('(')).ok_or_else(error)?;
        let growth = match growth.trim() {
            "fixed" => Growth::Fixed,
            "linear" => Growth::Linear,
            "exponential" => Growth::Exponential,
            _ => return Err(error()),
        };
        let duration = |text: &str| match parse_duration(text) {
            Ok(duration) if !duration.is_zero() => Ok(duration),
            _ => Err(error()),
        };
        let (first, max) = match parameters.split_once(',') {
            None => (duration(parameters)?, None),
            Some((first, max)) => {
                let (key, value) = max.split_once('=').ok_or_else(error)?;
                if key.trim() != "max" {
                    return Err(error());
                }
                (duration(first)?, Some(duration(value)?))
            }
        };
        Ok(Self { growth, first, max })
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}", self.growth.word(), humantime::format_duration(self.first))?;
        if let Some(max) = self.max {
            write!(f, ", max = {}", humantime::format_duration(max))?;
        }
        f.write_str(")")
    }
}

impl From<Backoff> for String {
    fn from(backoff: Backoff) -> Self {
        backoff.to_string()
    }
}

impl TryFrom<String> for Backoff {
    type Error = BackoffError;

    fn try_from(text: String) -> Result<Self, BackoffError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back() {
        for text in ["fixed(5s)", "linear(1m 30s)", "exponential(250ms, max = 10m)"] {
            assert_eq!(text.parse::<Backoff>().map(|backoff| backoff.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "5s", "fixed", "fixed()", "fixed(0s)", "cubic(1s)", "linear(1s, 2s)", "linear(1s, min = 2s)"] {
            assert!(text.parse::<Backoff>().is_err(), "{text}");
        }
    }
}
