//! What an operator sets for queues and handlers and of what is kept, and how they stand.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use sunaba_store::{HandlerStatus, QueueStatus};
use sunaba_task::{
    BreakerSettings, BreakerState, Digest, Figures, HandlerChange, LimitCaps, QueueChange, Rate, Retention, Thresholds,
    concerns,
};

use super::ms;

/// A queue. What is null is without a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// Stands for its settings, and changes with them: the `ETag`, for `If-Match`.
    #[serde(default)]
    pub revision: u64,
    /// Nothing of it is started.
    pub paused: bool,
    /// Its share of all starts, beside the other queues that have work.
    pub weight: Option<u32>,
    /// Attempts at a time.
    pub concurrency: Option<u32>,
    /// Attempts at a time, of all tasks with the same key.
    pub key_concurrency: Option<u32>,
    /// Starts in a time, as `100/1s`.
    pub rate: Option<Rate>,
    /// Starts in a time, of all tasks with the same key.
    pub key_rate: Option<Rate>,
    /// Tasks that may wait in it.
    pub max_depth: Option<u64>,
    /// A waiting task moves up by one priority for each such time.
    pub aging_ms: Option<u64>,
    /// What an attempt may use at most, as `timeout=30s,memory=67108864`.
    pub limits: Option<LimitCaps>,
    /// Tasks that wait for a slot.
    pub queued: u64,
    /// Tasks that wait for an instant.
    pub scheduled: u64,
    /// Tasks that run.
    pub running: u64,
    /// How long the task that is next has waited.
    pub oldest_ms: Option<u64>,
    /// What somebody should look at, in words.
    pub attention: Vec<String>,
}

/// Some queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QueuesView {
    /// By name.
    pub queues: Vec<QueueView>,
    /// `after` of the next page, if there may be one.
    pub next: Option<String>,
}

/// Changes of a queue's settings: what is left out stays, and null takes a limit away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueuePatch {
    /// [`QueueView::paused`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// [`QueueView::weight`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub weight: Option<Option<u32>>,
    /// [`QueueView::concurrency`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub concurrency: Option<Option<u32>>,
    /// [`QueueView::key_concurrency`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub key_concurrency: Option<Option<u32>>,
    /// [`QueueView::rate`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub rate: Option<Option<Rate>>,
    /// [`QueueView::key_rate`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub key_rate: Option<Option<Rate>>,
    /// [`QueueView::max_depth`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub max_depth: Option<Option<u64>>,
    /// [`QueueView::aging_ms`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub aging_ms: Option<Option<u64>>,
    /// All of [`QueueView::limits`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub limits: Option<Option<LimitCaps>>,
}

/// A handler, and what an operator has set for it. What is null is without a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ControlView {
    /// `package/handler`.
    pub name: String,
    /// Stands for what is set for it, and changes with that: the `ETag`, for `If-Match`.
    #[serde(default)]
    pub revision: u64,
    /// None of its tasks is started.
    pub paused: bool,
    /// Attempts at a time, in all queues together.
    pub concurrency: Option<u32>,
    /// When it is given a pause because it fails, as `50%/20, 30s`.
    pub breaker: Option<BreakerSettings>,
    /// Tasks that wait for a slot.
    pub queued: u64,
    /// Tasks that run.
    pub running: u64,
    /// Its last attempts.
    pub attempts: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// Where its breaker stands: `closed`, `open` or `probing`.
    pub breaker_state: String,
    /// Until an open breaker tries one task.
    pub breaker_open_ms: Option<u64>,
    /// What somebody should look at, in words.
    pub attention: Vec<String>,
}

/// Some of the handlers that have run, wait or are controlled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ControlsView {
    /// By name.
    pub handlers: Vec<ControlView>,
    /// `after` of the next page, if there may be one.
    pub next: Option<String>,
}

/// Changes of a handler's control: what is left out stays, and null takes a limit away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HandlerPatch {
    /// [`ControlView::paused`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// [`ControlView::concurrency`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub concurrency: Option<Option<u32>>,
    /// [`ControlView::breaker`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub breaker: Option<Option<BreakerSettings>>,
}

/// How long what has ended is kept. Null: until somebody deletes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionView {
    /// The results of tasks that have succeeded.
    pub result_ms: u64,
    /// The records of tasks that have succeeded.
    pub succeeded_ms: Option<u64>,
    /// The records of cancelled tasks.
    pub cancelled_ms: Option<u64>,
    /// The records of tasks that have expired.
    pub expired_ms: Option<u64>,
    /// The records of dead tasks.
    pub dead_ms: Option<u64>,
}

/// What stands there is something that was said, null too.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl QueuePatch {
    pub(crate) fn changes(self) -> Vec<QueueChange> {
        let changes = [
            self.paused.map(QueueChange::Paused),
            self.weight.map(QueueChange::Weight),
            self.concurrency.map(QueueChange::Concurrency),
            self.key_concurrency.map(QueueChange::KeyConcurrency),
            self.rate.map(QueueChange::Rate),
            self.key_rate.map(QueueChange::KeyRate),
            self.max_depth.map(QueueChange::MaxDepth),
            self.aging_ms.map(|aging| QueueChange::Aging(aging.map(Duration::from_millis))),
            self.limits.map(|limits| QueueChange::Limits(limits.unwrap_or_default())),
        ];
        changes.into_iter().flatten().collect()
    }
}

impl HandlerPatch {
    pub(crate) fn changes(self) -> Vec<HandlerChange> {
        let changes = [
            self.paused.map(HandlerChange::Paused),
            self.concurrency.map(HandlerChange::Concurrency),
            self.breaker.map(HandlerChange::Breaker),
        ];
        changes.into_iter().flatten().collect()
    }
}

