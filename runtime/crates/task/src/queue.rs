//! What an operator sets while tasks wait and run: limits of queues and handlers, and how long records are kept.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::LimitCaps;
use crate::breaker::BreakerSettings;
use crate::units::{format_duration, parse_duration};

/// The heaviest queue.
pub const MAX_WEIGHT: u32 = 1_000;
/// A day: the longest span of a rate, and the slowest aging.
const MAX_SPAN: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_RATE_COUNT: u32 = 1_000_000;
const MIN_AGING: Duration = Duration::from_secs(1);

/// At most so many starts in any span of such a time, written `100/1s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct Rate {
    /// Starts; from 1 to a million.
    pub count: u32,
    /// In this time; up to a day.
    pub per: Duration,
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a rate\nhint: write COUNT/TIME, such as `100/1s`, with a count from 1 to 1000000 and a time of up to a day"
)]
pub struct RateError(String);

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let error = || RateError(text.chars().take(64).collect());
        let (count, per) = text.split_once('/').ok_or_else(error)?;
        let count = count.trim().parse().map_err(|_| error())?;
        let per = parse_duration(per.trim()).map_err(|_| error())?;
        Some(Self { count, per }).filter(Self::is_in_range).ok_or_else(error)
    }
}

impl Rate {
    fn is_in_range(&self) -> bool {
        (1..=MAX_RATE_COUNT).contains(&self.count) && !self.per.is_zero() && self.per <= MAX_SPAN
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, format_duration(self.per))
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

/// What an operator has set for a queue. What is none is without a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    /// Nothing of it is started.
    pub paused: bool,
    /// Its share of all starts, beside the other queues that have work: 1 to [`MAX_WEIGHT`]. All queues without a weight are
    /// one of weight 1 together, and among them the highest priority and then the oldest task comes first.
    pub weight: Option<u32>,
    /// Attempts at a time, of the whole queue.
    pub concurrency: Option<u32>,
    /// Attempts at a time, of all tasks with the same key.
    pub key_concurrency: Option<u32>,
    /// Starts in a time, of the whole queue. An embedded store does not remember over a restart what it has started.
    pub rate: Option<Rate>,
    /// Starts in a time, of all tasks with the same key. As with `rate`, a restart forgets.
    pub key_rate: Option<Rate>,
    /// Tasks that may wait in it, for their time or for a slot. A submit beyond is refused.
    pub max_depth: Option<u64>,
    /// A waiting task moves up by one priority for each such time since its submit, so that none starves. From 1 s to a day.
    pub aging: Option<Duration>,
    /// What an attempt may use at most, whatever its task says.
    pub limits: LimitCaps,
}

/// One change of a queue's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueChange {
    /// Stops its starts, or lets them go on.
    Paused(bool),
    /// [`QueueSettings::weight`].
    Weight(Option<u32>),
    /// [`QueueSettings::concurrency`].
    Concurrency(Option<u32>),
    /// [`QueueSettings::key_concurrency`].
    KeyConcurrency(Option<u32>),
    /// [`QueueSettings::rate`].
    Rate(Option<Rate>),
    /// [`QueueSettings::key_rate`].
    KeyRate(Option<Rate>),
    /// [`QueueSettings::max_depth`].
    MaxDepth(Option<u64>),
    /// [`QueueSettings::aging`].
    Aging(Option<Duration>),
    /// All of [`QueueSettings::limits`].
    Limits(LimitCaps),
}

/// A value that cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {what} cannot be {value}\nhint: {range}")]
pub struct ControlError {
    what: &'static str,
    value: String,
    range: String,
}

impl ControlError {
    pub(crate) fn new(what: &'static str, value: impl ToString, range: impl ToString) -> Self {
        Self { what, value: value.to_string(), range: range.to_string() }
    }
}

