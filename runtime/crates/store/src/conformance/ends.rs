//! What was not started in time, and how long what has ended is kept.

use bytes::Bytes;
use sunaba_task::Retention;

use super::*;
use crate::{Rerun, StoreError, Submitted};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Waits until everything that is to be deleted by now is: a store may do so in portions.
async fn deleted(store: &dyn Store) {
    for _ in 0..20 {
        store.packages().await.expect("the store works");
    }
}

/// Too late is an end, whether it waited for an instant or for a slot.
pub async fn task_that_is_not_started_in_time_expires(subject: &mut impl Subject) {
    let store = subject.store();
    let expiring = |change: fn(&mut NewTask)| {
        with(|new| {
            new.expires = Some(When::After(SECOND * 10));
            change(new);
        })
    };
    let queued = submit(&*store, expiring(|_| {})).await;
    let scheduled = submit(&*store, expiring(|new| new.start = Some(When::After(HOUR)))).await;
    let due = submit(&*store, expiring(|new| new.start = Some(When::After(SECOND)))).await;
    let other = submit(&*store, new_task()).await;
    assert_eq!(queued.expires_at, Some(queued.submitted_at.after(SECOND * 10)));
    subject.advance(SECOND * 9);
    assert_eq!(task(&*store, &due).await.state, State::Queued);
    drop(store);
    subject.restart();
    let store = subject.store();
    subject.advance(SECOND);
    for expired in [&queued, &scheduled, &due] {
        let expired = task(&*store, expired).await;
        assert_eq!((&expired.state, expired.ended_at), (&State::Expired, expired.expires_at));
    }
    let session = open(&*store).await;
    let leased = lease(&*store, session, 9).await;
    assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [other.id]);
    let too_late = submit(&*store, with(|new| new.expires = Some(When::At(queued.submitted_at)))).await;
    assert!(lease(&*store, session, 9).await.is_empty());
    assert_eq!(task(&*store, &too_late).await.state, State::Expired);
}

/// The instant is for the start, and not for the end.
pub async fn task_that_has_begun_does_not_expire(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, with(|new| new.expires = Some(When::After(SECOND)))).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    subject.advance(SECOND * 2);
    let failed = settle(&*store, settlement(&leased, Verdict::Retry(SECOND))).await.expect("it has the lease");
    subject.advance(SECOND);
    assert_eq!(lease_one(&*store, session).await.task.id, failed.id);
}

/// An attempt that was handed back before it began is no start, however often; also when its time came while it was leased.
pub async fn task_of_which_nothing_was_run_still_expires(subject: &mut impl Subject) {
    let store = subject.store();
    let expiring = || with(|new| new.expires = Some(When::After(SECOND * 10)));
    let (early, late) = (submit(&*store, expiring()).await, submit(&*store, expiring()).await);
    let begun = submit(&*store, expiring()).await;
    let session = open(&*store).await;
    let back =
        |leased: &Leased| Settlement { ending: Ending::HandedBack, ..settlement(leased, Verdict::Snooze(SECOND)) };
    for _ in 0..2 {
        let leased = lease_one(&*store, session).await;
        assert_eq!(leased.task.id, early.id);
        settle(&*store, back(&leased)).await.expect("it has the lease");
        subject.advance(SECOND);
    }
    // After a restart, too, which looks for it anew.
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    let leased = lease(&*store, session, 9).await;
    assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [early.id, late.id, begun.id]);
    settle(&*store, back(&leased[0])).await.expect("it has the lease");
    settle(&*store, settlement(&leased[2], Verdict::Requeue)).await.expect("it has the lease");
    subject.advance(SECOND * 8);
    let early = task(&*store, &early).await;
    assert_eq!((&early.state, early.attempts_started, early.ended_at), (&State::Expired, 3, early.expires_at));
    assert!(is_running(&task(&*store, &late).await), "it has begun, as far as the store knows");
    settle(&*store, back(&leased[1])).await.expect("it has the lease");
    assert_eq!(task(&*store, &late).await.state, State::Expired);
    assert_eq!(lease_one(&*store, session).await.task.id, begun.id);
}

