//! What follows from an attempt, and from a wish to cancel.

use sunaba_task::{Fuel, Receipt, StateName};
use uuid::Uuid;

use super::*;
use crate::Rerun;

/// The end is the end, and the output is there.
pub async fn success_is_terminal_and_has_its_output(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(store.output(leased.task.id).await.expect("the store works"), None);
    subject.advance(SECOND);
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!((&done.state, done.failures_charged), (&State::Succeeded, 0));
    assert_eq!(done.ended_at.expect("it has ended").since(done.submitted_at), SECOND);
    assert_eq!(store.output(done.id).await.expect("the store works"), Some(Payload::json("1")));
    assert!(lease(&*store, session, 1).await.is_empty());
}

/// A retry waits as long as was decided.
pub async fn failed_task_comes_back_after_its_delay(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let failed = settle(&*store, settlement(&leased, Verdict::Retry(SECOND))).await.expect("it has the lease");
    assert_eq!((failed.state.name(), failed.failures_charged), (StateName::RetryScheduled, 1));
    assert!(lease(&*store, session, 1).await.is_empty());
    subject.advance(SECOND);
    let again = lease_one(&*store, session).await;
    assert_eq!((again.task.id, again.task.attempts_started), (leased.task.id, 2));
}

/// Failures are counted, and the last one is final.
pub async fn task_is_dead_after_its_last_failure(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let dead = settle(&*store, settlement(&leased, Verdict::GiveUp)).await.expect("it has the lease");
    assert_eq!((&dead.state, dead.failures_charged, dead.attempts.len()), (&State::Dead, 1, 1));
    assert_eq!(store.output(dead.id).await.expect("the store works"), None);
    subject.advance(LEASE * 100);
    let session = open(&*store).await;
    assert!(lease(&*store, session, 1).await.is_empty());
}

/// Later is no failure.
pub async fn snoozed_task_comes_back_and_is_charged_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let snoozed = settle(&*store, settlement(&leased, Verdict::Snooze(SECOND))).await.expect("it has the lease");
    assert_eq!((snoozed.state.name(), snoozed.failures_charged), (StateName::Scheduled, 0));
    subject.advance(SECOND);
    assert_eq!(lease_one(&*store, session).await.task.attempts_started, 2);
}

/// What waits is cancelled at once.
pub async fn cancelled_task_that_waits_is_never_leased(subject: &mut impl Subject) {
    let store = subject.store();
    let queued = submit(&*store, new_task()).await;
    let scheduled = submit(&*store, with(|new| new.start = Some(When::After(SECOND)))).await;
    let cancelled = store.cancel(vec![queued.id, scheduled.id], CancelWish::default()).await.expect("the store works");
    assert!(cancelled.iter().flatten().all(|task| task.state == State::Cancelled && task.ended_at.is_some()));
    assert_eq!(cancelled.iter().flatten().count(), 2);
    subject.advance(SECOND);
    let session = open(&*store).await;
    assert!(lease(&*store, session, 2).await.is_empty());
}

/// A running task is cancelled by its worker, whatever it was about to say.
pub async fn cancel_of_a_running_task_is_told_and_wins(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let news = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.renew(session, LEASE).await }
    });
    settle_down(&*store).await;
    for _ in 0..2 {
        let asked = store
            .cancel(vec![leased.task.id], CancelWish::default())
            .await
            .expect("the store works")
            .remove(0)
            .expect("it is there");
        assert!(is_running(&asked) && asked.cancel.is_some());
    }
    assert_eq!(news.await.expect("it ends").expect("it lives"), [Cancelled { task: leased.task.id, grace: None }]);
    assert_eq!(store.renew(session, Duration::ZERO).await.expect("it lives"), [], "told once");
    let stale = settle(&*store, settlement(&leased, Verdict::Succeed)).await;
    let Err(SettleError::Stale(moved)) = stale else { panic!("the record has moved: {stale:?}") };
    let again = Settlement { revision: moved.revision, ..settlement(&leased, Verdict::Cancel) };
    let cancelled = settle(&*store, again).await.expect("it has the lease");
    assert_eq!((&cancelled.state, cancelled.output), (&State::Cancelled, None));
}

/// A cancel that was acknowledged is not forgotten with the host.
pub async fn cancel_of_a_running_task_outlives_its_host(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, new_task()).await;
    let session = open(&*store).await;
    lease_one(&*store, session).await;
    store.cancel(vec![submitted.id], CancelWish::default()).await.expect("the store works");
    drop(store);
    subject.restart();
    let store = subject.store();
    subject.advance(LEASE);
    assert_eq!(task(&*store, &submitted).await.state, State::Cancelled);
    let session = open(&*store).await;
    assert!(lease(&*store, session, 1).await.is_empty());
}

/// Too late is no error.
pub async fn cancel_of_what_has_ended_or_never_was_changes_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    let unknown = TaskId::from_uuid(Uuid::nil());
    assert_eq!(
        store.cancel(vec![done.id, unknown], CancelWish::default()).await.expect("the store works"),
        [Some(done), None]
    );
}

/// Each attempt has what is left of the fuel of all of them, or its own limit if that is less; what is run again begins anew.
pub async fn fuel_of_all_attempts_is_handed_out(subject: &mut impl Subject) {
    let store = subject.store();
    let mut new = new_task();
    (new.spec.fuel_budget, new.spec.limits.fuel) = (Some(1_000), Fuel::Exact { limit: Some(600) });
    let id = submit(&*store, new).await.id;
    for (gets, uses) in [(600, 300), (600, 500), (200, 100), (100, 100), (1, 1)] {
        let session = open(&*store).await;
        let leased = lease_one(&*store, session).await;
        assert_eq!(leased.task.spec.limits.fuel, Fuel::Exact { limit: Some(gets) });
        let receipt = Receipt { fuel: Some(uses), ..Receipt::unmeasured(leased.task.spec.component) };
        let settlement = Settlement { receipt: Some(receipt), ..settlement(&leased, Verdict::Retry(SECOND)) };
        settle(&*store, settlement).await.expect("it has the lease");
        subject.advance(SECOND);
    }
    assert_eq!(find(&*store, id).await.expect("it is there").fuel_used, 1_001);
    store.cancel(vec![id], CancelWish::default()).await.expect("the store works");
    let again = Rerun { task: id, input: None, checked: None, once: false };
    let again = store.rerun(vec![again]).await.expect("the store works").remove(0).expect("it has ended");
    assert_eq!((again.spec.fuel_budget, again.fuel_used), (Some(1_000), 0));
}
