//! The event feed: what happened to tasks, jobs and schedules, in the order of the commits.
//!
//! Events are noted while a turn is planned and written at its end, in the same batch as the changes that they tell of:
//! there is neither an event without its change nor a change without its event. Their count goes on from the last key of
//! the feed, so the last batch is never trimmed.

mod batch;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use sunaba_task::job::{Job, JobEvent, JobHappening};
use sunaba_task::webhook::is_internal;
use sunaba_task::{FeedEvent, Happening, LeaseToken, Progress, Task, TaskEvent, Timestamp};

pub(crate) use self::batch::Batch;
use self::batch::MAX_BATCH;
use super::waiters::Waiters;
use super::{Planner, Reply, Turn, answer};
use crate::codec;
use crate::keys;
use crate::{EventPage, EventQuery, EventsOf, MAX_PAGE, StoreError};

/// Older events are not kept,
const MAX_EVENTS: u64 = 1_000_000;
/// nor are any after this time.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Batches that a turn trims besides one for each event that it writes.
const MAX_TRIMMED: usize = 64;
/// While nothing else happens, the next batches are trimmed after this time.
const TRIM_PAUSE: Duration = Duration::from_millis(100);
/// Events that one call looks at: the commit thread does it, and has others to serve.
const MAX_LOOKS: usize = 2_000;
/// Callers that may wait for events at a time.
const MAX_READERS: usize = 10_000;
/// Those of them that wait for events of anything, and get a copy of each.
const MAX_FOLLOWERS: usize = 128;
/// What is kept of what an attempt says of its progress.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// The feed, as far as it is in memory.
pub(super) struct Feed {
    /// The sequence of the next event that is written.
    next: u64,
    /// The oldest batch; none before the first event.
    oldest: Option<Oldest>,
    /// The first sequence of the newest.
    newest: u64,
    max_events: u64,
    /// Readers of this turn, with their deadlines.
    arrived: Vec<(Duration, Reader)>,
    /// Readers who have seen everything that could be for them.
    parked: Waiters<Option<EventsOf>, Reader>,
}

struct Oldest {
    first: u64,
    at: Timestamp,
}

/// What a reader asks for, as far as it is not a matter of waiting.
struct Wanted {
    after: u64,
    of: Option<EventsOf>,
    limit: usize,
}

struct Reader {
    wanted: Wanted,
    reply: Reply<EventPage>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            next: 1,
            oldest: None,
            newest: 0,
            max_events: MAX_EVENTS,
            arrived: Vec::new(),
            parked: Waiters::default(),
        }
    }
}

impl Feed {
    pub(super) fn first_deadline(&self) -> Option<Duration> {
        self.parked.first_deadline()
    }

    /// How long until a batch is too old.
    pub(super) fn until_trim(&self, now: Timestamp) -> Option<Duration> {
        let oldest = self.oldest.as_ref().filter(|oldest| oldest.first < self.newest)?;
        Some(oldest.at.after(MAX_AGE).since(now).max(TRIM_PAUSE))
    }

    /// The sequence of the next event that a turn tells of.
    pub(super) fn following(&self, turn: &Turn<'_>) -> u64 {
        self.next + turn.told.len() as u64
    }

    /// The sequence of the last event that is written; 0 before the first.
    fn last(&self) -> u64 {
        self.next - 1
    }
}

impl Oldest {
    /// A batch that cannot be read is as old as the one before.
    fn of(key: &[u8], value: &Bytes, before: Timestamp) -> Self {
        let at = codec::read(key, value).unwrap_or(before);
        Self { first: keys::first_event(key).unwrap_or(0), at }
    }
}

impl Wanted {
    fn includes(&self, event: &FeedEvent) -> bool {
        self.of.is_none_or(|wanted| subjects(event).contains(&Some(wanted)))
    }
}

/// All that an event is about.
fn subjects(event: &FeedEvent) -> [Option<EventsOf>; 2] {
    [event.task().map(|event| EventsOf::Task(event.task)), event.job().map(EventsOf::Job)]
}

impl Planner {
    /// Finds out how far the count is, and where the feed begins.
    pub(super) fn read_feed(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (from, end) = keys::all(b'v');
        if let Some((key, value)) = turn.txn.scan(&from, &end, true).next().transpose()? {
            let first = keys::first_event(&key).unwrap_or(0);
            let count = match codec::read::<Batch>(&key, &value) {
                Ok(batch) => batch.entries.len(),
                Err(error) => {
                    tracing::error!(%error, "the newest events cannot be read");
                    // No number may be used twice, and it had no more.
                    MAX_BATCH
                }
            };
            self.feed.newest = first;
            self.feed.next = first.saturating_add(count as u64).max(1);
        }
        if let Some((key, value)) = turn.txn.first(&from, &end)? {
            self.feed.oldest = Some(Oldest::of(&key, &value, Timestamp::from_unix_ms(0)));
        }
        Ok(())
    }