/// More than a store can end at once.
pub async fn expired_task_is_never_leased_however_many_there_are(subject: &mut impl Subject) {
    let store = subject.store();
    let new = with(|new| new.expires = Some(When::After(SECOND)));
    let submitted = store.submit(vec![new; 2_500]).await.expect("the store works");
    let session = open(&*store).await;
    subject.advance(SECOND);
    assert!(lease(&*store, session, 9).await.is_empty());
    assert!(lease(&*store, session, 5_000).await.is_empty());
    for task in submitted {
        let id = task.expect("it is taken on").into_task().id;
        assert_eq!(find(&*store, id).await.expect("it is there").state, State::Expired);
    }
}

/// A long output and a short one, each with its task.
async fn succeed(store: &dyn Store, keep_result: Option<Duration>) -> Vec<Task> {
    let session = open(store).await;
    let mut done = Vec::new();
    for output in [Payload::json("1"), Payload::new("image/png", Bytes::from(vec![7; 100_000]))] {
        submit(store, with(|new| new.spec.keep_result = keep_result)).await;
        let leased = lease_one(store, session).await;
        let settlement = Settlement { output: Some(output), ..settlement(&leased, Verdict::Succeed) };
        done.push(settle(store, settlement).await.expect("it has the lease"));
    }
    done
}

async fn has_output(store: &dyn Store, task: &Task) -> bool {
    store.output(task.id).await.expect("the store works").is_some()
}

/// First what it said, then that it was.
pub async fn result_goes_after_its_time_and_the_record_later(subject: &mut impl Subject) {
    let store = subject.store();
    let done = succeed(&*store, None).await;
    subject.advance(HOUR - SECOND);
    for task in &done {
        assert!(has_output(&*store, task).await);
    }
    subject.advance(SECOND);
    for task in &done {
        assert!(!has_output(&*store, task).await);
        assert_eq!(find(&*store, task.id).await.as_ref(), Some(task), "the record says what there was");
    }
    subject.advance(HOUR * 24 * 7 - HOUR - SECOND);
    assert!(find(&*store, done[0].id).await.is_some());
    subject.advance(SECOND + SLACK);
    deleted(&*store).await;
    for task in &done {
        assert_eq!(find(&*store, task.id).await, None);
        assert_eq!(store.wait(task.id, HOUR).await.expect("the store works"), None);
        assert_eq!(store.input(task.id).await.expect("the store works"), None);
    }
}

/// Less than for all, or more: then the record stays as long.
pub async fn submitter_says_how_long_its_result_is_kept(subject: &mut impl Subject) {
    let store = subject.store();
    let short = succeed(&*store, Some(SECOND)).await;
    let long = succeed(&*store, Some(HOUR * 24 * 30)).await;
    let none = succeed(&*store, Some(Duration::ZERO)).await;
    assert!(has_output(&*store, &short[0]).await && !has_output(&*store, &none[1]).await);
    subject.advance(SECOND);
    for task in &short {
        assert!(!has_output(&*store, task).await);
    }
    subject.advance(HOUR * 24 * 29);
    deleted(&*store).await;
    for task in &long {
        assert!(has_output(&*store, task).await);
    }
    assert_eq!(find(&*store, short[0].id).await, None);
    subject.advance(HOUR * 24 + SLACK);
    deleted(&*store).await;
    assert_eq!(find(&*store, long[0].id).await, None);
}

/// A task in each state in which one can end: succeeded, cancelled, expired, dead.
async fn one_of_each(store: &dyn Store, subject: &impl Subject) -> Vec<Task> {
    let expiring = submit(store, with(|new| new.expires = Some(When::After(SECOND)))).await;
    subject.advance(SECOND);
    let mut ended = Vec::new();
    let session = open(store).await;
    submit(store, new_task()).await;
    ended.push(finish(store, session, Verdict::Succeed).await);
    ended.push(cancel(store, submit(store, new_task()).await.id).await);
    ended.push(task(store, &expiring).await);
    submit(store, new_task()).await;
    ended.push(finish(store, session, Verdict::GiveUp).await);
    ended
}

