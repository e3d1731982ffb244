//! Calls handlers natively, without a sandbox.
//!
//! A handler stays a plain function: a test calls it with an input and the context of an [`Attempt`]. [`run_json`]
//! goes the whole way that a host goes, from the bytes of the input to the bytes of the output.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::context::{Facts, Host, Remaining};
use crate::handler::Entry;
use crate::{Context, Handler, Outcome, Payload, TaskError};

/// A fraction and a message.
type Report = (Option<f64>, String);

/// An attempt to run a handler in: the first of four, in the queue `default`, unless told otherwise.
///
/// ```
/// # use sunaba_sdk::{prelude::*, testing::Attempt};
/// #[handler]
/// fn careful(ctx: &Context, input: u32) -> Result<u32, TaskError> {
///     ctx.progress(0.5, "half");
///     if ctx.is_last_attempt() { Ok(0) } else { Ok(input) }
/// }
///
/// let attempt = Attempt::new().failures(3);
/// assert_eq!(careful(&attempt.context(), 7).unwrap(), 0);
/// assert_eq!(attempt.progress(), [(Some(0.5), "half".to_owned())]);
/// ```
#[derive(Debug, Clone)]
pub struct Attempt {
    facts: Facts,
    remaining: Remaining,
    cancelled: bool,
    completion_token: Option<String>,
    progress: Rc<RefCell<Vec<Report>>>,
}

impl Default for Attempt {
    fn default() -> Self {
        Self::new()
    }
}

impl Attempt {
    /// The first attempt of a new task.
    pub fn new() -> Self {
        Self {
            facts: Facts {
                task_id: "00000000-0000-7000-8000-000000000000".into(),
                job_id: None,
                queue: "default".into(),
                attempt: 1,
                failures: 0,
                max_attempts: 4,
                submitted_at: SystemTime::UNIX_EPOCH,
                started_at: SystemTime::UNIX_EPOCH,
                deadline: None,
                idempotency_key: None,
                attributes: Vec::new(),
            },
            remaining: Remaining::default(),
            cancelled: false,
            completion_token: None,
            progress: Rc::default(),
        }
    }

    /// So many attempts have failed before this one.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.facts.failures = failures;
        self.facts.attempt = failures.saturating_add(1);
        self
    }

    /// The task is dead after so many failures.
    #[must_use]
    pub fn max_attempts(mut self, max_attempts: u32) -> Self {
        self.facts.max_attempts = max_attempts;
        self
    }

    /// The task was submitted under this key.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.facts.idempotency_key = Some(key.into());
        self
    }

    /// A value travels with the task.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.attributes.push((key.into(), value.into()));
        self
    }

    /// The task has waited so often to be completed, and was not.
    #[must_use]
    pub fn completion_waits(mut self, waits: u32) -> Self {
        self.facts.attempt = self.facts.attempt.max(waits.saturating_add(1));
        self.attribute("completion-waits", waits.to_string())
    }

    /// What the handler gets when it asks for the task's token.
    #[must_use]
    pub fn completion_token(mut self, token: impl Into<String>) -> Self {
        self.completion_token = Some(token.into());
        self
    }

    /// The task was cancelled.
    #[must_use]
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    /// So much fuel is left, whenever the handler asks.
    #[must_use]
    pub fn remaining_fuel(mut self, fuel: u64) -> Self {
        self.remaining.fuel = Some(fuel);
        self
    }

    /// So much time is left, whenever the handler asks.
    #[must_use]
    pub fn remaining_time(mut self, time: Duration) -> Self {
        self.remaining.time = Some(time);
        self
    }

    /// The context that the handler gets.
    pub fn context(&self) -> Context {
        Context::new(self.facts.clone(), Box::new(Recorder(self.clone())))
    }

    /// What the handler has said by [`Context::progress`] so far.
    pub fn progress(&self) -> Vec<Report> {
        self.progress.borrow().clone()
    }
}

struct Recorder(Attempt);

impl Host for Recorder {
    fn progress(&self, fraction: Option<f64>, message: &str) {
        self.0.progress.borrow_mut().push((fraction, message.to_owned()));
    }

    fn is_cancelled(&self) -> bool {
        self.0.cancelled
    }

    fn remaining(&self) -> Remaining {
        self.0.remaining
    }

    #[cfg(not(target_family = "wasm"))]
    fn completion_token(&self) -> Option<String> {
        self.0.completion_token.clone()
    }
}

/// Runs a handler as a host does: decodes the JSON, calls the function, encodes the output.
///
/// # Errors
/// Whatever the handler returns; fatal with kind `invalid-input` when the JSON does not match its input type.
pub fn run_json<H: Handler>(context: &Context, input: &str) -> Result<Outcome<Payload>, TaskError> {
    crate::handler::run(&[Entry::of::<H>()], context, H::NAME, Payload::json(input))
}
