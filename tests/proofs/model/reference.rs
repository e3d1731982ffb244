//! What a queue is to do, in plain maps: no code of the store's, and nothing durable. Small enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use super::item::{Item, Limits, Origin, Place, Refusal};
use super::shelf::Shelf;
use super::step::{Conflict, Step, Verdict, Wish};

/// What the wall clock shows at first.
pub(super) const START_MS: u64 = 1_767_225_600_000;
/// Hosts that a task of the model may lose.
pub(super) const MAX_HOSTS_LOST: u32 = 2;
/// How long what has ended is kept. Dead letters are kept for ever, unless they were run again.
pub(super) const RESULT_MS: u64 = 150_000;
pub(super) const SUCCEEDED_MS: u64 = 90_000;
pub(super) const CANCELLED_MS: u64 = 40_000;
pub(super) const EXPIRED_MS: u64 = 110_000;
/// Records go at whole minutes: none earlier than was asked, and up to a minute later.
const MINUTE_MS: u64 = 60_000;

#[derive(Debug, Clone)]
struct Session {
    lease_ms: u64,
    expires_ms: u64,
    open: bool,
    news: BTreeSet<usize>,
}

/// What the model would have answered to the last step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing worth a word.
    Done,
    /// Of each wish, the task that it gave and whether that is new.
    Submitted(Vec<Result<(usize, bool), Refusal>>),
    /// Whether there is such a task.
    Known(bool),
    /// The new task.
    Rerun(Result<usize, Refusal>),
    /// It is deleted.
    Deleted(Result<(), Refusal>),
    /// Tasks, their attempts and what those run, in this order.
    Leased(Vec<(usize, u32, u32)>),
    /// Tasks to be cancelled.
    Renewed(BTreeSet<usize>),
    /// The session is lost.
    SessionLost,
    /// The lease was closed.
    Settled,
    /// The lease is lost.
    LeaseLost,
    /// The record has moved.
    Stale,
    /// Tasks, newest first.
    Listed(Vec<usize>),
    /// The versions that are active one after another; none: there is no such version.
    Active(Vec<Option<u32>>),
}

/// The model.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) elapsed_ms: u64,
    pub(super) wall_ms: u64,
    pub(super) items: Vec<Item>,
    /// Every lease that there ever was: the task and the attempt.
    pub(super) tokens: Vec<(usize, u32)>,
    pub(super) answer: Answer,
    pub(super) shelf: Shelf,
    sessions: Vec<Session>,
    keys: BTreeMap<u8, usize>,
    /// Who holds a unique key, and until when; none: until its end.
    holders: BTreeMap<u8, (usize, Option<u64>)>,
    queues: [Limits; 2],
    handlers: [Limits; 2],
}

impl Default for Model {
    fn default() -> Self {
        Self {
            elapsed_ms: 0,
            wall_ms: START_MS,
            items: Vec::new(),
            tokens: Vec::new(),
            answer: Answer::Done,
            shelf: Shelf::default(),
            sessions: Vec::new(),
            keys: BTreeMap::new(),
            holders: BTreeMap::new(),
            queues: Default::default(),
            handlers: Default::default(),
        }
    }
}

/// One of so many, by any number; none of none.
pub(super) fn pick(index: u8, count: usize) -> Option<usize> {
    usize::from(index).checked_rem(count)
}

impl Model {
    /// The model after this step.
    pub(super) fn after(mut self, step: &Step) -> Self {
        self.answer = self.take(step);
        self.pass_time();
        self
    }

