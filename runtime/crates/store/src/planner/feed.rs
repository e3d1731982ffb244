//! The event feed: what happened to tasks, in the order of the commits.
//!
//! Events are noted while a turn is planned and written at its end, in the same batch as the changes that they tell of:
//! there is neither an event without its change nor a change without its event. Their count goes on from the last key of
//! the feed, so the last batch is never trimmed.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_task::{HandlerName, Happening, LeaseToken, Progress, Task, TaskEvent, TaskId, Timestamp};

use super::waiters::Waiters;
use super::{Planner, Reply, Turn, answer};
use crate::codec;
use crate::keys;
use crate::{EventPage, EventQuery, MAX_PAGE, StoreError};

/// Older events are not kept,
const MAX_EVENTS: u64 = 1_000_000;
/// nor are any after this time.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Events of one key.
const MAX_BATCH: usize = 1_000;
/// Batches that a turn trims besides one for each event that it writes.
const MAX_TRIMMED: usize = 64;
/// Events that one call looks at: the commit thread does it, and has others to serve.
const MAX_LOOKS: usize = 2_000;
/// Callers that may wait for events at a time.
const MAX_READERS: usize = 10_000;
/// Those of them that wait for events of any task, and get a copy of each.
const MAX_FOLLOWERS: usize = 128;
/// What is kept of what an attempt says of its progress.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// The feed, as far as it is in memory.
pub(super) struct Feed {
    /// The sequence of the next event that is written.
    next: u64,
    /// The oldest batch; none before the first event.
    oldest: Option<Oldest>,
    max_events: u64,
    /// Readers of this turn, with their deadlines.
    arrived: Vec<(Duration, Reader)>,
    /// Readers who have seen everything that could be for them.
    parked: Waiters<Option<TaskId>, Reader>,
}

struct Oldest {
    first: u64,
    at: Timestamp,
}

struct Reader {
    after: u64,
    task: Option<TaskId>,
    limit: usize,
    reply: Reply<EventPage>,
}

/// What happened in a turn, or a part of it.
#[derive(Serialize, Deserialize)]
struct Batch {
    /// Comes first, so that it can be read alone.
    at: Timestamp,
    names: Vec<Names>,
    entries: Vec<Entry>,
}

/// What many events have in common.
#[derive(Clone, Serialize, Deserialize)]
struct Names {
    handler: HandlerName,
    queue: String,
    /// Empty where the event has none.
    worker: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    task: TaskId,
    /// Which of the batch's names.
    names: usize,
    /// Without its worker.
    what: Happening,
}

impl Default for Feed {
    fn default() -> Self {
        Self { next: 1, oldest: None, max_events: MAX_EVENTS, arrived: Vec::new(), parked: Waiters::default() }
    }
}

impl Feed {
    pub(super) fn first_deadline(&self) -> Option<Duration> {
        self.parked.first_deadline()
    }

    /// The sequence of the last event that is written; 0 before the first.
    fn last(&self) -> u64 {
        self.next - 1
    }
}

impl Batch {
    fn of(events: &[TaskEvent]) -> Self {
        let (mut names, mut known) = (Vec::new(), HashMap::new());
        let entries = events.iter().map(|event| {
            let TaskEvent { handler, queue, .. } = event;
            let (what, worker) = match event.what.clone() {
                Happening::Started { attempt, worker } => {
                    (Happening::Started { attempt, worker: String::new() }, worker)
                }
                what => (what, String::new()),
            };
            let names = *known.entry((handler, queue, worker)).or_insert_with_key(|(_, _, worker)| {
                names.push(Names { handler: handler.clone(), queue: queue.clone(), worker: worker.clone() });
                names.len() - 1
            });
            Entry { task: event.task, names, what }
        });
        let entries = entries.collect();
        Self { at: events.first().map_or(Timestamp::from_unix_ms(0), |event| event.at), names, entries }
    }

    /// One of its events; none when its names are missing, which the checksum rules out.
    fn event(&self, sequence: u64, entry: &Entry) -> Option<TaskEvent> {
        let Names { handler, queue, worker: name } = self.names.get(entry.names)?.clone();
        let mut what = entry.what.clone();
        if let Happening::Started { worker, .. } = &mut what {
            *worker = name;
        }
        Some(TaskEvent { sequence, at: self.at, task: entry.task, handler, queue, what })
    }
}

