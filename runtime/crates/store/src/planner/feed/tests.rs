//! The feed's bounds, by its own planner: what is trimmed, what is missed, and who may wait.

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

    fn until_next(&mut self) -> Duration {
        // Whether jobs are stuck is looked at elsewhere.
        self.planner.jobs.next_look = None;
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
        house.engine.apply(&[(keys::events(damaged), Some("damaged".into()))].into()).expect("memory does not fail");
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
        let spec = TaskSpec::clone(&task().spec);
        planner.submit(turn, vec![NewTask::new(spec, Payload::json("{}"))]).expect("memory does not fail");
        let leased = planner.lease_now(turn, session, &crate::Queues::All, 1).expect("memory does not fail");
        let progress = Progress { fraction: None, message: "\u{e9}".repeat(MAX_MESSAGE_BYTES) };
        planner.progress(turn, vec![(leased[0].token, progress)]).expect("memory does not fail");
    });
    let page = house.page(2);
    let last = page.of_tasks().last().expect("it was told");
    assert!(matches!(&last.what, Happening::Progress { progress, .. } if progress.message.len() == MAX_MESSAGE_BYTES));
}