    fn take(&mut self, step: &Step) -> Answer {
        match step {
            Step::Submit(wishes) => Answer::Submitted(wishes.iter().map(|wish| self.submit(wish)).collect()),
            Step::OpenSession { lease_ms } => {
                let expires_ms = self.elapsed_ms + lease_ms;
                self.sessions.push(Session { lease_ms: *lease_ms, expires_ms, open: true, news: BTreeSet::new() });
                Answer::Done
            }
            Step::Lease { session, slots, queue } => match self.open_session(*session) {
                Some(session) => self.lease(session, *slots, *queue),
                None => Answer::SessionLost,
            },
            Step::Renew { session } => match self.open_session(*session) {
                Some(session) => {
                    let session = &mut self.sessions[session];
                    session.expires_ms = self.elapsed_ms + session.lease_ms;
                    Answer::Renewed(std::mem::take(&mut session.news))
                }
                None => Answer::SessionLost,
            },
            Step::CloseSession { session } => {
                if let Some(session) = self.open_session(*session) {
                    self.end_session(session, false);
                }
                Answer::Done
            }
            Step::Settle { token, is_behind, verdict, charged } => self.settle(*token, *is_behind, *verdict, *charged),
            Step::Cancel { task } => self.known(*task, Self::cancel),
            Step::RunNow { task } => self.known(*task, |model, task| {
                if matches!(model.items[task].place, Place::Scheduled(_) | Place::RetryScheduled(_)) {
                    model.go(task, Place::Queued);
                }
            }),
            Step::Rerun { task, body } => match pick(*task, self.items.len()) {
                Some(task) => Answer::Rerun(self.ended(task).map(|()| self.rerun(task, *body))),
                None => Answer::Done,
            },
            Step::Delete { task } => match pick(*task, self.items.len()) {
                Some(task) => Answer::Deleted(self.ended(task).map(|()| self.forget(task))),
                None => Answer::Done,
            },
            Step::SetQueue { queue, control } => {
                self.queues[usize::from(*queue)].set(*control);
                Answer::Done
            }
            Step::SetHandler { handler, control } => {
                self.handlers[usize::from(*handler)].set(*control);
                Answer::Done
            }
            Step::Deploy { component } => self.deploy(&[u32::from(*component)]),
            Step::DeployMany => {
                self.shelf.refresh();
                self.deploy(&self.shelf.fresh())
            }
            Step::Activate { version } => {
                let versions = self.shelf.list();
                let version = version.and_then(|index| Some(versions[pick(index, versions.len())?].0));
                Answer::Active(vec![self.shelf.activate(version)])
            }
            Step::Pass { ms } => {
                self.elapsed_ms += ms;
                self.wall_ms += ms;
                Answer::Done
            }
            Step::SetClock { wall_ms } => {
                self.wall_ms = *wall_ms;
                Answer::Done
            }
            Step::Restart => {
                (0..self.sessions.len()).for_each(|session| self.end_session(session, true));
                Answer::Done
            }
            Step::List { ended, queue } => {
                let mut listed: Vec<_> = (0..self.items.len())
                    .filter(|task| self.items[*task].place != Place::Gone)
                    .filter(|task| ended.is_none_or(|ended| self.items[*task].place.has_ended() == ended))
                    .filter(|task| queue.is_none_or(|queue| self.items[*task].wish.queue == queue))
                    .collect();
                listed.sort_by_key(|task| std::cmp::Reverse((self.items[*task].submitted_ms, *task)));
                Answer::Listed(listed)
            }
        }
    }

    /// What happens by itself.
    fn pass_time(&mut self) {
        for task in 0..self.items.len() {
            if let Place::Scheduled(until) | Place::RetryScheduled(until) = self.items[task].place
                && until <= self.wall_ms
            {
                self.go(task, Place::Queued);
            }
            if self.items[task].is_unstarted() && self.items[task].expires_ms.is_some_and(|at| at <= self.wall_ms) {
                self.go(task, Place::Expired);
            }
            if self.items[task].place != Place::Gone && self.items[task].goes_ms.is_some_and(|at| at <= self.wall_ms) {
                self.forget(task);
            }
        }
        for session in 0..self.sessions.len() {
            if self.sessions[session].expires_ms <= self.elapsed_ms {
                self.end_session(session, true);
            }
        }
    }

    fn open_session(&self, index: u8) -> Option<usize> {
        pick(index, self.sessions.len()).filter(|session| self.sessions[*session].open)
    }

    /// Does something about a task, if it is there.
    fn known(&mut self, index: u8, act: impl FnOnce(&mut Self, usize)) -> Answer {
        let Some(task) = pick(index, self.items.len()) else { return Answer::Done };
        act(self, task);
        Answer::Known(self.items[task].place != Place::Gone)
    }

    fn ended(&self, task: usize) -> Result<(), Refusal> {
        match self.items[task].place {
            Place::Gone => Err(Refusal::Unknown),
            place if place.has_ended() => Ok(()),
            _ => Err(Refusal::NotEnded),
        }
    }

    fn deploy(&mut self, components: &[u32]) -> Answer {
        let pinned = self.items.iter().filter(|item| !item.wish.follows && item.place.is_unfinished());
        let needed = pinned.map(|item| item.component).collect();
        Answer::Active(components.iter().map(|component| Some(self.shelf.deploy(*component, &needed))).collect())
    }