    /// Notes what happened when a record became another.
    pub(super) fn tell(&mut self, turn: &mut Turn<'_>, before: Option<&Task>, after: &Task) {
        if let Some(what) = Happening::between(before, after) {
            self.tell_of(turn, after, what);
        }
    }

    /// Notes that this happened to a task. Of the host's own nobody is told: a delivery that was told of would be delivered.
    pub(super) fn tell_of(&self, turn: &mut Turn<'_>, task: &Task, what: Happening) {
        if is_internal(&task.spec.queue) {
            return;
        }
        let sequence = self.feed.following(turn);
        let (handler, queue) = (task.spec.handler.clone(), task.spec.queue.clone());
        let (job, name) = task.job.as_ref().map(|link| (link.job, link.name.clone())).unzip();
        let (at, task) = (turn.now, task.id);
        turn.told.push(FeedEvent::Task(TaskEvent { sequence, at, task, handler, queue, job, name, what }));
    }

    /// Notes what happened to a job.
    pub(super) fn tell_of_job(&self, turn: &mut Turn<'_>, job: &Job, what: JobHappening) {
        let sequence = self.feed.following(turn);
        turn.told.push(FeedEvent::Job(JobEvent {
            sequence,
            at: turn.now,
            job: job.id,
            name: job.spec.name.clone(),
            what,
        }));
    }

    pub(crate) fn progress(
        &mut self,
        turn: &mut Turn<'_>,
        reports: Vec<(LeaseToken, Progress)>,
    ) -> Result<(), StoreError> {
        for (token, mut progress) in reports {
            if self.has_lease(&token)
                && let Some(running) = self.running.get(&token.task)
            {
                let end = progress.message.floor_char_boundary(MAX_MESSAGE_BYTES);
                progress.message.truncate(end);
                let task = &running.stored.task;
                self.tell_of(turn, task, Happening::Progress { attempt: task.attempts_started, progress });
            }
        }
        Ok(())
    }

    /// Served with all others at the end of the turn.
    pub(crate) fn park_events(&mut self, turn: &mut Turn<'_>, query: EventQuery, reply: Reply<EventPage>) {
        let wanted = self.wanted(turn, &query);
        self.feed.arrived.push((turn.elapsed.saturating_add(query.wait), Reader { wanted, reply }));
    }

    fn wanted(&self, turn: &Turn<'_>, query: &EventQuery) -> Wanted {
        // What this turn has told before the question came is before "now".
        let after = query.after.unwrap_or_else(|| self.feed.last() + turn.told.len() as u64);
        Wanted { after, of: query.of, limit: query.limit.clamp(1, MAX_PAGE) }
    }

    /// The events that there are.
    pub(crate) fn events(&self, turn: &Turn<'_>, query: &EventQuery) -> Result<EventPage, StoreError> {
        self.event_page(turn, &self.wanted(turn, query))
    }

    /// Writes what happened in the turn, and answers whoever waited for it.
    pub(super) fn write_feed(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let told = std::mem::take(&mut turn.told);
        self.observer.told(&told);
        for events in told.chunks(MAX_BATCH) {
            turn.txn.put(keys::events(self.feed.next), codec::write(&Batch::of(events)));
            self.feed.oldest.get_or_insert(Oldest { first: self.feed.next, at: turn.now });
            self.feed.newest = self.feed.next;
            self.feed.next += events.len() as u64;
        }
        self.trim(turn, told.len().saturating_add(MAX_TRIMMED))?;
        self.wake_readers(turn, &told);
        self.serve_readers(turn);
        Ok(())
    }

    /// Removes batches from the old end: of those that are too many at least as many events as the turn has written.
    fn trim(&mut self, turn: &mut Turn<'_>, batches: usize) -> Result<(), StoreError> {
        let (_, end) = keys::all(b'v');
        for _ in 0..batches {
            let Some(Oldest { first, at }) = self.feed.oldest else { break };
            if self.feed.next - first <= self.feed.max_events && turn.now.since(at) < MAX_AGE {
                break;
            }
            // Looked for from where the last one was, and not from the start over all that has been removed.
            let Some((key, value)) = turn.txn.first(&keys::events(first + 1), &end)? else { break };
            self.feed.oldest = Some(Oldest::of(&key, &value, at));
            turn.txn.delete(keys::events(first));
        }
        Ok(())
    }

