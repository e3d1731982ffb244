//! Keys of the API, and the log of what was changed by whom.

use sunaba_task::{
    ApiKey, ApiKeyError, AuditEntry, KeyId, KeyStanding, KeyText, NewApiKey, NewAudit, Scope, SecretText,
};

use super::*;
use crate::{AuditQuery, MAX_API_KEYS, MAX_AUDIT_PAGE, NewSecret, StoreError, audited};

const MINUTE: Duration = Duration::from_secs(60);

fn new(number: usize) -> NewApiKey {
    let mut random = [7; 32];
    random[..8].copy_from_slice(&number.to_be_bytes());
    let digest = KeyText::new(random).digest();
    NewApiKey { name: format!("key {number}"), scopes: vec![Scope::Read], queues: None, digest, expires_in: None }
}

async fn create(store: &dyn Store, key: NewApiKey) -> ApiKey {
    store.create_key(key).await.expect("it can be kept")
}

async fn log(store: &dyn Store) -> Vec<AuditEntry> {
    let page = store.audit_log(AuditQuery { before: None, limit: MAX_AUDIT_PAGE }).await.expect("the store works");
    page.entries
}

fn told(entries: &[AuditEntry]) -> Vec<[&str; 3]> {
    entries.iter().map(|entry| [entry.who.as_str(), &entry.what, &entry.of]).collect()
}

/// Across a restart too; a key that was revoked is remembered, and is not good again.
pub async fn key_is_kept_used_and_revoked(subject: &mut impl Subject) {
    let store = subject.store();
    let queues = Some(vec!["mail".to_owned(), "print".to_owned()]);
    let asked = NewApiKey { queues: queues.clone(), expires_in: Some(MINUTE), ..new(1) };
    let made = create(&*store, asked).await;
    assert_eq!((&made.queues, made.expires_at), (&queues, Some(made.created_at.after(MINUTE))));
    subject.advance(SECOND);
    let other = create(&*store, new(2)).await;
    store.keys_used(vec![other.id, KeyId::of(&Digest::of(b"nobody"))]).await.expect("the store works");
    drop(store);
    subject.restart();
    let store = subject.store();
    let known = store.api_keys().await.expect("the store works");
    let used = ApiKey { last_used_at: Some(other.created_at), ..other.clone() };
    assert_eq!(known.keys, [made.clone(), used]);
    let revoked = store.revoke_key(made.id).await.expect("the store works").expect("it is there");
    assert_eq!(revoked.standing(known.now), KeyStanding::Revoked);
    subject.advance(SECOND);
    let again = store.revoke_key(made.id).await.expect("the store works");
    assert_eq!(again, Some(revoked), "it was revoked once");
    assert_eq!(store.revoke_key(KeyId::of(&Digest::of(b"nobody"))).await.expect("the store works"), None);
    let what: Vec<_> = log(&*store).await.into_iter().map(|entry| (entry.who, entry.what, entry.of)).collect();
    let entry = |what: &str, id: KeyId| ("program".to_owned(), what.to_owned(), id.to_string());
    assert_eq!(what, [entry("key.revoke", made.id), entry("key.create", other.id), entry("key.create", made.id)]);
}

/// As many as there may be; the others are over.
pub async fn number_of_keys_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    for number in 0..MAX_API_KEYS {
        create(&*store, NewApiKey { expires_in: Some(SECOND), ..new(number) }).await;
    }
    subject.advance(SECOND);
    for number in 0..MAX_API_KEYS {
        create(&*store, new(MAX_API_KEYS + number)).await;
    }
    let known = store.api_keys().await.expect("the store works");
    let good = known.keys.iter().filter(|key| key.standing(known.now) == KeyStanding::Good).count();
    assert_eq!((good, known.keys.len() < 2 * MAX_API_KEYS), (MAX_API_KEYS, true), "what is over is forgotten");
}

/// One more, and what cannot be one at all.
pub async fn number_of_keys_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let refused = store.create_key(NewApiKey { scopes: vec![], ..new(0) }).await;
    assert!(matches!(refused, Err(StoreError::ApiKey(ApiKeyError::NoScope))), "{refused:?}");
    for number in 0..MAX_API_KEYS {
        create(&*store, new(number)).await;
    }
    let refused = store.create_key(new(MAX_API_KEYS)).await;
    assert!(matches!(refused, Err(StoreError::ApiKey(ApiKeyError::TooMany(MAX_API_KEYS)))), "{refused:?}");
}

