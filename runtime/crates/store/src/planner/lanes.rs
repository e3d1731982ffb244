//! What waits and what runs, as far as it decides who is started next.
//!
//! Each lane keeps its head: no task of it stands before that, so that no scan begins over keys that were deleted. Memory
//! grows with the lanes that have waiting tasks and with what runs, and never with the tasks that wait.
//!
//! A lane whose key may not start just now is held aside, until something has happened to the key: a task of it has ended,
//! or its rate's time has passed. So it is looked at once, however often work is asked for.
//!
//! Counts, rates and breakers live in memory. After a restart the counts are counted, and rates and breakers begin anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sunaba_task::{Breaker, HandlerControl, HandlerName, QueueSettings, TaskId, TaskSpec};

use super::rates::{Pass, Recent};
use crate::StoreError;
use crate::spot::{KeyDigest, LaneKey, Place, Spot, key_digest};
use crate::txn::Txn;

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

/// A queue that has tasks or settings, or had starts lately.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) settings: QueueSettings,
    pub(super) groups: BTreeMap<Arc<HandlerName>, Group>,
    /// Those that run, that have started lately, or whose lanes are held.
    pub(super) keys: BTreeMap<KeyDigest, Key>,
    pub(super) queued: u64,
    pub(super) scheduled: u64,
    pub(super) running: u64,
    pub(super) recent: Recent,
    pub(super) pass: Pass,
}

/// The lanes of a queue for one handler.
#[derive(Default)]
pub(super) struct Group {
    pub(super) queued: u64,
    lanes: BTreeMap<LaneKey, Lane>,
    /// The heads of the lanes, of those that are not held and of those that are.
    ready: BTreeSet<(Place, LaneKey)>,
    held: BTreeSet<(Place, LaneKey)>,
}

struct Lane {
    queued: u64,
    head: Place,
    /// Who stands there. None: perhaps nobody.
    id: Option<TaskId>,
    is_held: bool,
}

/// A key in a queue, over all handlers.
#[derive(Default)]
pub(super) struct Key {
    pub(super) running: u64,
    pub(super) recent: Recent,
    /// The handlers whose lanes of this key are held.
    held: BTreeSet<Arc<HandlerName>>,
    timer: Option<Duration>,
}

/// A handler that has run, or is controlled.
#[derive(Default)]
pub(super) struct Handler {
    pub(super) control: HandlerControl,
    pub(super) running: u64,
    pub(super) breaker: Breaker,
    pub(super) has_run: bool,
}

impl Group {
    fn sets(&mut self, is_held: bool) -> &mut BTreeSet<(Place, LaneKey)> {
        if is_held { &mut self.held } else { &mut self.ready }
    }

