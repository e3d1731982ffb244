//! One key, one task.

use super::*;
use crate::{SubmitError, Submitted};

fn keyed(key: &str, input: &'static str) -> NewTask {
    with(|new| {
        new.spec.idempotency_key = Some(key.into());
        new.input = Payload::json(input);
    })
}

async fn submit_keyed(store: &dyn Store, new: NewTask) -> Result<Submitted, SubmitError> {
    store.submit(vec![new]).await.expect("the store works").remove(0)
}

/// The second time gives the first task, as it is by then.
pub async fn same_key_and_body_give_the_same_task(subject: &mut impl Subject) {
    let store = subject.store();
    let both = store.submit(vec![keyed("k", "1"), keyed("k", "1"), keyed("k2", "1")]).await.expect("the store works");
    let [Ok(Submitted::Created(first)), Ok(Submitted::Existing(second)), Ok(Submitted::Created(other))] = &both[..]
    else {
        panic!("{both:?}")
    };
    assert_eq!(first, second);
    assert_ne!(first.id, other.id);
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(submit_keyed(&*store, keyed("k", "1")).await, Ok(Submitted::Existing(done)));
}

/// A key is never given to another request, nor is that request lost in silence.
pub async fn same_key_and_another_body_conflict(subject: &mut impl Subject) {
    let store = subject.store();
    let first = submit_keyed(&*store, keyed("k", "1")).await.expect("it is taken on").into_task();
    let conflict = Err(SubmitError::Conflict { key: "k".into(), task: first.id });
    assert_eq!(submit_keyed(&*store, keyed("k", "2")).await, conflict);
    // What the submitter wrote decides, not what was made of it.
    let fingerprint = |text: &str| Some(Digest::of(text.as_bytes()));
    let named = |text: &str, input| NewTask { fingerprint: fingerprint(text), ..keyed("named", input) };
    let first = submit_keyed(&*store, named("a", "1")).await.expect("it is taken on").into_task();
    assert_eq!(submit_keyed(&*store, named("a", "2")).await, Ok(Submitted::Existing(first.clone())));
    let conflict = Err(SubmitError::Conflict { key: "named".into(), task: first.id });
    assert_eq!(submit_keyed(&*store, named("b", "1")).await, conflict);
}

/// A key is as durable as its task.
pub async fn key_is_remembered_after_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let first = submit_keyed(&*store, keyed("k", "1")).await.expect("it is taken on").into_task();
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(submit_keyed(&*store, keyed("k", "1")).await, Ok(Submitted::Existing(first)));
}
