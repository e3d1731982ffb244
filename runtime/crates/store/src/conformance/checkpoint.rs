//! What an attempt keeps for those after it: how long it lives, and who may write it.

use bytes::Bytes;
use sunaba_task::{LeaseToken, MAX_CHECKPOINT_BYTES};

use super::*;
use crate::{CheckpointError, Rerun};

async fn keep(store: &dyn Store, leased: &Leased, text: &str) -> Result<(), CheckpointError> {
    store.checkpoint(leased.token, Bytes::copy_from_slice(text.as_bytes())).await.expect("the store works")
}

async fn last(store: &dyn Store, id: TaskId) -> Option<Bytes> {
    store.last_checkpoint(id).await.expect("the store works")
}

/// The one that was kept last is there, whatever the attempt comes to.
pub async fn checkpoint_survives_a_failed_attempt(subject: &mut impl Subject) {
    let store = subject.store();
    let id = submit(&*store, new_task()).await.id;
    assert_eq!(last(&*store, id).await, None);
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    for text in ["row 7", "row 700"] {
        assert_eq!(keep(&*store, &leased, text).await, Ok(()));
    }
    assert_eq!(last(&*store, id).await, Some("row 700".into()));
    settle(&*store, settlement(&leased, Verdict::Retry(Duration::ZERO))).await.expect("it has the lease");
    subject.advance(Duration::from_millis(1));
    let again = lease_one(&*store, session).await;
    assert_eq!((again.task.id, again.task.attempts_started), (id, 2));
    assert_eq!(last(&*store, id).await, Some("row 700".into()));
    // An empty one is one.
    assert_eq!(keep(&*store, &again, "").await, Ok(()));
    assert_eq!(last(&*store, id).await, Some(Bytes::new()));
}

/// It is durable when it is acknowledged; the record that says so is no obstacle to the task's next attempt.
pub async fn checkpoint_survives_a_lost_host_and_a_restart(subject: &mut impl Subject) {
    let store = subject.store();
    let id = submit(&*store, new_task()).await.id;
    let large = "x".repeat(100_000);
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(keep(&*store, &leased, &large).await, Ok(()));
    subject.advance(LEASE);
    assert_eq!(last(&*store, id).await, Some(large.clone().into()));
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(keep(&*store, &leased, "at the second").await, Ok(()));
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(last(&*store, id).await, Some("at the second".into()));
    let session = open(&*store).await;
    let third = lease_one(&*store, session).await;
    assert_eq!((third.task.id, third.task.attempts_started, third.task.hosts_lost), (id, 3, 2));
    let done = settle(&*store, settlement(&third, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(done.state, State::Succeeded);
}

/// Whoever has lost a lease cannot write.
pub async fn checkpoint_of_a_zombie_changes_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    let id = submit(&*store, new_task()).await.id;
    let lost = open(&*store).await;
    let zombie = lease_one(&*store, lost).await;
    assert_eq!(keep(&*store, &zombie, "the first").await, Ok(()));
    let wrong = LeaseToken { nonce: zombie.token.nonce ^ 1, ..zombie.token };
    let refused = store.checkpoint(wrong, Bytes::from("forged")).await.expect("the store works");
    assert_eq!(refused, Err(CheckpointError::LeaseLost));
    subject.advance(LEASE);
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(leased.task.id, id);
    assert_eq!(keep(&*store, &zombie, "a zombie's").await, Err(CheckpointError::LeaseLost));
    assert_eq!(last(&*store, id).await, Some("the first".into()));
    assert_eq!(keep(&*store, &leased, "the second").await, Ok(()));
    assert_eq!(keep(&*store, &zombie, "a zombie's").await, Err(CheckpointError::LeaseLost));
    assert_eq!(last(&*store, id).await, Some("the second".into()));
}

/// However it ends. What is run again begins anew.
pub async fn checkpoint_is_gone_when_its_task_has_ended(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for verdict in [Verdict::Succeed, Verdict::GiveUp] {
        let id = submit(&*store, new_task()).await.id;
        let leased = lease_one(&*store, session).await;
        assert_eq!(keep(&*store, &leased, "row 7").await, Ok(()));
        settle(&*store, settlement(&leased, verdict)).await.expect("it has the lease");
        assert_eq!(last(&*store, id).await, None);
        assert_eq!(keep(&*store, &leased, "too late").await, Err(CheckpointError::LeaseLost));
        let again = store
            .rerun(vec![Rerun { task: id, input: None, checked: None, once: false }])
            .await
            .expect("the store works")
            .remove(0)
            .expect("it has ended");
        assert_eq!(last(&*store, again.id).await, None);
        finish(&*store, session, Verdict::Succeed).await;
    }
    let id = submit(&*store, new_task()).await.id;
    let leased = lease_one(&*store, session).await;
    assert_eq!(keep(&*store, &leased, "row 7").await, Ok(()));
    settle(&*store, settlement(&leased, Verdict::Retry(SECOND))).await.expect("it has the lease");
    assert_eq!(cancel(&*store, id).await.state, State::Cancelled);
    assert_eq!(last(&*store, id).await, None);
}

/// As large as it may be.
pub async fn size_of_a_checkpoint_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    let id = submit(&*store, new_task()).await.id;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(keep(&*store, &leased, &"x".repeat(MAX_CHECKPOINT_BYTES)).await, Ok(()));
    assert_eq!(last(&*store, id).await.map(|bytes| bytes.len()), Some(MAX_CHECKPOINT_BYTES));
}

/// The one before stays.
pub async fn size_of_a_checkpoint_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let id = submit(&*store, new_task()).await.id;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(keep(&*store, &leased, "small").await, Ok(()));
    let bytes = MAX_CHECKPOINT_BYTES as u64 + 1;
    let refused = keep(&*store, &leased, &"x".repeat(MAX_CHECKPOINT_BYTES + 1)).await;
    assert_eq!(refused, Err(CheckpointError::TooLarge { bytes }));
    assert_eq!(last(&*store, id).await, Some("small".into()));
}
