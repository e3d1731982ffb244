//! Who may run a task, for how long, and what becomes of it when its host is gone.

use sunaba_task::LeaseToken;

use super::*;
use crate::StoreError;
use crate::{MAX_LEASED, MAX_LEASED_BYTES};

/// An attempt that nobody ever hears of again has still begun.
pub async fn attempt_counts_from_the_lease_on(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!((leased.task.attempts_started, leased.task.failures_charged), (1, 0));
    assert!(is_running(&leased.task) && leased.task.revision > submitted.revision);
    assert_eq!(task(&*store, &submitted).await, leased.task);
}

/// Whoever has lost a lease cannot write.
pub async fn stale_token_changes_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    for token in [
        LeaseToken { nonce: leased.token.nonce ^ 1, ..leased.token },
        LeaseToken { sequence: leased.token.sequence + 1, ..leased.token },
    ] {
        let wrong = Settlement { token, ..settlement(&leased, Verdict::Succeed) };
        assert_eq!(settle(&*store, wrong).await, Err(SettleError::LeaseLost));
    }
    assert_eq!(task(&*store, &leased.task).await, leased.task);
    let done = settle(&*store, settlement(&leased, Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(settle(&*store, settlement(&leased, Verdict::GiveUp)).await, Err(SettleError::LeaseLost));
    assert_eq!(task(&*store, &leased.task).await, done);
}

/// A lease ends with its time; the task runs again, and the first worker is out.
pub async fn lease_that_runs_out_is_given_to_another_once(subject: &mut impl Subject) {
    let store = subject.store();
    submit(&*store, new_task()).await;
    let lost = open(&*store).await;
    let first = lease_one(&*store, lost).await;
    subject.advance(LEASE - SECOND);
    let session = open(&*store).await;
    assert!(lease(&*store, session, 1).await.is_empty());
    subject.advance(SECOND);
    let second = lease_one(&*store, session).await;
    assert_eq!((second.task.id, second.task.attempts_started), (first.task.id, 2));
    assert_eq!((second.task.hosts_lost, second.task.failures_charged), (1, 0));
    assert_eq!(second.task.attempts[0].ending, Ending::HostLost);
    assert_eq!(settle(&*store, settlement(&first, Verdict::Succeed)).await, Err(SettleError::LeaseLost));
    assert!(lease(&*store, session, 1).await.is_empty());
    assert!(settle(&*store, settlement(&second, Verdict::Succeed)).await.is_ok());
}

/// One renewal keeps all of a session's leases.
pub async fn renewed_lease_does_not_run_out(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 2]).await.expect("the store works");
    let session = open(&*store).await;
    let leased = lease(&*store, session, 2).await;
    for _ in 0..5 {
        subject.advance(LEASE - SECOND);
        assert_eq!(store.renew(session, Duration::ZERO).await.expect("in time"), []);
    }
    for leased in &leased {
        assert!(settle(&*store, settlement(leased, Verdict::Succeed)).await.is_ok());
    }
}

/// A session that is over stays over.
pub async fn session_that_ran_out_cannot_be_used(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    subject.advance(LEASE);
    assert!(matches!(store.renew(session, Duration::ZERO).await, Err(StoreError::SessionLost)));
    let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: Duration::ZERO };
    assert!(matches!(store.lease(request).await, Err(StoreError::SessionLost)));
    store.close_session(session).await.expect("nothing to close is no error");
}

/// A host that stops in good order costs its tasks nothing, not even their place.
pub async fn closed_session_hands_back_and_charges_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, new_task()).await;
    submit(&*store, new_task()).await;
    let session = open(&*store).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(leased.task.id, submitted.id);
    store.close_session(session).await.expect("the store works");
    let back = task(&*store, &submitted).await;
    assert_eq!((&back.state, back.attempts_started), (&State::Queued, 1));
    assert_eq!((back.failures_charged, back.hosts_lost), (0, 0));
    assert_eq!(back.attempts[0].ending, Ending::HandedBack);
    assert_eq!(settle(&*store, settlement(&leased, Verdict::Succeed)).await, Err(SettleError::LeaseLost));
    let session = open(&*store).await;
    assert_eq!(lease_one(&*store, session).await.task.id, submitted.id);
}

/// A task that takes its hosts down does not do so for ever.
pub async fn task_that_loses_its_hosts_is_dead(subject: &mut impl Subject) {
    let store = subject.store();
    let submitted = submit(&*store, new_task()).await;
    for _ in 0..DEFAULT_MAX_HOSTS_LOST {
        let session = open(&*store).await;
        lease_one(&*store, session).await;
        subject.advance(LEASE);
    }
    let dead = task(&*store, &submitted).await;
    assert_eq!((&dead.state, dead.hosts_lost, dead.failures_charged), (&State::Dead, DEFAULT_MAX_HOSTS_LOST, 0));
    let session = open(&*store).await;
    assert!(lease(&*store, session, 1).await.is_empty());
}