    fn submit(&mut self, wish: &Wish) -> Result<(usize, bool), Refusal> {
        if let Some(owner) = wish.key.and_then(|key| self.keys.get(&key)) {
            let is_same = self.items[*owner].wish == *wish;
            return if is_same { Ok((*owner, false)) } else { Err(Refusal::Conflict(*owner)) };
        }
        let component = u32::from(wish.component);
        if let Some(active) = self.shelf.active().filter(|active| wish.follows && *active != component) {
            return Err(Refusal::Unchecked(active));
        }
        let mut replaced = None;
        if let Some(unique) = wish.unique
            && let Some((holder, until)) = self.holders.get(&unique.key)
            && until.is_none_or(|until| until > self.wall_ms)
        {
            match unique.conflict {
                Conflict::Reject => return Err(Refusal::Taken(*holder)),
                Conflict::Existing => return Ok((*holder, false)),
                Conflict::Replace => replaced = Some(*holder).filter(|holder| self.items[*holder].is_unstarted()),
            }
        }
        let waiting = self.items.iter().filter(|item| item.wish.queue == wish.queue && item.place.waits()).count();
        let takes_place = replaced.is_some_and(|old| self.items[old].wish.queue == wish.queue);
        if !takes_place && self.queues[usize::from(wish.queue)].depth.is_some_and(|depth| waiting >= depth) {
            return Err(Refusal::Full);
        }
        let task =
            self.add(wish.clone(), component, replaced.map_or(Origin::Submit, Origin::Replaces), Some(wish.body));
        if let Some(key) = wish.key {
            self.keys.insert(key, task);
        }
        if let Some(unique) = wish.unique {
            self.holders.insert(unique.key, (task, unique.window_ms.map(|window| self.wall_ms + window)));
        }
        if let Some(old) = replaced {
            self.items[old].successor = Some(task);
            self.items[old].cancelled = true;
            self.go(old, Place::Cancelled);
        }
        Ok((task, true))
    }

    fn add(&mut self, wish: Wish, component: u32, origin: Origin, body: Option<u16>) -> usize {
        self.items.push(Item {
            place: wish.delay_ms.map_or(Place::Queued, |delay| Place::Scheduled(self.wall_ms + delay)),
            expires_ms: wish.expires_ms.map(|expires| self.wall_ms + expires),
            submitted_ms: self.wall_ms,
            wish,
            component,
            attempts: 0,
            begun: false,
            failures: 0,
            lost: 0,
            cancelled: false,
            revision: 1,
            origin,
            body,
            successor: None,
            followers: 0,
            result_until_ms: 0,
            goes_ms: None,
            told: vec!["submitted"],
        });
        self.items.len() - 1
    }

    /// A task comes to another place.
    fn go(&mut self, task: usize, place: Place) {
        let item = &mut self.items[task];
        item.place = place;
        item.revision += 1;
        item.told.push(place.word());
        if place.has_ended() {
            self.end(task);
        }
    }

    fn end(&mut self, task: usize) {
        let item = &mut self.items[task];
        let succeeded = item.place == Place::Succeeded;
        item.result_until_ms = self.wall_ms + RESULT_MS;
        let kept = match item.place {
            Place::Succeeded => Some(SUCCEEDED_MS.max(RESULT_MS)),
            Place::Cancelled => Some(CANCELLED_MS),
            Place::Expired => Some(EXPIRED_MS),
            _ => None,
        };
        item.goes_ms = kept.map(|kept| (self.wall_ms + kept).next_multiple_of(MINUTE_MS));
        if let Some(unique) = item.wish.unique
            && self.holders.get(&unique.key) == Some(&(task, None))
        {
            self.holders.remove(&unique.key);
        }
        if item.wish.followed_on_success == Some(succeeded) && item.successor.is_none() {
            item.followers += 1;
            let follower = Wish::follower();
            let component = self.shelf.kept_or_active(u32::from(follower.component));
            self.add(follower, component, Origin::Callback, None);
        }
    }

    fn rerun(&mut self, task: usize, body: Option<u16>) -> usize {
        let old = &mut self.items[task];
        // Whoever was kept for ever is not any more.
        old.goes_ms = old.goes_ms.or(Some((self.wall_ms + SUCCEEDED_MS).next_multiple_of(MINUTE_MS)));
        old.revision += 1;
        let wish = Wish { delay_ms: None, expires_ms: None, key: None, unique: None, ..old.wish.clone() };
        let body = body.or(old.body);
        let component = self.shelf.active().unwrap_or(self.items[task].component);
        let new = self.add(wish, component, Origin::Rerun(task), body);
        self.items[task].successor = Some(new);
        new
    }

