//! What is done to tasks by their ids, and by a query.

use bytes::Bytes;
use sunaba_task::{OnConflict, Origin, StateName, Unique};

use super::*;
use crate::{BulkAction, DeleteError, TaskQuery};

/// Does it page by page; gives what it was done to.
async fn bulk(store: &dyn Store, action: &BulkAction, query: TaskQuery) -> Vec<TaskId> {
    let (mut done, mut before) = (Vec::new(), None);
    loop {
        let query = TaskQuery { before, ..query.clone() };
        let page = store.bulk(action.clone(), query.clone()).await.expect("the store works");
        assert!(page.done.len() <= query.limit);
        done.extend(page.done);
        before = page.next;
        if before.is_none() {
            return done;
        }
    }
}

/// A task in each state: scheduled, queued, running, retry-scheduled, succeeded, dead, cancelled.
async fn one_of_each(store: &dyn Store) -> Vec<Task> {
    let session = open(store).await;
    let mut tasks = vec![submit(store, with(|new| new.start = Some(When::After(LEASE * 9)))).await];
    let mut settled = Vec::new();
    for verdict in [Verdict::Retry(LEASE * 9), Verdict::Succeed, Verdict::GiveUp] {
        submit(store, new_task()).await;
        settled.push(finish(store, session, verdict).await);
    }
    submit(store, new_task()).await;
    let running = lease_one(store, session).await.task;
    tasks.extend([submit(store, new_task()).await, running]);
    tasks.extend(settled);
    tasks.push(cancel(store, submit(store, new_task()).await.id).await);
    tasks
}

fn ids<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Vec<TaskId> {
    let mut ids: Vec<_> = tasks.into_iter().map(|task| task.id).collect();
    ids.sort_unstable();
    ids.reverse();
    ids
}

fn all() -> TaskQuery {
    TaskQuery { limit: 2, ..TaskQuery::default() }
}

/// What waits for its first attempt, and for another; nothing else changes.
pub async fn task_that_waits_can_be_run_now(subject: &mut impl Subject) {
    let store = subject.store();
    let tasks = one_of_each(&*store).await;
    let unknown = TaskId::from_bytes([7; 16]);
    let wanted: Vec<_> = tasks.iter().map(|task| task.id).chain([unknown]).collect();
    let after = store.run_now(wanted).await.expect("the store works");
    for (before, after) in tasks.iter().zip(&after) {
        let after = after.as_ref().expect("it is there");
        if before.due_at().is_some() {
            assert_eq!((&after.state, after.attempts_started), (&State::Queued, before.attempts_started));
        } else {
            assert_eq!(after, before);
        }
    }
    assert_eq!(after.last(), Some(&None));
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 3, "the one that was queued, and two more");
    subject.advance(LEASE * 9);
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 4, "each is due once");
}

/// Not in a list, not in a search, not by its keys.
pub async fn deleted_task_leaves_nothing_behind(subject: &mut impl Subject) {
    let store = subject.store();
    let new = with(|new| {
        new.spec.idempotency_key = Some("k".into());
        new.spec.tags = vec!["t".into()];
        new.unique = Some(Unique { key: "u".into(), window: Some(LEASE * 99), on_conflict: OnConflict::Reject });
        new.input = Payload::new("image/png", Bytes::from(vec![7; 100_000]));
    });
    submit(&*store, new.clone()).await;
    let session = open(&*store).await;
    let dead = finish(&*store, session, Verdict::GiveUp).await;
    assert_eq!(store.delete(vec![dead.id]).await.expect("the store works"), [Ok(())]);
    let gone = Err(DeleteError::Unknown(dead.id));
    assert_eq!(store.delete(vec![dead.id]).await.expect("the store works"), [gone]);
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(find(&*store, dead.id).await, None);
    assert_eq!(store.input(dead.id).await.expect("the store works"), None);
    for query in
        [all(), TaskQuery { tag: Some("t".into()), ..all() }, TaskQuery { states: vec![StateName::Dead], ..all() }]
    {
        assert_eq!(store.tasks(query).await.expect("the store works").tasks, []);
    }
    let again = store.submit(vec![new]).await.expect("the store works").remove(0);
    assert!(matches!(again, Ok(crate::Submitted::Created(_))), "both of its keys are free: {again:?}");
}

