//! What a handler knows of the attempt that it runs in, and what it may ask the host.

use std::fmt;
use std::time::{Duration, SystemTime};

/// What is left of an attempt's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Remaining {
    /// Fuel until the attempt is stopped; none when it is not counted or not limited.
    pub fuel: Option<u64>,
    /// Time until the attempt is stopped; none when it is not limited.
    pub time: Option<Duration>,
}

/// The host as a handler sees it: the real one inside a sandbox, a recorder in a native test.
pub(crate) trait Host {
    fn progress(&self, fraction: Option<f64>, message: &str);
    fn is_cancelled(&self) -> bool;
    fn remaining(&self) -> Remaining;
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
    host: Box<dyn Host>,
    /// Where the artifacts of a native test are.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) shelf: std::rc::Rc<crate::testing::artifacts::Shelf>,
}

impl Context {
    pub(crate) fn new(facts: Facts, host: Box<dyn Host>) -> Self {
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
        self.host.progress(fraction.into(), &message.to_string());
    }

    /// Whether the task was cancelled. A handler that sees it should return soon; it is stopped after a grace period.
    pub fn is_cancelled(&self) -> bool {
        self.host.is_cancelled()
    }

    /// What is left of the attempt's limits, now.
    pub fn remaining(&self) -> Remaining {
        self.host.remaining()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)
    }
}
