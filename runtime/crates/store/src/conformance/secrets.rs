//! Secrets that the store keeps.

use sunaba_task::{Secret, SecretText};

use super::*;
use crate::{MAX_STORED_SECRETS, NewSecret, SecretError, SecretInfo, StoreError};

fn secret(name: &str, text: &str) -> NewSecret {
    let host = "https://api.example.com".parse().expect("a grant");
    NewSecret { name: name.into(), host, text: SecretText::new(text) }
}

async fn set(store: &dyn Store, name: &str, text: &str) -> Result<SecretInfo, StoreError> {
    store.set_secret(secret(name, text)).await
}

/// Across a restart too; with its text for whoever asks for it alone.
pub async fn secret_is_kept_changed_and_removed(subject: &mut impl Subject) {
    let store = subject.store();
    assert_eq!(store.secret("API_KEY".into()).await.expect("the store works"), None);
    let first = set(&*store, "API_KEY", "hunter2-hunter2").await.expect("it can be kept");
    subject.advance(SECOND);
    let second = set(&*store, "API_KEY", "hunter3-hunter3").await.expect("it can be kept");
    assert_eq!((second.created_at, second.changed_at), (first.created_at, first.created_at.after(SECOND)));
    set(&*store, "A", "another one").await.expect("it can be kept");
    drop(store);
    subject.restart();
    let store = subject.store();
    let listed = store.secrets().await.expect("the store works");
    assert_eq!(listed.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), ["A", "API_KEY"]);
    assert_eq!(listed[1], second);
    assert!(!format!("{listed:?}").contains("hunter"));
    let NewSecret { name, host, text } = secret("API_KEY", "hunter3-hunter3");
    assert_eq!(store.secret("API_KEY".into()).await.expect("it works"), Some(Secret { name, text, host }));
    assert!(store.remove_secret("API_KEY".into()).await.expect("the store works"));
    assert!(!store.remove_secret("API_KEY".into()).await.expect("the store works"));
    assert_eq!(store.secret("API_KEY".into()).await.expect("the store works"), None);
}

/// As many as there may be.
pub async fn number_of_secrets_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    for number in 0..MAX_STORED_SECRETS {
        set(&*store, &format!("S{number}"), "long enough").await.expect("there is room");
    }
    set(&*store, "S0", "long enough, too").await.expect("it is there already");
    assert_eq!(store.secrets().await.expect("the store works").len(), MAX_STORED_SECRETS);
}

/// One more, and what cannot be one at all.
pub async fn number_of_secrets_violated(subject: &mut impl Subject) {
    let store = subject.store();
    for (name, text) in [("bad name", "x"), ("S", ""), ("S", "a\r\nb")] {
        assert!(matches!(set(&*store, name, text).await, Err(StoreError::Secret(_))), "{name} {text:?}");
    }
    for number in 0..MAX_STORED_SECRETS {
        set(&*store, &format!("S{number}"), "long enough").await.expect("there is room");
    }
    assert!(matches!(set(&*store, "ONE_MORE", "long enough").await, Err(StoreError::Secret(SecretError::TooMany))));
}
