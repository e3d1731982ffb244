//! What the tasks of a job may write to artifacts, over all of their attempts.

use sunaba_task::job::{Budget, BudgetName, JobCause, JobId, JobSpec, JobState, NewJob, Node};
use sunaba_task::{Cause, Ending, Fuel, Limit, Limits, Receipt, StateName};

use super::fuel_share::stop_by_rules;
use super::job_events::{low, page_of};
use super::jobs::{ended, job, lease_named, node, states, submit_job};
use super::*;
use crate::EventsOf;

fn with_bytes(bytes: u64, nodes: impl IntoIterator<Item = Node>) -> NewJob {
    let budget = Budget { artifact_bytes: Some(bytes), ..Budget::default() };
    NewJob { spec: JobSpec { budget, ..JobSpec::default() }, ..job(nodes) }
}

/// A task that may write so many bytes; none: nobody has said it.
fn writes(name: &str, bytes: Option<u64>, after: &[&str]) -> Node {
    let mut node = node(name, after);
    node.task.spec.limits.artifact_bytes = bytes.unwrap_or(Limits::default().artifact_bytes);
    node
}

fn may_write(leased: &Leased) -> u64 {
    leased.task.spec.limits.artifact_bytes
}

fn receipt(leased: &Leased, artifact_bytes: u64) -> Option<Receipt> {
    Some(Receipt { artifact_bytes, ..Receipt::unmeasured(leased.task.spec.component) })
}

async fn succeed(store: &dyn Store, leased: &Leased, bytes: u64) {
    let settlement = Settlement { receipt: receipt(leased, bytes), ..settlement(leased, Verdict::Succeed) };
    settle(store, settlement).await.expect("it has the lease");
    settle_down(store).await;
}

/// It wanted to write more than it may.
async fn stop(store: &dyn Store, leased: &Leased, bytes: u64, verdict: Verdict) {
    let ending = Ending::Stopped { cause: Cause::Limit(Limit::ArtifactBytes), message: "too much".into() };
    let settlement = Settlement { ending, receipt: receipt(leased, bytes), ..settlement(leased, verdict) };
    settle(store, settlement).await.expect("it has the lease");
    settle_down(store).await;
}

async fn begin(store: &dyn Store, new: NewJob) -> (JobId, SessionId) {
    let id = submit_job(store, new).await;
    settle_down(store).await;
    (id, open(store).await)
}

/// What runs together could never write more than is left; what it does not write comes back to the others. Whoever writes nothing
/// runs when nothing is left.
pub async fn artifact_bytes_of_a_job_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    let nodes = [writes("a", Some(600), &[]), writes("b", Some(600), &[]), writes("c", None, &["a", "b"])];
    let (id, session) = begin(&*store, with_bytes(1_000, nodes)).await;
    let first = lease_one(&*store, session).await;
    assert_eq!(may_write(&first), 600);
    assert_eq!(lease(&*store, session, 9).await, [], "the other waits for what it gives back");
    succeed(&*store, &first, 400).await;
    let second = lease_one(&*store, session).await;
    assert_eq!(may_write(&second), 600);
    succeed(&*store, &second, 600).await;
    let last = lease_named(&*store, session, "c").await;
    assert_eq!(may_write(&last), 0, "all is spent");
    succeed(&*store, &last, 0).await;
    let ended = ended(&*store, id).await;
    assert_eq!((ended.state, ended.spent.artifact_bytes), (JobState::Succeeded, 1_000));
    let low = low(&page_of(&*store, EventsOf::Job(id)).await);
    assert_eq!(low, [(BudgetName::ArtifactBytes, 1_000, 1_000)]);
}

