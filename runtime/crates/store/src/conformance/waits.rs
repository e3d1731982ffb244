//! Whoever waits is woken, and never waits for ever.

use super::*;

pub(super) fn waiting_lease(
    store: &Arc<dyn Store>,
    session: SessionId,
    wait: Duration,
) -> tokio::task::JoinHandle<Vec<Leased>> {
    let store = Arc::clone(store);
    let request = LeaseRequest { session, queues: Queues::All, slots: 2, wait };
    tokio::spawn(async move { store.lease(request).await.expect("it lives") })
}

/// Work wakes a worker; no time has to pass.
pub async fn waiting_worker_is_woken_by_a_submit(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let waiting = waiting_lease(&store, session, LEASE);
    settle_down(&*store).await;
    let submitted = submit(&*subject.store(), new_task()).await;
    assert_eq!(waiting.await.expect("it ends")[0].task.id, submitted.id);
}

/// Time makes work, too.
pub async fn waiting_worker_is_woken_when_a_task_becomes_due(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let submitted = submit(&*store, with(|new| new.start = Some(When::After(SECOND)))).await;
    let waiting = waiting_lease(&store, session, LEASE);
    settle_down(&*store).await;
    subject.advance(SECOND);
    assert_eq!(waiting.await.expect("it ends")[0].task.id, submitted.id);
}

/// No work is an answer.
pub async fn worker_waits_no_longer_than_it_wants(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let waiting = waiting_lease(&store, session, SECOND);
    settle_down(&*store).await;
    assert!(!waiting.is_finished());
    subject.advance(SECOND);
    assert_eq!(waiting.await.expect("it ends"), []);
}

/// The end of a task is told to all who wait for it.
pub async fn waiting_caller_is_told_of_the_end(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, new_task()).await;
    let wait = |store: Arc<dyn Store>| async move { store.wait(submitted.id, LEASE).await.expect("the store works") };
    let waiting = [tokio::spawn(wait(subject.store())), tokio::spawn(wait(subject.store()))];
    settle_down(&*store).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    for waiting in waiting {
        assert_eq!(waiting.await.expect("it ends"), Some(done.clone()));
    }
    assert_eq!(store.wait(done.id, LEASE).await.expect("the store works"), Some(done));
}

/// Not yet is an answer.
pub async fn caller_waits_no_longer_than_it_wants(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, new_task()).await;
    let waiting = tokio::spawn({
        let (store, id) = (Arc::clone(&store), submitted.id);
        async move { store.wait(id, SECOND).await.expect("the store works") }
    });
    settle_down(&*store).await;
    subject.advance(SECOND);
    assert_eq!(waiting.await.expect("it ends"), Some(submitted));
}