    fn forget(&mut self, task: usize) {
        self.items[task].place = Place::Gone;
        self.keys.retain(|_, owner| *owner != task);
        self.holders.retain(|_, (holder, _)| *holder != task);
    }

    /// Whether another task like this one may start now.
    fn has_room(&self, wish: &Wish) -> bool {
        let running = |is_alike: &dyn Fn(&Wish) -> bool| {
            self.items.iter().filter(|item| matches!(item.place, Place::Running(_)) && is_alike(&item.wish)).count()
        };
        let (queue, handler) = (&self.queues[usize::from(wish.queue)], &self.handlers[usize::from(wish.handler)]);
        let in_queue = running(&|other| other.queue == wish.queue);
        let of_handler = running(&|other| other.handler == wish.handler);
        let of_key = running(&|other| other.queue == wish.queue && other.lane == wish.lane);
        !queue.paused
            && !handler.paused
            && queue.concurrency.is_none_or(|limit| in_queue < limit)
            && handler.concurrency.is_none_or(|limit| of_handler < limit)
            && (wish.lane.is_none() || queue.of_key.is_none_or(|limit| of_key < limit))
    }

    fn lease(&mut self, session: usize, slots: usize, queue: Option<u8>) -> Answer {
        let mut queued: Vec<_> = (0..self.items.len())
            .filter(|task| self.items[*task].place == Place::Queued)
            .filter(|task| queue.is_none_or(|queue| self.items[*task].wish.queue == queue))
            .collect();
        queued.sort_by_key(|task| (std::cmp::Reverse(self.items[*task].wish.priority), *task));
        let mut leased = Vec::new();
        for task in queued {
            if leased.len() < slots && self.has_room(&self.items[task].wish) {
                self.items[task].attempts += 1;
                self.go(task, Place::Running(session));
                let item = &self.items[task];
                let active = self.shelf.active().filter(|_| item.wish.follows);
                leased.push((task, item.attempts, active.unwrap_or(item.component)));
            }
        }
        self.tokens.extend(leased.iter().map(|(task, attempt, _)| (*task, *attempt)));
        Answer::Leased(leased)
    }

    fn settle(&mut self, token: u8, is_behind: bool, verdict: Verdict, charged: bool) -> Answer {
        let Some(token) = pick(token, self.tokens.len()) else { return Answer::Done };
        let (task, attempt) = self.tokens[token];
        let item = &mut self.items[task];
        if !matches!(item.place, Place::Running(_)) || item.attempts != attempt {
            return Answer::LeaseLost;
        }
        if is_behind {
            return Answer::Stale;
        }
        item.failures += u32::from(charged);
        item.begun |= verdict != Verdict::NotReady;
        let place = match verdict {
            Verdict::Succeed => Place::Succeeded,
            Verdict::Retry { ms } => Place::RetryScheduled(self.wall_ms + ms),
            Verdict::Snooze { ms } => Place::Scheduled(self.wall_ms + ms),
            Verdict::NotReady => Place::Scheduled(self.wall_ms + 1_000),
            Verdict::Requeue => Place::Queued,
            Verdict::GiveUp => Place::Dead,
            Verdict::Cancel => Place::Cancelled,
        };
        self.go(task, place);
        Answer::Settled
    }

    fn cancel(&mut self, task: usize) {
        let item = &mut self.items[task];
        match item.place {
            Place::Running(session) if !item.cancelled => {
                item.cancelled = true;
                item.revision += 1;
                item.told.push("cancel-requested");
                self.sessions[session].news.insert(task);
            }
            place if place.waits() => {
                item.cancelled = true;
                self.go(task, Place::Cancelled);
            }
            _ => {}
        }
    }

    fn end_session(&mut self, session: usize, is_lost: bool) {
        if !std::mem::replace(&mut self.sessions[session].open, false) {
            return;
        }
        for task in 0..self.items.len() {
            let item = &mut self.items[task];
            if item.place != Place::Running(session) {
                continue;
            }
            item.lost += u32::from(is_lost);
            item.begun = true;
            let place = if item.cancelled {
                Place::Cancelled
            } else if is_lost && item.lost >= MAX_HOSTS_LOST {
                Place::Dead
            } else {
                Place::Queued
            };
            self.go(task, place);
        }
    }
}
