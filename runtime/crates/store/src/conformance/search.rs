//! Tasks are found by what is known of them.

use sunaba_task::{StateName, Timestamp};

use super::queries::ids;
use super::*;
use crate::{BulkAction, TaskQuery};

fn by_tag(tag: &str) -> TaskQuery {
    TaskQuery { tag: Some(tag.into()), limit: 99, ..TaskQuery::default() }
}

fn by_state(states: &[StateName]) -> TaskQuery {
    TaskQuery { states: states.to_vec(), limit: 99, ..TaskQuery::default() }
}

async fn submit_tagged(store: &dyn Store, tags: &[&str]) -> TaskId {
    submit(store, with(|new| new.spec.tags = tags.iter().map(|tag| (*tag).to_owned()).collect())).await.id
}

/// The whole tag, however long, in every state.
pub async fn tasks_are_found_by_tag(subject: &mut impl Subject) {
    let store = subject.store();
    let long = "long".repeat(1_000);
    let both = submit_tagged(&*store, &["a", "b", "a"]).await;
    let odd = submit_tagged(&*store, &["a\0b", &long]).await;
    let one = submit_tagged(&*store, &["a"]).await;
    submit(&*store, new_task()).await;
    assert_eq!(ids(&*store, by_tag("a")).await, [one, both]);
    assert_eq!(ids(&*store, by_tag("b")).await, [both]);
    assert_eq!(ids(&*store, by_tag("a\0b")).await, [odd]);
    assert_eq!(ids(&*store, by_tag(&long)).await, [odd]);
    assert_eq!(ids(&*store, by_tag("")).await, []);
    let session = open(&*store).await;
    let running = lease_one(&*store, session).await.task;
    assert_eq!(running.id, both);
    assert_eq!(ids(&*store, by_tag("a")).await, [one, both]);
    let with_state = |state| TaskQuery { states: vec![state], ..by_tag("a") };
    assert_eq!(ids(&*store, with_state(StateName::Running)).await, [both]);
    assert_eq!(ids(&*store, with_state(StateName::Queued)).await, [one]);
    let other = TaskQuery { queue: Some("other".into()), ..by_tag("a") };
    assert_eq!(ids(&*store, other).await, []);
}

/// Alone and together, newest first.
pub async fn ended_and_running_tasks_are_found_by_state(subject: &mut impl Subject) {
    let store = subject.store();
    let expired = submit(&*store, with(|new| new.expires = Some(When::After(SECOND)))).await.id;
    subject.advance(SECOND);
    let session = open(&*store).await;
    store.submit(vec![new_task(); 3]).await.expect("the store works");
    let dead = finish(&*store, session, Verdict::GiveUp).await.id;
    let running = lease_one(&*store, session).await.task.id;
    let succeeded = finish(&*store, session, Verdict::Succeed).await.id;
    let cancelled = cancel(&*store, submit(&*store, new_task()).await.id).await.id;
    for (state, id) in [
        (StateName::Expired, expired),
        (StateName::Dead, dead),
        (StateName::Running, running),
        (StateName::Succeeded, succeeded),
        (StateName::Cancelled, cancelled),
    ] {
        assert_eq!(ids(&*store, by_state(&[state])).await, [id], "{state}");
    }
    let both = [StateName::Dead, StateName::Running];
    assert_eq!(ids(&*store, by_state(&both)).await, [running, dead]);
    let not_well = [StateName::Expired, StateName::Dead, StateName::Cancelled, StateName::Dead];
    assert_eq!(ids(&*store, by_state(&not_well)).await, [cancelled, dead, expired]);
    let with_history = [StateName::Dead, StateName::Succeeded];
    assert_eq!(ids(&*store, by_state(&with_history)).await, [succeeded, dead]);
    store.delete(vec![dead]).await.expect("the store works");
    assert_eq!(ids(&*store, by_state(&both)).await, [running]);
}

