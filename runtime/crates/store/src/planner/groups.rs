//! The lanes of one queue: the head of each, and which are held aside.
//!
//! No task of a lane stands before its head, so that no scan begins over keys that were deleted. A lane whose key may not
//! start just now is held, until something has happened to the key: a task of it has ended, or its rate's time has passed.
//! So it is looked at once, however often work is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sunaba_task::{HandlerName, QueueSettings, TaskId};

use super::ahead::{Ahead, MAX_AHEAD};
use super::rates::{Pass, Recent};
use crate::StoreError;
use crate::keys;
use crate::spot::{self, Code, KeyDigest, LaneKey, Place, Spot};
use crate::txn::Txn;

/// A queue that has tasks or settings, or had starts lately.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) settings: QueueSettings,
    pub(super) groups: BTreeMap<Arc<HandlerName>, BTreeMap<Code, Group>>,
    /// Those that run, that have started lately, or whose lanes are held.
    pub(super) keys: BTreeMap<KeyDigest, Key>,
    pub(super) queued: u64,
    pub(super) scheduled: u64,
    pub(super) running: u64,
    pub(super) recent: Recent,
    pub(super) pass: Pass,
}

/// What all tasks of a group ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Work {
    pub(super) handler: Arc<HandlerName>,
    pub(super) code: Code,
}

/// The lanes of a queue for one handler that need the same code.
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
    /// Who stands behind it. Nobody, unless it is known who stands there.
    ahead: Ahead,
    /// How many before the head wait for something of their own, and are looked past: counted in `queued`.
    aside: u64,
    is_held: bool,
}

impl Lane {
    /// A task has come behind the head.
    fn add_behind(&mut self, key: LaneKey, place: Place, id: TaskId) {
        if key.is_none() && self.id.is_some() {
            let known = self.ahead.len();
            self.ahead.add(place, id, self.queued == 1 + known as u64 && known < MAX_AHEAD);
        }
    }

    /// A task has come before the head.
    fn add_before(&mut self, key: LaneKey, place: Place) {
        match self.id {
            Some(head) if key.is_none() && place != self.head => self.ahead.push_head(self.head, head),
            Some(_) if place == self.head => {}
            _ => self.ahead.forget(),
        }
    }
}

/// A key in a queue, over all handlers.
#[derive(Default)]
pub(super) struct Key {
    pub(super) running: u64,
    pub(super) recent: Recent,
    /// The groups whose lanes of this key are held.
    held: BTreeSet<Work>,
    /// When its rate forgets the oldest of its starts.
    pub(super) timer: Option<Duration>,
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
    fn heads(&self) -> [impl Iterator<Item = &(Place, LaneKey)>; 2] {
        [self.ready.iter(), self.held.iter()]
    }

    /// The first task of a lane from its head on, and where it stands.
    fn peek(&self, txn: &Txn<'_>, head: Spot<'_>) -> Result<Option<(Place, TaskId)>, StoreError> {
        if let Some(id) = self.lanes.get(&head.key).and_then(|lane| lane.id) {
            return Ok(Some((head.place, id)));
        }
        let first = txn.first(&head.to_bytes(), &head.lane_end())?;
        Ok(first.and_then(|(key, value)| {
            let (_, place) = spot::split(&key)?;
            Some((place, keys::read_queued(&value)?))
        }))
    }

    /// The lanes that may have tasks before a place, and from where on.
    pub(super) fn heads_before(&self, place: Place) -> impl Iterator<Item = (Place, LaneKey)> {
        self.ready.range(..(place, None)).chain(self.held.range(..(place, None))).copied()
    }
}

impl Queue {
    pub(super) fn is_idle(&self) -> bool {
        let nothing_waits = self.groups.is_empty() && self.scheduled == 0;
        let nothing_runs = self.running == 0 && self.keys.is_empty();
        nothing_waits && nothing_runs && self.recent.is_empty() && self.settings == QueueSettings::default()
    }