impl Reader {
    fn wants(&self, task: TaskId) -> bool {
        self.task.is_none_or(|wanted| wanted == task)
    }
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
            self.feed.next = first.saturating_add(count as u64).max(1);
        }
        if let Some((key, value)) = turn.txn.first(&from, &end)? {
            self.feed.oldest = Some(oldest(&key, &value, Timestamp::from_unix_ms(0)));
        }
        Ok(())
    }

    /// Notes what happened when a record became another.
    pub(super) fn tell(&mut self, turn: &mut Turn<'_>, before: Option<&Task>, after: &Task) {
        if let Some(what) = Happening::between(before, after) {
            self.tell_of(turn, after, what);
        }
    }

    fn tell_of(&self, turn: &mut Turn<'_>, task: &Task, what: Happening) {
        let sequence = self.feed.next + turn.told.len() as u64;
        let (handler, queue) = (task.spec.handler.clone(), task.spec.queue.clone());
        turn.told.push(TaskEvent { sequence, at: turn.now, task: task.id, handler, queue, what });
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
        // What this turn has told before the question came is before "now".
        let after = query.after.unwrap_or_else(|| self.feed.last() + turn.told.len() as u64);
        let reader = Reader { after, task: query.task, limit: query.limit.clamp(1, MAX_PAGE), reply };
        self.feed.arrived.push((turn.elapsed.saturating_add(query.wait), reader));
    }

    /// Writes what happened in the turn, and answers whoever waited for it.
    pub(super) fn write_feed(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let told = std::mem::take(&mut turn.told);
        for events in told.chunks(MAX_BATCH) {
            turn.txn.put(keys::events(self.feed.next), codec::write(&Batch::of(events)));
            self.feed.oldest.get_or_insert(Oldest { first: self.feed.next, at: turn.now });
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
            if self.feed.next - first <= self.feed.max_events && turn.now.since(at) <= MAX_AGE {
                break;
            }
            // Looked for from where the last one was, and not from the start over all that has been removed.
            let Some((key, value)) = turn.txn.first(&keys::events(first + 1), &end)? else { break };
            self.feed.oldest = Some(oldest(&key, &value, at));
            turn.txn.delete(keys::events(first));
        }
        Ok(())
    }

    /// Whoever is parked has seen all that was before, so that the engine need not be asked.
    fn wake_readers(&mut self, turn: &mut Turn<'_>, told: &[TaskEvent]) {
        if told.is_empty() || self.feed.parked.len() == 0 {
            return;
        }
        let last = self.feed.last();
        let tasks: BTreeSet<_> = told.iter().map(|event| Some(event.task)).chain([None]).collect();
        for reader in tasks.into_iter().flat_map(|task| self.feed.parked.take(task)) {
            let wanted = told.iter().filter(|event| reader.wants(event.task));
            let events: Vec<_> = wanted.take(reader.limit).cloned().collect();
            let is_full = events.len() == reader.limit;
            let next = events.last().filter(|_| is_full).map_or(last, |event| event.sequence);
            turn.answers.push(answer(reader.reply, Ok(EventPage { events, next, missed: false })));
        }
    }

    /// Shows those who have just come what is there, or has them wait for it; and ends the wait of those whose time is up.
    fn serve_readers(&mut self, turn: &mut Turn<'_>) {
        let last = self.feed.last();
        for (deadline, reader) in std::mem::take(&mut self.feed.arrived) {
            match self.event_page(turn, &reader) {
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
        let waiting = |parked: &Waiters<_, _>| match reader.task {
            None if parked.count(None) >= MAX_FOLLOWERS => Some(MAX_FOLLOWERS),
            _ => (parked.len() >= MAX_READERS).then_some(MAX_READERS),
        };
        if waiting(parked).is_some() {
            parked.forget(|reader: &Reader| reader.reply.is_closed());
        }
        match waiting(parked) {
            Some(waiting) => turn.answers.push(answer(reader.reply, Err(StoreError::Busy { waiting }))),
            None => parked.add(reader.task, deadline, reader),
        }
    }

    /// What is there for a reader.
    fn event_page(&self, turn: &Turn<'_>, reader: &Reader) -> Result<EventPage, StoreError> {
        let Reader { after, limit, .. } = *reader;
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
                if reader.wants(entry.task) {
                    page.events.extend(batch.event(sequence, entry));
                }
            }
        }
        Ok(page)
    }
}

/// A batch as the oldest. One that cannot be read is as old as the one before.
fn oldest(key: &[u8], value: &bytes::Bytes, before: Timestamp) -> Oldest {
    let at = codec::read(key, value).unwrap_or(before);
    Oldest { first: keys::first_event(key).unwrap_or(0), at }
}
