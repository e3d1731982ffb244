//! What waits and what runs, as far as it decides who is started next.
//!
//! Memory grows with the lanes that have waiting tasks, with what runs and with the keys that have started something within
//! their rate's time, and never with the tasks that wait.
//!
//! Counts, rates and breakers live in memory. After a restart the counts are counted, and rates and breakers begin anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sunaba_task::{Breaker, HandlerControl, HandlerName, QueueSettings, TaskId, TaskSpec};

use super::groups::Queue;
use super::rates::Pass;
use crate::spot::{KeyDigest, Spot, key_digest};

#[derive(Default)]
pub(super) struct Lanes {
    pub(super) queues: BTreeMap<Arc<str>, Queue>,
    pub(super) handlers: BTreeMap<HandlerName, Handler>,
    /// When the rates of keys forget something. Each key that remembers starts has one.
    timers: BTreeSet<(Duration, Arc<str>, KeyDigest)>,
    /// When something may start that a worker is waiting for.
    pub(super) wake: Option<Duration>,
    /// Where all queues without a weight stand together.
    pub(super) unweighted: Pass,
    /// Where the class stood that was served last.
    pub(super) served: Pass,
}

/// A handler that has run, or is controlled.
#[derive(Default)]
pub(super) struct Handler {
    pub(super) control: HandlerControl,
    pub(super) running: u64,
    pub(super) breaker: Breaker,
    pub(super) has_run: bool,
}

