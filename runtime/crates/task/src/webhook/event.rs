//! What a webhook can be told of, and how somebody says which of it they want.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{FeedEvent, Happening, nearest};

/// Everything that a webhook can be told of. Progress is not among it: what is told at any time is for the event feed.
pub const EVENTS: [&str; 32] = [
    "task.submitted",
    "task.queued",
    "task.started",
    "task.retry-scheduled",
    "task.snoozed",
    "task.blocked",
    "task.awaiting-completion",
    "task.cancel-requested",
    "task.completed",
    "task.succeeded",
    "task.dead",
    "task.cancelled",
    "task.expired",
    "job.submitted",
    "job.budget-low",
    "job.stopping",
    "job.compensating",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "schedule.created",
    "schedule.updated",
    "schedule.paused",
    "schedule.resumed",
    "schedule.deleted",
    "schedule.fired",
    "schedule.waiting",
    "schedule.skipped",
    "schedule.missed",
    "schedule.failed",
    "alert.firing",
    "alert.resolved",
];

/// Which events are wanted: one of [`EVENTS`], all of a kind as `task.*`, or all, `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventPattern(String);

impl EventPattern {
    /// Whether an event of this kind and word is wanted.
    pub fn includes(&self, kind: &str, word: &str) -> bool {
        self.0 == "*"
            || self
                .0
                .strip_prefix(kind)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|own| own == "*" || own == word)
    }
}

/// A text that asks for no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no event `{text}`{}\nhint: write one such as `task.dead`, all of a kind as `task.*`, `job.*`, `schedule.*` or \
     `alert.*`, or `*`", .near.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
)]
pub struct EventPatternError {
    text: String,
    near: Option<String>,
}

impl FromStr for EventPattern {
    type Err = EventPatternError;

    fn from_str(text: &str) -> Result<Self, EventPatternError> {
        let is_kind =
            |kind: &str| EVENTS.iter().any(|event| event.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.')));
        let is_known = text == "*" || EVENTS.contains(&text) || text.strip_suffix(".*").is_some_and(is_kind);
        if is_known {
            return Ok(Self(text.into()));
        }
        let near = nearest(text, EVENTS).map(ToString::to_string);
        Err(EventPatternError { text: text.chars().take(64).collect(), near })
    }
}

impl TryFrom<String> for EventPattern {
    type Error = EventPatternError;

    fn try_from(text: String) -> Result<Self, EventPatternError> {
        text.parse()
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kind of an event and its word, which are its name with a dot between; none of what no webhook is told of.
pub fn event_type(event: &FeedEvent) -> Option<(&'static str, &'static str)> {
    match event {
        FeedEvent::Task(event) if matches!(event.what, Happening::Progress { .. }) => None,
        FeedEvent::Task(event) => Some(("task", event.what.word())),
        FeedEvent::Job(event) => Some(("job", event.what.word().strip_prefix("job-")?)),
        FeedEvent::Schedule(event) => Some(("schedule", event.what.word().strip_prefix("schedule-")?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> EventPattern {
        text.parse().expect("a pattern")
    }

    #[test]
    fn pattern_includes_one_a_kind_or_all() {
        for (text, event, expected) in [
            ("task.dead", ("task", "dead"), true),
            ("task.dead", ("task", "succeeded"), false),
            ("task.*", ("task", "expired"), true),
            ("task.*", ("job", "failed"), false),
            ("*", ("alert", "firing"), true),
        ] {
            assert_eq!(pattern(text).includes(event.0, event.1), expected, "{text} {event:?}");
        }
        for event in EVENTS {
            let (kind, word) = event.split_once('.').expect("a kind and a word");
            assert!(pattern(event).includes(kind, word), "{event}");
        }
    }

    #[test]
    fn unknown_events_are_refused_with_the_nearest() {
        for text in ["", "task", "task.", "tasks.*", "task.progress", "task.dead ", "**", ".*"] {
            assert!(text.parse::<EventPattern>().is_err(), "{text}");
        }
        let refused = "task.succeded".parse::<EventPattern>().expect_err("a slip").to_string();
        assert!(refused.contains("did you mean `task.succeeded`?"), "{refused}");
    }
}
