//! What becomes of a tick, or of a trigger, while a task of the same schedule has not ended.

use sunaba_task::StateName;
use sunaba_task::schedule::{MAX_ACTIVE, MAX_WAITING, Overlap, Schedule, ScheduleCounts};

use super::schedules::{HOUR, all_tasks, called, hourly, put, schedule, words};
use super::*;
use crate::{Expected, NewSchedule, ScheduleChangeError, Triggered};

fn with_policy(overlap: Overlap) -> NewSchedule {
    hourly(|new| new.spec.overlap = overlap)
}

async fn counts(store: &dyn Store) -> (u64, u64, usize, usize) {
    let Schedule { progress, .. } = schedule(store).await;
    (progress.counts.made, progress.counts.skipped, progress.active.len(), progress.waiting.len())
}

async fn states(store: &dyn Store) -> Vec<StateName> {
    all_tasks(store).await.iter().map(|task| task.state.name()).collect()
}

async fn trigger(store: &dyn Store) -> Result<Triggered, ScheduleChangeError> {
    store.trigger_schedule(called("report")).await.expect("the store works")
}

/// It is left out, with a note; retries of a task are the task.
pub async fn tick_is_skipped_while_a_task_has_not_ended(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, with_policy(Overlap::Skip)).await;
    subject.advance(HOUR);
    assert_eq!(counts(&*store).await, (1, 0, 1, 0));
    subject.advance(HOUR);
    assert_eq!(counts(&*store).await, (1, 1, 1, 0));
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Retry(HOUR * 2)).await;
    subject.advance(HOUR);
    assert_eq!(counts(&*store).await, (1, 2, 1, 0));
    drop(store);
    subject.restart();
    let store = subject.store();
    subject.advance(HOUR);
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    assert_eq!(counts(&*store).await, (1, 3, 0, 0));
    subject.advance(HOUR);
    assert_eq!(counts(&*store).await, (2, 3, 1, 0));
    let skipped = words(&*store).await.iter().filter(|word| **word == "schedule-skipped").count();
    assert_eq!(skipped, 3);
}

/// Whatever ends the task, in the turn of its end, one after another; after a restart, too.
pub async fn tick_waits_until_the_task_before_has_ended(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, with_policy(Overlap::Queue)).await;
    for _ in 0..3 {
        subject.advance(HOUR);
        schedule(&*store).await;
    }
    assert_eq!(counts(&*store).await, (1, 0, 1, 2));
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(counts(&*store).await, (1, 0, 1, 2));
    let session = open(&*store).await;
    finish(&*store, session, Verdict::GiveUp).await;
    assert_eq!(counts(&*store).await, (2, 0, 1, 1));
    let second = all_tasks(&*store).await.pop().expect("it is there");
    cancel(&*store, second.id).await;
    assert_eq!(counts(&*store).await, (3, 0, 1, 0));
    assert_eq!(states(&*store).await, [StateName::Dead, StateName::Cancelled, StateName::Queued]);
    let ticks: Vec<_> = all_tasks(&*store).await.iter().filter_map(|task| task.schedule.clone()?.tick).collect();
    assert!(ticks.len() == 3 && ticks.is_sorted(), "{ticks:?}");
    finish(&*store, session, Verdict::Succeed).await;
    assert_eq!(counts(&*store).await, (3, 0, 0, 0));
}

/// They are not more than so many.
pub async fn ticks_that_wait_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, with_policy(Overlap::Queue)).await;
    for _ in 0..=MAX_WAITING {
        subject.advance(HOUR);
        schedule(&*store).await;
    }
    assert_eq!(counts(&*store).await, (1, 0, 1, MAX_WAITING));
    subject.advance(HOUR);
    assert_eq!(counts(&*store).await, (1, 1, 1, MAX_WAITING));
}

