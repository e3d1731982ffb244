//! What a deterministic attempt is made from, and how it is written: `42`, `0x2a`, or `42@1767225600000` with the clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the clock and the random numbers of a deterministic attempt are made from: with the same seed and input, an attempt
/// that asks nobody outside does the same and uses the same fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// For the random numbers.
    pub random: u64,
    /// What the clock shows at first; milliseconds since the Unix epoch.
    pub clock_ms: u64,
}

impl Seed {
    /// The clock of a seed that is written without one: the beginning of 2026.
    pub const DEFAULT_CLOCK_MS: u64 = 1_767_225_600_000;
}

/// A text that is no seed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a seed\nhint: write a number, such as `42` or `0x2a`; `42@1767225600000` sets the clock too, in milliseconds \
     since 1970"
)]
pub struct SeedError(String);

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        let wrong = || SeedError(text.chars().take(64).collect());
        let (random, clock) = match text.split_once('@') {
            Some((random, clock)) => (random, Some(clock)),
            None => (text, None),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let random = match random.strip_prefix("0x") {
            Some(hex) if digits(hex) => u64::from_str_radix(hex, 16),
            Some(_) => return Err(wrong()),
            None if digits(random) => random.parse(),
            None => return Err(wrong()),
        };
        let clock_ms = match clock {
            Some(clock) if digits(clock) => clock.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
            None => Self::DEFAULT_CLOCK_MS,
        };
        Ok(Self { random: random.map_err(|_| wrong())?, clock_ms })
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.random, self.clock_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_in_its_forms_and_reads_back() {
        for (text, random, clock_ms) in [
            ("42", 42, Seed::DEFAULT_CLOCK_MS),
            ("0x2a", 42, Seed::DEFAULT_CLOCK_MS),
            ("0xffffffffffffffff@0", u64::MAX, 0),
            ("7@1000", 7, 1000),
        ] {
            let seed = Seed { random, clock_ms };
            assert_eq!(text.parse(), Ok(seed), "{text}");
            assert_eq!(seed.to_string().parse(), Ok(seed));
        }
    }

    #[test]
    fn other_texts_are_no_seeds() {
        for text in ["", "-1", "+1", "0x", "ff", "1@", "@1", "1@x", "1@-1", "18446744073709551616", "1@2@3"] {
            assert!(text.parse::<Seed>().is_err(), "{text}");
        }
    }
}
