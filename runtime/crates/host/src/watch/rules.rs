//! When an operator should look: rules over what was sampled of a host, each a pure function of it.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use sunaba_task::webhook::is_internal;
use sunaba_task::{BreakerState, counted, format_bytes, format_count, format_duration, parse_bytes, parse_duration};

use super::sample::{QueueSample, Sample};
use crate::rule::Rule;

/// What fires is clear again below this part of its limit, so that what is close to it does not flicker.
const CLEAR_PART: f64 = 0.8;
/// Conditions of one look; what is beyond that is no news.
pub(crate) const MAX_CONDITIONS: usize = 200;

/// From where on something is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRules {
    /// Failed attempts in a hundred of those of a handler, over [`failure_window`](Self::failure_window).
    pub failure_percent: f64,
    /// Attempts below which nothing is said of failures.
    pub failure_over: u64,
    /// How far back attempts are looked at.
    pub failure_window: Duration,
    /// Tasks that wait, for each slot.
    pub backlog_per_slot: f64,
    /// How long the oldest task of a queue has waited.
    pub queue_wait: Duration,
    /// What the process holds, in a hundred of its memory budget.
    pub memory_percent: f64,
    /// For how long nothing moves.
    pub stuck_after: Duration,
    /// What the disk has left.
    pub disk_free_bytes: u64,
    /// Workers that there should be.
    pub min_workers: usize,
    /// How long something is wrong before anybody is told.
    pub fire_after: Duration,
    /// How long all is well before that is told.
    pub resolve_after: Duration,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self {
            failure_percent: 30.0,
            failure_over: 10,
            failure_window: Duration::from_secs(5 * 60),
            backlog_per_slot: 50.0,
            queue_wait: Duration::from_secs(30),
            memory_percent: 80.0,
            stuck_after: Duration::from_secs(2 * 60),
            disk_free_bytes: 1 << 30,
            min_workers: 1,
            fire_after: Duration::from_secs(10),
            resolve_after: Duration::from_secs(60),
        }
    }
}

/// One value of the rules, as an operator says it: `failure-percent=20`.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSetting {
    name: String,
    set: Set,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Set {
    FailurePercent(f64),
    FailureOver(u64),
    FailureWindow(Duration),
    BacklogPerSlot(f64),
    QueueWait(Duration),
    MemoryPercent(f64),
    StuckAfter(Duration),
    DiskFree(u64),
    MinWorkers(usize),
    FireAfter(Duration),
    ResolveAfter(Duration),
}

/// A text that is no value of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` sets no alert rule\nhint: write NAME=VALUE, such as `failure-percent=20`; the names are failure-percent, \
     failure-over, failure-window, backlog-per-slot, queue-wait, memory-percent, stuck-after, disk-free, min-workers, \
     fire-after and resolve-after"
)]
pub struct RuleSettingError(String);

impl FromStr for RuleSetting {
    type Err = RuleSettingError;

    fn from_str(text: &str) -> Result<Self, RuleSettingError> {
        let error = || RuleSettingError(text.chars().take(80).collect());
        let (name, value) = text.split_once('=').ok_or_else(error)?;
        let percent = || value.trim_end_matches('%').parse().ok().filter(|part| (0.0..=100.0).contains(part));
        let part = || value.parse().ok().filter(|part: &f64| part.is_finite() && *part >= 0.0);
        let time = || parse_duration(value).ok();
        let set = match name.trim() {
            "failure-percent" => percent().map(Set::FailurePercent),
            "failure-over" => value.parse().ok().map(Set::FailureOver),
            "failure-window" => time().filter(|window| *window <= MAX_WINDOW).map(Set::FailureWindow),
            "backlog-per-slot" => part().map(Set::BacklogPerSlot),
            "queue-wait" => time().map(Set::QueueWait),
            "memory-percent" => percent().map(Set::MemoryPercent),
            "stuck-after" => time().map(Set::StuckAfter),
            "disk-free" => parse_bytes(value).ok().map(Set::DiskFree),
            "min-workers" => value.parse().ok().map(Set::MinWorkers),
            "fire-after" => time().map(Set::FireAfter),
            "resolve-after" => time().map(Set::ResolveAfter),
            _ => None,
        };
        Ok(Self { name: name.trim().to_owned(), set: set.ok_or_else(error)? })
    }
}

/// What is remembered of attempts for the failure rate goes back no further.
pub(super) const MAX_WINDOW: Duration = Duration::from_secs(60 * 60);

impl AlertRules {
    /// The rules with these values.
    #[must_use]
    pub fn with(mut self, settings: &[RuleSetting]) -> Self {
        for setting in settings {
            match setting.set {
                Set::FailurePercent(percent) => self.failure_percent = percent,
                Set::FailureOver(over) => self.failure_over = over,
                Set::FailureWindow(window) => self.failure_window = window,
                Set::BacklogPerSlot(tasks) => self.backlog_per_slot = tasks,
                Set::QueueWait(wait) => self.queue_wait = wait,
                Set::MemoryPercent(percent) => self.memory_percent = percent,
                Set::StuckAfter(after) => self.stuck_after = after,
                Set::DiskFree(bytes) => self.disk_free_bytes = bytes,
                Set::MinWorkers(workers) => self.min_workers = workers,
                Set::FireAfter(after) => self.fire_after = after,
                Set::ResolveAfter(after) => self.resolve_after = after,
            }
        }
        self
    }
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// By which rule.
    pub rule: Rule,
    /// With what: a queue, a handler, a task; empty for the host.
    pub subject: String,
    /// What was found, in one line.
    pub message: String,
}

/// Which conditions fire already: these are clear only well below their limits.
pub(crate) type Firing = BTreeSet<(Rule, String)>;

