//! The name of a schedule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::is_name;

/// What a schedule is called: a name as [`is_name`] has it, unique in its store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleName(String);

impl ScheduleName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that names no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a schedule\nhint: a name has up to 64 lower-case letters, digits and `-`, which does not come first, such as \
     `nightly-report`"
)]
pub struct ScheduleNameError(String);

impl FromStr for ScheduleName {
    type Err = ScheduleNameError;

    fn from_str(text: &str) -> Result<Self, ScheduleNameError> {
        if is_name(text) { Ok(Self(text.into())) } else { Err(ScheduleNameError(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = ScheduleNameError;

    fn try_from(text: String) -> Result<Self, ScheduleNameError> {
        text.parse()
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.0
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for text in ["nightly-report", "7", &"a".repeat(64)] {
            assert_eq!(text.parse::<ScheduleName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "-a", "Nightly", "a/b", "a b", &"a".repeat(65)] {
            assert!(text.parse::<ScheduleName>().is_err(), "{text}");
        }
    }
}