impl QueueSettings {
    /// The settings with these changes.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn with(mut self, changes: &[QueueChange]) -> Result<Self, ControlError> {
        for change in changes {
            match *change {
                QueueChange::Paused(paused) => self.paused = paused,
                QueueChange::Weight(weight) => {
                    if let Some(weight) = weight.filter(|weight| !(1..=MAX_WEIGHT).contains(weight)) {
                        return Err(ControlError::new("weight", weight, format!("it is from 1 to {MAX_WEIGHT}")));
                    }
                    self.weight = weight;
                }
                QueueChange::Concurrency(limit) => self.concurrency = positive("concurrency", limit)?,
                QueueChange::KeyConcurrency(limit) => self.key_concurrency = positive("concurrency of a key", limit)?,
                QueueChange::Rate(rate) => self.rate = in_range(rate)?,
                QueueChange::KeyRate(rate) => self.key_rate = in_range(rate)?,
                QueueChange::MaxDepth(depth) => {
                    if depth == Some(0) {
                        return Err(ControlError::new(
                            "greatest depth",
                            0,
                            "it is from 1; to start nothing, pause the queue",
                        ));
                    }
                    self.max_depth = depth;
                }
                QueueChange::Aging(aging) => {
                    if let Some(aging) = aging.filter(|aging| !(MIN_AGING..=MAX_SPAN).contains(aging)) {
                        return Err(ControlError::new("aging", format_duration(aging), "it is from 1s to a day"));
                    }
                    self.aging = aging;
                }
                QueueChange::Limits(ref limits) => self.limits = limits.clone(),
            }
        }
        Ok(self)
    }
}

fn positive(what: &'static str, limit: Option<u32>) -> Result<Option<u32>, ControlError> {
    match limit {
        Some(0) => Err(ControlError::new(what, 0, "it is from 1; to start nothing, pause instead")),
        limit => Ok(limit),
    }
}

fn in_range(rate: Option<Rate>) -> Result<Option<Rate>, ControlError> {
    match rate.filter(|rate| !rate.is_in_range()) {
        Some(rate) => {
            Err(ControlError::new("rate", rate, "it has a count from 1 to 1000000 and a time of up to a day"))
        }
        None => Ok(rate),
    }
}

/// What an operator has set for a handler. What is none is without a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerControl {
    /// None of its tasks is started.
    pub paused: bool,
    /// Attempts at a time, in all queues together.
    pub concurrency: Option<u32>,
    /// When it is given a pause because it fails. An embedded store begins with every breaker closed; one whose settings change
    /// begins anew, too.
    pub breaker: Option<BreakerSettings>,
}

/// One change of a handler's control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerChange {
    /// Stops its starts, or lets them go on.
    Paused(bool),
    /// [`HandlerControl::concurrency`].
    Concurrency(Option<u32>),
    /// [`HandlerControl::breaker`].
    Breaker(Option<BreakerSettings>),
}

impl HandlerControl {
    /// The control with these changes.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn with(mut self, changes: &[HandlerChange]) -> Result<Self, ControlError> {
        for change in changes {
            match *change {
                HandlerChange::Paused(paused) => self.paused = paused,
                HandlerChange::Concurrency(limit) => self.concurrency = positive("concurrency", limit)?,
                HandlerChange::Breaker(breaker) => {
                    if let Some(breaker) = breaker.filter(|breaker| !breaker.is_in_range()) {
                        let range = "it has 1 to 100 per cent, 1 to 1000 attempts, and a pause of up to a day";
                        return Err(ControlError::new("breaker", breaker, range));
                    }
                    self.breaker = breaker;
                }
            }
        }
        Ok(self)
    }
}

/// How long what has ended is kept, and at most a minute longer. None: until somebody deletes it, or runs it again; from then
/// on it is kept as what has succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The result of a task that has succeeded, unless its submitter said otherwise.
    pub result: Duration,
    /// The records of tasks that have succeeded.
    pub succeeded: Option<Duration>,
    /// The records of cancelled tasks.
    pub cancelled: Option<Duration>,
    /// The records of tasks that have expired.
    pub expired: Option<Duration>,
    /// The records of dead tasks: the dead letters.
    pub dead: Option<Duration>,
}

