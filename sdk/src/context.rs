//! What a handler knows of the attempt that it runs in, and what it may ask the host.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ask::EndedPage;
use crate::{Child, Input, OutputError, Outputs, Refusal, TaskId, testing};

/// What is left of an attempt's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Remaining {
    /// Fuel until the attempt is stopped; none when it is not counted or not limited.
    pub fuel: Option<u64>,
    /// Time until the attempt is stopped; none when it is not limited.
    pub time: Option<Duration>,
}

/// The host as a handler sees it. No trait object: a component imports what is reachable, and through a table of functions all
/// of them would be.
pub(crate) enum Host {
    /// The real one, inside a sandbox.
    #[cfg(target_family = "wasm")]
    Sandbox,
    /// A recorder in a native test.
    Recorder(testing::Attempt),
}

/// Calls a function of the host, whichever it is.
macro_rules! ask {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        match &$self.host {
            #[cfg(target_family = "wasm")]
            Host::Sandbox => crate::guest::$call($($argument),*),
            Host::Recorder(attempt) => attempt.$call($($argument),*),
        }
    };
}

/// The facts of an attempt, as the host recorded them.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) task_id: String,
    pub(crate) job_id: Option<String>,
    pub(crate) queue: String,
    pub(crate) attempt: u32,
    pub(crate) failures: u32,
    pub(crate) max_attempts: u32,
    pub(crate) submitted_at: SystemTime,
    pub(crate) started_at: SystemTime,
    pub(crate) deadline: Option<SystemTime>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) attributes: Vec<(String, String)>,
}

/// The attempt that is running.
pub struct Context {
    facts: Facts,
    host: Host,
    /// Where the artifacts of a native test are.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) shelf: std::rc::Rc<crate::testing::artifacts::Shelf>,
}

impl Context {
    pub(crate) fn new(facts: Facts, host: Host) -> Self {
        Self {
            facts,
            host,
            #[cfg(not(target_family = "wasm"))]
            shelf: std::rc::Rc::default(),
        }
    }

