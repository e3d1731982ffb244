//! A wish to be run again later: what `Outcome::Snooze` has.

use std::time::Duration;

use crate::Outcome;

/// A wish to be run again later. Charges no failure.
///
/// ```
/// # use sunaba_sdk::prelude::*;
/// #[handler]
/// fn poll(input: u32) -> Result<Outcome<u32>, TaskError> {
///     if input == 0 {
///         return Ok(Snooze::after(Duration::from_secs(60)).reason("the report is not there yet").into());
///     }
///     Ok(Outcome::Complete(input))
/// }
/// # fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it counts when the handler returns it"]
pub struct Snooze {
    delay: Duration,
    reason: String,
    settings: Vec<(String, String)>,
}

impl Snooze {
    /// After this long.
    pub fn after(delay: Duration) -> Self {
        Self { delay, reason: String::new(), settings: Vec::new() }
    }

    /// Why, for people; one line.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// An option by its name in the contract; the one before of this name is replaced. The host refuses one that it does not
    /// know.
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, value));
        self
    }

    /// For how long.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Why; may be empty.
    pub fn why(&self) -> &str {
        &self.reason
    }

    /// The options that were set.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }
}

impl<T> From<Snooze> for Outcome<T> {
    fn from(snooze: Snooze) -> Self {
        Self::Snooze(snooze)
    }
}

impl From<Duration> for Snooze {
    fn from(delay: Duration) -> Self {
        Self::after(delay)
    }
}
