//! What a job's story is told from: its edges, which outlast the waiting, and the sums of what it has used.

use sunaba_task::job::{After, OnFailure};
use sunaba_task::{MAX_KEPT_ATTEMPTS, Receipt};

use super::jobs::{end_named, ended, find_job, job, node, submit_job};
use super::*;
use crate::PlanQuery;

/// While it waits, when it has run, and in the plan of whoever waited for none of it; no longer than the task.
pub async fn what_a_task_was_to_wait_for_is_kept_as_long_as_the_task(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let mut last = node("c", &["b", "x/*"]);
    last.after[1].on_failure = Some(OnFailure::Ignore);
    let id = submit_job(&*store, job([node("a", &[]), node("b", &["a"]), last])).await;
    settle_down(&*store).await;
    let edges = async |store: &dyn Store, limit: usize| {
        let (mut query, mut found) = (PlanQuery::of(id, limit), Vec::new());
        loop {
            let page = store.plan(query.clone()).await.expect("the store works");
            assert_eq!(page.tasks.len(), page.after.len());
            let named = |(task, after): (Task, Vec<After>)| (task.job.expect("it is of a job").name, after);
            found.extend(page.tasks.into_iter().zip(page.after).map(named));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return found,
            }
        }
    };
    let before = edges(&*store, 10).await;
    let text = |(name, after): &(_, Vec<After>)| {
        let after = after.iter().map(|after| match after.on_failure {
            Some(rule) => format!(" {}:{rule}", after.awaited),
            None => format!(" {}", after.awaited),
        });
        format!("{name}{}", after.collect::<String>())
    };
    assert_eq!(before.iter().map(text).collect::<Vec<_>>(), ["a", "b a", "c b x/*:ignore"]);
    assert_eq!(edges(&*store, 1).await, before, "page by page");
    for name in ["a", "b", "c"] {
        end_named(&*store, session, name, Verdict::Succeed).await;
    }
    ended(&*store, id).await;
    settle_down(&*store).await;
    assert_eq!(edges(&*store, 10).await, before, "nothing waits any more");
    drop(store);
    subject.restart();
    let store = subject.store();
    assert_eq!(edges(&*store, 10).await, before);
    let retention = store.retention().await.expect("the store works");
    subject.advance(retention.succeeded.expect("they go").max(retention.result) + SLACK);
    settle_down(&*store).await;
    assert_eq!(edges(&*store, 10).await, []);
}

/// Of every attempt, also of one that failed; each once.
pub async fn receipts_of_a_job_are_summed(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, job([node("a", &[]), node("b", &["a"])])).await;
    settle_down(&*store).await;
    for (verdict, used) in [(Verdict::Retry(Duration::ZERO), 3), (Verdict::Succeed, 1), (Verdict::Succeed, 2)] {
        let leased = lease_one(&*store, session).await;
        let receipt = Receipt {
            wall: SECOND * used,
            host_call_time: SECOND / 2,
            peak_memory_bytes: 100 * u64::from(used),
            output_bytes: 7,
            ..Receipt::unmeasured(leased.task.spec.component)
        };
        let settlement = Settlement { receipt: Some(receipt), ..settlement(&leased, verdict) };
        settle(&*store, settlement.clone()).await.expect("it has the lease");
        settle(&*store, settlement).await.expect_err("it was settled before");
        settle_down(&*store).await;
    }
    let spent = ended(&*store, id).await.spent;
    let expected = (SECOND * 6, SECOND * 3 / 2, 300, 21);
    assert_eq!((spent.wall, spent.host_call_time, spent.peak_memory_bytes, spent.output_bytes), expected);
    assert_eq!((spent.fuel, spent.attempts), (0, 3));
}

/// Of all its attempts before, also of those that its record has dropped.
pub async fn founded_job_has_spent_what_all_attempts_of_its_task_have_used(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    submit(&*store, new_task()).await;
    let attempts = MAX_KEPT_ATTEMPTS as u64 + 3;
    for _ in 0..attempts {
        let leased = lease_one(&*store, session).await;
        let receipt = Receipt { fuel: Some(10), ..Receipt::unmeasured(leased.task.spec.component) };
        let again = Settlement { receipt: Some(receipt), ..settlement(&leased, Verdict::Requeue) };
        settle(&*store, again).await.expect("it has the lease");
    }
    let leased = lease_one(&*store, session).await;
    let child = store.submit_child(leased.token, node("a", &[])).await.expect("the store works");
    let id = child.expect("it is taken on").into_task().job.expect("it is of a job").job;
    let spent = find_job(&*store, id).await.spent;
    assert_eq!((spent.fuel, spent.attempts, spent.tasks), (attempts * 10, attempts + 1, 2));
}
