//! How many run at a time, how many start in a time, and how many may wait.

use super::*;
use crate::SubmitError;

fn of(handler: &str, queue: &str, key: Option<&str>) -> NewTask {
    with(|new| {
        new.spec.handler = handler.parse().expect("a name");
        new.spec.queue = queue.into();
        new.spec.key = key.map(Into::into);
    })
}

fn keyed(key: &str) -> NewTask {
    of("words/word-count", "default", Some(key))
}

async fn submit_all(store: &dyn Store, tasks: Vec<NewTask>) {
    for submitted in store.submit(tasks).await.expect("the store works") {
        submitted.expect("it is taken on");
    }
}

async fn end(store: &dyn Store, leased: &Leased) {
    settle(store, settlement(leased, Verdict::Succeed)).await.expect("it has the lease");
}

fn keys(leased: &[Leased]) -> String {
    leased.iter().map(|leased| leased.task.spec.key.clone().unwrap_or_else(|| "-".into())).collect()
}

/// What ends makes room for the next; a retry takes a place like any other.
pub async fn queue_runs_no_more_than_its_concurrency(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::Concurrency(Some(2))]).await;
    submit_all(&*store, vec![new_task(); 5]).await;
    submit_all(&*store, vec![of("words/word-count", "other", None)]).await;
    let session = open(&*store).await;
    let first = lease(&*store, session, 9).await;
    assert_eq!(first.len(), 3, "two, and one of the other queue");
    assert!(lease(&*store, session, 9).await.is_empty());
    end(&*store, &first[0]).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 1);
    settle(&*store, settlement(&first[1], Verdict::Retry(Duration::ZERO))).await.expect("it has the lease");
    assert_eq!(lease(&*store, session, 9).await.len(), 1);
    assert!(lease(&*store, session, 9).await.is_empty());
}

/// A handler's limit goes for all queues together.
pub async fn handler_runs_no_more_than_its_concurrency_in_all_queues(subject: &mut impl Subject) {
    let store = subject.store();
    set_handler(&*store, "slow/one", &[HandlerChange::Concurrency(Some(2))]).await;
    submit_all(&*store, vec![of("slow/one", "a", None); 3]).await;
    submit_all(&*store, vec![of("slow/one", "b", None); 3]).await;
    submit_all(&*store, vec![of("slow/two", "a", None)]).await;
    let session = open(&*store).await;
    let first = lease(&*store, session, 9).await;
    let handlers: Vec<_> = first.iter().map(|leased| leased.task.spec.handler.handler.as_str()).collect();
    assert_eq!(handlers, ["one", "one", "two"]);
    end(&*store, &first[0]).await;
    end(&*store, &first[1]).await;
    let second: Vec<_> =
        lease(&*store, session, 9).await.into_iter().map(|leased| leased.task.spec.queue.clone()).collect();
    assert_eq!(second, ["a", "b"]);
}

/// A key's share is its own, in each queue.
pub async fn key_runs_no_more_than_its_share_and_others_pass_it(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::KeyConcurrency(Some(2))]).await;
    submit_all(&*store, vec![keyed("x"); 4]).await;
    submit_all(&*store, vec![keyed("y"), new_task(), keyed("x"), keyed("y"), keyed("y")]).await;
    submit_all(&*store, vec![of("words/word-count", "without", Some("x")); 3]).await;
    let session = open(&*store).await;
    let first = lease(&*store, session, 20).await;
    assert_eq!(keys(&first), "xxy-yxxx", "the last three are of a queue without a limit");
    assert!(lease(&*store, session, 20).await.is_empty());
    end(&*store, &first[0]).await;
    assert_eq!(keys(&lease(&*store, session, 20).await), "x");
    // Its third in the order of the queue; the share goes over all handlers.
    submit_all(&*store, vec![of("words/other", "default", Some("y"))]).await;
    assert!(lease(&*store, session, 20).await.is_empty());
    end(&*store, &first[2]).await;
    end(&*store, &first[4]).await;
    let last = lease(&*store, session, 20).await;
    let handlers: Vec<_> = last.iter().map(|leased| leased.task.spec.handler.handler.as_str()).collect();
    assert_eq!((keys(&last).as_str(), handlers), ("yy", vec!["word-count", "other"]));
}

