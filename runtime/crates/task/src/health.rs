//! Whether a queue or a handler needs somebody to look at it: a pure function of its figures.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{format_count, format_duration};

/// From where on something is worth attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Tasks that wait for a slot.
    pub backlog: u64,
    /// How long the first of them has waited.
    pub oldest: Duration,
    /// Failed attempts in a hundred.
    pub failure_percent: u8,
    /// Attempts below which nothing is said of failures.
    pub over: usize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { backlog: 10_000, oldest: Duration::from_secs(5 * 60), failure_percent: 50, over: 10 }
    }
}

/// What is known of a queue or a handler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Tasks that wait for a slot.
    pub backlog: u64,
    /// How long the first of them has waited.
    pub oldest: Option<Duration>,
    /// The last attempts.
    pub attempts: usize,
    /// Those of them that failed.
    pub failed: usize,
}

/// Something that needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// Too many tasks wait.
    Backlog {
        /// How many.
        waiting: u64,
    },
    /// A task waits for too long.
    Oldest {
        /// How long.
        waited: Duration,
    },
    /// Too many attempts fail.
    Failures {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
    },
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backlog { waiting } => write!(f, "{} tasks wait", format_count(*waiting)),
            Self::Oldest { waited } => {
                write!(f, "the oldest has waited {}", format_duration(Duration::from_secs(waited.as_secs())))
            }
            Self::Failures { failed, of } => write!(f, "{failed} of the last {of} attempts failed"),
        }
    }
}

/// What is worth attention in these figures.
pub fn concerns(figures: &Figures, thresholds: &Thresholds) -> Vec<Concern> {
    let Figures { backlog, oldest, attempts, failed } = *figures;
    let mut concerns = Vec::new();
    if backlog >= thresholds.backlog {
        concerns.push(Concern::Backlog { waiting: backlog });
    }
    if let Some(waited) = oldest.filter(|waited| *waited >= thresholds.oldest) {
        concerns.push(Concern::Oldest { waited });
    }
    if attempts >= thresholds.over && failed * 100 >= attempts * usize::from(thresholds.failure_percent) {
        concerns.push(Concern::Failures { failed, of: attempts });
    }
    concerns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_threshold_obeyed_and_violated() {
        let thresholds = Thresholds { backlog: 10, oldest: Duration::from_secs(60), failure_percent: 50, over: 4 };
        let calm = Figures { backlog: 9, oldest: Some(Duration::from_secs(59)), attempts: 4, failed: 1 };
        assert_eq!(concerns(&calm, &thresholds), []);
        assert_eq!(concerns(&Figures { attempts: 3, failed: 3, ..calm }, &thresholds), []);
        let waited = Duration::from_secs(60);
        for (figures, concern) in [
            (Figures { backlog: 10, ..calm }, Concern::Backlog { waiting: 10 }),
            (Figures { oldest: Some(waited), ..calm }, Concern::Oldest { waited }),
            (Figures { failed: 2, ..calm }, Concern::Failures { failed: 2, of: 4 }),
        ] {
            assert_eq!(concerns(&figures, &thresholds), [concern]);
        }
    }
}