impl From<QueueStatus> for QueueView {
    fn from(queue: QueueStatus) -> Self {
        let QueueStatus { name, settings, queued, scheduled, running, oldest, stalled } = queue;
        let mut attention: Vec<_> = stalled.iter().map(sunaba_host::stalled).collect();
        attention.extend(self::attention(&Figures { backlog: queued, oldest, ..Figures::default() }));
        if settings.paused && queued > 0 {
            attention.insert(0, "paused while tasks wait".into());
        }
        Self {
            name,
            revision: revision_of(&settings),
            paused: settings.paused,
            weight: settings.weight,
            concurrency: settings.concurrency,
            key_concurrency: settings.key_concurrency,
            rate: settings.rate,
            key_rate: settings.key_rate,
            max_depth: settings.max_depth,
            aging_ms: settings.aging.map(ms),
            limits: Some(settings.limits).filter(|limits| !limits.is_empty()),
            queued,
            scheduled,
            running,
            oldest_ms: oldest.map(ms),
            attention,
        }
    }
}

impl From<HandlerStatus> for ControlView {
    fn from(handler: HandlerStatus) -> Self {
        let HandlerStatus { name, control, queued, running, attempts, failed, breaker } = handler;
        let mut attention = attention(&Figures { backlog: queued, oldest: None, attempts, failed });
        if control.paused && queued > 0 {
            attention.insert(0, "paused while tasks wait".into());
        }
        let (breaker_state, breaker_open_ms) = match breaker {
            BreakerState::Closed => ("closed", None),
            BreakerState::Open { until } => ("open", Some(ms(until))),
            BreakerState::Probing => ("probing", None),
        };
        if breaker != BreakerState::Closed {
            attention.insert(0, format!("the breaker is {breaker_state}"));
        }
        Self {
            name: name.to_string(),
            revision: revision_of(&control),
            paused: control.paused,
            concurrency: control.concurrency,
            breaker: control.breaker,
            queued,
            running,
            attempts,
            failed,
            breaker_state: breaker_state.into(),
            breaker_open_ms,
            attention,
        }
    }
}

/// Stands for settings. What nobody has set has one, too, and the same settings have the same: whoever has seen them knows what they
/// change. As large as every JSON parser reads exactly.
pub(crate) fn revision_of(settings: &impl Serialize) -> u64 {
    let json = serde_json::to_vec(settings).expect("settings have a JSON form");
    let digest = Digest::of(&json);
    digest.as_bytes().iter().take(6).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn attention(figures: &Figures) -> Vec<String> {
    concerns(figures, &Thresholds::default()).iter().map(ToString::to_string).collect()
}

impl From<Retention> for RetentionView {
    fn from(retention: Retention) -> Self {
        Self {
            result_ms: ms(retention.result),
            succeeded_ms: retention.succeeded.map(ms),
            cancelled_ms: retention.cancelled.map(ms),
            expired_ms: retention.expired.map(ms),
            dead_ms: retention.dead.map(ms),
        }
    }
}

impl From<RetentionView> for Retention {
    fn from(view: RetentionView) -> Self {
        let kept = |ms: Option<u64>| ms.map(Duration::from_millis);
        Self {
            result: Duration::from_millis(view.result_ms),
            succeeded: kept(view.succeeded_ms),
            cancelled: kept(view.cancelled_ms),
            expired: kept(view.expired_ms),
            dead: kept(view.dead_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use sunaba_task::QueueSettings;

    use super::*;

    #[test]
    fn what_is_left_out_stays_and_null_takes_away() {
        let patch: QueuePatch = serde_json::from_str(r#"{"paused":true,"rate":null,"weight":3}"#).expect("a patch");
        let expected = [QueueChange::Paused(true), QueueChange::Weight(Some(3)), QueueChange::Rate(None)];
        assert_eq!(patch.clone().changes(), expected);
        let written = serde_json::to_string(&patch).expect("JSON");
        assert_eq!(serde_json::from_str::<QueuePatch>(&written).expect("a patch"), patch);
        assert!(serde_json::from_str::<QueuePatch>(r#"{"speed":1}"#).is_err());
        assert!(serde_json::from_str::<QueuePatch>(r#"{"rate":"fast"}"#).is_err());
    }

    #[test]
    fn paused_queue_with_work_needs_attention_and_without_does_not() {
        let queue = |paused, queued| QueueStatus {
            name: "mail".into(),
            settings: QueueSettings { paused, ..QueueSettings::default() },
            queued,
            scheduled: 0,
            running: 0,
            oldest: None,
            stalled: Vec::new(),
        };
        assert_eq!(QueueView::from(queue(true, 1)).attention, ["paused while tasks wait"]);
        assert_eq!(QueueView::from(queue(true, 0)).attention, [""; 0]);
        assert_eq!(QueueView::from(queue(false, 10_000)).attention, ["10,000 tasks wait"]);
    }

    #[test]
    fn revision_is_that_of_the_settings_alone() {
        let (new, paused) = (QueueSettings::default(), QueueSettings { paused: true, ..QueueSettings::default() });
        assert_ne!(revision_of(&new), revision_of(&paused));
        assert_eq!(revision_of(&new), revision_of(&QueueSettings { paused: false, ..paused }));
        // What a float holds exactly.
        assert!(revision_of(&new) < 1 << 53);
    }

    #[test]
    fn retention_reads_back() {
        let retention = Retention::default();
        assert_eq!(Retention::from(RetentionView::from(retention.clone())), retention);
    }
}
