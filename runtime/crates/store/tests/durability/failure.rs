//! After a failure nothing is changed, and what is durable is shown.

use std::time::Duration;

use sunaba_store::{
    BulkAction, CancelWish, EmbeddedStore, Expected, LeaseRequest, NewPackage, NewWebhook, Options, Queues, Rerun,
    Store, StoreError, TaskQuery, WebhookStore as _,
};
use sunaba_task::webhook::{SigningSecret, WebhookName, WebhookSpec};
use sunaba_task::{
    Digest, Durability, HandlerControl, NewTask, Payload, QueueChange, QueueSettings, Retention, SessionId, State,
    TaskId, Verdict, When,
};

use crate::slow::{House, Order, house, house_with};
use crate::{lease, new_task, settlement, submit, test};

const HOUR: Duration = Duration::from_secs(3600);

fn is_failed<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Failed(_)))
}

/// Every method that changes something is refused.
async fn assert_refuses_changes(store: &EmbeddedStore, id: TaskId) {
    let package = NewPackage {
        name: "p".into(),
        component: Digest::of(b"c"),
        handlers: Vec::new(),
        decider: None,
        allow_signature_change: false,
    };
    let request = |session| LeaseRequest { session, queues: Queues::All, slots: 1, wait: HOUR };
    assert!(is_failed(&store.submit(vec![new_task()]).await));
    assert!(is_failed(&store.submit(Vec::new()).await));
    assert!(is_failed(&store.open_session("w".into(), HOUR).await));
    let session = SessionId::from_uuid(uuid::Uuid::from_bytes(*id.as_bytes()));
    assert!(is_failed(&store.lease(request(session)).await));
    assert!(is_failed(&store.renew(session, HOUR).await));
    assert!(is_failed(&store.settle(Vec::new()).await));
    assert!(is_failed(&store.progress(Vec::new()).await));
    assert!(is_failed(&store.close_session(session).await));
    assert!(is_failed(&store.cancel(vec![id], CancelWish::default()).await));
    assert!(is_failed(&store.run_now(vec![id]).await));
    assert!(is_failed(&store.rerun(vec![Rerun { task: id, input: None, checked: None, once: false }]).await));
    assert!(is_failed(&store.delete(vec![id]).await));
    assert!(is_failed(&store.set_queue("q".into(), Vec::new()).await));
    assert!(is_failed(&store.bulk(BulkAction::Delete, TaskQuery::default()).await));
    let handler = "words/word-count".parse().expect("a name");
    assert!(is_failed(&store.set_handler(handler, Vec::new()).await));
    assert!(is_failed(&store.set_queue_if("q".into(), QueueSettings::default(), Vec::new()).await));
    let handler = "words/word-count".parse().expect("a name");
    assert!(is_failed(&store.set_handler_if(handler, HandlerControl::default(), Vec::new()).await));
    assert!(is_failed(&store.set_retention(Retention::default()).await));
    assert!(is_failed(&store.deploy(package, bytes::Bytes::from("c")).await));
    assert!(matches!(store.failure(), Some(StoreError::Failed(_))));
}

async fn listed(store: &EmbeddedStore) -> Vec<TaskId> {
    let page = store.tasks(TaskQuery { limit: 100, ..TaskQuery::default() }).await.expect("lists are served");
    page.tasks.iter().map(|task| task.id).collect()
}

#[test]
fn failed_barrier_acknowledges_nothing_and_makes_the_store_read_only() {
    test(async {
        let house = house();
        let store = &house.store;
        house.order([Order::Pass]);
        let kept = submit(store).await;
        assert!(store.failure().is_none());
        house.order([Order::Fail]);
        assert!(is_failed(&store.submit(vec![new_task()]).await));
        assert_refuses_changes(store, kept).await;
        assert_eq!(house.barriers(), 2, "nothing was tried after the failure");

        let task = store.task(kept).await.expect("reads are served").expect("it is durable");
        assert_eq!(task.state, State::Queued);
        assert_eq!(store.input(kept).await.expect("reads are served"), Some(Payload::json("{}")));
        assert_eq!(store.wait(kept, Duration::ZERO).await.expect("it needs no wait").map(|task| task.id), Some(kept));
        assert!(is_failed(&store.wait(kept, HOUR).await), "it would wait for ever");
        assert!(store.packages().await.expect("reads are served").is_empty());
        assert!(store.attempt_detail(kept, 1).await.expect("reads are served").is_none());
        assert_eq!(listed(store).await, [kept], "what was not acknowledged is not shown");
    });
}