/// However much waits of a key that is full, whatever else there is goes on.
pub async fn blocked_key_does_not_hold_up_its_queue(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::KeyConcurrency(Some(1))]).await;
    submit_all(&*store, vec![keyed("full"); 1_000]).await;
    submit_all(&*store, (0..100).map(|number| keyed(&number.to_string())).collect()).await;
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 2_000).await.len(), 101);
    submit_all(&*store, vec![keyed("late")]).await;
    assert_eq!(keys(&lease(&*store, session, 1).await), "late");
}

/// A change is in force at once.
pub async fn limit_that_is_raised_wakes_a_waiting_worker(subject: &mut impl Subject) {
    let store = subject.store();
    let limit = |limit| [QueueChange::KeyConcurrency(limit)];
    set_queue(&*store, "default", &limit(Some(1))).await;
    submit_all(&*store, vec![keyed("x"); 4]).await;
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 1);
    let waiting = waiting_lease(&store, session, LEASE);
    settle_down(&*store).await;
    assert!(!waiting.is_finished());
    set_queue(&*store, "default", &limit(Some(2))).await;
    assert_eq!(waiting.await.expect("it ends").len(), 1);
    set_queue(&*store, "default", &limit(None)).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 2);
    // A lower limit takes nothing from what runs.
    set_queue(&*store, "default", &limit(Some(1))).await;
    submit_all(&*store, vec![keyed("x")]).await;
    assert!(lease(&*store, session, 9).await.is_empty());
}

/// A place is not lost with the host that had it.
pub async fn lost_host_gives_its_places_back(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::Concurrency(Some(1)), QueueChange::KeyConcurrency(Some(1))]).await;
    set_handler(&*store, "words/word-count", &[HandlerChange::Concurrency(Some(1))]).await;
    submit_all(&*store, vec![keyed("x"); 2]).await;
    let lost = open(&*store).await;
    let first = lease_one(&*store, lost).await;
    subject.advance(LEASE);
    let session = open(&*store).await;
    let again = lease_one(&*store, session).await;
    assert_eq!(again.task.id, first.task.id);
    assert!(lease(&*store, session, 9).await.is_empty());
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 1);
}

/// In no span of a rate's time are there more starts, and as soon as there may be one there is.
pub async fn rate_lets_so_many_start_and_no_more(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::Rate(Some("3/10s".parse().expect("a rate")))]).await;
    submit_all(&*store, vec![new_task(); 20]).await;
    let session = open(&*store).await;
    let mut counts = Vec::new();
    // 2 at 0 s and 1 at 4 s, as if there were a slot only then.
    counts.push(lease(&*store, session, 2).await.len());
    for _ in 0..8 {
        subject.advance(SECOND * 4);
        store.renew(session, Duration::ZERO).await.expect("in time");
        counts.push(lease(&*store, session, 9).await.len());
    }
    assert_eq!(counts, [2, 1, 0, 2, 1, 0, 2, 1, 0]);
    // Another rate is in force at once, and so is none.
    set_queue(&*store, "default", &[QueueChange::Rate(Some("5/10s".parse().expect("a rate")))]).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 2);
    set_queue(&*store, "default", &[QueueChange::Rate(None)]).await;
    assert_eq!(lease(&*store, session, 9).await.len(), 9);
}

