//! What a clock does that somebody sets: schedules go by the clock as it is, and make one task of a tick nevertheless.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{
    EmbeddedStore, Expected, ManualClock, MemoryEngine, NewSchedule, ScheduleQuery, ScheduleStore as _, Store as _,
    TaskQuery,
};
use sunaba_task::schedule::{CatchUp, MAX_MET, Overlap, ScheduleSpec, ScheduledTask};
use sunaba_task::{Digest, Payload, PayloadInfo, TaskSpec, Timestamp};

const HOUR: Duration = Duration::from_secs(3_600);

struct World {
    clock: ManualClock,
    store: EmbeddedStore,
    spec: ScheduleSpec,
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

impl World {
    /// With a schedule for each full hour, on the first day of 2026.
    async fn new(catch_up: CatchUp) -> Self {
        let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
        let store = EmbeddedStore::open(MemoryEngine::default(), Arc::new(clock.clone())).expect("memory opens");
        let input = Payload::json("{}");
        let task = ScheduledTask {
            spec: TaskSpec::new("p/h".parse().expect("a name"), Digest::of(b"a component")),
            input: PayloadInfo::of(&input),
            expires: None,
            callbacks: Vec::new(),
            request: String::new(),
        };
        let (cron, time_zone, overlap) = ("0 * * * *".into(), "UTC".into(), Overlap::Allow);
        let spec = ScheduleSpec { cron, time_zone, overlap, catch_up, jitter: Duration::ZERO, task };
        let world = Self { clock, store, spec };
        world.put("0 * * * *").await;
        world
    }

    /// Puts the schedule with these ticks.
    async fn put(&self, cron: &str) {
        let spec = ScheduleSpec { cron: cron.into(), ..self.spec.clone() };
        let (name, paused, expected) = ("hourly".parse().expect("a name"), None, Expected::Any);
        let new = NewSchedule { name, spec, input: Payload::json("{}"), paused, expected, is_readmission: false };
        self.store.put_schedule(new).await.expect("the store works").expect("it is put");
    }

    /// The ticks that have had a task since the last look, and how many were missed in all.
    async fn ticks(&self, seen: &mut usize) -> (Vec<String>, u64) {
        let query = TaskQuery { limit: 200, ..TaskQuery::default() };
        let mut tasks = self.store.tasks(query).await.expect("the store works").tasks;
        tasks.sort_by_key(|task| task.sequence);
        let tick = |task: &sunaba_task::Task| task.schedule.as_ref()?.tick;
        let new = tasks.iter().skip(*seen).map(|task| tick(task).expect("a tick").to_string()).collect();
        *seen = tasks.len();
        let page = self.store.schedules(ScheduleQuery::default()).await.expect("the store works");
        (new, page.schedules[0].progress.counts.missed)
    }

