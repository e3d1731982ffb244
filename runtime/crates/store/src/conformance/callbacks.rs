//! Tasks that follow another one's end.

use bytes::Bytes;
use serde_json::{Value, json};
use sunaba_task::{Callback, CallbackOn, OnConflict, Origin, Unique};

use super::*;
use crate::TaskQuery;

fn callback(on: CallbackOn, handler: &str) -> Callback {
    let mut spec = TaskSpec::new(handler.parse().expect("a name"), Digest::of(b"other"));
    spec.queue = "callbacks".into();
    Callback { on, spec }
}

fn followed() -> NewTask {
    with(|new| {
        new.callbacks = vec![
            callback(CallbackOn::Success, "after/success"),
            callback(CallbackOn::Failure, "after/failure"),
            callback(CallbackOn::Success, "after/too"),
        ];
    })
}

/// The tasks that follow, each with what it is told.
async fn followers(store: &dyn Store, parent: &Task) -> Vec<(Task, Value)> {
    let mut found = Vec::new();
    for id in &parent.followers {
        let follower = find(store, *id).await.expect("it is there");
        assert_eq!((follower.origin, follower.state.name()), (Some(Origin::Callback(parent.id)), State::Queued.name()));
        let input = store.input(*id).await.expect("the store works").expect("it has one");
        assert!(input.is_json());
        found.push((follower, serde_json::from_slice(&input.bytes).expect("JSON")));
    }
    found
}

async fn lease_from(store: &dyn Store, session: SessionId, queue: &str) -> Leased {
    let queues = Queues::Only(vec![queue.into()]);
    let request = LeaseRequest { session, queues, slots: 1, wait: Duration::ZERO };
    store.lease(request).await.expect("the session lives").pop().expect("there is one")
}

