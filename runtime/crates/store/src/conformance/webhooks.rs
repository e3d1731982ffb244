//! Webhooks: what deliveries are made, for whom, and what comes of them.

use serde_json::Value;
use sunaba_task::StateName;
use sunaba_task::webhook::{
    DeliveryLink, MAX_DELIVERY_ATTEMPTS, SigningSecret, WEBHOOK_QUEUE, Webhook, WebhookName, WebhookSpec, tag_of,
};

use super::*;
use crate::{
    AuditQuery, EventQuery, Expected, MAX_WEBHOOKS, NewWebhook, Notice, TaskQuery, WebhookChangeError, audited,
};

fn name(text: &str) -> WebhookName {
    text.parse().expect("a name")
}

fn secret(byte: u8) -> SigningSecret {
    SigningSecret::new(&[byte; 32])
}

fn wanting(webhook: &str, events: &[&str]) -> NewWebhook {
    let events = events.iter().map(|event| event.parse().expect("an event")).collect();
    let (queues, handlers, tags) = (Vec::new(), Vec::new(), Vec::new());
    let spec = WebhookSpec { url: "https://example.com/hooks".into(), events, queues, handlers, tags };
    NewWebhook { name: name(webhook), spec, enabled: None, secret: secret(1), expected: Expected::Any }
}

async fn put(store: &dyn Store, new: NewWebhook) -> Webhook {
    store.put_webhook(new).await.expect("the store works").expect("it can be")
}

async fn get(store: &dyn Store, webhook: &str) -> Webhook {
    store.webhook(name(webhook)).await.expect("the store works").expect("it is there")
}

/// The deliveries of a webhook, oldest first, each with its message.
async fn deliveries(store: &dyn Store, webhook: &str) -> Vec<(Task, Value)> {
    let (queue, tag) = (Some(WEBHOOK_QUEUE.to_owned()), Some(tag_of(&name(webhook))));
    let page = store.tasks(TaskQuery { queue, tag, limit: 100, ..TaskQuery::default() }).await;
    let mut found = Vec::new();
    for task in page.expect("the store works").tasks.into_iter().rev() {
        let input = store.input(task.id).await.expect("the store works").expect("it has one");
        found.push((task, serde_json::from_slice(&input.bytes).expect("JSON")));
    }
    found
}

async fn lease_deliveries(store: &dyn Store, session: SessionId, slots: usize) -> Vec<Leased> {
    let queues = Queues::Only(vec![WEBHOOK_QUEUE.into()]);
    store.lease(LeaseRequest { session, queues, slots, wait: Duration::ZERO }).await.expect("the session lives")
}

/// Settles a delivery that was not taken.
async fn refuse(store: &dyn Store, leased: &Leased, kind: &str, verdict: Verdict) -> Task {
    let ending = Ending::Failed { kind: kind.into(), message: format!("the endpoint said {kind}") };
    settle(store, Settlement { ending, ..settlement(leased, verdict) }).await.expect("it has the lease")
}