#[test]
fn what_the_failed_turn_wrote_is_unknown_and_is_not_shown() {
    test(async {
        let house = house();
        let store = &house.store;
        house.order((0..2).map(|_| Order::Pass));
        let (settled, running) = (submit(store).await, submit(store).await);
        let session = store.open_session("w".into(), HOUR).await.expect("the store works");
        house.order([Order::Pass, Order::Fail]);
        let leased = lease(store, session).await;
        assert_eq!(leased.len(), 2);
        let done = settlement(&leased[0], Verdict::Succeed, Some(Payload::json("1")));
        assert!(is_failed(&store.settle(vec![done]).await));

        // It has succeeded or it runs: nobody knows.
        assert!(is_failed(&store.task(settled).await));
        assert!(is_failed(&store.output(settled).await));
        // This one runs, as far as what is durable says.
        let shown = store.task(running).await.expect("it is known").expect("it is there");
        assert_eq!((shown.state, shown.attempts_started), (leased[1].task.state.clone(), 1));
        assert_eq!(listed(store).await, [running]);
        let queues = store.queues(None).await.expect("reads are served");
        assert_eq!(queues.iter().map(|queue| queue.running).collect::<Vec<_>>(), [1]);
    });
}

/// What has come of its deliveries is written with each event, and is no reason to hide what an operator has set.
#[test]
fn settings_are_shown_though_the_failed_turn_made_a_delivery() {
    test(async {
        let house = house();
        let store = &house.store;
        house.order([Order::Pass, Order::Pass, Order::Fail]);
        let (queues, handlers, tags) = (Vec::new(), Vec::new(), Vec::new());
        let events = vec!["task.submitted".parse().expect("an event")];
        let spec = WebhookSpec { url: "https://example.com/hooks".into(), events, queues, handlers, tags };
        let (name, secret) = ("billing".parse::<WebhookName>().expect("a name"), SigningSecret::new(&[1; 32]));
        let new = NewWebhook { name: name.clone(), spec, enabled: None, secret, expected: Expected::Any };
        store.put_webhook(new).await.expect("the store works").expect("it can be");
        store.set_queue("mail".into(), vec![QueueChange::Paused(true)]).await.expect("it can be");
        assert!(is_failed(&store.submit(vec![new_task()]).await));
        assert!(store.queue("mail".into()).await.expect("settings are shown").settings.paused);
        let target = store.webhook_target(name.clone()).await.expect("settings are shown");
        assert!(target.is_some_and(|target| target.url.ends_with("/hooks")));
        // How many wait nobody knows.
        assert!(is_failed(&store.webhook(name).await) && is_failed(&store.webhooks().await));
    });
}

#[test]
fn task_of_which_nobody_knows_whether_it_runs_is_unknown() {
    test(async {
        let house = house();
        let store = &house.store;
        house.order([Order::Pass, Order::Fail]);
        let id = submit(store).await;
        let session = store.open_session("w".into(), HOUR).await.expect("the store works");
        let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: HOUR };
        assert!(is_failed(&store.lease(request).await));
        assert!(is_failed(&store.task(id).await));
        assert!(listed(store).await.is_empty());
    });
}

#[test]
fn failed_apply_is_a_failure_too() {
    test(async {
        let house = house();
        house.order([Order::Pass]);
        let kept = submit(&house.store).await;
        house.fail_applies();
        assert!(is_failed(&house.store.submit(vec![new_task()]).await));
        assert_refuses_changes(&house.store, kept).await;
        assert_eq!(listed(&house.store).await, [kept]);
    });
}

#[test]
fn everybody_who_waits_is_told_of_the_failure_at_once() {
    test(async {
        let house = house();
        house.order([Order::Pass]);
        let id = submit(&house.store).await;
        let session = house.store.open_session("w".into(), HOUR).await.expect("the store works");
        let waits = tokio::spawn({
            let store = house.store.clone();
            async move { store.wait(id, HOUR).await }
        });
        let renews = tokio::spawn({
            let store = house.store.clone();
            async move { store.renew(session, HOUR).await }
        });
        tokio::task::yield_now().await;
        house.store.packages().await.expect("both are parked");
        house.order([Order::Fail]);
        assert!(is_failed(&house.store.submit(vec![new_task()]).await));
        assert!(is_failed(&waits.await.expect("it ends")));
        assert!(is_failed(&renews.await.expect("it ends")));
    });
}