/// Who, what, before and after; in the turn of the change, so that a restart does not part them.
pub async fn change_is_logged_with_what_it_changed(subject: &mut impl Subject) {
    let store = subject.store();
    let by = |what: &str, of: &str| NewAudit { request: Some("r-1".into()), ..NewAudit::by("ada", what, of) };
    let pause = store.set_queue("mail".into(), vec![QueueChange::Paused(true)]);
    audited(by("queue.set", "mail"), pause).await.expect("it may be paused");
    // Nobody has said who: it is the program's own.
    store.set_queue("mail".into(), vec![QueueChange::Weight(Some(2))]).await.expect("it may have a weight");
    let text = SecretText::new("hunter2-hunter2");
    let host = "https://api.example.com".parse().expect("a grant");
    let secret = store.set_secret(NewSecret { name: "API_KEY".into(), host, text });
    audited(by("secret.set", "API_KEY"), secret).await.expect("it can be kept");
    let key = audited(by("key.create", ""), store.create_key(new(1))).await.expect("it can be kept");
    drop(store);
    subject.restart();
    let store = subject.store();
    let entries = log(&*store).await;
    let id = key.id.to_string();
    assert_eq!(
        told(&entries),
        [["ada", "key.create", &id], ["ada", "secret.set", "API_KEY"], ["ada", "queue.set", "mail"]]
    );
    assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [3, 2, 1]);
    let state = |state: &Option<String>| -> serde_json::Value {
        serde_json::from_str(state.as_deref().expect("it is kept")).expect("JSON")
    };
    let paused = &entries[2];
    assert_eq!(
        (state(&paused.before)["paused"].clone(), state(&paused.after)["paused"].clone()),
        (false.into(), true.into())
    );
    assert_eq!((&entries[1].before, &state(&entries[1].after)["host"]), (&None, &"https://api.example.com".into()));
    assert_eq!(entries[0].request.as_deref(), Some("r-1"));
    assert!(!format!("{entries:?}").contains("hunter2"), "{entries:?}");
}

/// With how it stood before and after; what changes nothing is none, nor is an admission that follows a deploy.
pub async fn change_of_a_schedule_is_logged_with_what_it_changed(subject: &mut impl Subject) {
    let store = subject.store();
    let by = |what: &str| NewAudit::by("ada", what, "report");
    for paused in [None, None, Some(true)] {
        let change = super::schedules::try_put(&*store, super::schedules::hourly(|new| new.paused = paused));
        audited(by("schedule.put"), change).await.expect("it is put");
    }
    let readmitted = super::schedules::hourly(|new| (new.is_readmission, new.spec.jitter) = (true, SECOND));
    audited(by("package.deploy"), super::schedules::try_put(&*store, readmitted)).await.expect("it is put");
    let name = super::schedules::called("report");
    for paused in [false, false] {
        let pause = store.pause_schedule(name.clone(), paused, crate::Expected::Any);
        audited(by("schedule.resume"), pause).await.expect("the store works").expect("it is there");
    }
    let delete = store.delete_schedule(name, crate::Expected::Any);
    audited(by("schedule.delete"), delete).await.expect("the store works").expect("it is there");
    let entries = log(&*store).await;
    let paused = |state: &Option<String>| {
        let state = state.as_deref().map(|state| serde_json::from_str::<serde_json::Value>(state).expect("JSON"));
        state.map(|state| state["paused"].as_bool().expect("it says so"))
    };
    let seen: Vec<_> =
        entries.iter().rev().map(|entry| (&*entry.what, paused(&entry.before), paused(&entry.after))).collect();
    assert_eq!(
        seen,
        [
            ("schedule.put", None, Some(false)),
            ("schedule.put", Some(false), Some(true)),
            ("schedule.resume", Some(true), Some(false)),
            ("schedule.delete", Some(false), None),
        ]
    );
}

/// By whoever says so; without a name it is nobody's.
pub async fn change_of_what_is_kept_nowhere_is_logged(subject: &mut impl Subject) {
    let store = subject.store();
    store.log_change(1.into(), 2.into()).await.expect("the store works");
    assert_eq!(log(&*store).await, []);
    let logged = audited(NewAudit::by("ada", "worker.set", "fast"), store.log_change(2.into(), 4.into())).await;
    logged.expect("the store works");
    let entries = log(&*store).await;
    assert_eq!(told(&entries), [["ada", "worker.set", "fast"]]);
    assert_eq!((entries[0].before.as_deref(), entries[0].after.as_deref()), (Some("2"), Some("4")));
}

/// What is refused, and what was so before.
pub async fn what_changes_nothing_is_not_logged(subject: &mut impl Subject) {
    let store = subject.store();
    let by = || NewAudit::by("ada", "queue.set", "mail");
    let refused = audited(by(), store.set_queue("mail".into(), vec![QueueChange::Weight(Some(0))])).await;
    assert!(matches!(refused, Err(StoreError::Control(_))), "{refused:?}");
    let none = audited(by(), store.cancel(vec![TaskId::new()], CancelWish::default())).await;
    assert_eq!(none.expect("the store works"), [None]);
    assert!(!audited(by(), store.remove_secret("NONE".into())).await.expect("the store works"));
    audited(by(), store.queues(None)).await.expect("the store works");
    assert_eq!(log(&*store).await, []);
}

/// Each is on one page, and new ones do not move those that are read.
pub async fn log_is_read_page_by_page(subject: &mut impl Subject) {
    let store = subject.store();
    for number in 0..7 {
        let change = store.set_queue("mail".into(), vec![QueueChange::Paused(number % 2 == 0)]);
        audited(NewAudit::by(format!("n{number}"), "queue.set", "mail"), change).await.expect("it may be paused");
    }
    let (mut who, mut before) = (Vec::new(), None);
    loop {
        let page = store.audit_log(AuditQuery { before, limit: 3 }).await.expect("the store works");
        assert!(page.entries.len() <= 3);
        who.extend(page.entries.into_iter().map(|entry| entry.who));
        create(&*store, new(who.len())).await;
        match page.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(who, ["n6", "n5", "n4", "n3", "n2", "n1", "n0"]);
}
