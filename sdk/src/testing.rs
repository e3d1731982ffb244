//! Calls handlers natively, without a sandbox.
//!
//! A handler stays a plain function: a test calls it with an input and the context of an [`Attempt`]. [`run_json`]
//! goes the whole way that a host goes, from the bytes of the input to the bytes of the output.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod artifacts;

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
    progress: Rc<RefCell<Vec<Report>>>,
    #[cfg(not(target_family = "wasm"))]
    shelf: Rc<artifacts::Shelf>,
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
            progress: Rc::default(),
            #[cfg(not(target_family = "wasm"))]
            shelf: Rc::default(),
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
        let context = Context::new(self.facts.clone(), Box::new(Recorder(self.clone())));
        #[cfg(not(target_family = "wasm"))]
        let context = context.with_shelf(&self.shelf);
        context
    }

    /// Another task has left this file: one in the same plan, or one that this has made.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn artifact_of(self, task: &str, name: &str, media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.shelf.put(Some(task), artifacts::file(name, media_type, &bytes, 1), bytes);
        self
    }

    /// What the handler has put under this name, if it has finished it; nothing of a link.
    #[cfg(not(target_family = "wasm"))]
    pub fn artifact(&self, name: &str) -> Option<Vec<u8>> {
        self.shelf.get(None, name).map(|(_, bytes)| bytes)
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
}

/// Runs a handler as a host does: decodes the JSON, calls the function, encodes the output.
///
/// # Errors
/// Whatever the handler returns; fatal with kind `invalid-input` when the JSON does not match its input type.
pub fn run_json<H: Handler>(context: &Context, input: &str) -> Result<Outcome<Payload>, TaskError> {
    crate::handler::run(&[Entry::of::<H>()], context, H::NAME, Payload::json(input))
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::ArtifactReader;

    #[test]
    fn artifacts_are_put_and_read_as_on_a_host() {
        let attempt = Attempt::new().artifact_of("part/1", "a.txt", "text/plain", "from another task");
        let context = attempt.context();
        let large: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
        let mut file = context.artifact("large", "application/octet-stream").unwrap();
        file.write_all(&large).unwrap();
        assert_eq!(attempt.artifact("large"), None, "it is not finished");
        assert_eq!(file.finish().unwrap().size_bytes, 200_000);
        context.link("home", "https://example.org").unwrap();
        let names =
            |of: Option<&str>| context.artifacts(of).unwrap().into_iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!((names(None), names(Some("part/1"))), (vec!["home".into(), "large".into()], vec!["a.txt".into()]));
        let mut read = Vec::new();
        context.open_artifact(None, "large").unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, large);
        let mut text = String::new();
        context.open_artifact("part/1", "a.txt").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "from another task");
        let kind = |done: Result<ArtifactReader, TaskError>| done.err().map(|error| error.kind().to_owned());
        assert_eq!(kind(context.open_artifact("part/2", "a.txt")), Some("not-found".into()));
        assert_eq!(kind(context.open_artifact(None, "home")), Some("invalid".into()));
        assert_eq!(context.artifact("../x", "a/b").err().map(|error| error.kind().to_owned()), Some("invalid".into()));
    }
}