/// Whoever wants more than is left ends the job, whatever his retries are: there is nothing that would come back.
pub async fn artifact_bytes_of_a_job_violated(subject: &mut impl Subject) {
    let store = subject.store();
    for verdict in [Verdict::Retry(SECOND), Verdict::GiveUp] {
        let nodes = [writes("a", Some(600), &[]), writes("b", Some(600), &["a"]), node("c", &["b"])];
        let (id, session) = begin(&*store, with_bytes(1_000, nodes)).await;
        let first = lease_named(&*store, session, "a").await;
        succeed(&*store, &first, 600).await;
        let second = lease_named(&*store, session, "b").await;
        assert_eq!(may_write(&second), 400);
        stop(&*store, &second, 390, verdict).await;
        let ended = ended(&*store, id).await;
        assert_eq!((ended.cause, ended.spent.artifact_bytes), (Some(JobCause::Budget(BudgetName::ArtifactBytes)), 990));
        assert!(!states(&*store, id).await.contains("c=succeeded"));
        assert_eq!(lease(&*store, session, 9).await, []);
    }
    let nothing = store.submit_job(with_bytes(0, [])).await.expect("the store works");
    assert!(matches!(nothing, Err(crate::SubmitJobError::OutOfRange(_))));
}

/// Those for which nobody has said a limit share what is left. One whose share was too little is charged nothing, and has all that
/// it may when it is run again.
pub async fn share_of_artifact_bytes_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let names = ["a", "b", "c", "d"];
    let (id, session) = begin(&*store, with_bytes(1_000, names.map(|name| writes(name, None, &[])))).await;
    let leased = lease(&*store, session, 9).await;
    assert_eq!(leased.iter().map(may_write).collect::<Vec<_>>(), [250, 250, 250, 250]);
    let cause = Cause::Limit(Limit::ArtifactBytes);
    let stopped = stop_by_rules(&*store, &leased[0], cause, receipt(&leased[0], 250)).await;
    assert_eq!((stopped.state.name(), stopped.failures_charged), (StateName::Queued, 0));
    assert_eq!(store.job(id).await.expect("the store works").expect("it is there").cause, None, "others have the rest");
    for leased in &leased[1..3] {
        succeed(&*store, leased, 10).await;
    }
    assert_eq!(lease(&*store, session, 9).await, [], "it waits for all that it may get");
    succeed(&*store, &leased[3], 10).await;
    let again = lease_one(&*store, session).await;
    assert_eq!(may_write(&again), 1_000 - 280);
    succeed(&*store, &again, 700).await;
    assert_eq!(ended(&*store, id).await.state, JobState::Succeeded);
}

/// A limit of the task's own is a failure of the task, and no budget.
pub async fn own_limit_of_artifact_bytes_is_no_budget(subject: &mut impl Subject) {
    let store = subject.store();
    let (id, session) = begin(&*store, with_bytes(1_000, [writes("a", Some(100), &[])])).await;
    let leased = lease_one(&*store, session).await;
    stop(&*store, &leased, 100, Verdict::GiveUp).await;
    assert!(matches!(ended(&*store, id).await.cause, Some(JobCause::Task { .. })));
}

/// The same of fuel: the only task of a job that has used all of it has not failed by itself.
pub async fn last_attempt_that_has_used_all_fuel_has_spent_the_budget(subject: &mut impl Subject) {
    let store = subject.store();
    for (own, is_budget) in [(None, true), (Some(2_000), true), (Some(600), false)] {
        let mut node = node("a", &[]);
        node.task.spec.limits.fuel = Fuel::Exact { limit: own };
        let budget = Budget { fuel: Some(1_000), ..Budget::default() };
        let new = NewJob { spec: JobSpec { budget, ..JobSpec::default() }, ..job([node]) };
        let (id, session) = begin(&*store, new).await;
        let leased = lease_one(&*store, session).await;
        let used = own.unwrap_or(u64::MAX).min(1_000);
        assert_eq!(leased.task.spec.limits.fuel, Fuel::Exact { limit: Some(used) });
        let ending = Ending::Stopped { cause: Cause::Fuel, message: "out of fuel".into() };
        let receipt = Receipt { fuel: Some(used), ..Receipt::unmeasured(leased.task.spec.component) };
        let settlement = Settlement { ending, receipt: Some(receipt), ..settlement(&leased, Verdict::GiveUp) };
        settle(&*store, settlement).await.expect("it has the lease");
        let cause = ended(&*store, id).await.cause;
        assert_eq!(cause == Some(JobCause::Budget(BudgetName::Fuel)), is_budget, "{cause:?}");
    }
}