/// What is wanted is told in the same turn, and nothing else; and a delivery is none of the events that are told.
pub async fn delivery_is_made_with_what_it_tells_of(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let before = submit(&*store, new_task()).await;
    put(&*store, wanting("all", &["*"])).await;
    put(&*store, wanting("ends", &["task.succeeded", "task.dead"])).await;
    let mut mail = wanting("mail", &["task.*"]);
    (mail.spec.queues, mail.spec.tags) = (vec!["mail".into()], vec!["vip".into()]);
    put(&*store, mail).await;
    let mut other = wanting("other", &["task.*"]);
    other.spec.handlers = vec!["other".into()];
    put(&*store, other).await;
    let done = finish(&*store, session, Verdict::Succeed).await;
    assert_eq!(done.id, before.id);
    for (queue, tag) in [("mail", "vip"), ("mail", "other")] {
        submit(&*store, with(|new| (new.spec.queue, new.spec.tags) = (queue.into(), vec![tag.into()]))).await;
    }
    drop(store);
    subject.restart();
    let store = subject.store();
    let told = |found: &[(Task, Value)]| -> Vec<String> {
        found.iter().map(|(_, message)| message["type"].as_str().expect("text").to_owned()).collect()
    };
    let ends = deliveries(&*store, "ends").await;
    assert_eq!(told(&ends), ["task.succeeded"]);
    let (task, message) = &ends[0];
    let data = &message["data"];
    assert_eq!((data["task"].as_str(), &data["state"]), (Some(&*done.id.to_string()), &Value::from("succeeded")));
    assert_eq!((&data["output"], &data["attempts"]), (&Value::from(1), &Value::from(1)));
    let link = DeliveryLink::of(&task.spec.attributes).expect("it is one");
    assert_eq!((link.webhook, &*link.event), (name("ends"), "task.succeeded"));
    assert_eq!(task.spec.max_attempts, MAX_DELIVERY_ATTEMPTS);
    let all = told(&deliveries(&*store, "all").await);
    assert_eq!(all, ["task.started", "task.succeeded", "task.submitted", "task.submitted"]);
    assert_eq!(told(&deliveries(&*store, "mail").await), ["task.submitted"], "of the tag, too");
    assert_eq!(deliveries(&*store, "other").await.len(), 0);
    assert_eq!(get(&*store, "all").await.standing.pending, 4);
    // Of deliveries nobody is told, and they are in no list that does not ask for them.
    let session = open(&*store).await;
    for leased in lease_deliveries(&*store, session, 100).await {
        settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    }
    assert_eq!(deliveries(&*store, "all").await.len(), 4);
    let page = store.tasks(TaskQuery { limit: 100, ..TaskQuery::default() }).await.expect("the store works");
    assert_eq!(page.tasks.len(), 3);
    let query = EventQuery { after: Some(0), of: None, limit: 100, wait: Duration::ZERO };
    let events = store.events(query).await.expect("the store works").events;
    assert!(events.iter().all(|event| event.task().is_none_or(|event| event.queue != WEBHOOK_QUEUE)), "{events:?}");
    let standing = get(&*store, "all").await.standing;
    assert_eq!((standing.pending, standing.delivered), (0, 4));
}

/// A worker of all queues leaves them alone; who waits for them has them in the turn of the event.
pub async fn deliveries_go_to_whoever_asks_for_them(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, wanting("ends", &["task.*"])).await;
    let (tasks, sender) = (open(&*store).await, open(&*store).await);
    let waiting = {
        let store = Arc::clone(&store);
        let queues = Queues::Only(vec![WEBHOOK_QUEUE.into()]);
        let request = LeaseRequest { session: sender, queues, slots: 10, wait: Duration::from_secs(3_600) };
        tokio::spawn(async move { store.lease(request).await.expect("the session lives") })
    };
    settle_down(&*store).await;
    submit(&*store, new_task()).await;
    let leased = waiting.await.expect("it does not panic");
    assert_eq!(leased.len(), 1);
    // An event of the lease itself is told of, too, without that anything else happens.
    assert_eq!(lease(&*store, tasks, 10).await.len(), 1, "the task, and no delivery");
    let started = lease_deliveries(&*store, sender, 10).await;
    assert_eq!(started.len(), 1);
    let told: Value = serde_json::from_slice(&started[0].input.bytes).expect("JSON");
    assert_eq!(told["type"], "task.started");
}

/// One endpoint that hangs holds up its own deliveries alone.
pub async fn requests_to_one_endpoint_at_a_time_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    put(&*store, wanting("hangs", &["task.submitted"])).await;
    let mut other = wanting("other", &["task.submitted"]);
    other.spec.tags = vec!["other".into()];
    put(&*store, other).await;
    for _ in 0..9 {
        submit(&*store, new_task()).await;
    }
    submit(&*store, with(|new| new.spec.tags = vec!["other".into()])).await;
    let leased = lease_deliveries(&*store, session, 100).await;
    let of = |webhook: &str| leased.iter().filter(|leased| leased.task.spec.key.as_deref() == Some(webhook)).count();
    assert_eq!((of("hangs"), of("other")), (4, 1));
    assert_eq!(lease_deliveries(&*store, session, 100).await.len(), 0);
}

