//! What a schedule does about ticks that come while a task of it runs, and about those that were missed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Missed ticks that `all` makes up for.
pub const DEFAULT_CAUGHT_UP: u32 = 100;
/// Missed ticks that a schedule may make up for at most.
pub const MAX_CAUGHT_UP: u32 = 1_000;
/// The longest jitter.
pub const MAX_JITTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of a tick while a task of the same schedule has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits until all of them have ended; a bounded number do.
    Queue,
    /// They are cancelled, and its task is made when they have ended. Of ticks that wait so, the newest is left.
    CancelOld,
    /// Its task is made nevertheless, as long as fewer than [`MAX_ACTIVE`](super::MAX_ACTIVE) have not ended.
    Allow,
}

/// What becomes of ticks for which nobody was there: the host was down, or its clock has jumped.
///
/// Of several ticks that are found due at once, the newest is not missed if its time was no more than a minute ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// Missed ticks are left out.
    None,
    /// The newest is made up for, however late.
    #[default]
    Last,
    /// The newest so many are, from 1, each by a task of its own.
    All(u32),
}

/// A text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what} policy\nhint: write {known}")]
pub struct PolicyError {
    text: String,
    what: &'static str,
    known: &'static str,
}

impl FromStr for Overlap {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Ok(match text {
            "skip" => Self::Skip,
            "queue" => Self::Queue,
            "cancel-old" => Self::CancelOld,
            "allow" => Self::Allow,
            _ => {
                let known = "`skip`, `queue`, `cancel-old` or `allow`";
                return Err(PolicyError { text: text.chars().take(80).collect(), what: "overlap", known });
            }
        })
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::CancelOld => "cancel-old",
            Self::Allow => "allow",
        })
    }
}

impl CatchUp {
    /// Of ticks that are due at once, how many of the newest become tasks at most.
    pub(super) fn newest(self) -> usize {
        match self {
            Self::None | Self::Last => 1,
            Self::All(most) => most.clamp(1, MAX_CAUGHT_UP) as usize,
        }
    }
}

impl FromStr for CatchUp {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let number = |text: &str| text.trim().parse().ok().filter(|most| (1..=MAX_CAUGHT_UP).contains(most));
        let bounded = || text.strip_prefix("all(").and_then(|rest| rest.strip_suffix(')')).and_then(number);
        match text {
            "none" => Ok(Self::None),
            "last" => Ok(Self::Last),
            "all" => Ok(Self::All(DEFAULT_CAUGHT_UP)),
            _ => bounded().map(Self::All).ok_or_else(|| PolicyError {
                text: text.chars().take(80).collect(),
                what: "catch-up",
                known: "`none`, `last`, or `all(N)` with N from 1 to 1000",
            }),
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Last => f.write_str("last"),
            Self::All(most) => write!(f, "all({most})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_read_back() {
        for text in ["skip", "queue", "cancel-old", "allow"] {
            assert_eq!(text.parse::<Overlap>().map(|policy| policy.to_string()), Ok(text.to_owned()));
        }
        for text in ["none", "last", "all(1)", "all(1000)"] {
            assert_eq!(text.parse::<CatchUp>().map(|policy| policy.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("all".parse(), Ok(CatchUp::All(DEFAULT_CAUGHT_UP)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "Skip", "cancel", "all"] {
            assert!(text.parse::<Overlap>().is_err(), "{text}");
        }
        for text in ["", "all()", "all(0)", "all(1001)", "all(-1)", "first", "all(1"] {
            assert!(text.parse::<CatchUp>().is_err(), "{text}");
        }
    }
}