impl Default for Retention {
    /// Results an hour, records a week, dead letters until they are purged.
    fn default() -> Self {
        let week = Some(Duration::from_secs(7 * 24 * 60 * 60));
        Self { result: Duration::from_secs(60 * 60), succeeded: week, cancelled: week, expired: week, dead: None }
    }
}

/// Ten years.
const MAX_KEPT: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
/// Whoever waits for the end of a task must be able to see it.
const MIN_KEPT: Duration = Duration::from_secs(1);

impl Retention {
    /// Whether every time is one that can be kept to.
    ///
    /// # Errors
    /// Records must be kept for a second at least, and nothing with a time for more than ten years.
    pub fn check(&self) -> Result<(), ControlError> {
        let records = [self.succeeded, self.cancelled, self.expired, self.dead];
        let wrong = records.into_iter().flatten().find(|kept| !(MIN_KEPT..=MAX_KEPT).contains(kept));
        if let Some(kept) = wrong {
            let range = "it is from 1s to ten years, or without an end";
            return Err(ControlError::new("time for which records are kept", format_duration(kept), range));
        }
        if self.result > MAX_KEPT {
            let shown = format_duration(self.result);
            return Err(ControlError::new("time for which results are kept", shown, "it is up to ten years"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_reads_back_and_nothing_else_is_one() {
        let rate: Rate = "100/1s".parse().expect("a rate");
        assert_eq!((rate.count, rate.per), (100, Duration::from_secs(1)));
        assert_eq!(rate.to_string().parse(), Ok(rate));
        for text in ["", "100", "0/1s", "1/0s", "-1/1s", "1/2days", "1000001/1s", "1/1s/1s", "9e9/1s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn changes_apply_in_order_and_only_what_they_name() {
        let settings = QueueSettings { weight: Some(3), ..QueueSettings::default() };
        let changed = settings.with(&[QueueChange::Paused(true), QueueChange::Concurrency(Some(2))]).expect("in range");
        assert_eq!((changed.paused, changed.weight, changed.concurrency), (true, Some(3), Some(2)));
        assert_eq!(changed.with(&[QueueChange::Weight(None)]).expect("in range").weight, None);
    }

    #[test]
    fn retention_has_bounds() {
        let retention = |dead| Retention { dead, ..Retention::default() };
        assert_eq!(retention(None).check(), Ok(()));
        assert_eq!(retention(Some(Duration::from_secs(1))).check(), Ok(()));
        assert!(retention(Some(Duration::ZERO)).check().is_err());
        assert!(retention(Some(Duration::MAX)).check().is_err());
        assert!(Retention { result: Duration::MAX, ..Retention::default() }.check().is_err());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let day = Duration::from_secs(24 * 60 * 60);
        for change in [
            QueueChange::Weight(Some(0)),
            QueueChange::Weight(Some(MAX_WEIGHT + 1)),
            QueueChange::Concurrency(Some(0)),
            QueueChange::KeyConcurrency(Some(0)),
            QueueChange::MaxDepth(Some(0)),
            QueueChange::Rate(Some(Rate { count: 0, per: day })),
            QueueChange::Rate(Some(Rate { count: 1_000_001, per: day })),
            QueueChange::KeyRate(Some(Rate { count: 1, per: Duration::ZERO })),
            QueueChange::KeyRate(Some(Rate { count: 1, per: day * 2 })),
            QueueChange::Aging(Some(Duration::ZERO)),
            QueueChange::Aging(Some(day * 2)),
        ] {
            assert!(QueueSettings::default().with(std::slice::from_ref(&change)).is_err(), "{change:?}");
        }
        assert!(HandlerControl::default().with(&[HandlerChange::Concurrency(Some(0))]).is_err());
        for (percent, over, pause) in [(0, 1, day), (101, 1, day), (50, 0, day), (50, 1_001, day), (50, 1, day * 2)] {
            let breaker = HandlerChange::Breaker(Some(BreakerSettings { percent, over, pause }));
            assert!(HandlerControl::default().with(std::slice::from_ref(&breaker)).is_err(), "{breaker:?}");
        }
    }
}
