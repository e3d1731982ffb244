//! Which task is leased when.

use sunaba_task::StateName;

use super::*;

/// Of two tasks the one with the higher priority goes first, and of equals the older.
pub async fn higher_priorities_come_first_and_then_the_oldest(subject: &mut impl Subject) {
    let store = subject.store();
    for (name, queue, priority) in
        [("a", "x", 0), ("b", "y", 5), ("c", "x", 5), ("d", "y", i32::MIN), ("e", "x", 0), ("f", "y", i32::MAX)]
    {
        let new = with(|new| {
            new.spec.queue = queue.into();
            new.spec.priority = priority;
            new.input = Payload::json(name);
        });
        submit(&*store, new).await;
    }
    let session = open(&*store).await;
    let names: Vec<_> = lease(&*store, session, 4).await.into_iter().chain(lease(&*store, session, 4).await).collect();
    let names: Vec<_> = names.iter().map(|leased| leased.input.bytes.as_ref()).collect();
    assert_eq!(names, [b"f", b"b", b"c", b"a", b"e", b"d"]);
}

/// A worker of some queues gets nothing from others.
pub async fn worker_gets_only_what_is_in_its_queues(subject: &mut impl Subject) {
    let store = subject.store();
    for queue in ["mail", "mail-2", "video"] {
        submit(&*store, with(|new| new.spec.queue = queue.into())).await;
    }
    let session = open(&*store).await;
    let queues = Queues::Only(vec!["mail".into(), "none".into()]);
    let leased = store.lease(LeaseRequest { session, queues, slots: 9, wait: Duration::ZERO }).await.expect("it lives");
    assert_eq!(leased.iter().map(|leased| leased.task.spec.queue.as_str()).collect::<Vec<_>>(), ["mail"]);
}

/// Slots bound what is leased.
pub async fn no_more_are_leased_than_there_are_slots(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 5]).await.expect("the store works");
    let session = open(&*store).await;
    let counts = [lease(&*store, session, 3).await.len(), lease(&*store, session, 3).await.len()];
    assert_eq!(counts, [3, 2]);
    assert!(lease(&*store, session, 0).await.is_empty());
}

/// A delay counts by the store's clock, and to the millisecond.
pub async fn delayed_task_is_not_leased_early(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let delayed = submit(&*store, with(|new| new.start = Some(When::After(Duration::from_secs(10))))).await;
    assert_eq!(delayed.state.name(), StateName::Scheduled);
    assert!(lease(&*store, session, 1).await.is_empty());
    subject.advance(Duration::from_millis(9_999));
    assert!(lease(&*store, session, 1).await.is_empty());
    subject.advance(Duration::from_millis(1));
    assert_eq!(lease_one(&*store, session).await.task.id, delayed.id);
}

/// Late is due.
pub async fn task_for_an_instant_that_has_passed_is_due_at_once(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let submitted_at = submit(&*store, new_task()).await.submitted_at;
    subject.advance(SECOND);
    let late = submit(&*store, with(|new| new.start = Some(When::At(submitted_at)))).await;
    assert_eq!(late.state.name(), StateName::Queued);
    assert_eq!(lease(&*store, session, 2).await.len(), 2);
}

/// A large batch is one call, and stays in order.
pub async fn ten_thousand_tasks_in_one_call_keep_their_order(subject: &mut impl Subject) {
    const COUNT: usize = 10_000;
    let store = subject.store();
    let submitted = store.submit(vec![new_task(); COUNT]).await.expect("the store works");
    let submitted: Vec<_> = submitted.into_iter().map(|task| task.expect("it is taken on").into_task().id).collect();
    assert!(submitted.windows(2).all(|pair| pair[0] < pair[1]));
    let session = open(&*store).await;
    let leased: Vec<_> = lease(&*store, session, COUNT).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(leased, submitted);
}