    fn set(&self, text: &str) {
        self.clock.set(at(text));
    }
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn clock_that_was_far_ahead_and_is_set_right_silences_no_schedule() {
    let (world, mut seen) = (World::new(CatchUp::Last).await, 0);
    world.clock.advance(HOUR);
    assert_eq!(world.ticks(&mut seen).await.0, ["2026-01-01T01:00:00.000Z"]);
    world.set("2027-01-01T00:00:00Z");
    assert_eq!(world.ticks(&mut seen).await.0, ["2027-01-01T00:00:00.000Z"]);
    // What the wrong clock has passed over is made up for, as after an outage.
    world.set("2026-01-01T04:30:00Z");
    let missed = world.ticks(&mut seen).await;
    assert_eq!(missed.0, ["2026-01-01T04:00:00.000Z"]);
    world.clock.advance(HOUR / 2);
    assert_eq!(world.ticks(&mut seen).await, (vec!["2026-01-01T05:00:00.000Z".into()], missed.1));
}

#[tokio::test]
async fn tick_that_a_clock_meets_again_makes_no_second_task() {
    let (world, mut seen) = (World::new(CatchUp::All(100)).await, 0);
    for _ in 0..3 {
        world.clock.advance(HOUR);
        assert_eq!(world.ticks(&mut seen).await.0.len(), 1);
    }
    world.set("2026-01-01T01:30:00Z");
    assert_eq!(world.ticks(&mut seen).await, (Vec::new(), 0));
    let page = world.store.schedules(ScheduleQuery::default()).await.expect("the store works");
    assert_eq!(page.schedules[0].next.map(|next| next.tick), Some(at("2026-01-01T04:00:00Z")));
    for tick in [&NOTHING[..], &NOTHING, &["2026-01-01T04:00:00.000Z"]] {
        world.clock.advance(HOUR);
        assert_eq!(world.ticks(&mut seen).await.0, tick);
    }
}

/// Another expression that is due at the same instants makes no second task of them, however often it was changed meanwhile.
#[tokio::test]
async fn tick_of_a_schedule_that_was_changed_makes_no_second_task_when_a_clock_meets_it_again() {
    let (world, mut seen) = (World::new(CatchUp::All(100)).await, 0);
    for _ in 0..3 {
        world.clock.advance(HOUR);
        assert_eq!(world.ticks(&mut seen).await.0.len(), 1);
    }
    for change in [&["*/30 * * * *"][..], &["15 * * * *", "*/30 * * * *"]] {
        world.set("2026-01-01T03:10:00Z");
        for cron in change {
            world.put(cron).await;
        }
        world.set("2026-01-01T02:45:00Z");
        assert_eq!(world.ticks(&mut seen).await, (Vec::new(), 0));
        // A tick that no calendar of it has had before comes as it should.
        let page = world.store.schedules(ScheduleQuery::default()).await.expect("the store works");
        assert_eq!(page.schedules[0].next.map(|next| next.tick), Some(at("2026-01-01T03:30:00Z")));
        world.set("2026-01-01T03:05:00Z");
        assert_eq!(world.ticks(&mut seen).await, (Vec::new(), 0), "{change:?}");
        world.put("0 * * * *").await;
    }
    world.put("*/30 * * * *").await;
    world.set("2026-01-01T03:30:00Z");
    assert_eq!(world.ticks(&mut seen).await, (vec!["2026-01-01T03:30:00.000Z".into()], 0));
    world.set("2026-01-01T02:20:00Z");
    assert_eq!(world.ticks(&mut seen).await.0, NOTHING);
    // What the calendar before did not have is made: it is new.
    world.set("2026-01-01T02:30:00Z");
    assert_eq!(world.ticks(&mut seen).await.0, ["2026-01-01T02:30:00.000Z"]);
}

#[tokio::test]
async fn what_is_remembered_of_calendars_before_is_bounded() {
    let (world, mut seen) = (World::new(CatchUp::Last).await, 0);
    for change in 0..MAX_MET * 2 {
        world.clock.advance(HOUR);
        assert_eq!(world.ticks(&mut seen).await.0.len(), 1);
        world.put(["0 * * * *", "0 */1 * * *"][(change + 1) % 2]).await;
    }
    let page = world.store.schedules(ScheduleQuery::default()).await.expect("the store works");
    assert_eq!(page.schedules[0].progress.earlier.len(), MAX_MET);
}

/// Neither what came long before it was put, nor what it has made already.
#[tokio::test]
async fn clock_that_begins_anew_and_is_set_right_makes_up_for_nothing() {
    let (world, mut seen) = (World::new(CatchUp::All(100)).await, 0);
    world.clock.advance(HOUR);
    assert_eq!(world.ticks(&mut seen).await.0.len(), 1);
    world.set("1970-01-01T00:30:00Z");
    assert_eq!(world.ticks(&mut seen).await.0, NOTHING);
    world.clock.advance(HOUR / 2);
    assert_eq!(world.ticks(&mut seen).await.0, ["1970-01-01T01:00:00.000Z"]);
    world.set("2026-01-01T03:00:00Z");
    assert_eq!(
        world.ticks(&mut seen).await,
        (vec!["2026-01-01T02:00:00.000Z".into(), "2026-01-01T03:00:00.000Z".into()], 0)
    );
}

/// A clock is corrected by so much without that anything is decided anew.
#[tokio::test]
async fn minute_that_a_clock_may_be_corrected_by_obeyed_and_violated() {
    for (behind, set_back) in [("2026-01-01T00:59:00Z", false), ("2026-01-01T00:58:59Z", true)] {
        let (world, mut seen) = (World::new(CatchUp::Last).await, 0);
        world.clock.advance(HOUR);
        assert_eq!(world.ticks(&mut seen).await.0.len(), 1);
        world.set(behind);
        assert_eq!(world.ticks(&mut seen).await.0, NOTHING);
        let page = world.store.schedules(ScheduleQuery::default()).await.expect("the store works");
        assert_eq!(page.schedules[0].progress.decided_until < at("2026-01-01T01:00:00Z"), set_back);
    }
}

#[tokio::test]
async fn what_is_remembered_of_jumps_is_bounded() {
    let (world, mut seen) = (World::new(CatchUp::Last).await, 0);
    for _ in 0..MAX_MET * 2 {
        world.clock.advance(HOUR * 3);
        assert_eq!(world.ticks(&mut seen).await.0.len(), 1);
    }
    let page = world.store.schedules(ScheduleQuery::default()).await.expect("the store works");
    assert_eq!(page.schedules[0].progress.met.len(), MAX_MET);
    // What has been forgotten is not made again.
    world.set("2026-01-01T09:00:30Z");
    assert_eq!(world.ticks(&mut seen).await.0, NOTHING);
}
