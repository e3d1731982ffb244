//! The event feed: what happened to tasks and jobs, in the order of the commits.
//!
//! Events are noted while a turn is planned and written at its end, in the same batch as the changes that they tell of:
//! there is neither an event without its change nor a change without its event. Their count goes on from the last key of
//! the feed, so the last batch is never trimmed.

mod batch;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use sunaba_task::job::{Job, JobEvent, JobHappening};
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

    fn tell_of(&self, turn: &mut Turn<'_>, task: &Task, what: Happening) {
        let sequence = self.feed.next + turn.told.len() as u64;
        let (handler, queue) = (task.spec.handler.clone(), task.spec.queue.clone());
        let job = task.job.as_ref().map(|link| link.job);
        turn.told.push(FeedEvent::Task(TaskEvent { sequence, at: turn.now, task: task.id, handler, queue, job, what }));
    }

    /// Notes what happened to a job.
    pub(super) fn tell_of_job(&self, turn: &mut Turn<'_>, job: &Job, what: JobHappening) {
        let sequence = self.feed.next + turn.told.len() as u64;
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
mod tests {
    use std::sync::Arc;

    use sunaba_task::{Clock, Digest, NewTask, Payload, TaskSpec};
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::planner::MAX_SLEEP;
    use crate::{Engine as _, ManualClock, MemoryEngine};

    const HOUR: Duration = Duration::from_secs(60 * 60);

    struct House {
        clock: Arc<ManualClock>,
        engine: MemoryEngine,
        planner: Planner,
    }

    impl House {
        fn new(max_events: u64) -> Self {
            let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000)));
            let engine = MemoryEngine::default();
            let planner = open(&engine, &*clock);
            let mut house = Self { clock, engine, planner };
            house.planner.feed.max_events = max_events;
            house
        }

        fn reopen(&mut self) {
            self.planner = open(&self.engine, &*self.clock);
        }

        fn turn<T>(&mut self, work: impl FnOnce(&mut Planner, &mut Turn<'_>) -> T) -> T {
            let mut turn = Turn::new(&self.engine, &*self.clock);
            let done = work(&mut self.planner, &mut turn);
            self.planner.finish(&mut turn).expect("memory does not fail");
            let answers = std::mem::take(&mut turn.answers);
            let writes = turn.txn.into_writes();
            self.engine.apply(&writes).expect("memory does not fail");
            answers.into_iter().for_each(|answer| answer());
            done
        }

        /// A turn in which so many things happen.
        fn tell(&mut self, events: usize) {
            let task = task();
            self.turn(|planner, turn| (0..events).for_each(|_| planner.tell(turn, None, &task)));
        }

        fn ask(&mut self, query: EventQuery) -> oneshot::Receiver<Result<EventPage, StoreError>> {
            let (reply, answer) = oneshot::channel();
            self.turn(|planner, turn| planner.park_events(turn, query, Reply::new(reply)));
            answer
        }

        fn page(&mut self, after: u64) -> EventPage {
            let query = EventQuery { after: Some(after), limit: MAX_PAGE, ..EventQuery::default() };
            self.ask(query).try_recv().expect("it does not wait").expect("memory does not fail")
        }

        fn until_next(&self) -> Duration {
            self.planner.until_next(self.clock.now(), self.clock.elapsed())
        }

        /// The sequence of the first event that is kept, and how many there are.
        fn kept(&mut self) -> (u64, u64) {
            let first = self.page(0).events.first().map_or(0, FeedEvent::sequence);
            (first, self.planner.feed.next - first)
        }
    }

    fn open(engine: &MemoryEngine, clock: &dyn Clock) -> Planner {
        let (unwanted, _) = mpsc::unbounded_channel();
        let mut turn = Turn::new(engine, clock);
        Planner::open(&mut turn, unwanted, fastrand::Rng::with_seed(7)).expect("it can be read")
    }

    fn task() -> Task {
        let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
        let new = NewTask::new(spec, Payload::json("{}"));
        Task::submitted(sunaba_task::TaskId::from_bytes([7; 16]), 1, &new, Timestamp::from_unix_ms(1))
    }

    #[test]
    fn reader_that_is_too_late_is_told_that_it_missed_something() {
        let mut house = House::new(10);
        (0..20).for_each(|_| house.tell(3));
        assert_eq!(house.kept(), (52, 9));
        let page = house.page(50);
        assert!(page.missed && page.events[0].sequence() == 52 && page.next == 60);
        let page = house.page(51);
        assert!(!page.missed && page.events.len() == 9);
    }

    #[test]
    fn bound_holds_however_small_the_batches_were() {
        let mut house = House::new(100);
        (0..100).for_each(|_| house.tell(1));
        for events in [500, 1, MAX_BATCH * 2, 1] {
            house.tell(events);
            let (_, kept) = house.kept();
            // The last batch stays, however large it is.
            assert!(kept <= 100.max(events.min(MAX_BATCH) as u64), "{kept} after {events}");
        }
    }

    #[test]
    fn events_go_after_a_day_and_the_count_goes_on() {
        let mut house = House::new(MAX_EVENTS);
        house.tell(3);
        house.clock.advance(HOUR * 12);
        house.tell(2);
        assert_eq!(house.kept(), (1, 5));
        assert_eq!(house.until_next(), MAX_SLEEP);
        house.clock.advance(HOUR * 12);
        assert_eq!(house.until_next(), TRIM_PAUSE);
        house.tell(0);
        assert_eq!((house.kept(), house.until_next()), ((4, 2), MAX_SLEEP));
        house.clock.advance(HOUR * 1_000);
        house.reopen();
        house.tell(0);
        assert_eq!(house.kept(), (4, 2));
        house.tell(1);
        assert_eq!(house.kept(), (6, 1));
    }

    #[test]
    fn damaged_events_are_missed_and_no_number_is_used_twice() {
        let mut house = House::new(MAX_EVENTS);
        (0..3).for_each(|_| house.tell(2));
        for damaged in [3, 5] {
            house
                .engine
                .apply(&[(keys::events(damaged), Some("damaged".into()))].into())
                .expect("memory does not fail");
        }
        house.reopen();
        let page = house.page(0);
        assert!(page.missed && page.events.len() == 2 && page.next >= 6);
        house.tell(1);
        let new = house.page(page.next);
        assert!(!new.missed && new.events.len() == 1 && new.events[0].sequence() == page.next + 1);
    }

    #[test]
    fn no_more_readers_follow_everything_than_may() {
        let mut house = House::new(MAX_EVENTS);
        let query = EventQuery { wait: HOUR, limit: 1, ..EventQuery::default() };
        let mut waiting: Vec<_> = (0..MAX_FOLLOWERS).map(|_| house.ask(query.clone())).collect();
        let refused = house.ask(query.clone()).try_recv().expect("an answer");
        assert!(matches!(refused, Err(StoreError::Busy { waiting: MAX_FOLLOWERS })));
        let of_a_task = EventQuery { of: Some(EventsOf::Task(task().id)), ..query.clone() };
        assert!(house.ask(of_a_task).try_recv().is_err());
        waiting.pop();
        let mut instead = house.ask(query);
        assert!(instead.try_recv().is_err());
        house.tell(1);
        assert_eq!(instead.try_recv().expect("an answer").expect("memory does not fail").events.len(), 1);
    }

    #[test]
    fn progress_message_is_cut() {
        let mut house = House::new(MAX_EVENTS);
        house.turn(|planner, turn| {
            let session = planner.open_session(turn, "w".into(), HOUR);
            let spec = task().spec;
            planner.submit(turn, vec![NewTask::new(spec, Payload::json("{}"))]).expect("memory does not fail");
            let leased = planner.lease_now(turn, session, &crate::Queues::All, 1).expect("memory does not fail");
            let progress = Progress { fraction: None, message: "\u{e9}".repeat(MAX_MESSAGE_BYTES) };
            planner.progress(turn, vec![(leased[0].token, progress)]).expect("memory does not fail");
        });
        let page = house.page(2);
        let last = page.of_tasks().last().expect("it was told");
        assert!(
            matches!(&last.what, Happening::Progress { progress, .. } if progress.message.len() == MAX_MESSAGE_BYTES)
        );
    }
}