    /// Every group, and what its tasks ask for.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Arc<HandlerName>, Code, &Group)> {
        self.groups.iter().flat_map(|(handler, groups)| groups.iter().map(move |(code, group)| (handler, *code, group)))
    }

    pub(super) fn group(&self, handler: &HandlerName, code: Code) -> Option<&Group> {
        self.groups.get(handler)?.get(&code)
    }

    fn group_mut(&mut self, handler: &HandlerName, code: Code) -> Option<&mut Group> {
        self.groups.get_mut(handler)?.get_mut(&code)
    }

    /// Adds a task to its lane, or many of which this is the first.
    pub(super) fn add(&mut self, spot: &Spot<'_>, id: TaskId, count: u64) {
        self.queued += count;
        if !self.groups.contains_key(spot.handler) {
            self.groups.insert(Arc::new(spot.handler.clone()), BTreeMap::new());
        }
        let Some(groups) = self.groups.get_mut(spot.handler) else { return };
        let group = groups.entry(spot.code).or_default();
        group.queued += count;
        match group.lanes.get_mut(&spot.key) {
            Some(lane) => {
                let is_first = spot.place <= lane.head;
                if is_first {
                    lane.add_before(spot.key, spot.place);
                } else {
                    lane.add_behind(spot.key, spot.place, id);
                }
                lane.queued += count;
                if is_first {
                    group.set_head(spot.key, spot.place, Some(id));
                }
            }
            None => {
                let (head, id, ahead) = (spot.place, Some(id), Ahead::default());
                let lane = Lane { queued: count, head, id, ahead, aside: 0, is_held: false };
                group.lanes.insert(spot.key, lane);
                group.ready.insert((spot.place, spot.key));
            }
        }
    }

    pub(super) fn remove(&mut self, spot: &Spot<'_>) {
        let Some(group) = self.group_mut(spot.handler, spot.code) else { return };
        let Some(lane) = group.lanes.get_mut(&spot.key) else { return };
        if lane.queued <= 1 {
            return self.drop_lane(spot.handler, spot.code, spot.key);
        }
        lane.queued -= 1;
        if lane.head == spot.place {
            let (place, id) = lane.ahead.pop().map_or((spot.place.next(), None), |(place, id)| (place, Some(id)));
            group.set_head(spot.key, place, id);
        } else {
            lane.ahead.remove(spot.place);
        }
        group.queued -= 1;
        self.queued -= 1;
    }

    /// Forgets a lane in which nothing waits any more.
    fn drop_lane(&mut self, handler: &HandlerName, code: Code, key: LaneKey) {
        let Some(groups) = self.groups.get_mut(handler) else { return };
        let Some(group) = groups.get_mut(&code) else { return };
        let Some(lane) = group.lanes.remove(&key) else { return };
        group.sets(lane.is_held).remove(&(lane.head, key));
        group.queued = group.queued.saturating_sub(lane.queued);
        self.queued = self.queued.saturating_sub(lane.queued);
        if group.lanes.is_empty() {
            groups.remove(&code);
        }
        if groups.is_empty() {
            self.groups.remove(handler);
        }
        if let Some(key) = key
            && let Some(state) = self.keys.get_mut(&key)
        {
            state.held.retain(|held| (&*held.handler, held.code) != (handler, code));
            self.forget_idle_key(key);
        }
    }

    pub(super) fn forget_idle_key(&mut self, key: KeyDigest) {
        let is_idle = |state: &Key| state.running == 0 && state.timer.is_none() && state.held.is_empty();
        if self.keys.get(&key).is_some_and(is_idle) {
            self.keys.remove(&key);
        }
    }

    /// Sets a lane aside until something happens to its key.
    pub(super) fn hold(&mut self, work: &Work, key: KeyDigest) {
        if let Some(group) = self.group_mut(&work.handler, work.code) {
            group.set_held(Some(key), true);
            self.keys.entry(key).or_default().held.insert(work.clone());
        }
    }

    /// Has the lanes of a key looked at again.
    pub(super) fn release(&mut self, key: KeyDigest) {
        let Some(state) = self.keys.get_mut(&key) else { return };
        for Work { handler, code } in std::mem::take(&mut state.held) {
            if let Some(group) = self.group_mut(&handler, code) {
                group.set_held(Some(key), false);
            }
        }
    }

    /// Looks past the head of a lane, which keeps its place and is counted, until [`Self::look_again`].
    pub(super) fn set_aside(&mut self, work: &Work, key: LaneKey, place: Place) {
        let Some(group) = self.group_mut(&work.handler, work.code) else { return };
        let Some(lane) = group.lanes.get_mut(&key) else { return };
        lane.aside += 1;
        let (next, id) = lane.ahead.pop().map_or((place.next(), None), |(place, id)| (place, Some(id)));
        group.set_head(key, next, id);
    }

    /// Nobody of a lane is looked past any more; this is where one of them stands.
    pub(super) fn look_again(&mut self, work: &Work, key: LaneKey, place: Place) {
        let Some(group) = self.group_mut(&work.handler, work.code) else { return };
        let Some(lane) = group.lanes.get_mut(&key) else { return };
        lane.aside = 0;
        // Others may have come before it, and it may be gone: who stands there is read anew.
        lane.ahead.forget();
        let head = lane.head.min(place);
        group.set_head(key, head, None);
        // If it is its key's limit that holds it, that is found again.
        group.set_held(key, false);
    }

    /// The first task of the queue, whether or not it may start.
    pub(super) fn first(&self, txn: &Txn<'_>, queue: &str) -> Result<Option<TaskId>, StoreError> {
        let mut first: Option<(Place, TaskId)> = None;
        for (handler, code, group) in self.groups() {
            for heads in group.heads() {
                for &(head, key) in heads {
                    // In order: whatever comes behind is not before it either.
                    if first.is_some_and(|(place, _)| place <= head) {
                        break;
                    }
                    if let Some(found) = group.peek(txn, Spot { queue, handler, code, key, place: head })? {
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
        Work { handler, code }: &Work,
        key: LaneKey,
    ) -> Result<Option<(Place, TaskId)>, StoreError> {
        let Some(group) = self.group(handler, *code) else { return Ok(None) };
        let Some(lane) = group.lanes.get(&key) else { return Ok(None) };
        let Some((place, id)) = group.peek(txn, Spot { queue, handler, code: *code, key, place: lane.head })? else {
            if lane.aside > 0 {
                // All that are left of it are looked past.
                if let Some(group) = self.group_mut(handler, *code) {
                    group.set_held(key, true);
                }
                return Ok(None);
            }
            tracing::error!(queue, %handler, "a queue has fewer tasks than were counted");
            self.drop_lane(handler, *code, key);
            return Ok(None);
        };
        let head = Spot { queue, handler, code: *code, key, place: lane.head };
        let behind = if lane.id.is_none() && key.is_none() { behind(txn, head)? } else { Vec::new() };
        if let Some(group) = self.group_mut(handler, *code) {
            if let Some(lane) = group.lanes.get_mut(&key).filter(|_| !behind.is_empty()) {
                lane.ahead.fill(behind.into_iter());
            }
            group.set_head(key, place, Some(id));
        }
        Ok(Some((place, id)))
    }
}

/// Who stands behind the first task from here on, as far as it can be read.
fn behind(txn: &Txn<'_>, head: Spot<'_>) -> Result<Vec<(Place, TaskId)>, StoreError> {
    let mut behind = Vec::new();
    for pair in txn.scan(&head.to_bytes(), &head.lane_end(), false).skip(1).take(MAX_AHEAD) {
        let (key, value) = pair?;
        let Some(((_, place), id)) = spot::split(&key).zip(keys::read_queued(&value)) else { break };
        behind.push((place, id));
    }
    Ok(behind)
}