    /// Whoever is parked has seen all that was before, so that the engine need not be asked.
    fn wake_readers(&mut self, turn: &mut Turn<'_>, told: &[FeedEvent]) {
        if told.is_empty() || self.feed.parked.len() == 0 {
            return;
        }
        let last = self.feed.last();
        // None: those who wait for anything.
        let subjects: BTreeSet<_> = told.iter().flat_map(subjects).chain([None]).collect();
        for reader in subjects.into_iter().flat_map(|subject| self.feed.parked.take(subject)) {
            let wanted = told.iter().filter(|event| reader.wanted.includes(event));
            let events: Vec<_> = wanted.take(reader.wanted.limit).cloned().collect();
            let is_full = events.len() == reader.wanted.limit;
            let next = events.last().filter(|_| is_full).map_or(last, FeedEvent::sequence);
            turn.answers.push(answer(reader.reply, Ok(EventPage { events, next, missed: false })));
        }
    }

    /// Shows those who have just come what is there, or has them wait for it; and ends the wait of those whose time is up.
    fn serve_readers(&mut self, turn: &mut Turn<'_>) {
        let last = self.feed.last();
        for (deadline, reader) in std::mem::take(&mut self.feed.arrived) {
            match self.event_page(turn, &reader.wanted) {
                Ok(page) if page.events.is_empty() && !page.missed && page.next == last && deadline > turn.elapsed => {
                    self.park_reader(turn, deadline, reader);
                }
                done => turn.answers.push(answer(reader.reply, done)),
            }
        }
        for (_, reader) in self.feed.parked.take_due(turn.elapsed) {
            let nothing = EventPage { next: last, ..EventPage::default() };
            turn.answers.push(answer(reader.reply, Ok(nothing)));
        }
    }

    fn park_reader(&mut self, turn: &mut Turn<'_>, deadline: Duration, reader: Reader) {
        let parked = &mut self.feed.parked;
        let waiting = |parked: &Waiters<_, _>| match reader.wanted.of {
            None if parked.count(None) >= MAX_FOLLOWERS => Some(MAX_FOLLOWERS),
            _ => (parked.len() >= MAX_READERS).then_some(MAX_READERS),
        };
        if waiting(parked).is_some() {
            parked.forget(|reader: &Reader| reader.reply.is_closed());
        }
        match waiting(parked) {
            Some(waiting) => turn.answers.push(answer(reader.reply, Err(StoreError::Busy { waiting }))),
            None => parked.add(reader.wanted.of, deadline, reader),
        }
    }

    /// What is there for a reader.
    fn event_page(&self, turn: &Turn<'_>, asked: &Wanted) -> Result<EventPage, StoreError> {
        let Wanted { after, limit, .. } = *asked;
        let last = self.feed.last();
        let mut page = EventPage { events: Vec::new(), next: last, missed: false };
        if after >= last {
            // Beyond the end is a place of another feed than this one: of a store that was restored since.
            page.missed = after > last;
            return Ok(page);
        }
        page.missed = self.feed.oldest.as_ref().is_some_and(|oldest| oldest.first > after + 1);
        let (from, end) = keys::all(b'v');
        let holding = turn.txn.scan(&from, &keys::events(after + 2), true).next().transpose()?;
        let from = holding.map_or(from.to_vec(), |(key, _)| key.to_vec());
        let mut looks = 0;
        for pair in turn.txn.scan(&from, &end, false) {
            let (key, value) = pair?;
            let Some(first) = keys::first_event(&key) else { continue };
            let batch: Batch = match codec::read(&key, &value) {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, "events are left out");
                    page.missed = true;
                    looks += 1;
                    if looks == MAX_LOOKS {
                        page.next = first;
                        return Ok(page);
                    }
                    continue;
                }
            };
            for (sequence, entry) in (first..).zip(&batch.entries).filter(|(sequence, _)| *sequence > after) {
                if page.events.len() == limit || looks == MAX_LOOKS {
                    page.next = sequence - 1;
                    return Ok(page);
                }
                looks += 1;
                if asked.of.is_none_or(|of| batch.is_of(entry, of)) {
                    page.events.extend(batch.event(sequence, entry));
                }
            }
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests;