/// What waits is cancelled at once; what runs, when its worker has settled it, and no two run at a time.
pub async fn tick_cancels_the_task_before_and_waits_for_its_end(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, with_policy(Overlap::CancelOld)).await;
    subject.advance(HOUR);
    schedule(&*store).await;
    subject.advance(HOUR);
    schedule(&*store).await;
    assert_eq!(states(&*store).await, [StateName::Cancelled, StateName::Queued]);
    assert_eq!(counts(&*store).await, (2, 0, 1, 0));
    let session = store.open_session("worker".into(), HOUR * 10).await.expect("the store works");
    let leased = lease_one(&*store, session).await;
    for _ in 0..2 {
        subject.advance(HOUR);
        schedule(&*store).await;
    }
    // The third has been overtaken by the fourth.
    assert_eq!(counts(&*store).await, (2, 1, 1, 1));
    let told = store.renew(session, Duration::ZERO).await.expect("the session lives");
    assert_eq!(told.iter().map(|cancelled| cancelled.task).collect::<Vec<_>>(), [leased.task.id]);
    let task = task(&*store, &leased.task).await;
    let reason = task.cancel.as_ref().map(|cancel| cancel.reason.as_str());
    assert_eq!(reason, Some("the schedule `report` has made another"));
    let cancelled = Settlement { revision: task.revision, ..settlement(&leased, Verdict::Cancel) };
    settle(&*store, cancelled).await.expect("it has the lease");
    assert_eq!(states(&*store).await, [StateName::Cancelled, StateName::Cancelled, StateName::Queued]);
    assert_eq!(counts(&*store).await, (3, 1, 1, 0));
}

/// Its tasks may overlap, up to a bound.
pub async fn tasks_of_one_schedule_at_a_time_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, with_policy(Overlap::Allow)).await;
    for _ in 0..MAX_ACTIVE {
        subject.advance(HOUR);
        schedule(&*store).await;
    }
    assert_eq!(counts(&*store).await, (MAX_ACTIVE as u64, 0, MAX_ACTIVE, 0));
    subject.advance(HOUR);
    assert_eq!(counts(&*store).await, (MAX_ACTIVE as u64, 1, MAX_ACTIVE, 0));
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    subject.advance(HOUR);
    assert_eq!(counts(&*store).await, (MAX_ACTIVE as u64 + 1, 1, MAX_ACTIVE, 0));
}

/// At once, paused or not, and as a tick where something is active.
pub async fn trigger_makes_a_task_now_as_the_policy_allows(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, hourly(|new| (new.spec.overlap, new.paused) = (Overlap::Skip, Some(true)))).await;
    let triggered = trigger(&*store).await.expect("nothing is active");
    let first = triggered.task.expect("it is made at once");
    assert_eq!((first.schedule.as_ref().map(|link| link.tick), first.state.name()), (Some(None), StateName::Queued));
    let counts_of = ScheduleCounts { triggered: 1, ..ScheduleCounts::default() };
    assert_eq!((triggered.schedule.progress.counts, triggered.schedule.progress.last_tick), (counts_of, None));
    match trigger(&*store).await {
        Err(ScheduleChangeError::Overlap { reason, .. }) => assert_eq!(reason, "a task of the schedule has not ended"),
        other => panic!("{other:?}"),
    }
    put(&*store, with_policy(Overlap::Queue)).await;
    let waiting = trigger(&*store).await.expect("it may wait");
    assert_eq!((waiting.task, waiting.schedule.progress.waiting.len()), (None, 1));
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    assert_eq!(states(&*store).await, [StateName::Succeeded, StateName::Queued]);
    put(&*store, with_policy(Overlap::CancelOld)).await;
    let third = trigger(&*store).await.expect("the other has not begun").task.expect("it is made at once");
    assert_eq!(states(&*store).await, [StateName::Succeeded, StateName::Cancelled, StateName::Queued]);
    assert_eq!(schedule(&*store).await.progress.active, [third.id]);
    put(&*store, with_policy(Overlap::Allow)).await;
    trigger(&*store).await.expect("they may overlap").task.expect("it is made at once");
    assert_eq!(schedule(&*store).await.progress.counts.triggered, 4);
}

/// What waits goes on when the schedule does, and at once where it need not wait any more.
pub async fn what_waits_of_a_paused_schedule_waits_for_its_end(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, with_policy(Overlap::Queue)).await;
    for _ in 0..2 {
        subject.advance(HOUR);
        schedule(&*store).await;
    }
    let pause = async |paused| {
        store
            .pause_schedule(called("report"), paused, Expected::Any)
            .await
            .expect("the store works")
            .expect("it is there")
    };
    pause(true).await;
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    assert_eq!(counts(&*store).await, (1, 0, 0, 1));
    pause(false).await;
    assert_eq!(counts(&*store).await, (2, 0, 1, 0));
}
