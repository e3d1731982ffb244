//! Why something may not start: what is asked before each start, and what a task is told that waits.

use std::time::Duration;

use sunaba_task::{BreakerState, QueueSettings};

use super::groups::{Key, Queue};
use super::lanes::Handler;
use crate::Hold;

impl Queue {
    /// What holds the whole queue.
    pub(super) fn holds(&self, now: Duration) -> impl Iterator<Item = Hold> {
        let QueueSettings { paused, concurrency, rate, .. } = self.settings;
        let is_paused = paused.then_some(Hold::QueuePaused);
        let is_full = concurrency.filter(|limit| self.running >= u64::from(*limit));
        let left = rate.and_then(|rate| self.recent.left(rate, now));
        let is_full = is_full.map(|limit| Hold::QueueConcurrency { limit });
        [is_paused, is_full, left.map(|left| Hold::QueueRate { left })].into_iter().flatten()
    }
}

impl Key {
    /// What holds the tasks of a key, in a queue with these settings.
    pub(super) fn holds(&self, settings: &QueueSettings, now: Duration) -> impl Iterator<Item = Hold> {
        let is_full = settings.key_concurrency.filter(|limit| self.running >= u64::from(*limit));
        let left = settings.key_rate.and_then(|rate| self.recent.left(rate, now));
        let is_full = is_full.map(|limit| Hold::KeyConcurrency { limit });
        [is_full, left.map(|left| Hold::KeyRate { left })].into_iter().flatten()
    }
}

impl Handler {
    /// What holds a handler's tasks in all queues.
    pub(super) fn holds(&self, now: Duration) -> impl Iterator<Item = Hold> {
        let is_paused = self.control.paused.then_some(Hold::HandlerPaused);
        let is_full = self.control.concurrency.filter(|limit| self.running >= u64::from(*limit));
        let is_full = is_full.map(|limit| Hold::HandlerConcurrency { limit });
        [is_paused, is_full, self.breaker_hold(now)].into_iter().flatten()
    }

    fn breaker_hold(&self, now: Duration) -> Option<Hold> {
        self.control.breaker?;
        match self.breaker.state(now) {
            BreakerState::Closed => None,
            BreakerState::Open { until } => {
                let (of, failed) = self.breaker.recent();
                Some(Hold::BreakerOpen { left: until.saturating_sub(now), failed, of })
            }
            BreakerState::Probing => {
                let running = usize::try_from(self.running).unwrap_or(usize::MAX);
                (!self.breaker.permits(running, now)).then_some(Hold::BreakerProbing)
            }
        }
    }
}

/// When a hold ends by itself.
pub(super) fn left(hold: &Hold) -> Option<Duration> {
    match hold {
        Hold::BreakerOpen { left, .. } | Hold::QueueRate { left } | Hold::KeyRate { left } => Some(*left),
        _ => None,
    }
}
