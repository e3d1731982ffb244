//! A task that a handler wants to be made under its own: what runs, with what, after what, and how.

use std::time::Duration;

use crate::handler::Handler;
use crate::{Input, Output, Payload, TaskError};

/// A task to create under the one that runs. It gets its name where it is used: in a [`Plan`](crate::Plan), or by
/// [`Context::submit`](crate::Context::submit).
///
/// For a handler of the same component `#[handler]` makes a function that checks the input's type:
///
/// ```
/// # use sunaba_sdk::prelude::*;
/// #[handler]
/// fn count(text: String) -> Result<usize, TaskError> {
///     Ok(text.split_whitespace().count())
/// }
///
/// # fn main() {
/// let child = count::task("to be or not".to_owned()).priority(5).timeout(Duration::from_secs(10));
/// assert_eq!((child.handler(), child.input::<String>().unwrap().as_str()), ("count", "to be or not"));
/// # }
/// ```
///
/// For one of another package there is [`Child::of`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it is made when a plan that has it is returned, or when it is submitted"]
pub struct Child {
    handler: String,
    /// What is wrong with it is told where the child is used.
    input: Result<Payload, TaskError>,
    after: Vec<Dependency>,
    settings: Vec<(String, String)>,
}

/// What a child waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None: the plan's rule.
    pub(crate) on_failure: Option<OnFailure>,
}

/// What it means that a task has not succeeded: to one that waits for it, or to the parent of all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Whoever waits for it is not run, and the parent fails.
    #[default]
    Fail,
    /// As `Fail`, and **all that has succeeded in the whole job** is undone, the last first: see [`Child::undo`]. Not only what is in
    /// the plan that says so: a job of 30 trips of which one is compensated takes back all 30. What is to be undone by itself is
    /// submitted as a job of its own.
    Compensate,
    /// Whoever waits for it runs with what there is.
    Continue,
    /// As if it had not been there.
    Ignore,
}

impl OnFailure {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Compensate => "compensate",
            Self::Continue => "continue",
            Self::Ignore => "ignore",
        }
    }
}

/// A value that the handler `H` takes. What `H::task(..)` is called with.
#[diagnostic::on_unimplemented(
    message = "a task of the handler `{H}` cannot be made with `{Self}`",
    label = "not what the handler takes",
    note = "give it the type that the handler's function takes; it needs `#[data]`, or to be `Bytes`"
)]
pub trait InputOf<H> {
    /// The value as the handler reads it.
    ///
    /// # Errors
    /// Fatal: the value has no JSON form.
    fn into_payload(self) -> Result<Payload, TaskError>;
}

impl<H: Handler<Input = I>, I: Output> InputOf<H> for I {
    fn into_payload(self) -> Result<Payload, TaskError> {
        self.encode()
    }
}

impl Child {
    /// A task of any handler, `package/handler`, or `handler` in the package of this one. Whether it takes this input is checked
    /// by the host.
    ///
    /// ```
    /// # use sunaba_sdk::prelude::*;
    /// let child = Child::of("thumbnail/thumbnail", Bytes::new("image/png", vec![0x89])).queue("images");
    /// let child = Child::of("words/count", &"to be or not");
    /// ```
    pub fn of(handler: impl Into<String>, input: impl Output) -> Self {
        Self::with(handler.into(), input.encode())
    }

    pub(crate) fn with(handler: String, input: Result<Payload, TaskError>) -> Self {
        Self { handler, input, after: Vec::new(), settings: Vec::new() }
    }

    /// Starts when this one has ended: another child of its plan by its name, or all of a group (`GROUP/*`).
    pub fn after(mut self, name: impl Into<String>) -> Self {
        self.after.push(Dependency { name: name.into(), on_failure: None });
        self
    }

    /// The same, with a rule of its own for what it means when that one has not succeeded.
    pub fn after_with(mut self, name: impl Into<String>, on_failure: OnFailure) -> Self {
        self.after.push(Dependency { name: name.into(), on_failure: Some(on_failure) });
        self
    }