impl Lanes {
    pub(super) fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.get(name)
    }

    pub(super) fn queue_mut(&mut self, name: &str) -> &mut Queue {
        if !self.queues.contains_key(name) {
            self.queues.insert(name.into(), Queue::default());
        }
        self.queues.get_mut(name).expect("it was put there")
    }

    pub(super) fn forget_idle(&mut self, queue: &str) {
        if self.queues.get(queue).is_some_and(Queue::is_idle) {
            self.queues.remove(queue);
        }
    }

    /// A task waits for a slot from now on.
    pub(super) fn add(&mut self, spot: &Spot<'_>, id: TaskId) {
        self.add_many(spot, id, 1);
    }

    /// So many wait in a lane, of which this is the first.
    pub(super) fn add_many(&mut self, spot: &Spot<'_>, id: TaskId, count: u64) {
        self.queue_mut(spot.queue).add(spot, id, count);
    }

    /// A task that waited for a slot does so no more.
    pub(super) fn remove(&mut self, spot: &Spot<'_>) {
        if let Some(queue) = self.queues.get_mut(spot.queue) {
            queue.remove(spot);
            self.forget_idle(spot.queue);
        }
    }

    /// A task waits for an instant from now on.
    pub(super) fn add_scheduled(&mut self, queue: &str) {
        self.queue_mut(queue).scheduled += 1;
    }

    /// A task that waited for an instant does so no more.
    pub(super) fn remove_scheduled(&mut self, queue: &str) {
        if let Some(state) = self.queues.get_mut(queue) {
            state.scheduled = state.scheduled.saturating_sub(1);
            self.forget_idle(queue);
        }
    }

    /// How many wait in a queue and how many may, when there is no room for another.
    pub(super) fn overflow(&self, queue: &str) -> Option<(u64, u64)> {
        let queue = self.queue(queue)?;
        let waiting = queue.queued + queue.scheduled;
        queue.settings.max_depth.filter(|limit| waiting >= *limit).map(|limit| (waiting, limit))
    }

    /// A task runs from now on.
    pub(super) fn start(&mut self, spec: &TaskSpec, now: Duration) {
        let queue = self.queue_mut(&spec.queue);
        queue.running += 1;
        if let Some(rate) = queue.settings.rate {
            queue.recent.push(rate, now);
        }
        if let Some(key) = spec.key.as_deref().map(key_digest) {
            let key_rate = queue.settings.key_rate;
            let state = queue.keys.entry(key).or_default();
            state.running += 1;
            if let Some(rate) = key_rate {
                state.recent.push(rate, now);
                self.set_timer(&spec.queue, key, now);
            }
        }
        if !self.handlers.contains_key(&spec.handler) {
            self.handlers.insert(spec.handler.clone(), Handler::default());
        }
        if let Some(handler) = self.handlers.get_mut(&spec.handler) {
            handler.running += 1;
            handler.has_run = true;
        }
    }

    /// A task runs no more.
    pub(super) fn stop(&mut self, spec: &TaskSpec) {
        if let Some(handler) = self.handlers.get_mut(&spec.handler) {
            handler.running = handler.running.saturating_sub(1);
        }
        let Some(queue) = self.queues.get_mut(spec.queue.as_str()) else { return };
        queue.running = queue.running.saturating_sub(1);
        if let Some(key) = spec.key.as_deref().map(key_digest)
            && let Some(state) = queue.keys.get_mut(&key)
        {
            state.running = state.running.saturating_sub(1);
            queue.release(key);
            queue.forget_idle_key(key);
        }
        self.forget_idle(&spec.queue);
    }

    /// A handler's attempt has failed, or has not.
    pub(super) fn attempted(&mut self, handler: &HandlerName, failed: bool, now: Duration) {
        if let Some(handler) = self.handlers.get_mut(handler) {
            let breaker = std::mem::take(&mut handler.breaker);
            handler.breaker = breaker.after(failed, handler.control.breaker.as_ref(), now);
        }
    }

    /// Has a key looked at when its rate forgets the oldest of its starts; without starts there is nothing to forget.
    fn set_timer(&mut self, queue: &str, key: KeyDigest, now: Duration) {
        let Some((name, _)) = self.queues.get_key_value(queue) else { return };
        let name = Arc::clone(name);
        let Some(state) = self.queues.get_mut(queue) else { return };
        let Some(rate) = state.settings.key_rate else { return };
        let Some(key_state) = state.keys.get_mut(&key).filter(|key| key.timer.is_none()) else { return };
        if let Some(at) = key_state.recent.forget(rate, now) {
            key_state.timer = Some(at);
            self.timers.insert((at, name, key));
        }
    }

    /// Rates forget what they do not look back to any more. Comes first in a turn.
    pub(super) fn pass_time(&mut self, now: Duration) {
        // Whoever still waits at the end of the turn says again what for.
        self.wake = None;
        while let Some((at, _, _)) = self.timers.first()
            && *at <= now
            && let Some((_, name, key)) = self.timers.pop_first()
        {
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            if let Some(state) = queue.keys.get_mut(&key) {
                state.timer = None;
            }
            queue.release(key);
            self.set_timer(&name, key, now);
            if let Some(queue) = self.queues.get_mut(&name) {
                queue.forget_idle_key(key);
            }
            self.forget_idle(&name);
        }
    }

    /// When something may start that may not now, as far as that is a matter of time and somebody waits for it.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _, _)| *at).into_iter().chain(self.wake).min()
    }

    /// Puts a queue's settings in force.
    pub(super) fn set(&mut self, name: &str, settings: QueueSettings, now: Duration) {
        let queue = self.queue_mut(name);
        let before = std::mem::replace(&mut queue.settings, settings);
        if queue.settings.rate.is_none() {
            queue.recent.clear();
        }
        let is_rate_new = before.key_rate != queue.settings.key_rate;
        let keys: Vec<_> = queue.keys.keys().copied().collect();
        for key in keys {
            let Some(queue) = self.queues.get_mut(name) else { break };
            queue.release(key);
            if is_rate_new && let Some(state) = queue.keys.get_mut(&key) {
                if queue.settings.key_rate.is_none() {
                    state.recent.clear();
                }
                if let Some(at) = state.timer.take() {
                    self.timers.remove(&(at, name.into(), key));
                }
                self.set_timer(name, key, now);
            }
            if let Some(queue) = self.queues.get_mut(name) {
                queue.forget_idle_key(key);
            }
        }
        self.forget_idle(name);
    }
}
