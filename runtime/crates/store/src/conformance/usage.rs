//! Sums of what attempts have used.

use sunaba_task::{Cause, Receipt};

use super::*;
use crate::{MAX_SUMMED, OTHERS, Usage, UsageOf, UsageSums};

async fn all(store: &dyn Store, of: UsageOf) -> Vec<Usage> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.usage(of, after.take()).await.expect("the store works");
        assert!(page.len() <= NAMES_PAGE);
        let Some(last) = page.last() else { return all };
        after = Some(last.name.clone());
        all.extend(page);
    }
}

async fn sums(store: &dyn Store, of: UsageOf, name: &str) -> UsageSums {
    let found = all(store, of).await.into_iter().find(|usage| usage.name == name);
    found.map(|usage| usage.sums).unwrap_or_default()
}

fn receipt(fuel: Option<u64>, peak_memory_bytes: u64) -> Receipt {
    Receipt {
        fuel,
        fuel_exact: fuel.is_some_and(|fuel| fuel < 1_000),
        wall: SECOND,
        host_call_time: SECOND / 2,
        peak_memory_bytes,
        input_bytes: 1,
        output_bytes: 2,
        log_bytes: 3,
        stdout_bytes: 4,
        stderr_bytes: 5,
        host_calls: 6,
        moved_bytes: 7,
        written_bytes: 8,
        requests: 9,
        request_bytes: 10,
        ..Receipt::unmeasured(Digest::of(b"component"))
    }
}

/// A worker that had no slot for it yet says so: its attempt began when there was one, and it had waited until then.
pub async fn wait_for_a_slot_is_a_wait_and_no_run(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    subject.advance(SECOND * 3);
    let leased = lease_one(&*store, session).await;
    let leased_at = leased.task.lease().expect("it runs").started_at;
    subject.advance(SECOND * 5);
    let receipt = Receipt { queue_wait: Some(SECOND * 2), ..receipt(None, 0) };
    let done = Settlement { receipt: Some(receipt), ..settlement(&leased, Verdict::Succeed) };
    let attempt = settle(&*store, done).await.expect("it has the lease").attempts.remove(0);
    assert_eq!((attempt.started_at, attempt.ended_at), (leased_at.after(SECOND * 2), leased_at.after(SECOND * 5)));
    assert_eq!(attempt.receipt.and_then(|receipt| receipt.queue_wait), Some(SECOND * 5));
}

/// Each attempt once, for its handler and for each of its tags, and no purge takes anything away.
pub async fn receipts_are_summed_by_handler_and_by_tag(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let tagged = with(|new| new.spec.tags = vec!["a".into(), "b".into()]);
    submit(&*store, tagged).await;
    subject.advance(SECOND * 3);
    let attempt = async |verdict, receipt| {
        let settlement =
            Settlement { receipt: Some(receipt), ..settlement(&lease_one(&*store, session).await, verdict) };
        settle(&*store, settlement).await.expect("it has the lease")
    };
    attempt(Verdict::Retry(SECOND), receipt(Some(100), 900)).await;
    subject.advance(SECOND);
    let done = attempt(Verdict::Succeed, receipt(Some(1_000), 300)).await;
    assert_eq!(done.attempts[0].receipt.as_ref().and_then(|receipt| receipt.queue_wait), Some(SECOND * 3));
    submit(&*store, with(|new| new.spec.tags = vec!["b".into()])).await;
    attempt(Verdict::Succeed, receipt(None, 500)).await;
    let handler = sums(&*store, UsageOf::Handlers, "words/word-count").await;
    let expected = UsageSums {
        attempts: 3,
        succeeded: 2,
        failed: 1,
        receipts: 3,
        fuel: 1_100,
        fuel_exact: 1,
        fuel_off: 1,
        wall: SECOND * 3,
        host_call_time: SECOND * 3 / 2,
        host_calls: 18,
        peak_memory_bytes: 900,
        input_bytes: 3,
        output_bytes: 6,
        log_bytes: 36,
        moved_bytes: 21,
        written_bytes: 24,
        requests: 27,
        request_bytes: 30,
        queue_wait: SECOND * 3,
        ..UsageSums::default()
    };
    assert_eq!(handler, expected);
    assert_eq!(sums(&*store, UsageOf::Tags, "a").await.attempts, 2);
    assert_eq!(sums(&*store, UsageOf::Tags, "b").await, expected);
    store.delete(vec![done.id]).await.expect("the store works").remove(0).expect("it has ended");
    assert_eq!(sums(&*store, UsageOf::Handlers, "words/word-count").await, expected);
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(sums(&*store, UsageOf::Handlers, "words/word-count").await, expected);
    assert_eq!(all(&*store, UsageOf::Tags).await.len(), 2);
}

/// Whatever the store was doing, what has a record has been summed, and nothing else.
pub async fn every_end_of_an_attempt_is_summed_once(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    store.submit(vec![new_task(); 5]).await.expect("the store works");
    finish(&*store, session, Verdict::Succeed).await;
    let stopped = lease_one(&*store, session).await;
    let ending = Ending::Stopped { cause: Cause::Cancelled, message: "m".into() };
    let first = Settlement { ending, ..settlement(&stopped, Verdict::GiveUp) };
    settle(&*store, first.clone()).await.expect("it has the lease");
    assert_eq!(settle(&*store, first).await, Err(SettleError::LeaseLost));
    let snoozed = lease_one(&*store, session).await;
    let ending = Ending::Snoozed { reason: String::new() };
    let snoozed = Settlement { ending, ..settlement(&snoozed, Verdict::Snooze(LEASE * 9)) };
    settle(&*store, snoozed).await.expect("it has the lease");
    lease_one(&*store, session).await;
    store.close_session(session).await.expect("the store works");
    let session = open(&*store).await;
    lease(&*store, session, 2).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    let expected =
        UsageSums { attempts: 6, succeeded: 1, stopped: 1, snoozed: 1, unfinished: 3, ..UsageSums::default() };
    assert_eq!(sums(&*store, UsageOf::Handlers, "words/word-count").await, expected);
}

/// Whatever is submitted, what is kept of it has an end.
pub async fn tags_beyond_a_number_share_one_sum(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let tags: Vec<_> = (0..MAX_SUMMED + 50).map(|number| format!("tag-{number}")).collect();
    for tag in &tags {
        submit(&*store, with(|new| new.spec.tags = vec![tag.clone()])).await;
    }
    submit(&*store, with(|new| new.spec.tags = vec!["tag-0".into()])).await;
    let leased = lease(&*store, session, MAX_SUMMED + 51).await;
    let settlements = leased.iter().map(|leased| settlement(leased, Verdict::Succeed)).collect();
    store.settle(settlements).await.expect("the store works");
    let summed = all(&*store, UsageOf::Tags).await;
    assert_eq!(summed.len(), MAX_SUMMED + 1);
    assert_eq!(summed.iter().find(|usage| usage.name == OTHERS).expect("there are others").sums.attempts, 50);
    assert_eq!(sums(&*store, UsageOf::Tags, "tag-0").await.attempts, 2);
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, with(|new| new.spec.tags = vec!["tag-1".into(), "another".into()])).await;
    finish(&*store, session, Verdict::Succeed).await;
    assert_eq!(sums(&*store, UsageOf::Tags, OTHERS).await.attempts, 51);
    assert_eq!(sums(&*store, UsageOf::Tags, "tag-1").await.attempts, 2);
}
