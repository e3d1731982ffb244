//! Who is started next, of all that may start: shares between queues by weight, then the highest priority, then the oldest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use sunaba_task::{TaskId, Timestamp};

use super::groups::{Queue, Work};
use super::holds::left;
use super::lanes::Lanes;
use super::rates::Pass;
use crate::spot::{LaneKey, Place, Spot, aging_steps};
use crate::txn::Txn;
use crate::{Queues, StoreError};

/// What one worker is chosen from. While it lives, tasks start and nothing else happens.
pub(super) struct Selection {
    /// Whoever has had least of its share is first.
    order: BinaryHeap<Reverse<(Pass, usize)>>,
    classes: Vec<Class>,
    now: Timestamp,
    elapsed: Duration,
}

/// A queue with a weight, or all those without.
#[derive(Default)]
struct Class {
    queue: Option<Arc<str>>,
    groups: BinaryHeap<Reverse<Candidate>>,
}

/// A group, by the first that may start of it. There may be none, and none that is as early, but none is earlier.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// As it is now. Ranks of queues that age differently cannot be compared, so these are.
    priority: Reverse<i64>,
    sequence: u64,
    queue: Arc<str>,
    work: Work,
}

impl Candidate {
    fn new(name: &Arc<str>, work: Work, place: Place, queue: &Queue, now: Timestamp) -> Self {
        let risen = queue.settings.aging.map_or(0, |aging| aging_steps(now.unix_ms(), aging));
        let priority = Reverse(place.rank().saturating_add(risen));
        Self { priority, sequence: place.sequence(), queue: Arc::clone(name), work }
    }
}

/// A task that is next by its key in the queue. It is there until somebody removes it, or it is passed over.
pub(super) struct Pick {
    pub(super) id: TaskId,
    queue: Arc<str>,
    work: Work,
    key: LaneKey,
    place: Place,
    /// The number of its class, and where that and the class that was served last stood before.
    class: usize,
    before: Pass,
    served: Pass,
}

impl Pick {
    pub(super) fn spot(&self) -> Spot<'_> {
        let Work { handler, code } = &self.work;
        Spot { queue: &self.queue, handler, code: *code, key: self.key, place: self.place }
    }
}

/// The first of a group that may start, and of which queue.
type Head = (Arc<str>, Work, (Place, LaneKey, TaskId));

impl Lanes {
    /// All that may start now, of these queues.
    pub(super) fn select(&mut self, served: &Queues, now: Timestamp, elapsed: Duration) -> Selection {
        let mut classes = vec![Class::default()];
        let mut wake = None;
        for (name, queue) in self.queues.iter().filter(|(name, queue)| queue.queued > 0 && served.contain(name)) {
            if let Some(hold) = queue.holds(elapsed).next() {
                wake = left(&hold).into_iter().chain(wake).min();
                continue;
            }
            let groups = queue.groups().filter_map(|(handler, code, group)| {
                let (place, _) = group.first_ready()?;
                let work = Work { handler: Arc::clone(handler), code };
                Some(Reverse(Candidate::new(name, work, place, queue, now)))
            });
            match queue.settings.weight {
                Some(_) => classes.push(Class { queue: Some(Arc::clone(name)), groups: groups.collect() }),
                None => classes[0].groups.extend(groups),
            }
        }
        let order = classes.iter().enumerate().filter(|(_, class)| !class.groups.is_empty());
        let order = order.map(|(number, class)| Reverse((self.pass(class).0.with_work(self.served), number))).collect();
        self.wake_after(wake, elapsed);
        Selection { order, classes, now, elapsed }
    }

    /// Where a class stands, and its weight.
    fn pass(&self, class: &Class) -> (Pass, u32) {
        match class.queue.as_ref().and_then(|queue| self.queues.get(queue)) {
            Some(queue) => (queue.pass, queue.settings.weight.unwrap_or(1)),
            None => (self.unweighted, 1),
        }
    }

    /// The next that may start. It has to be removed from its lane before another is asked for.
    pub(super) fn next(&mut self, selection: &mut Selection, txn: &Txn<'_>) -> Result<Option<Pick>, StoreError> {
        // Whoever cannot start any more is left out from then on, so that this ends.
        while let Some(Reverse((pass, number))) = selection.order.pop() {
            let class = &mut selection.classes[number];
            let next = self.next_of(class, selection.now, selection.elapsed, txn)?;
            let Some((queue, work, (place, key, id))) = next else { continue };
            let (before, weight) = self.pass(class);
            let pick = Pick { id, queue, work, key, place, class: number, before, served: self.served };
            let after = pass.after_start(weight);
            self.served = self.served.max(pass);
            match class.queue.as_ref().and_then(|queue| self.queues.get_mut(queue)) {
                Some(queue) => queue.pass = after,
                None => self.unweighted = after,
            }
            selection.order.push(Reverse((after, number)));
            return Ok(Some(pick));
        }
        Ok(None)
    }

