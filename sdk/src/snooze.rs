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

    /// Or until somebody completes the task with an output of theirs, by `sunaba task complete` or with its
    /// [token](crate::Context::completion_token). If nobody does, the handler is run again after the delay;
    /// [`Context::completion_waits`](crate::Context::completion_waits) tells it so, and it decides without.
    ///
    /// ```
    /// # use sunaba_sdk::prelude::*;
    /// #[handler]
    /// fn release(ctx: &Context, version: String) -> Result<Outcome<String>, TaskError> {
    ///     if ctx.completion_waits() > 0 {
    ///         return Err(TaskError::fatal("nobody has approved the release in time"));
    ///     }
    ///     Ok(Snooze::after(Duration::from_secs(86_400)).reason(version).until_completed().into())
    /// }
    ///
    /// # use sunaba_sdk::testing::Attempt;
    /// # fn main() {
    /// assert!(release(&Attempt::new().context(), "1.2".into()).is_ok());
    /// assert!(release(&Attempt::new().completion_waits(1).context(), "1.2".into()).is_err());
    /// # }
    /// ```
    pub fn until_completed(self) -> Self {
        self.setting("wait-for", "completion")
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
