//! How many attempts at a time: a number, or a range within which a worker has as many as its backlog needs.

use std::fmt;
use std::str::FromStr;

/// The most that may be written.
const MAX: usize = 512;

/// Written `4`, or `1..8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// From 1.
    pub min: usize,
    /// No less than `min`, and up to 512.
    pub max: usize,
}

/// A text that is no number of slots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of slots\nhint: write one from 1 to {MAX}, such as `4`, or a range, such as `1..8`")]
pub struct SlotsError(String);

impl Slots {
    /// This many, whatever waits; at least one.
    pub fn fixed(slots: usize) -> Self {
        let slots = slots.max(1);
        Self { min: slots, max: slots }
    }

    /// Whether there is nothing to scale.
    pub fn is_fixed(&self) -> bool {
        self.min == self.max
    }
}

impl FromStr for Slots {
    type Err = SlotsError;

    fn from_str(text: &str) -> Result<Self, SlotsError> {
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|slots| (1..=MAX).contains(slots));
        let read = match text.split_once("..") {
            None => number(text).map(Self::fixed),
            Some((min, max)) => number(min).zip(number(max)).map(|(min, max)| Self { min, max }),
        };
        read.filter(|slots| slots.min <= slots.max).ok_or_else(|| SlotsError(text.chars().take(64).collect()))
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_fixed() { write!(f, "{}", self.max) } else { write!(f, "{}..{}", self.min, self.max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_read_back_and_nothing_else_is_one() {
        for text in ["1", "512", "1..8"] {
            assert_eq!(text.parse::<Slots>().map(|slots| slots.to_string()), Ok(text.into()));
        }
        assert_eq!("4..4".parse(), Ok(Slots::fixed(4)));
        for text in ["", "0", "513", "-1", "4..2", "0..2", "1..513", "1..", "..4", "1..2..3", "many"] {
            assert!(text.parse::<Slots>().is_err(), "{text}");
        }
    }
}
