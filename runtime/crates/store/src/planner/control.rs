//! What an operator sets for queues and handlers, and how they stand.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use sunaba_task::{Breaker, BreakerState, HandlerChange, HandlerControl, HandlerName, QueueChange, QueueSettings};
use sunaba_task::{State, TaskId};

use super::audit::json;
use super::lanes::Handler;
use super::{Planner, Turn};
use crate::spot::{self, Spot};
use crate::{HandlerStatus, NAMES_PAGE, QueueStatus, Standing, StoreError, codec, keys};

/// Tasks that are put in another order in one turn.
const MAX_REORDERED: u64 = 10_000;
/// How far it is counted who comes before a task.
const MAX_AHEAD: u64 = 10_000;

impl Planner {
    pub(crate) fn queues(&self, turn: &Turn<'_>, after: Option<&str>) -> Result<Vec<QueueStatus>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.lanes.queues.range::<str, _>((from, Bound::Unbounded)).take(NAMES_PAGE);
        names.map(|(name, _)| self.queue_status(turn, name)).collect()
    }

    pub(crate) fn queue_status(&self, turn: &Turn<'_>, name: &str) -> Result<QueueStatus, StoreError> {
        let oldest = self.oldest(turn, name)?;
        let name = name.to_owned();
        let Some(queue) = self.lanes.queue(&name) else {
            let settings = QueueSettings::default();
            let (queued, scheduled, running) = (0, 0, 0);
            return Ok(QueueStatus { name, settings, queued, scheduled, running, oldest: None, stalled: Vec::new() });
        };
        let settings = queue.settings.clone();
        let (queued, scheduled, running) = (queue.queued, queue.scheduled, queue.running);
        let stalled = self.stalled(&name, queue);
        Ok(QueueStatus { name, settings, queued, scheduled, running, oldest, stalled })
    }

