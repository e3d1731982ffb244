//! When a failed task runs again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::MAX_DELAY;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// How the delay grows.
    pub growth: Growth,
    /// Before the first retry.
    pub first: Duration,
    /// No delay is longer than this.
    pub max: Option<Duration>,
}

/// A retry is up to so much earlier or later than the backoff says, so that tasks that failed together do not come back
/// together. Source: River and Oban spread by the same tenth.
const JITTER: f64 = 0.1;
/// No delay is longer, unless the backoff says so.
const DEFAULT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Backoff {
    /// The delay after so many failures, from 1. The same seed and number give the same delay.
    pub fn delay(&self, failures: u32, seed: u64) -> Duration {
        let jitter = fastrand::Rng::with_seed(seed ^ u64::from(failures)).f64().mul_add(2.0 * JITTER, 1.0 - JITTER);
        self.plain_delay(failures).mul_f64(jitter).min(self.cap())
    }

    fn plain_delay(&self, failures: u32) -> Duration {
        let factor = match self.growth {
            Growth::Fixed => 1,
            Growth::Linear => failures.max(1),
            Growth::Exponential => 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX),
        };
        self.first.saturating_mul(factor).min(self.cap())
    }

    fn cap(&self) -> Duration {
        self.max.unwrap_or(DEFAULT_MAX.max(self.first)).min(MAX_DELAY)
    }
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

/// As it is written for people; in records as numbers, since every record has one.
impl Serialize for Backoff {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        (self.growth, self.first, self.max).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Backoff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
        }
        let (growth, first, max) = Deserialize::deserialize(deserializer)?;
        Ok(Self { growth, first, max })
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

    /// The delay after each of the first failures, without jitter.
    fn seconds(backoff: &str) -> Vec<u64> {
        let backoff: Backoff = backoff.parse().expect("a backoff");
        (1..=6).map(|failures| backoff.plain_delay(failures).as_secs()).collect()
    }

    #[test]
    fn delays_grow_as_written_and_stop_at_the_cap() {
        assert_eq!(seconds("fixed(500s)"), [500, 500, 500, 500, 500, 500]);
        assert_eq!(seconds("linear(500s)"), [500, 1000, 1500, 2000, 2500, 3000]);
        assert_eq!(seconds("exponential(500s)"), [500, 1000, 2000, 4000, 8000, 16000]);
        assert_eq!(seconds("exponential(500s, max = 3000s)"), [500, 1000, 2000, 3000, 3000, 3000]);
    }

    #[test]
    fn delay_is_the_same_for_the_same_seed_and_never_over_the_cap() {
        let backoff: Backoff = "exponential(1s, max = 1m)".parse().expect("a backoff");
        for failures in [1, 7, 100, u32::MAX] {
            for seed in 0..100 {
                let delay = backoff.delay(failures, seed);
                assert_eq!(delay, backoff.delay(failures, seed));
                assert!(delay <= Duration::from_secs(60), "{delay:?}");
            }
        }
        let spread: std::collections::BTreeSet<_> = (0..100).map(|seed| backoff.delay(3, seed)).collect();
        assert!(spread.len() > 90);
        let plain = backoff.plain_delay(3).as_secs_f64();
        assert!(spread.iter().all(|delay| (plain * 0.9..=plain * 1.1).contains(&delay.as_secs_f64())));
    }

    #[test]
    fn longest_delay_bounds_what_is_written() {
        let backoff: Backoff = "fixed(1000days)".parse().expect("a backoff");
        assert!(backoff.delay(1, 0) <= MAX_DELAY);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "5s", "fixed", "fixed()", "fixed(0s)", "cubic(1s)", "linear(1s, 2s)", "linear(1s, min = 2s)"] {
            assert!(text.parse::<Backoff>().is_err(), "{text}");
        }
    }
}