    /// The same; its artifacts are kept there.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn with_shelf(mut self, shelf: &std::rc::Rc<crate::testing::artifacts::Shelf>) -> Self {
        self.shelf = std::rc::Rc::clone(shelf);
        self
    }

    /// The task's id, unique for ever; a UUID.
    pub fn task_id(&self) -> &str {
        &self.facts.task_id
    }

    /// The job that the task belongs to, if any.
    pub fn job_id(&self) -> Option<&str> {
        self.facts.job_id.as_deref()
    }

    /// The queue that the task was leased from.
    pub fn queue(&self) -> &str {
        &self.facts.queue
    }

    /// The number of this attempt, from 1. Lost hosts and snoozes count.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// Failures charged so far. Lost hosts and snoozes do not count.
    pub fn failures(&self) -> u32 {
        self.facts.failures
    }

    /// The task is dead once [`failures`](Self::failures) reaches this.
    pub fn max_attempts(&self) -> u32 {
        self.facts.max_attempts
    }

    /// Whether a failure of this attempt is final.
    pub fn is_last_attempt(&self) -> bool {
        self.facts.failures.saturating_add(1) >= self.facts.max_attempts
    }

    /// When the task was submitted, by the host's clock.
    pub fn submitted_at(&self) -> SystemTime {
        self.facts.submitted_at
    }

    /// When this attempt was leased, by the host's clock.
    pub fn started_at(&self) -> SystemTime {
        self.facts.started_at
    }

    /// When this attempt will be stopped, by the host's clock; none when it has no time limit.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.facts.deadline
    }

    /// The key under which the task was submitted, if any.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.facts.idempotency_key.as_deref()
    }

    /// A value that travels with the task, such as `traceparent`.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.facts.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Says how far the attempt is: a fraction in 0..=1 or `None`, and a message for whoever watches.
    pub fn progress(&self, fraction: impl Into<Option<f64>>, message: impl fmt::Display) {
        ask!(self.say_progress(fraction.into(), &message.to_string()))
    }

    /// Whether the task was cancelled. A handler that sees it should return soon; it is stopped after a grace period.
    pub fn is_cancelled(&self) -> bool {
        ask!(self.see_cancelled())
    }

    /// Makes a child of the task at once, under a name that is its own among the task's children. It is on the host's disk when
    /// this returns, and the task ends when its children have.
    ///
    /// The same name again gives the same child, in a later attempt too; with another body it is refused as a conflict. So an
    /// attempt that goes over the work of the one before it makes nothing twice.
    ///
    /// # Errors
    /// The host refuses it; without a store, as by `sunaba run`, all are.
    pub fn submit(&self, name: impl Into<String>, child: Child) -> Result<TaskId, Refusal> {
        let input = child.payload().map_err(|error| Refusal::invalid(error.message()))?;
        ask!(self.submit_child(name.into(), &child, input)).map(TaskId)
    }

    /// What those gave that the task waited for: the one of this name, or all of a group (`GROUP/*`), in the order of their
    /// names, read as they are asked for.
    ///
    /// ```
    /// # use sunaba_sdk::prelude::*;
    /// #[handler]
    /// fn sum(ctx: &Context) -> Result<u64, TaskError> {
    ///     let mut sum = 0;
    ///     for counted in ctx.outputs::<u64>("count/*") {
    ///         // What has not succeeded is an error; a plan that does not continue then never comes here.
    ///         sum += counted?.value;
    ///     }
    ///     Ok(sum)
    /// }
    ///
    /// # use sunaba_sdk::testing::Attempt;
    /// # fn main() {
    /// let attempt = Attempt::new().given("count/1", &3).given("count/2", &4);
    /// assert_eq!(sum(&attempt.context()).unwrap(), 7);
    /// # }
    /// ```
    pub fn outputs<T: Input>(&self, awaited: impl Into<String>) -> Outputs<'_, T> {
        Outputs::new(self, awaited.into())
    }

    /// What the one of this name gave that the task waited for.
    ///
    /// # Errors
    /// It was not waited for, has not succeeded, or gave something else.
    pub fn output<T: Input>(&self, name: impl Into<String>) -> Result<T, OutputError> {
        let name = name.into();
        match self.outputs(name.clone()).next() {
            Some(given) => given.map(|given| given.value),
            None => Err(OutputError::Missing { name }),
        }
    }

    /// Keeps a value for the task's next attempt, as JSON of up to 1 MiB, in place of what was kept before. It is on the host's
    /// disk when this returns, and forgotten when the task has ended.
    ///
    /// # Errors
    /// It has no JSON form, is too large, or cannot be kept now.
    pub fn checkpoint(&self, value: &impl Serialize) -> Result<(), Refusal> {
        let bytes = serde_json::to_vec(value);
        let bytes = bytes.map_err(|error| Refusal::invalid(format!("the checkpoint has no JSON form: {error}")))?;
        ask!(self.keep(bytes))
    }

    /// What was kept last, by this attempt or by one before.
    ///
    /// ```
    /// # use sunaba_sdk::prelude::*;
    /// #[handler]
    /// fn copy(ctx: &Context, rows: u32) -> Result<u32, TaskError> {
    ///     let first = ctx.last_checkpoint()?.unwrap_or(0);
    ///     for row in first..rows {
    ///         if row % 100 == 0 {
    ///             ctx.checkpoint(&row)?;
    ///         }
    ///     }
    ///     Ok(rows - first)
    /// }
    ///
    /// # use sunaba_sdk::testing::Attempt;
    /// # fn main() {
    /// let attempt = Attempt::new().checkpoint(&200);
    /// assert_eq!(copy(&attempt.context(), 350).unwrap(), 150);
    /// assert_eq!(attempt.last_checkpoint::<u32>(), Some(300));
    /// # }
    /// ```
    ///
    /// # Errors
    /// It is not of this type, or cannot be read now.
    pub fn last_checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, Refusal> {
        let Some(bytes) = ask!(self.kept())? else { return Ok(None) };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|error| Refusal::invalid(format!("the checkpoint cannot be read: {error}")))
    }

    /// A page of what was waited for.
    pub(crate) fn dependency_outputs(&self, awaited: &str, after: Option<&str>) -> Result<EndedPage, Refusal> {
        ask!(self.page(awaited, after))
    }

    /// How often the task has waited to be completed ([`Snooze::until_completed`](crate::Snooze::until_completed)), and was
    /// not: a handler that sees more than none decides without, or waits on.
    pub fn completion_waits(&self) -> u32 {
        self.attribute("completion-waits").and_then(|waits| waits.parse().ok()).unwrap_or(0)
    }

    /// What lets whoever has it complete this task, and needs no other right; the same in every attempt. None when the attempt is
    /// of no task that could be completed, as by `sunaba run`.
    ///
    /// Give it with the [id](Self::task_id) to the one who is to answer, who sends `{"output": .., "token": ..}` to
    /// `POST /v1/tasks/ID/complete` of the host. It is worth the task's result, so do not log it.
    pub fn completion_token(&self) -> Option<String> {
        ask!(self.see_token())
    }

    /// What is left of the attempt's limits, now.
    pub fn remaining(&self) -> Remaining {
        ask!(self.see_remaining())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}
