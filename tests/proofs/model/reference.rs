//! What a queue is to do, in plain maps: no code of the store's, and nothing durable. Small enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Step, Verdict, Wish};

/// What the wall clock shows at first.
pub(super) const START_MS: u64 = 1_767_225_600_000;
/// Hosts that a task of the model may lose.
pub(super) const MAX_HOSTS_LOST: u32 = 2;

/// Where a task of the model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Waits for this instant; snoozed or delayed.
    Scheduled(u64),
    /// Waits for a slot.
    Queued,
    /// In this session.
    Running(usize),
    /// Waits for this instant, having failed.
    RetryScheduled(u64),
    /// Ended.
    Succeeded,
    /// Ended.
    Dead,
    /// Ended.
    Cancelled,
}

impl Place {
    fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }
}

/// A task of the model.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) wish: Wish,
    pub(super) place: Place,
    pub(super) submitted_ms: u64,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) lost: u32,
    pub(super) cancelled: bool,
    pub(super) revision: u64,
}

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
    /// Of each wish, the task that it gave and whether that is new; or the task that has its key.
    Submitted(Vec<Result<(usize, bool), usize>>),
    /// Tasks and their attempts, in this order.
    Leased(Vec<(usize, u32)>),
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
    sessions: Vec<Session>,
    keys: BTreeMap<u8, usize>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            elapsed_ms: 0,
            wall_ms: START_MS,
            items: Vec::new(),
            tokens: Vec::new(),
            answer: Answer::Done,
            sessions: Vec::new(),
            keys: BTreeMap::new(),
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
            Step::Cancel { task } => {
                if let Some(task) = pick(*task, self.items.len()) {
                    self.cancel(task);
                }
                Answer::Done
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
        for item in &mut self.items {
            if let Place::Scheduled(until) | Place::RetryScheduled(until) = item.place
                && until <= self.wall_ms
            {
                item.place = Place::Queued;
                item.revision += 1;
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

    fn submit(&mut self, wish: &Wish) -> Result<(usize, bool), usize> {
        let task = self.items.len();
        if let Some(key) = wish.key {
            match self.keys.get(&key) {
                Some(owner) if self.items[*owner].wish == *wish => return Ok((*owner, false)),
                Some(owner) => return Err(*owner),
                None => self.keys.insert(key, task),
            };
        }
        let place = wish.delay_ms.map_or(Place::Queued, |delay| Place::Scheduled(self.wall_ms + delay));
        self.items.push(Item {
            wish: wish.clone(),
            place,
            submitted_ms: self.wall_ms,
            attempts: 0,
            failures: 0,
            lost: 0,
            cancelled: false,
            revision: 1,
        });
        Ok((task, true))
    }

    fn lease(&mut self, session: usize, slots: usize, queue: Option<u8>) -> Answer {
        let mut queued: Vec<_> = (0..self.items.len())
            .filter(|task| self.items[*task].place == Place::Queued)
            .filter(|task| queue.is_none_or(|queue| self.items[*task].wish.queue == queue))
            .collect();
        queued.sort_by_key(|task| (std::cmp::Reverse(self.items[*task].wish.priority), *task));
        queued.truncate(slots);
        let mut leased = Vec::new();
        for task in queued {
            let item = &mut self.items[task];
            item.attempts += 1;
            item.revision += 1;
            item.place = Place::Running(session);
            leased.push((task, item.attempts));
        }
        self.tokens.extend(&leased);
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
        item.revision += 1;
        item.failures += u32::from(charged);
        item.place = match verdict {
            Verdict::Succeed => Place::Succeeded,
            Verdict::Retry { ms } => Place::RetryScheduled(self.wall_ms + ms),
            Verdict::Snooze { ms } => Place::Scheduled(self.wall_ms + ms),
            Verdict::Requeue => Place::Queued,
            Verdict::GiveUp => Place::Dead,
            Verdict::Cancel => Place::Cancelled,
        };
        Answer::Settled
    }

    fn cancel(&mut self, task: usize) {
        let item = &mut self.items[task];
        match item.place {
            Place::Running(session) if !item.cancelled => {
                item.cancelled = true;
                item.revision += 1;
                self.sessions[session].news.insert(task);
            }
            Place::Scheduled(_) | Place::Queued | Place::RetryScheduled(_) => {
                item.cancelled = true;
                item.revision += 1;
                item.place = Place::Cancelled;
            }
            _ => {}
        }
    }

    fn end_session(&mut self, session: usize, is_lost: bool) {
        if !std::mem::replace(&mut self.sessions[session].open, false) {
            return;
        }
        for item in self.items.iter_mut().filter(|item| item.place == Place::Running(session)) {
            item.revision += 1;
            item.lost += u32::from(is_lost);
            item.place = if item.cancelled {
                Place::Cancelled
            } else if is_lost && item.lost >= MAX_HOSTS_LOST {
                Place::Dead
            } else {
                Place::Queued
            };
        }
    }
}