#[test]
fn panic_in_the_commit_thread_is_a_failure_and_never_a_hang() {
    test(async {
        let house = house();
        house.order([Order::Pass, Order::Panic]);
        let kept = submit(&house.store).await;
        let submits: Vec<_> = (0..20)
            .map(|_| {
                let store = house.store.clone();
                tokio::spawn(async move { store.submit(vec![new_task()]).await })
            })
            .collect();
        for submit in submits {
            let told = submit.await.expect("it ends");
            assert!(is_failed(&told), "{told:?}");
        }
        assert_refuses_changes(&house.store, kept).await;
        let failure = house.store.failure().expect("it has failed").to_string();
        assert!(failure.contains("the commit thread panicked: sled did not expect that"), "{failure}");
        assert_eq!(listed(&house.store).await, [kept]);
    });
}

#[test]
fn relaxed_store_that_fails_shows_nothing_since_its_last_barrier() {
    test(async {
        let durability = Durability::relaxed(Duration::from_millis(50)).expect("it may be");
        let house = house_with(Options { durability });
        let kept = submit(&house.store).await;
        house.order([Order::Pass, Order::Fail]);
        house.clock.advance(Duration::from_millis(50));
        house.until_barriers(1).await;
        let lost = submit(&house.store).await;
        house.clock.advance(Duration::from_millis(50));
        house.until_barriers(2).await;
        assert!(is_failed(&house.store.submit(vec![new_task()]).await));
        assert!(is_failed(&house.store.task(lost).await));
        assert_eq!(listed(&house.store).await, [kept]);
    });
}

#[test]
fn store_that_failed_is_closed_and_opened_again_with_what_was_acknowledged() {
    test(async {
        let house = house();
        house.order([Order::Pass, Order::Fail]);
        let kept = submit(&house.store).await;
        assert!(is_failed(&house.store.submit(vec![new_task()]).await));
        let House { store, engine, clock, .. } = house;
        drop(store);
        let again = EmbeddedStore::open(engine, std::sync::Arc::new(clock)).expect("memory opens");
        assert!(again.failure().is_none());
        assert!(listed(&again).await.contains(&kept));
    });
}

#[test]
fn panic_while_a_turn_is_planned_is_a_failure_too() {
    test(async {
        let house = house();
        house.order([Order::Pass]);
        let kept = submit(&house.store).await;
        house.order_gets([Order::Panic]);
        let told = house.store.cancel(vec![kept], CancelWish::default()).await;
        assert!(is_failed(&told), "{told:?}");
        assert_refuses_changes(&house.store, kept).await;
        assert_eq!(house.store.task(kept).await.expect("it is shown").expect("there").state, State::Queued);
        // A read that panics tells its own caller, and the next one is served.
        house.order_gets([Order::Panic]);
        assert!(is_failed(&house.store.task(kept).await));
        assert!(house.store.task(kept).await.expect("it is shown").is_some());
    });
}

#[test]
fn change_during_which_a_read_of_the_engine_fails_keeps_no_half_of_itself() {
    test(async {
        let house = house();
        house.order([Order::Pass]);
        let kept = submit(&house.store).await;
        let mut keyed = new_task();
        keyed.spec.idempotency_key = Some("k".into());
        house.order_gets([Order::Fail]);
        assert!(is_failed(&house.store.submit(vec![new_task(), keyed]).await));
        assert_eq!(house.barriers(), 1);
        assert_eq!(listed(&house.store).await, [kept]);
    });
}

#[test]
fn whoever_comes_while_time_passes_over_a_failure_is_told() {
    test(async {
        let house = house();
        house.order([Order::Pass]);
        let delayed = NewTask { start: Some(When::After(HOUR)), ..new_task() };
        let delayed = house.store.submit(vec![delayed]).await.expect("the store works").remove(0);
        let id = delayed.expect("taken on").into_task().id;
        // The turn fails before it comes to what its callers want.
        house.order_gets([Order::Fail]);
        let submitting = tokio::spawn({
            let store = house.store.clone();
            async move { store.submit(vec![new_task()]).await }
        });
        house.clock.advance(HOUR);
        assert!(is_failed(&submitting.await.expect("it ends")));
        let shown = house.store.task(id).await.expect("it is shown").expect("it is there");
        assert!(matches!(shown.state, State::Scheduled { .. }));
    });
}