/// All of those that fit, with the output.
pub async fn callback_follows_its_end_and_is_told_of_it(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for (output, told, base64, omitted) in [
        (Payload::json(r#"{"words": 7}"#), json!({"words": 7}), Value::Null, false),
        (Payload::new("image/png", vec![0xff, 0]), Value::Null, json!("/wA="), false),
        (Payload::new("image/png", Bytes::from(vec![7; (1 << 20) + 1])), Value::Null, Value::Null, true),
    ] {
        let submitted = submit(&*store, followed()).await;
        assert_eq!((submitted.callbacks, submitted.followers.len()), (3, 0));
        let leased = lease_from(&*store, session, "default").await;
        let media_type = output.media_type.clone();
        let settlement = Settlement { output: Some(output), ..settlement(&leased, Verdict::Succeed) };
        let done = settle(&*store, settlement).await.expect("it has the lease");
        let followers = followers(&*store, &done).await;
        let handlers: Vec<_> = followers.iter().map(|(task, _)| task.spec.handler.to_string()).collect();
        assert_eq!(handlers, ["after/success", "after/too"]);
        for (_, input) in &followers {
            let expected = json!({
                "task": done.id.to_string(), "handler": "words/word-count", "state": "succeeded", "attempts": 1,
                "output": told, "media_type": media_type, "output_base64": base64, "output_omitted": omitted,
                "failure": null,
            });
            assert_eq!(*input, expected);
        }
        // They are tasks as any other.
        for _ in &followers {
            let leased = lease_from(&*store, session, "callbacks").await;
            assert_eq!(leased.task.spec.component, Digest::of(b"other"));
        }
    }
}

/// Death by failure and by lost hosts, a cancel, and a missed start.
pub async fn callback_follows_every_kind_of_failure(subject: &mut impl Subject) {
    let store = subject.store();
    let mut ended = Vec::new();
    submit(&*store, followed()).await;
    let session = open(&*store).await;
    let leased = lease_from(&*store, session, "default").await;
    ended.push(settle(&*store, settlement(&leased, Verdict::GiveUp)).await.expect("it has the lease"));
    let cancelled = submit(&*store, followed()).await;
    ended.push(cancel(&*store, cancelled.id).await);
    let late = submit(&*store, NewTask { expires: Some(When::After(SECOND)), ..followed() }).await;
    subject.advance(SECOND);
    ended.push(task(&*store, &late).await);
    let poison = submit(&*store, followed()).await;
    for _ in 0..DEFAULT_MAX_HOSTS_LOST {
        let session = open(&*store).await;
        lease_from(&*store, session, "default").await;
        subject.advance(LEASE);
    }
    ended.push(task(&*store, &poison).await);
    let expected = [
        ("dead", 1, "error", "m", "r"),
        ("cancelled", 0, "cancelled", "the task was cancelled", "by request"),
        ("expired", 0, "expired", "", "it was not started in time"),
        ("dead", 3, "host-lost", "the host was lost", "lost its host 3 times, of at most 3"),
    ];
    for (parent, (state, attempts, kind, message, reason)) in ended.iter().zip(expected) {
        let [(follower, input)] = &followers(&*store, parent).await[..] else { panic!("one follows {state}") };
        assert_eq!(follower.spec.handler.to_string(), "after/failure");
        assert_eq!((&input["state"], &input["attempts"]), (&json!(state), &json!(attempts)));
        assert_eq!((&input["output"], &input["output_omitted"]), (&Value::Null, &json!(false)));
        assert_eq!((&input["failure"]["kind"], &input["failure"]["reason"]), (&json!(kind), &json!(reason)));
        let found = input["failure"]["message"].as_str().expect("a text");
        assert!(found == message || state == "expired" && found.ends_with('Z'), "{found}");
    }
}

/// There is no end without what follows it.
pub async fn callback_outlives_a_restart_together_with_the_end(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, followed()).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    let leased = lease_from(&*store, session, "default").await;
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(task(&*store, &submitted).await, done);
    assert_eq!(followers(&*store, &done).await.len(), 2);
    assert!(settle(&*store, settlement(&leased, Verdict::Succeed)).await.is_err());
    let all = store.tasks(TaskQuery { limit: 99, ..TaskQuery::default() }).await.expect("the store works");
    assert_eq!(all.tasks.len(), 3, "each follows once");
    // The restart may be the end itself.
    let mut fragile = followed();
    fragile.spec.max_hosts_lost = 1;
    submit(&*store, fragile).await;
    let session = open(&*store).await;
    let leased = lease_from(&*store, session, "default").await;
    drop(store);
    subject.restart();
    subject.advance(LEASE);
    let store = subject.store();
    let dead = task(&*store, &leased.task).await;
    assert_eq!((&dead.state, followers(&*store, &dead).await.len()), (&State::Dead, 1));
}

/// Otherwise there might be no end of it.
pub async fn callback_has_no_callbacks_and_no_keys(subject: &mut impl Subject) {
    let store = subject.store();
    let mut new = followed();
    new.unique = Some(Unique { key: "u".into(), window: None, on_conflict: OnConflict::Reject });
    new.callbacks[0].spec.idempotency_key = Some("k".into());
    submit(&*store, new).await;
    let session = open(&*store).await;
    let leased = lease_from(&*store, session, "default").await;
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    for (follower, _) in followers(&*store, &done).await {
        assert_eq!((follower.callbacks, &follower.unique, &follower.spec.idempotency_key), (0, &None, &None));
        let leased = lease_from(&*store, session, "callbacks").await;
        let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
        assert_eq!((done.id, done.followers.len()), (follower.id, 0));
    }
    let keyed = with(|new| new.spec.idempotency_key = Some("k".into()));
    let submitted = store.submit(vec![keyed]).await.expect("the store works").remove(0);
    assert!(matches!(submitted, Ok(crate::Submitted::Created(_))));
}

/// A burst of calls that come to one task is followed once.
pub async fn task_that_was_replaced_is_followed_by_its_successor_alone(subject: &mut impl Subject) {
    let store = subject.store();
    let unique = Unique { key: "u".into(), window: None, on_conflict: OnConflict::Replace };
    let new = NewTask { unique: Some(unique), ..followed() };
    let first = submit(&*store, new.clone()).await;
    let second = submit(&*store, new).await;
    let first = task(&*store, &first).await;
    assert_eq!((&first.state, first.successor, first.followers.len()), (&State::Cancelled, Some(second.id), 0));
    assert_eq!(cancel(&*store, second.id).await.followers.len(), 1);
}
