//! One task of a kind at a time.

use sunaba_task::{OnConflict, Origin, Unique};

use super::*;
use crate::{SubmitError, Submitted};

fn unique(on_conflict: OnConflict) -> NewTask {
    with(|new| new.unique = Some(Unique { key: "u".into(), window: None, on_conflict }))
}

async fn try_submit(store: &dyn Store, new: NewTask) -> Result<Submitted, SubmitError> {
    store.submit(vec![new]).await.expect("the store works").remove(0)
}

fn taken(holder: &Task) -> Result<Submitted, SubmitError> {
    Err(SubmitError::Taken { key: "u".into(), task: holder.id })
}

/// The second is told who is in its way.
pub async fn unique_key_refuses_a_second_task_until_the_first_has_ended(subject: &mut impl Subject) {
    let store = subject.store();
    let both = store.submit(vec![unique(OnConflict::Reject); 2]).await.expect("the store works");
    let [Ok(Submitted::Created(first)), second] = &both[..] else { panic!("{both:?}") };
    assert_eq!(*second, taken(first));
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(try_submit(&*store, unique(OnConflict::Reject)).await, taken(first));
    let again = settle(&*store, settlement(&leased, Verdict::Retry(SECOND))).await.expect("it has the lease");
    assert_eq!(try_submit(&*store, unique(OnConflict::Reject)).await, taken(&again));
    // Another key is another kind.
    let other = with(|new| {
        new.unique = Some(Unique { key: "other".into(), window: None, on_conflict: OnConflict::Reject });
    });
    assert!(matches!(try_submit(&*store, other).await, Ok(Submitted::Created(_))));
}

/// Success, death, a cancel, a lost host and a missed start all end a task.
pub async fn unique_key_is_free_after_every_end(subject: &mut impl Subject) {
    let store = subject.store();
    let submit_unique = async || submit(&*store, unique(OnConflict::Reject)).await;
    for verdict in [Verdict::Succeed, Verdict::GiveUp] {
        submit_unique().await;
        let session = open(&*store).await;
        finish(&*store, session, verdict).await;
    }
    cancel(&*store, submit_unique().await.id).await;
    submit_unique().await;
    for _ in 0..DEFAULT_MAX_HOSTS_LOST {
        let session = open(&*store).await;
        lease_one(&*store, session).await;
        subject.advance(LEASE);
    }
    submit(&*store, NewTask { expires: Some(When::After(SECOND)), ..unique(OnConflict::Reject) }).await;
    subject.advance(SECOND);
    let last = submit_unique().await;
    assert_eq!(try_submit(&*store, unique(OnConflict::Reject)).await, taken(&last));
}

/// Whoever comes second shares the first one's task.
pub async fn unique_key_gives_the_task_that_holds_it(subject: &mut impl Subject) {
    let store = subject.store();
    let both = store.submit(vec![unique(OnConflict::Existing); 2]).await.expect("the store works");
    let [Ok(Submitted::Created(first)), Ok(Submitted::Existing(second))] = &both[..] else { panic!("{both:?}") };
    assert_eq!(first, second);
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let running = try_submit(&*store, unique(OnConflict::Existing)).await;
    assert_eq!(running, Ok(Submitted::Existing(leased.task)));
    assert!(lease(&*store, session, 9).await.is_empty());
}

/// A window does not care whether the task has ended.
pub async fn unique_key_of_a_window_is_held_from_the_submit_on(subject: &mut impl Subject) {
    let store = subject.store();
    let new = || {
        with(|new| {
            let on_conflict = OnConflict::Reject;
            new.unique = Some(Unique { key: "u".into(), window: Some(SECOND * 10), on_conflict });
        })
    };
    submit(&*store, new()).await;
    let session = open(&*store).await;
    let done = finish(&*store, session, Verdict::Succeed).await;
    subject.advance(SECOND * 9);
    assert_eq!(try_submit(&*store, new()).await, taken(&done));
    subject.advance(SECOND);
    let second = submit(&*store, new()).await;
    subject.advance(SECOND * 10);
    assert_eq!(task(&*store, &second).await.state, State::Queued, "it waits for longer than its window");
    let third = submit(&*store, new()).await;
    // The end of one that has lost the key takes it from nobody.
    cancel(&*store, second.id).await;
    assert_eq!(try_submit(&*store, new()).await, taken(&third));
}