    /// Waits in this queue.
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.setting("queue", queue)
    }

    /// Higher first.
    pub fn priority(self, priority: i32) -> Self {
        self.setting("priority", priority.to_string())
    }

    /// How long an attempt may take.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.setting("timeout", format!("{}ms", timeout.as_millis()))
    }

    /// Failures until it is dead, from 1.
    pub fn max_attempts(self, max_attempts: u32) -> Self {
        self.setting("max-attempts", max_attempts.to_string())
    }

    /// How long it waits between attempts, as the option of `#[handler]` has it: `exponential(1s, max = 1m)`.
    pub fn backoff(self, backoff: impl Into<String>) -> Self {
        self.setting("backoff", backoff)
    }

    /// Instructions that an attempt may use.
    pub fn fuel(self, fuel: u64) -> Self {
        self.setting("fuel", fuel.to_string())
    }

    /// Memory that an attempt may use, such as `64MiB`.
    pub fn memory(self, memory: impl Into<String>) -> Self {
        self.setting("memory", memory)
    }

    /// Other limits by their names, such as `output=4MiB`.
    pub fn limits(self, limits: impl Into<String>) -> Self {
        self.setting("limits", limits)
    }

    /// The handler that undoes the child when its job does not end well and is compensated, whichever plan of the job asks for that
    /// ([`OnFailure::Compensate`]): `cancel_flight::NAME`, or `package/handler`. It gets an object with the child's `input` and its `output` (and `task`, `handler`, `state`, `attempts`).
    pub fn undo(self, handler: impl Into<String>) -> Self {
        self.setting("undo", handler)
    }

    /// Of the directories that this task was granted, the child gets this one, at a path of its own, and no others than those
    /// that are named like this. `from` is a path as this task sees it, in one of them; `at` is one that the child's handler
    /// asks for, with `:rw` to write there too.
    ///
    /// ```
    /// # use sunaba_sdk::prelude::*;
    /// let child = Child::of("audit", &"serde").dir("/crates/serde", "/crate");
    /// assert_eq!(child.option("dirs"), Some("/crates/serde::/crate"));
    /// ```
    pub fn dir(mut self, from: impl AsRef<str>, at: impl AsRef<str>) -> Self {
        let (from, at) = (from.as_ref(), at.as_ref());
        if [from, at].iter().any(|path| path.is_empty() || path.contains(',') || path.contains("::")) {
            // It would be read as another path, or as two.
            let wrong =
                TaskError::fatal(format!("`{from}` cannot be a child's directory at `{at}`: it has `,` or `::`"));
            self.input = self.input.and(Err(wrong));
            return self;
        }
        let dir = format!("{from}::{at}");
        let dirs = match self.option("dirs") {
            Some(others) if !others.is_empty() => format!("{others},{dir}"),
            _ => dir,
        };
        self.setting("dirs", dirs)
    }

    /// The child gets none of the directories that this task was granted.
    pub fn no_dirs(self) -> Self {
        self.setting("dirs", "")
    }

    /// An option by its name in the contract; the one before of this name is replaced. The host refuses one that it does not
    /// know.
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, value));
        self
    }

    /// The handler that it runs.
    pub fn handler(&self) -> &str {
        &self.handler
    }

    /// Its input, for tests.
    ///
    /// # Errors
    /// It has no JSON form, or is not of this type.
    pub fn input<T: Input>(&self) -> Result<T, TaskError> {
        T::decode(self.payload()?)
    }

    /// What it waits for, by name.
    pub fn waits_for(&self) -> impl Iterator<Item = &str> {
        self.after.iter().map(|dependency| dependency.name.as_str())
    }

    /// An option that was set.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// # Errors
    /// It has no JSON form.
    pub(crate) fn payload(&self) -> Result<Payload, TaskError> {
        self.input.clone()
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn dependencies(&self) -> &[Dependency] {
        &self.after
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }
}