struct Looking<'a> {
    sample: &'a Sample,
    rules: &'a AlertRules,
    firing: &'a Firing,
    found: Vec<Condition>,
}

/// What is wrong in this sample.
pub(crate) fn conditions(sample: &Sample, rules: &AlertRules, firing: &Firing) -> Vec<Condition> {
    let mut looking = Looking { sample, rules, firing, found: Vec::new() };
    looking.store();
    looking.disk();
    looking.workers();
    looking.memory();
    looking.backlog();
    looking.queues();
    looking.attempts();
    looking.handlers();
    looking.webhooks();
    looking.found.truncate(MAX_CONDITIONS);
    looking.found
}

impl<'a> Looking<'a> {
    /// Those that are not paused, without the host's own.
    fn queues_of_tasks(&self) -> impl Iterator<Item = &'a QueueSample> + use<'a> {
        self.sample.queues.iter().filter(|queue| !queue.paused && !is_internal(&queue.name))
    }

    fn add(&mut self, rule: Rule, subject: &str, message: String) {
        self.found.push(Condition { rule, subject: subject.to_owned(), message });
    }

    /// The limit, or a part of it for what fires.
    fn limit(&self, rule: Rule, subject: &str, limit: f64) -> f64 {
        let fires = self.firing.contains(&(rule, subject.to_owned()));
        if fires { limit * CLEAR_PART } else { limit }
    }

    fn store(&mut self) {
        if let Some(failure) = self.sample.failure.clone().or_else(|| self.sample.unseen.clone()) {
            self.add(Rule::Store, "", failure);
        }
    }

    fn disk(&mut self) {
        let Some(free) = self.sample.free_bytes else { return };
        // What must be left is larger for what fires.
        let limit = self.rules.disk_free_bytes as f64;
        let limit = if self.firing.contains(&(Rule::Disk, String::new())) { limit / CLEAR_PART } else { limit };
        if (free as f64) < limit {
            let least = format_bytes(self.rules.disk_free_bytes);
            self.add(
                Rule::Disk,
                "",
                format!("the disk of the store has {} left, less than {least}", format_bytes(free)),
            );
        }
    }

    fn workers(&mut self) {
        let (workers, least) = (self.sample.workers, self.rules.min_workers);
        if self.sample.failure.is_none() && self.sample.unseen.is_none() && workers < least {
            self.add(
                Rule::Workers,
                "",
                format!("{}, fewer than {least}", counted(workers as u64, "worker", "workers")),
            );
        }
    }

    fn memory(&mut self) {
        let (Some(held), Some(budget)) = (self.sample.resident_bytes, self.sample.memory_budget_bytes) else { return };
        let percent = held as f64 * 100.0 / budget.max(1) as f64;
        if percent > self.limit(Rule::Memory, "", self.rules.memory_percent) {
            let (held, budget) = (format_bytes(held), format_bytes(budget));
            self.add(Rule::Memory, "", format!("the host holds {held}, {percent:.0} % of its budget of {budget}"));
        }
    }

    fn backlog(&mut self) {
        let waiting: u64 = self.queues_of_tasks().map(|queue| queue.queued).sum();
        let slots = self.sample.slots.max(1);
        if waiting as f64 / slots as f64 > self.limit(Rule::Backlog, "", self.rules.backlog_per_slot) {
            let waiting = counted(waiting, "task waits", "tasks wait");
            self.add(Rule::Backlog, "", format!("{waiting} for {}", counted(slots as u64, "slot", "slots")));
        }
    }

    fn queues(&mut self) {
        let has_room = self.sample.running < self.sample.slots;
        for queue in self.queues_of_tasks() {
            let Some(oldest) = queue.oldest else { continue };
            let waited = format_duration(Duration::from_secs(oldest.as_secs()));
            let limit = self.limit(Rule::QueueWait, &queue.name, self.rules.queue_wait.as_secs_f64());
            if oldest.as_secs_f64() > limit {
                self.add(Rule::QueueWait, &queue.name, format!("the oldest task has waited {waited}"));
            }
            if has_room && queue.running == 0 && queue.queued > 0 && oldest > self.rules.stuck_after {
                let waiting = format_count(queue.queued);
                let message = format!("nothing starts though there are free slots: {waiting} wait, for {waited}");
                self.add(Rule::Stuck, &queue.name, message);
            }
        }
    }

    fn webhooks(&mut self) {
        for (name, reason) in &self.sample.failed_webhooks {
            self.add(Rule::Webhook, name, format!("it is told of nothing any more: {reason}"));
        }
    }

    fn attempts(&mut self) {
        for attempt in &self.sample.waiting {
            if attempt.since > self.rules.stuck_after {
                let since = format_duration(Duration::from_secs(attempt.since.as_secs()));
                let message = format!("its attempt has been in `{}` for {since}", attempt.host_call);
                self.add(Rule::Stuck, &attempt.task.to_string(), message);
            }
        }
    }

    fn handlers(&mut self) {
        for handler in &self.sample.handlers {
            if let BreakerState::Open { .. } = handler.breaker {
                self.add(Rule::CircuitOpen, &handler.name, "it fails too often, and is given a pause".into());
            }
        }
        for rate in &self.sample.failures {
            let percent = rate.failed as f64 * 100.0 / rate.attempts.max(1) as f64;
            let limit = self.limit(Rule::FailureRate, &rate.handler, self.rules.failure_percent);
            if rate.attempts >= self.rules.failure_over && percent > limit {
                let window = format_duration(self.rules.failure_window);
                let message = format!("{} of {} attempts failed in {window}", rate.failed, rate.attempts);
                self.add(Rule::FailureRate, &rate.handler, message);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