/// 410 at once, anything else after days without a success; and that is logged.
pub async fn endpoint_that_fails_is_disabled_and_is_tried_anew_when_somebody_says_so(subject: &mut impl Subject) {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let store = subject.store();
    put(&*store, wanting("gone", &["task.submitted"])).await;
    put(&*store, wanting("fails", &["task.submitted"])).await;
    submit(&*store, new_task()).await;
    for day in 0..6 {
        let session = open(&*store).await;
        for leased in lease_deliveries(&*store, session, 100).await {
            let kind = if leased.task.spec.key.as_deref() == Some("gone") { "status-410" } else { "status-500" };
            let verdict = if kind == "status-410" { Verdict::GiveUp } else { Verdict::Retry(DAY) };
            refuse(&*store, &leased, kind, verdict).await;
        }
        let disabled = get(&*store, "gone").await.disabled.expect("it said so");
        assert!(disabled.by_failure && disabled.reason.contains("410"), "{disabled:?}");
        let fails = get(&*store, "fails").await;
        assert_eq!(fails.disabled.is_some(), day == 5, "{day}: {fails:?}");
        // There are enough of them by then.
        for _ in 0..2 {
            submit(&*store, new_task()).await;
        }
        subject.advance(DAY);
    }
    let log = store.audit_log(AuditQuery { before: None, limit: 100 }).await.expect("the store works");
    let disabled = log.entries.iter().filter(|entry| entry.what == "webhook.disable");
    let of: Vec<_> = disabled.map(|entry| (entry.who.as_str(), entry.of.as_str())).collect();
    assert_eq!(of, [("program", "fails"), ("program", "gone")]);
    let observed = store.observe(0).await.expect("the store works");
    let failed: Vec<_> = observed.failed_webhooks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["fails", "gone"]);
    assert_eq!((observed.dead, observed.troubles.len()), (0, 0), "deliveries are no tasks of anybody's");
    // What happens meanwhile is not told.
    let told = deliveries(&*store, "gone").await.len();
    submit(&*store, new_task()).await;
    assert_eq!(deliveries(&*store, "gone").await.len(), told);
    drop(store);
    subject.restart();
    let store = subject.store();
    let enabled = NewWebhook { enabled: Some(true), ..wanting("gone", &["task.submitted"]) };
    let enabled = put(&*store, enabled).await;
    assert_eq!((enabled.disabled, enabled.standing.failures), (None, 0));
    submit(&*store, new_task()).await;
    assert_eq!(deliveries(&*store, "gone").await.len(), told + 1);
}

/// The same message as another task, once it has ended.
pub async fn delivery_is_sent_again_as_the_same_message(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, wanting("ends", &["task.submitted"])).await;
    let task = submit(&*store, new_task()).await;
    let (delivery, message) = deliveries(&*store, "ends").await.remove(0);
    let resend = async |webhook: &str, id| store.resend_delivery(name(webhook), id).await.expect("the store works");
    assert_eq!(resend("ends", delivery.id).await, Err(WebhookChangeError::NotEnded(delivery.id)));
    let none = |task| Err(WebhookChangeError::NoDelivery { name: name("ends"), task });
    assert_eq!(resend("ends", task.id).await, none(task.id));
    assert_eq!(resend("other", delivery.id).await, Err(WebhookChangeError::Unknown(name("other"))));
    let session = open(&*store).await;
    let leased = lease_deliveries(&*store, session, 1).await.remove(0);
    refuse(&*store, &leased, "status-500", Verdict::GiveUp).await;
    assert_eq!(get(&*store, "ends").await.standing.given_up, 1);
    let again = resend("ends", delivery.id).await.expect("it has ended");
    let both = deliveries(&*store, "ends").await;
    assert_eq!((both.len(), both[1].0.id, &both[1].1), (2, again.id, &message));
    let link = |task: &Task| DeliveryLink::of(&task.spec.attributes).expect("it is one");
    assert_eq!(link(&again).message, link(&delivery).message);
    assert_eq!(both[0].0.successor, Some(again.id));
}