/// The last one counts, and each of them says so.
pub async fn task_that_is_replaced_is_cancelled_and_linked_both_ways(subject: &mut impl Subject) {
    let store = subject.store();
    let row = store.submit(vec![unique(OnConflict::Replace); 3]).await.expect("the store works");
    let row: Vec<_> = row.into_iter().map(|task| task.expect("it is taken on").into_task()).collect();
    assert_eq!(row[0].origin, None);
    for pair in row.windows(2) {
        assert_eq!(pair[1].origin, Some(Origin::Replaces(pair[0].id)));
        let old = task(&*store, &pair[0]).await;
        assert_eq!((&old.state, old.successor), (&State::Cancelled, Some(pair[1].id)));
        assert_eq!(old.cancel.expect("it was cancelled").reason, format!("replaced by {}", pair[1].id));
    }
    let session = open(&*store).await;
    let leased = lease(&*store, session, 9).await;
    assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [row[2].id]);
}

/// Work that has begun is not thrown away.
pub async fn task_that_has_begun_is_not_replaced_and_loses_the_key(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, unique(OnConflict::Replace)).await;
    let session = open(&*store).await;
    let first = lease_one(&*store, session).await;
    let second = submit(&*store, unique(OnConflict::Replace)).await;
    assert_eq!((second.origin, &task(&*store, &first.task).await), (None, &first.task));
    settle(&*store, settlement(&first, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(try_submit(&*store, unique(OnConflict::Reject)).await, taken(&second));
}

/// A row of calls is one task, which runs when it is quiet, and not too late.
pub async fn debounced_task_is_put_off_and_not_for_ever(subject: &mut impl Subject) {
    let store = subject.store();
    let delayed = |on_conflict| NewTask { start: Some(When::After(SECOND * 10)), ..unique(on_conflict) };
    let new = || delayed(OnConflict::Debounce { longest: SECOND * 25 });
    let first = submit(&*store, new()).await;
    let due = |seconds| Some(first.submitted_at.after(SECOND * seconds));
    assert_eq!(first.due_at(), due(10));
    subject.advance(SECOND * 9);
    assert_eq!(submit(&*store, new()).await.due_at(), due(19));
    subject.advance(SECOND * 9);
    let last = submit(&*store, new()).await;
    assert_eq!(last.due_at(), due(25), "no later than that after the first");
    subject.advance(SECOND * 7);
    let session = open(&*store).await;
    let leased = lease(&*store, session, 9).await;
    assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [last.id]);
    // That one has begun, so that the next call begins a row of its own.
    assert_eq!(submit(&*store, new()).await.due_at(), due(35));
}

/// A key is as durable as its task.
pub async fn unique_key_is_held_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let first = submit(&*store, unique(OnConflict::Reject)).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(try_submit(&*store, unique(OnConflict::Reject)).await, taken(&first));
    cancel(&*store, first.id).await;
    drop(store);
    subject.restart();
    assert!(try_submit(&*subject.store(), unique(OnConflict::Reject)).await.is_ok());
}

/// The same request again is not in its own way.
pub async fn idempotency_key_comes_before_the_unique_key(subject: &mut impl Subject) {
    let store = subject.store();
    let new = || {
        let mut new = unique(OnConflict::Replace);
        new.spec.idempotency_key = Some("k".into());
        new
    };
    let first = submit(&*store, new()).await;
    assert_eq!(try_submit(&*store, new()).await, Ok(Submitted::Existing(first.clone())));
    assert_eq!(task(&*store, &first).await.state, State::Queued);
    // What a task is unique by belongs to the request.
    let other = NewTask { unique: None, ..new() };
    assert!(matches!(try_submit(&*store, other).await, Err(SubmitError::Conflict { .. })));
}
