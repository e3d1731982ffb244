//! The failure that a handler reports.
//!
//! A plain `?` is retryable with kind `error`; only what says so is fatal. `TaskError` does not implement
//! [`std::error::Error`], because the conversion from every error type could then not exist beside it.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::payload::Payload;

/// The kind of a failure that names none.
const DEFAULT_KIND: &str = "error";

/// What the host is asked to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disposition {
    /// The retry policy decides, by the failure's kind.
    ByPolicy,
    /// Retry after this long, if attempts are left. The host counts in milliseconds.
    RetryAfter(Duration),
    /// Do not retry.
    Fatal,
}

/// Why an attempt failed: a kind for programs, a message for people, and what should happen next.
///
/// ```
/// # use sunaba_sdk::prelude::*;
/// # #[data] struct Order { sku: String }
/// #[handler(retry_on = ["network"])]
/// fn ship(input: Order) -> Result<u32, TaskError> {
///     if input.sku.is_empty() {
///         return Err(TaskError::fatal("the order has no sku").with_kind("bad-order"));
///     }
///     let stock = std::fs::read_to_string("/stock").error_kind("network")?; // retried by the policy
///     Ok(stock.trim().parse()?) // kind `error`
/// }
/// # fn main() {}
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError {
    kind: String,
    message: String,
    detail: Option<Payload>,
    disposition: Disposition,
}

impl TaskError {
    /// A failure that the retry policy decides about.
    ///
    /// `kind` is a short word (lower-case letters, digits, `-`) that `retry_on` and groupings go by.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), detail: None, disposition: Disposition::ByPolicy }
    }

    /// A failure that no retry can mend.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(DEFAULT_KIND, message).with_disposition(Disposition::Fatal)
    }

    /// A failure to be retried after this long, if attempts are left.
    pub fn retry_after(delay: Duration, message: impl Into<String>) -> Self {
        Self::new(DEFAULT_KIND, message).with_disposition(Disposition::RetryAfter(delay))
    }

    /// The same failure under another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// The same failure with this wish.
    #[must_use]
    pub fn with_disposition(mut self, disposition: Disposition) -> Self {
        self.disposition = disposition;
        self
    }

    /// The same failure with JSON for programs beside its message. A detail that cannot be encoded is left out.
    #[must_use]
    pub fn with_detail(mut self, detail: &impl Serialize) -> Self {
        self.detail = serde_json::to_vec(detail).ok().map(Payload::json);
        self
    }

    /// The word that retry policies go by.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What went wrong, for programs.
    pub fn detail(&self) -> Option<&Payload> {
        self.detail.as_ref()
    }

    /// What the host is asked to do.
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }
}

/// Any error becomes a retryable failure of kind `error`, with its sources in the message.
impl<E: std::error::Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors print their source themselves; saying it twice helps nobody.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        Self::new(DEFAULT_KIND, message)
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.disposition)
    }
}

/// Says at the `?` what kind of failure an error is.
pub trait ResultExt<T> {
    /// A failure of this kind; the retry policy decides.
    ///
    /// # Errors
    /// The error of `self`, as a [`TaskError`] of this kind.
    fn error_kind(self, kind: &str) -> Result<T, TaskError>;

    /// A failure that no retry can mend.
    ///
    /// # Errors
    /// The error of `self`, as a fatal [`TaskError`].
    fn or_fatal(self) -> Result<T, TaskError>;

    /// A failure to be retried after this long, if attempts are left.
    ///
    /// # Errors
    /// The error of `self`, as a [`TaskError`] that asks for the delay.
    fn or_retry_after(self, delay: Duration) -> Result<T, TaskError>;
}

impl<T, E: Into<TaskError>> ResultExt<T> for Result<T, E> {
    fn error_kind(self, kind: &str) -> Result<T, TaskError> {
        self.map_err(|error| error.into().with_kind(kind))
    }

    fn or_fatal(self) -> Result<T, TaskError> {
        self.map_err(|error| error.into().with_disposition(Disposition::Fatal))
    }

    fn or_retry_after(self, delay: Duration) -> Result<T, TaskError> {
        self.map_err(|error| error.into().with_disposition(Disposition::RetryAfter(delay)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read the count")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    fn parse(text: &str) -> Result<u32, TaskError> {
        Ok(text.parse::<u32>().map_err(Outer)?)
    }

    #[test]
    fn question_mark_is_retryable_with_kind_error_and_its_sources() {
        let error = parse("x").expect_err("not a number");
        assert_eq!(error.kind(), "error");
        assert_eq!(error.disposition(), Disposition::ByPolicy);
        assert_eq!(error.message(), "cannot read the count: invalid digit found in string");
    }

    #[test]
    fn only_what_says_so_is_fatal() {
        let fatal = "x".parse::<u32>().or_fatal().expect_err("not a number");
        assert_eq!(fatal.disposition(), Disposition::Fatal);
        let kind = "x".parse::<u32>().error_kind("network").expect_err("not a number");
        assert_eq!((kind.kind(), kind.disposition()), ("network", Disposition::ByPolicy));
    }

    #[test]
    fn retry_after_keeps_its_delay() {
        let delay = Duration::from_secs(7);
        let error = "x".parse::<u32>().or_retry_after(delay).expect_err("not a number");
        assert_eq!(error.disposition(), Disposition::RetryAfter(delay));
    }
}