    fn set_head(&mut self, key: LaneKey, place: Place, id: Option<TaskId>) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let (before, is_held) = (std::mem::replace(&mut lane.head, place), lane.is_held);
        lane.id = id;
        self.sets(is_held).remove(&(before, key));
        self.sets(is_held).insert((place, key));
    }

    fn set_held(&mut self, key: LaneKey, is_held: bool) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let (head, before) = (lane.head, std::mem::replace(&mut lane.is_held, is_held));
        self.sets(before).remove(&(head, key));
        self.sets(is_held).insert((head, key));
    }

    /// No task that may start stands before this place.
    pub(super) fn first_ready(&self) -> Option<(Place, LaneKey)> {
        self.ready.first().copied()
    }

    /// Every lane, and from where on it may have tasks; those that may start and then those that may not, each from the first
    /// on.
    fn heads(&self) -> [impl Iterator<Item = (Place, LaneKey)>; 2] {
        [self.ready.iter().copied(), self.held.iter().copied()]
    }

    /// The first task of a lane from its head on, and where it stands.
    fn peek(&self, txn: &Txn<'_>, head: Spot<'_>) -> Result<Option<(Place, TaskId)>, StoreError> {
        if let Some(id) = self.lanes.get(&head.key).and_then(|lane| lane.id) {
            return Ok(Some((head.place, id)));
        }
        let first = txn.first(&head.to_bytes(), &head.lane_end())?;
        let found = |(key, id): (Bytes, Bytes)| {
            Some((crate::spot::split(&key)?.1, TaskId::from_bytes(id.as_ref().try_into().ok()?)))
        };
        Ok(first.and_then(found))
    }

    /// The lanes that may have tasks before a place, and from where on.
    pub(super) fn heads_before(&self, place: Place) -> impl Iterator<Item = (Place, LaneKey)> {
        self.ready.range(..(place, None)).chain(self.held.range(..(place, None))).copied()
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        let nothing_waits = self.groups.is_empty() && self.scheduled == 0;
        let nothing_runs = self.running == 0 && self.keys.is_empty();
        nothing_waits && nothing_runs && self.recent.is_empty() && self.settings == QueueSettings::default()
    }

    /// Adds a task to its lane, or many of which this is the first.
    fn add(&mut self, spot: &Spot<'_>, id: TaskId, count: u64) {
        self.queued += count;
        if !self.groups.contains_key(spot.handler) {
            self.groups.insert(Arc::new(spot.handler.clone()), Group::default());
        }
        let Some(group) = self.groups.get_mut(spot.handler) else { return };
        group.queued += count;
        match group.lanes.get_mut(&spot.key) {
            Some(lane) => {
                lane.queued += count;
                if spot.place <= lane.head {
                    group.set_head(spot.key, spot.place, Some(id));
                }
            }
            None => {
                let lane = Lane { queued: count, head: spot.place, id: Some(id), is_held: false };
                group.lanes.insert(spot.key, lane);
                group.ready.insert((spot.place, spot.key));
            }
        }
    }

    fn remove(&mut self, spot: &Spot<'_>) {
        let Some(group) = self.groups.get_mut(spot.handler) else { return };
        let Some(lane) = group.lanes.get_mut(&spot.key) else { return };
        if lane.queued <= 1 {
            return self.drop_lane(spot.handler, spot.key);
        }
        lane.queued -= 1;
        if lane.head == spot.place {
            group.set_head(spot.key, spot.place.next(), None);
        }
        group.queued -= 1;
        self.queued -= 1;
    }

    /// Forgets a lane in which nothing waits any more.
    fn drop_lane(&mut self, handler: &HandlerName, key: LaneKey) {
        let Some(group) = self.groups.get_mut(handler) else { return };
        let Some(lane) = group.lanes.remove(&key) else { return };
        group.sets(lane.is_held).remove(&(lane.head, key));
        group.queued = group.queued.saturating_sub(lane.queued);
        self.queued = self.queued.saturating_sub(lane.queued);
        if group.lanes.is_empty() {
            self.groups.remove(handler);
        }
        if let Some(key) = key
            && let Some(state) = self.keys.get_mut(&key)
        {
            state.held.remove(handler);
            self.forget_idle_key(key);
        }
    }

    fn forget_idle_key(&mut self, key: KeyDigest) {
        let is_idle = |state: &Key| state.running == 0 && state.timer.is_none() && state.held.is_empty();
        if self.keys.get(&key).is_some_and(is_idle) {
            self.keys.remove(&key);
        }
    }

    /// Sets a lane aside until something happens to its key.
    pub(super) fn hold(&mut self, handler: &Arc<HandlerName>, key: KeyDigest) {
        if let Some(group) = self.groups.get_mut(handler) {
            group.set_held(Some(key), true);
            self.keys.entry(key).or_default().held.insert(Arc::clone(handler));
        }
    }

    /// Has the lanes of a key looked at again.
    fn release(&mut self, key: KeyDigest) {
        let Some(state) = self.keys.get_mut(&key) else { return };
        for handler in std::mem::take(&mut state.held) {
            if let Some(group) = self.groups.get_mut(&handler) {
                group.set_held(Some(key), false);
            }
        }
    }

    /// The first task of the queue, whether or not it may start.
    pub(super) fn first(&self, txn: &Txn<'_>, queue: &str) -> Result<Option<TaskId>, StoreError> {
        let mut first: Option<(Place, TaskId)> = None;
        for (handler, group) in &self.groups {
            for heads in group.heads() {
                for (head, key) in heads {
                    // In order: whatever comes behind is not before it either.
                    if first.is_some_and(|(place, _)| place <= head) {
                        break;
                    }
                    if let Some(found) = group.peek(txn, Spot { queue, handler, key, place: head })? {
                        first = first.into_iter().chain([found]).min_by_key(|(place, _)| *place);
                    }
                }
            }
        }
        Ok(first.map(|(_, id)| id))
    }

    /// The first task of a lane, and where it stands. A lane that has none is forgotten.
    pub(super) fn resolve(
        &mut self,
        txn: &Txn<'_>,
        queue: &str,
        handler: &HandlerName,
        key: LaneKey,
    ) -> Result<Option<(Place, TaskId)>, StoreError> {
        let Some(group) = self.groups.get_mut(handler) else { return Ok(None) };
        let Some(lane) = group.lanes.get(&key) else { return Ok(None) };
        let Some((place, id)) = group.peek(txn, Spot { queue, handler, key, place: lane.head })? else {
            tracing::error!(queue, %handler, "a queue has fewer tasks than were counted");
            self.drop_lane(handler, key);
            return Ok(None);
        };
        group.set_head(key, place, Some(id));
        Ok(Some((place, id)))
    }
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

    /// Rates forget what they do not look back to any more.
    pub(super) fn pass_time(&mut self, now: Duration) {
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