/// One instant for each; none means that somebody has to do it.
pub async fn each_state_is_kept_as_long_as_the_operator_says(subject: &mut impl Subject) {
    let store = subject.store();
    let hours = |hours| Some(HOUR * hours);
    let retention = Retention {
        result: SECOND,
        succeeded: hours(1),
        cancelled: hours(2),
        expired: hours(3),
        dead: Retention::default().dead,
    };
    store.set_retention(retention.clone()).await.expect("the store works");
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(store.retention().await.expect("the store works"), retention);
    let ended = one_of_each(&*store, subject).await;
    subject.advance(SLACK);
    for gone in 0..3 {
        deleted(&*store).await;
        for (index, task) in ended.iter().enumerate() {
            let is_there = find(&*store, task.id).await.is_some();
            assert_eq!(is_there, index >= gone, "{} after {gone} h", task.state.name());
        }
        subject.advance(HOUR);
    }
    subject.advance(HOUR * 24 * 365);
    deleted(&*store).await;
    assert_eq!(find(&*store, ended[3].id).await.as_ref(), Some(&ended[3]), "a dead letter is kept");
}

/// What has ended before keeps what it was promised.
pub async fn retention_is_for_what_ends_from_then_on(subject: &mut impl Subject) {
    let store = subject.store();
    let before = succeed(&*store, None).await;
    let short = Retention { result: SECOND, succeeded: Some(SECOND * 2), ..Retention::default() };
    store.set_retention(short).await.expect("the store works");
    let after = succeed(&*store, None).await;
    subject.advance(SECOND * 2 + SLACK);
    deleted(&*store).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(has_output(&*store, before).await && !has_output(&*store, after).await);
        assert_eq!(find(&*store, after.id).await, None);
    }
}

/// It was promised before.
pub async fn result_that_was_asked_for_outlives_a_rerun(subject: &mut impl Subject) {
    let store = subject.store();
    let done = succeed(&*store, Some(HOUR * 24 * 30)).await;
    let reruns = done.iter().map(|task| Rerun { task: task.id, input: None, checked: None, once: false });
    assert!(store.rerun(reruns.collect()).await.expect("the store works").iter().all(Result::is_ok));
    subject.advance(HOUR * 24 * 29);
    deleted(&*store).await;
    for task in &done {
        assert!(has_output(&*store, task).await);
    }
    subject.advance(HOUR * 24 + SLACK);
    deleted(&*store).await;
    assert_eq!(find(&*store, done[0].id).await, None);
}

/// Whoever waits for the end of a task must be able to see it.
pub async fn retention_out_of_range_is_refused(subject: &mut impl Subject) {
    let store = subject.store();
    for kept in [Duration::ZERO, Duration::MAX] {
        let retention = Retention { dead: Some(kept), ..Retention::default() };
        assert!(matches!(store.set_retention(retention).await, Err(StoreError::Control(_))));
    }
    assert_eq!(store.retention().await.expect("the store works"), Retention::default());
}

/// A key is remembered as long as there is something to give for it.
pub async fn idempotency_key_is_free_when_its_task_is_gone(subject: &mut impl Subject) {
    let store = subject.store();
    let new = |input| {
        with(|new| {
            new.spec.idempotency_key = Some("k".into());
            new.input = Payload::json(input);
        })
    };
    let first = submit(&*store, new("1")).await;
    let session = open(&*store).await;
    finish(&*store, session, Verdict::Succeed).await;
    subject.advance(HOUR * 24 * 7 + SLACK);
    deleted(&*store).await;
    // Even for another request.
    let again = store.submit(vec![new("2")]).await.expect("the store works").remove(0);
    assert!(matches!(&again, Ok(Submitted::Created(task)) if task.id != first.id), "{again:?}");
}