/// A store that only one host can use knows at its start that nobody runs its tasks any more.
pub async fn restart_takes_leases_back_at_once(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 3]).await.expect("the store works");
    let session = open(&*store).await;
    let leased = lease(&*store, session, 3).await;
    settle(&*store, settlement(&leased[1], Verdict::Succeed)).await.expect("it has the lease");
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    let again = lease(&*store, session, 3).await;
    let ids = |leased: &[&Leased]| leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>();
    assert_eq!(ids(&again.iter().collect::<Vec<_>>()), ids(&[&leased[0], &leased[2]]));
    assert!(again.iter().all(|leased| leased.task.attempts_started == 2 && leased.task.hosts_lost == 1));
    assert_eq!(settle(&*store, settlement(&leased[0], Verdict::Succeed)).await, Err(SettleError::LeaseLost));
}

/// A worker that went away while it waited has not taken anything with it.
pub async fn lease_that_nobody_took_is_given_back(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let request = LeaseRequest { session, queues: Queues::All, slots: 1, wait: LEASE };
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.lease(request).await }
    });
    settle_down(&*store).await;
    waiting.abort();
    assert!(waiting.await.is_err());
    let submitted = submit(&*store, new_task()).await;
    let leased = lease_one(&*store, session).await;
    assert_eq!(leased.task.id, submitted.id);
}

/// Whatever two workers do at the same time, each task is one's.
pub async fn two_workers_never_have_the_same_task(subject: &mut impl Subject) {
    let store = subject.store();
    store.submit(vec![new_task(); 100]).await.expect("the store works");
    let worker = |store: Arc<dyn Store>| async move {
        let session = open(&*store).await;
        let mut mine = Vec::new();
        loop {
            let leased = lease(&*store, session, 3).await;
            if leased.is_empty() {
                return mine;
            }
            mine.extend(leased.into_iter().map(|leased| leased.task.id));
        }
    };
    let (first, second) = (tokio::spawn(worker(subject.store())), tokio::spawn(worker(subject.store())));
    let mut all = first.await.expect("it ends");
    all.extend(second.await.expect("it ends"));
    assert_eq!(all.len(), 100);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 100);
}

/// A store has one clock, and durations count by that, whichever host they come from.
pub async fn clocks_of_the_hosts_do_not_matter(subject: &mut impl Subject) {
    let (here, there) = (subject.store(), subject.store_on_another_host());
    let late = with(|new| new.start = Some(When::After(SECOND * 10)));
    let (first, second) = (submit(&*here, late.clone()).await, submit(&*there, late).await);
    let (one, other) = (open(&*here).await, open(&*there).await);
    subject.advance(SECOND * 9);
    assert!(lease(&*there, other, 2).await.is_empty() && lease(&*here, one, 2).await.is_empty());
    subject.advance(SECOND);
    let leased = lease(&*there, other, 2).await;
    assert_eq!(leased.iter().map(|leased| leased.task.id).collect::<Vec<_>>(), [first.id, second.id]);
    // Renewed in time by its own host, and by the other one too.
    subject.advance(LEASE - SECOND * 11);
    here.renew(one, Duration::ZERO).await.expect("in time");
    there.renew(other, Duration::ZERO).await.expect("in time");
    subject.advance(LEASE - SECOND);
    let done = settle(&*there, settlement(&leased[0], Verdict::Succeed)).await.expect("it has the lease");
    assert_eq!(task(&*here, &done).await, done);
    subject.advance(SECOND);
    let session = open(&*here).await;
    assert_eq!(lease_one(&*here, session).await.task.id, second.id);
}

/// Of many tasks and of large inputs one call gives some, and the next calls the others.
pub async fn one_call_leases_no_more_than_can_be_read_at_once(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    store.submit(vec![new_task(); MAX_LEASED + 3]).await.expect("the store works");
    let first = lease(&*store, session, usize::MAX).await.len();
    assert!((1..=MAX_LEASED).contains(&first), "{first}");
    assert_eq!(lease(&*store, session, usize::MAX).await.len(), MAX_LEASED + 3 - first);
    let size = 1 << 20;
    let new = with(|new| new.input = Payload::new("a/b", vec![7; size]));
    let count = usize::try_from(MAX_LEASED_BYTES).expect("it fits") / size + 3;
    store.submit(vec![new; count]).await.expect("the store works");
    let first = lease(&*store, session, usize::MAX).await.len();
    assert!((1..count).contains(&first), "{first} of {count}");
    assert_eq!(lease(&*store, session, usize::MAX).await.len(), count - first);
}