/// A webhook that is deleted is told of nothing, and another one of its name is another one.
pub async fn webhooks_are_changed_by_revision_and_outlive_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let made = put(&*store, NewWebhook { expected: Expected::Absent, ..wanting("a", &["task.*"]) }).await;
    assert_eq!((made.revision, made.disabled.clone()), (1, None));
    let again = store.put_webhook(NewWebhook { expected: Expected::Absent, ..wanting("a", &["*"]) }).await;
    let conflict = WebhookChangeError::Conflict { name: name("a"), expected: Expected::Absent, found: Some(1) };
    assert_eq!(again.expect("the store works"), Err(conflict));
    let changed = NewWebhook {
        expected: Expected::Revision(1),
        enabled: Some(false),
        secret: secret(9),
        ..wanting("a", &["job.*"])
    };
    let changed = put(&*store, changed).await;
    assert!(changed.revision == 2 && changed.disabled.is_some_and(|disabled| !disabled.by_failure));
    let bad = WebhookSpec { url: "ftp://a.example".into(), ..wanting("b", &["*"]).spec };
    let bad = store.put_webhook(NewWebhook { spec: bad, ..wanting("b", &["*"]) }).await.expect("the store works");
    assert!(matches!(bad, Err(WebhookChangeError::Webhook(_))), "{bad:?}");
    drop(store);
    subject.restart();
    let store = subject.store();
    let all = store.webhooks().await.expect("the store works");
    assert_eq!(all.iter().map(|webhook| (webhook.name.as_str(), webhook.revision)).collect::<Vec<_>>(), [("a", 2)]);
    let target = store.webhook_target(name("a")).await.expect("the store works").expect("it is there");
    assert_eq!((target.secrets, target.made), (vec![secret(1)], made.created_at), "a change brings no other secret");
    let deleted = store.delete_webhook(name("a"), Expected::Revision(1)).await.expect("the store works");
    assert!(matches!(deleted, Err(WebhookChangeError::Conflict { .. })), "{deleted:?}");
    put(&*store, NewWebhook { enabled: Some(true), ..wanting("a", &["task.*"]) }).await;
    submit(&*store, new_task()).await;
    store.delete_webhook(name("a"), Expected::Any).await.expect("the store works").expect("it is there");
    let gone = store.delete_webhook(name("a"), Expected::Any).await.expect("the store works");
    assert_eq!(gone, Err(WebhookChangeError::Unknown(name("a"))));
    assert_eq!(store.webhook_target(name("a")).await.expect("the store works"), None);
    subject.advance(SECOND);
    put(&*store, wanting("a", &["task.*"])).await;
    let session = open(&*store).await;
    let leased = lease_deliveries(&*store, session, 1).await.remove(0);
    settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(get(&*store, "a").await.standing, Default::default(), "that was another one's");
}

/// Two sign for a while, and never three.
pub async fn secrets_of_a_webhook_overlap_at_a_rotation(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, wanting("a", &["*"])).await;
    let rotate =
        async |byte, overlap| store.rotate_webhook(name("a"), secret(byte), overlap).await.expect("the store works");
    let signing =
        async || store.webhook_target(name("a")).await.expect("the store works").expect("it is there").secrets;
    rotate(2, SECOND * 60).await.expect("it is there");
    assert_eq!(signing().await, [secret(2), secret(1)]);
    rotate(3, SECOND * 60).await.expect("it is there");
    assert_eq!(signing().await, [secret(3), secret(2)]);
    subject.advance(SECOND * 60);
    assert_eq!(signing().await, [secret(3)]);
    assert_eq!(get(&*store, "a").await.secrets.len(), 1);
    rotate(4, Duration::ZERO).await.expect("it is there");
    assert_eq!(signing().await, [secret(4)]);
    let long = Duration::from_secs(31 * 24 * 60 * 60);
    assert_eq!(rotate(5, long).await, Err(WebhookChangeError::Overlap(long)));
}

/// No secret is in the log of changes, nor what stands behind the `?` of a URL.
pub async fn log_has_no_secrets_of_webhooks(subject: &mut impl Subject) {
    let store = subject.store();
    let mut new = wanting("a", &["*"]);
    new.spec.url = "https://example.com/hooks?token=hunter2".into();
    let by = |what: &str| sunaba_task::NewAudit::by("ada", what, "a");
    audited(by("webhook.put"), put(&*store, new)).await;
    let rotated = store.rotate_webhook(name("a"), secret(2), SECOND);
    audited(by("webhook.rotate"), rotated).await.expect("the store works").expect("it is there");
    audited(by("webhook.delete"), store.delete_webhook(name("a"), Expected::Any))
        .await
        .expect("the store works")
        .expect("it is there");
    let log = store.audit_log(AuditQuery { before: None, limit: 10 }).await.expect("the store works");
    assert_eq!(log.entries.len(), 3);
    let told = format!("{:?}", log.entries);
    assert!(
        told.contains("https://example.com") && !["/hooks", "hunter2", "whsec_"].iter().any(|text| told.contains(text)),
        "{told}"
    );
}