/// From an instant on, up to and without another one.
pub async fn tasks_are_found_by_time(subject: &mut impl Subject) {
    let store = subject.store();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(submit(&*store, with(|new| new.spec.tags = vec!["t".into()])).await);
        subject.advance(SECOND);
    }
    let at = |index: usize| Some(tasks[index].submitted_at);
    let between = |from: Option<Timestamp>, until: Option<Timestamp>| {
        [TaskQuery { from, until, limit: 99, ..TaskQuery::default() }, TaskQuery { from, until, ..by_tag("t") }]
    };
    let late = Some(Timestamp::from_unix_ms(u64::MAX));
    for (from, until, expected) in [
        (at(1), None, vec![tasks[2].id, tasks[1].id]),
        (None, at(1), vec![tasks[0].id]),
        (at(1), at(2), vec![tasks[1].id]),
        (at(0), late, vec![tasks[2].id, tasks[1].id, tasks[0].id]),
        (late, None, vec![]),
        (at(2), at(1), vec![]),
    ] {
        for query in between(from, until) {
            assert_eq!(ids(&*store, query.clone()).await, expected, "{query:?}");
        }
    }
}

/// What somebody has seen to needs nobody else.
pub async fn dead_letters_that_were_run_again_can_be_left_out(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 2]).await.expect("the store works");
    let session = open(&*store).await;
    let first = finish(&*store, session, Verdict::GiveUp).await.id;
    let second = finish(&*store, session, Verdict::GiveUp).await.id;
    store
        .rerun(vec![crate::Rerun { task: first, input: None, checked: None, once: false }])
        .await
        .expect("the store works");
    let dead = by_state(&[StateName::Dead]);
    assert_eq!(ids(&*store, dead.clone()).await, [second, first]);
    assert_eq!(ids(&*store, TaskQuery { unhandled: true, ..dead }).await, [second]);
}

/// Everything once, whatever the size of the page, and however many there are.
pub async fn every_query_goes_page_by_page(subject: &mut impl Subject) {
    let store = subject.store();
    let tagged = with(|new| new.spec.tags = vec!["t".into()]);
    let submitted = store.submit(vec![tagged; 1_200]).await.expect("the store works");
    let mut expected: Vec<_> = submitted.into_iter().map(|task| task.expect("it is taken on").into_task().id).collect();
    expected.reverse();
    let pages = async |query: TaskQuery, limit| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let query = TaskQuery { before, limit, ..query.clone() };
            let page = store.tasks(query).await.expect("the store works");
            assert!(page.tasks.len() <= limit);
            found.extend(page.tasks.iter().map(|task| task.id));
            before = page.next;
            if before.is_none() {
                return found;
            }
        }
    };
    assert!(pages(by_tag("t"), 7).await == expected);
    assert!(pages(by_tag("t"), 1_000).await == expected);
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 600).await.len(), 600);
    let running = by_state(&[StateName::Running]);
    assert!(pages(running.clone(), 1_000).await == expected[600..]);
    let mut before = None;
    loop {
        let query = TaskQuery { before, limit: 500, states: vec![StateName::Queued], ..by_tag("t") };
        let page = store.bulk(BulkAction::Cancel(CancelWish::default()), query).await.expect("the store works");
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let cancelled = by_state(&[StateName::Cancelled]);
    assert!(pages(cancelled, 501).await == expected[..600]);
    let both = by_state(&[StateName::Cancelled, StateName::Running]);
    assert!(pages(both, 333).await == expected);
    assert!(pages(by_state(&[StateName::Dead]), 10).await.is_empty());
}

/// An index is as durable as what it leads to.
pub async fn found_tasks_are_the_same_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let tagged = submit_tagged(&*store, &["a"]).await;
    let session = open(&*store).await;
    finish(&*store, session, Verdict::GiveUp).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(ids(&*store, by_tag("a")).await, [tagged]);
    assert_eq!(ids(&*store, by_state(&[StateName::Dead])).await, [tagged]);
    assert_eq!(ids(&*store, by_state(&[StateName::Running])).await, []);
}