/// Each key has the rate to itself.
pub async fn rate_of_a_key_leaves_other_keys_alone(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::KeyRate(Some("2/10s".parse().expect("a rate")))]).await;
    submit_all(&*store, vec![keyed("x"), keyed("x"), keyed("x"), keyed("x"), keyed("y"), new_task()]).await;
    let session = open(&*store).await;
    let first = lease(&*store, session, 9).await;
    assert_eq!(keys(&first), "xxy-");
    for leased in &first {
        end(&*store, leased).await;
    }
    assert!(lease(&*store, session, 9).await.is_empty(), "its rate is not about what runs");
    submit_all(&*store, vec![keyed("y"), keyed("y")]).await;
    assert_eq!(keys(&lease(&*store, session, 9).await), "y");
    subject.advance(SECOND * 10);
    assert_eq!(keys(&lease(&*store, session, 9).await), "xxy");
}

/// Nothing else has to happen.
pub async fn waiting_worker_is_woken_when_a_rate_lets_another_start(subject: &mut impl Subject) {
    let store = subject.store();
    let rate = Some("1/10s".parse().expect("a rate"));
    for (changes, new) in [(QueueChange::Rate(rate), new_task()), (QueueChange::KeyRate(rate), keyed("x"))] {
        set_queue(&*store, "default", &[changes]).await;
        submit_all(&*store, vec![new; 2]).await;
        let session = open(&*store).await;
        assert_eq!(lease(&*store, session, 9).await.len(), 1);
        let waiting = waiting_lease(&store, session, LEASE);
        settle_down(&*store).await;
        subject.advance(SECOND * 9);
        settle_down(&*store).await;
        assert!(!waiting.is_finished());
        subject.advance(SECOND);
        assert_eq!(waiting.await.expect("it ends").len(), 1);
        set_queue(&*store, "default", &[QueueChange::Rate(None)]).await;
    }
}

/// What waits counts, for a slot or for its time; what runs does not. One that is refused does not hold back others.
pub async fn full_queue_refuses_clearly_and_takes_on_again(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::MaxDepth(Some(3))]).await;
    let later = with(|new| new.start = Some(When::After(SECOND * 60)));
    let elsewhere = of("words/word-count", "other", None);
    let keyed = with(|new| new.spec.idempotency_key = Some("k".into()));
    let tasks = vec![keyed.clone(), later.clone(), new_task(), new_task(), later, elsewhere, keyed];
    let answers = store.submit(tasks).await.expect("the store works");
    let full = SubmitError::QueueFull { queue: "default".into(), waiting: 3, limit: 3 };
    let refused: Vec<_> = answers.iter().map(|answer| answer.as_ref().err()).collect();
    assert_eq!(refused, [None, None, None, Some(&full), Some(&full), None, None], "a known key is no new task");
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 1).await.len(), 1);
    submit(&*store, new_task()).await;
    assert_eq!(store.submit(vec![new_task()]).await.expect("the store works"), [Err(full)]);
    // What was taken on comes back whatever the depth.
    store.close_session(session).await.expect("the store works");
    set_queue(&*store, "default", &[QueueChange::MaxDepth(None)]).await;
    submit(&*store, new_task()).await;
}

/// The depth is not forgotten, whatever was running.
pub async fn depth_is_counted_again_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    set_queue(&*store, "default", &[QueueChange::MaxDepth(Some(5))]).await;
    submit_all(&*store, vec![keyed("x"), keyed("x"), keyed("y"), new_task()]).await;
    submit(&*store, with(|new| new.start = Some(When::After(SECOND * 60)))).await;
    let session = open(&*store).await;
    assert_eq!(lease(&*store, session, 2).await.len(), 2);
    drop(store);
    subject.restart();
    let store = subject.store();
    let full = SubmitError::QueueFull { queue: "default".into(), waiting: 5, limit: 5 };
    assert_eq!(store.submit(vec![new_task()]).await.expect("the store works"), [Err(full)]);
    let session = open(&*store).await;
    assert_eq!(keys(&lease(&*store, session, 9).await), "xxy-");
    let queue = store.queues(None).await.expect("the store works").remove(0);
    assert_eq!((queue.queued, queue.scheduled, queue.running), (0, 1, 4));
}