/// The others of the call are deleted all the same.
pub async fn only_what_has_ended_is_deleted(subject: &mut impl Subject) {
    let store = subject.store();
    let tasks = one_of_each(&*store).await;
    let answers = store.delete(tasks.iter().map(|task| task.id).collect()).await.expect("the store works");
    for (before, answer) in tasks.iter().zip(answers) {
        if before.state.is_terminal() {
            assert_eq!(answer, Ok(()));
            assert_eq!(find(&*store, before.id).await, None);
        } else {
            assert_eq!(answer, Err(DeleteError::NotEnded { task: before.id, state: before.state.name() }));
            assert_eq!(task(&*store, before).await, *before);
        }
    }
}

/// Everything that a query asks for, in pages that are as small as was asked.
pub async fn bulk_cancels_page_by_page(subject: &mut impl Subject) {
    let store = subject.store();
    let tasks = one_of_each(&*store).await;
    let wish = CancelWish { reason: "enough".into(), grace: None };
    let action = BulkAction::Cancel(wish);
    let queued = TaskQuery { states: vec![StateName::Queued], ..all() };
    assert_eq!(bulk(&*store, &action, queued).await, [tasks[1].id]);
    let rest = bulk(&*store, &action, all()).await;
    assert_eq!(rest, ids([&tasks[0], &tasks[2], &tasks[3]]));
    for waiting in [&tasks[0], &tasks[1], &tasks[3]] {
        let cancelled = task(&*store, waiting).await;
        assert_eq!((&cancelled.state, cancelled.cancel.expect("why").reason), (&State::Cancelled, "enough".to_owned()));
    }
    let running = task(&*store, &tasks[2]).await;
    assert!(is_running(&running) && running.cancel.is_some());
    assert_eq!(bulk(&*store, &action, all()).await, [], "none is done to twice");
}

/// The rest stays as it is.
pub async fn bulk_runs_now_what_waits_for_an_instant(subject: &mut impl Subject) {
    let store = subject.store();
    let tasks = one_of_each(&*store).await;
    assert_eq!(bulk(&*store, &BulkAction::RunNow, all()).await, ids([&tasks[0], &tasks[3]]));
    for before in &tasks {
        let after = task(&*store, before).await;
        if before.due_at().is_some() {
            assert_eq!(after.state, State::Queued);
        } else {
            assert_eq!(after, *before);
        }
    }
}

/// A dead letter that was made again is not made again by the next.
pub async fn bulk_makes_again_what_failed_once(subject: &mut impl Subject) {
    let store = subject.store();
    let tasks = one_of_each(&*store).await;
    let failed = ids([&tasks[5], &tasks[6]]);
    assert_eq!(bulk(&*store, &BulkAction::Rerun, all()).await, failed);
    for old in [&tasks[5], &tasks[6]] {
        let old = task(&*store, old).await;
        let new = find(&*store, old.successor.expect("it was made again")).await.expect("it is there");
        assert_eq!((&new.state, new.origin), (&State::Queued, Some(Origin::Rerun(old.id))));
    }
    assert_eq!(bulk(&*store, &BulkAction::Rerun, all()).await, []);
}

/// What has not ended stays.
pub async fn bulk_deletes_what_has_ended(subject: &mut impl Subject) {
    let store = subject.store();
    let tasks = one_of_each(&*store).await;
    let dead = TaskQuery { states: vec![StateName::Dead], ..all() };
    assert_eq!(bulk(&*store, &BulkAction::Delete, dead).await, [tasks[5].id]);
    assert_eq!(bulk(&*store, &BulkAction::Delete, all()).await, ids([&tasks[4], &tasks[6]]));
    for before in &tasks {
        assert_eq!(find(&*store, before.id).await.is_some(), !before.state.is_terminal());
    }
}