    /// How long the first task of a queue has waited, whether or not it may start.
    fn oldest(&self, turn: &Turn<'_>, name: &str) -> Result<Option<Duration>, StoreError> {
        let Some(queue) = self.lanes.queue(name) else { return Ok(None) };
        let Some(first) = queue.first(&turn.txn, name)? else { return Ok(None) };
        match self.stored(turn, first) {
            Ok(first) => Ok(first.map(|stored| turn.now.since(stored.task.since))),
            // Whoever leases it will set it aside.
            Err(StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn set_queue(
        &mut self,
        turn: &mut Turn<'_>,
        name: &str,
        changes: &[QueueChange],
    ) -> Result<QueueStatus, StoreError> {
        let before = self.lanes.queue(name).map(|queue| queue.settings.clone()).unwrap_or_default();
        let settings = before.clone().with(changes)?;
        turn.note_change(|| (json(&before), json(&settings)));
        if settings.aging == before.aging {
            self.lanes.set(name, settings.clone(), turn.elapsed);
        } else {
            self.reorder(turn, name, settings.clone())?;
        }
        let key = keys::queue_settings(name);
        if settings == QueueSettings::default() {
            turn.txn.delete(key);
        } else {
            turn.txn.put(key, codec::write(&settings));
        }
        self.queue_status(turn, name)
    }

    pub(crate) fn set_queue_if(
        &mut self,
        turn: &mut Turn<'_>,
        name: &str,
        seen: &QueueSettings,
        changes: &[QueueChange],
    ) -> Result<QueueStatus, StoreError> {
        let is_seen = match self.lanes.queue(name) {
            Some(queue) => queue.settings == *seen,
            None => *seen == QueueSettings::default(),
        };
        if !is_seen {
            return Err(StoreError::Changed { what: format!("the queue `{name}`") });
        }
        self.set_queue(turn, name, changes)
    }

    /// Puts settings in force by which all that waits in the queue stands elsewhere.
    fn reorder(&mut self, turn: &mut Turn<'_>, name: &str, settings: QueueSettings) -> Result<(), StoreError> {
        let waiting = self.lanes.queue(name).map_or(0, |queue| queue.queued);
        if waiting > MAX_REORDERED {
            return Err(StoreError::TooDeepToReorder { queue: name.to_owned(), waiting, limit: MAX_REORDERED });
        }
        let (first, end) = spot::of_queue(name);
        let mut tasks = Vec::new();
        // All are read before one is changed.
        let waiting: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
        for (key, value) in waiting {
            let id = keys::read_queued(&value);
            let stored = id.map(|id| self.stored_by(turn, id.as_bytes())).transpose()?.flatten();
            tasks.push((key, stored));
        }
        self.lanes.set(name, settings, turn.elapsed);
        for (key, stored) in tasks {
            let Some((lane, place)) = spot::split(&key) else { continue };
            let Some(read) = spot::read_lane(lane) else { continue };
            self.unqueue(turn, &read.spot(place));
            // A record that is damaged has no place any more; who reads it is told.
            match stored.filter(|stored| stored.task.state == State::Queued) {
                Some(mut stored) => {
                    self.put(turn, &mut stored);
                }
                None => self.unfinished.remove_one(read.code.need, Some(&read.handler)),
            }
        }
        Ok(())
    }

    pub(crate) fn handlers(
        &self,
        turn: &Turn<'_>,
        after: Option<&HandlerName>,
    ) -> Result<Vec<HandlerStatus>, StoreError> {
        let waiting = self.lanes.queues.values().flat_map(|queue| queue.groups.keys().map(|name| (**name).clone()));
        let names: BTreeSet<_> = self.lanes.handlers.keys().cloned().chain(waiting).collect();
        let names = names.into_iter().filter(|name| after.is_none_or(|after| name > after)).take(NAMES_PAGE);
        Ok(names.map(|name| self.handler_status(turn, name)).collect())
    }

    fn handler_status(&self, turn: &Turn<'_>, name: HandlerName) -> HandlerStatus {
        let queued = self
            .lanes
            .queues
            .values()
            .filter_map(|queue| queue.groups.get(&name))
            .flat_map(|groups| groups.values())
            .map(|group| group.queued)
            .sum();
        let unknown = Handler::default();
        let handler = self.lanes.handlers.get(&name).unwrap_or(&unknown);
        let (attempts, failed) = handler.breaker.recent();
        let breaker = match handler.breaker.state(turn.elapsed) {
            BreakerState::Open { until } => BreakerState::Open { until: until.saturating_sub(turn.elapsed) },
            state => state,
        };
        let control = handler.control.clone();
        HandlerStatus { name, control, queued, running: handler.running, attempts, failed, breaker }
    }

    pub(crate) fn set_handler(
        &mut self,
        turn: &mut Turn<'_>,
        name: &HandlerName,
        changes: &[HandlerChange],
    ) -> Result<HandlerStatus, StoreError> {
        let before = self.lanes.handlers.get(name).map(|handler| handler.control.clone()).unwrap_or_default();
        let control = before.clone().with(changes)?;
        turn.note_change(|| (json(&before), json(&control)));
        let handler = self.lanes.handlers.entry(name.clone()).or_default();
        if control.breaker != before.breaker {
            // What it has seen, it saw with other eyes.
            handler.breaker = Breaker::default();
        }
        handler.control = control.clone();
        let key = keys::handler_control(name);
        if control == HandlerControl::default() {
            if !handler.has_run {
                self.lanes.handlers.remove(name);
            }
            turn.txn.delete(key);
        } else {
            turn.txn.put(key, codec::write(&control));
        }
        Ok(self.handler_status(turn, name.clone()))
    }

    pub(crate) fn set_handler_if(
        &mut self,
        turn: &mut Turn<'_>,
        name: &HandlerName,
        seen: &HandlerControl,
        changes: &[HandlerChange],
    ) -> Result<HandlerStatus, StoreError> {
        let is_seen = match self.lanes.handlers.get(name) {
            Some(handler) => handler.control == *seen,
            None => *seen == HandlerControl::default(),
        };
        if !is_seen {
            return Err(StoreError::Changed { what: format!("the handler `{name}`") });
        }
        self.set_handler(turn, name, changes)
    }

    pub(crate) fn standing(&self, turn: &Turn<'_>, id: TaskId) -> Result<Standing, StoreError> {
        let mut standing = Standing { now: Some(turn.now), ..Standing::default() };
        let Some(stored) = self.stored(turn, id)?.filter(|stored| !stored.task.state.is_terminal()) else {
            return Ok(standing);
        };
        let limits = self.lanes.queue(&stored.task.spec.queue).map(|queue| queue.settings.limits.clone());
        standing.limits = limits.filter(|limits| !limits.is_empty());
        standing.runs = self.running.get(&id).map(|running| running.runs.clone());
        if stored.task.state != State::Queued {
            return Ok(standing);
        }
        let spot = Spot::of(&stored.task);
        let Some(queue) = self.lanes.queue(spot.queue) else { return Ok(standing) };
        let handler = self.lanes.handlers.get(spot.handler);
        let key = spot.key.and_then(|key| queue.keys.get(&key));
        standing.holds.extend(queue.holds(turn.elapsed));
        standing.holds.extend(handler.into_iter().flat_map(|handler| handler.holds(turn.elapsed)));
        standing.holds.extend(key.into_iter().flat_map(|key| key.holds(&queue.settings, turn.elapsed)));
        standing.holds.extend(self.session_holds(&stored.task.spec));
        standing.ahead = Some(self.ahead(turn, &spot)?);
        Ok(standing)
    }

    /// How many tasks of its queue come before one, as far as it is counted.
    fn ahead(&self, turn: &Turn<'_>, spot: &Spot<'_>) -> Result<u64, StoreError> {
        let mut ahead = 0;
        let Some(queue) = self.lanes.queue(spot.queue) else { return Ok(ahead) };
        for (handler, code, group) in queue.groups() {
            for (head, key) in group.heads_before(spot.place) {
                let lane = |place| Spot { queue: spot.queue, handler, code, key, place }.to_bytes();
                for pair in turn.txn.scan(&lane(head), &lane(spot.place), false) {
                    pair?;
                    ahead += 1;
                    if ahead == MAX_AHEAD {
                        return Ok(ahead);
                    }
                }
            }
        }
        Ok(ahead)
    }
}