/// Whatever is not the store's is told to those who want it.
pub async fn notice_is_delivered_to_those_who_want_it(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, wanting("alerts", &["alert.*"])).await;
    put(&*store, wanting("tasks", &["task.*"])).await;
    let tell = async |word| {
        let notice = Notice { kind: "alert", word, data: r#"{"rule":"disk"}"#.into() };
        store.tell_webhooks(notice).await.expect("the store works")
    };
    assert_eq!(tell("firing").await, 1);
    assert_eq!(tell("resolved").await, 1);
    let found = deliveries(&*store, "alerts").await;
    assert_eq!(
        (found.len(), &found[0].1["data"]["rule"], &found[1].1["type"]),
        (2, &Value::from("disk"), &Value::from("alert.resolved"))
    );
    let test = store.test_webhook(name("tasks")).await.expect("the store works").expect("it is there");
    let found = deliveries(&*store, "tasks").await;
    assert_eq!((found.len(), found[0].0.id, &found[0].1["type"]), (1, test.id, &Value::from("webhook.test")));
}

/// As many as there may be.
pub async fn number_of_webhooks_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    for number in 0..MAX_WEBHOOKS {
        put(&*store, wanting(&format!("w-{number}"), &["*"])).await;
    }
    put(&*store, wanting("w-0", &["task.*"])).await;
    assert_eq!(store.webhooks().await.expect("the store works").len(), MAX_WEBHOOKS);
}

/// One more.
pub async fn number_of_webhooks_violated(subject: &mut impl Subject) {
    let store = subject.store();
    for number in 0..MAX_WEBHOOKS {
        put(&*store, wanting(&format!("w-{number}"), &["*"])).await;
    }
    let refused = store.put_webhook(wanting("one-more", &["*"])).await.expect("the store works");
    assert_eq!(refused, Err(WebhookChangeError::TooMany));
}

/// What came of a delivery is kept for a while, taken or not, and goes.
pub async fn deliveries_are_kept_for_a_while(subject: &mut impl Subject) {
    let store = subject.store();
    put(&*store, wanting("a", &["task.submitted"])).await;
    submit(&*store, new_task()).await;
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_deliveries(&*store, session, 2).await;
    refuse(&*store, &leased[0], "status-500", Verdict::GiveUp).await;
    settle(&*store, settlement(&leased[1], Verdict::Succeed)).await.expect("it has the lease");
    let states: Vec<_> = deliveries(&*store, "a").await.iter().map(|(task, _)| task.state.name()).collect();
    assert_eq!(states, [StateName::Dead, StateName::Succeeded]);
    subject.advance(sunaba_task::webhook::DELIVERY_KEPT + SLACK * 2);
    settle_down(&*store).await;
    submit(&*store, with(|new| new.spec.queue = "other".into())).await;
    assert_eq!(deliveries(&*store, "a").await.len(), 1, "the last submit's");
}

/// Whoever keeps what has ended for a shorter time keeps deliveries no longer.
pub async fn retention_is_that_of_deliveries_too(subject: &mut impl Subject) {
    let store = subject.store();
    let kept = sunaba_task::Retention { succeeded: Some(SECOND * 3_600), ..Default::default() };
    store.set_retention(kept).await.expect("it can be");
    put(&*store, wanting("a", &["task.submitted"])).await;
    for _ in 0..2 {
        submit(&*store, new_task()).await;
    }
    let session = open(&*store).await;
    let leased = lease_deliveries(&*store, session, 2).await;
    refuse(&*store, &leased[0], "status-500", Verdict::GiveUp).await;
    settle(&*store, settlement(&leased[1], Verdict::Succeed)).await.expect("it has the lease");
    subject.advance(SECOND * 3_600 + SLACK * 2);
    settle_down(&*store).await;
    let states: Vec<_> = deliveries(&*store, "a").await.iter().map(|(task, _)| task.state.name()).collect();
    assert_eq!(states, [StateName::Dead], "that one is for somebody to look at");
}