    /// The last pick is not started, and costs its class nothing.
    pub(super) fn put_back(&mut self, selection: &Selection, pick: &Pick) {
        let class = selection.classes.get(pick.class).and_then(|class| class.queue.as_ref());
        match class.and_then(|queue| self.queues.get_mut(queue)) {
            Some(queue) => queue.pass = pick.before,
            None => self.unweighted = pick.before,
        }
        self.served = pick.served;
    }

    /// The last pick is not started, and stands aside for those behind it until [`Self::look_again`].
    pub(super) fn set_aside(&mut self, selection: &mut Selection, pick: &Pick) {
        self.put_back(selection, pick);
        selection.order.retain(|Reverse((_, number))| *number != pick.class);
        selection.order.push(Reverse((pick.before.with_work(pick.served), pick.class)));
        if let Some(queue) = self.queues.get_mut(&pick.queue) {
            queue.set_aside(&pick.work, pick.key, pick.place);
        }
    }

    /// Those that stood aside are the first of their lanes again.
    pub(super) fn look_again(&mut self, aside: &[Pick]) {
        for pick in aside {
            if let Some(queue) = self.queues.get_mut(&pick.queue) {
                queue.look_again(&pick.work, pick.key, pick.place);
            }
        }
    }

    /// The last pick is not started and costs nothing, and what needs the same code for its handler in its queue is left out of this selection, too.
    pub(super) fn pass_over(&mut self, selection: &mut Selection, pick: &Pick) {
        self.put_back(selection, pick);
        if let Some(class) = selection.classes.get_mut(pick.class) {
            class.groups.retain(|Reverse(group)| (&group.queue, &group.work) != (&pick.queue, &pick.work));
            selection.order.retain(|Reverse((_, number))| *number != pick.class);
            selection.order.push(Reverse((pick.before.with_work(pick.served), pick.class)));
        }
    }

    fn next_of(
        &mut self,
        class: &mut Class,
        now: Timestamp,
        elapsed: Duration,
        txn: &Txn<'_>,
    ) -> Result<Option<Head>, StoreError> {
        while let Some(Reverse(candidate)) = class.groups.pop() {
            let Some(queue) = self.queues.get_mut(&candidate.queue) else { continue };
            let handler = self.handlers.get(&*candidate.work.handler);
            let hold = queue.holds(elapsed).next().or_else(|| handler?.holds(elapsed).next());
            if let Some(hold) = hold {
                self.wake_after(left(&hold), elapsed);
                continue;
            }
            let head = queue.next_of(txn, (&candidate.queue, &candidate.work), elapsed)?;
            let Some((place, key, id)) = head else { continue };
            let found = Candidate::new(&candidate.queue, candidate.work.clone(), place, queue, now);
            let is_next = class.groups.peek().is_none_or(|Reverse(other)| found <= *other);
            let Candidate { queue, work, .. } = candidate;
            // As the first of its group that there was: there is none before it, and it is not looked up before it is needed.
            class.groups.push(Reverse(found));
            if is_next {
                return Ok(Some((queue, work, (place, key, id))));
            }
        }
        Ok(None)
    }

    fn wake_after(&mut self, left: Option<Duration>, elapsed: Duration) {
        let at = left.map(|left| elapsed.saturating_add(left));
        self.wake = at.into_iter().chain(self.wake).min();
    }
}

impl Queue {
    /// The first task of a group whose key may start. Lanes whose keys may not are held from then on.
    fn next_of(
        &mut self,
        txn: &Txn<'_>,
        (name, work): (&str, &Work),
        elapsed: Duration,
    ) -> Result<Option<(Place, LaneKey, TaskId)>, StoreError> {
        // Each round holds a lane, forgets one, or finds the head of one.
        while let Some((before, key)) = self.group(&work.handler, work.code).and_then(|group| group.first_ready()) {
            if let Some(key) = key
                && let Some(state) = self.keys.get(&key)
                && state.holds(&self.settings, elapsed).next().is_some()
            {
                self.hold(work, key);
                continue;
            }
            if let Some((place, id)) = self.resolve(txn, name, work, key)?
                && place == before
            {
                return Ok(Some((place, key, id)));
            }
        }
        Ok(None)
    }
}
