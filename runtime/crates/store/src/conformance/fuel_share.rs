//! What becomes of a task whose share of its job's fuel was too little. What follows from each end is decided by the rules.

use sunaba_task::job::{Budget, BudgetName, JobCause, JobId, JobSpec, JobState, NewJob};
use sunaba_task::{
    AttemptReport, AttemptResult, Cause, Fuel, Observation, Policy, Receipt, StateName, Stop, Timestamp, decide,
};

use super::jobs::{ended, find_job, job, lease_named, node, states, submit_job};
use super::*;

/// Settles an attempt that was stopped, as a worker does that goes by the rules.
pub(super) async fn stop_by_rules(store: &dyn Store, leased: &Leased, cause: Cause, receipt: Option<Receipt>) -> Task {
    let receipt = receipt.expect("what it has used is known");
    let result = AttemptResult::Stopped(Stop { cause, message: "too much".into(), backtrace: Vec::new() });
    let seen = Observation::Reported(Box::new(AttemptReport { result, receipt: receipt.clone(), logs: Vec::new() }));
    let decision = decide(&leased.task, &seen, Timestamp::from_unix_ms(0));
    let by_rules =
        Settlement { ending: seen.ending(), decision, receipt: Some(receipt), ..settlement(leased, Verdict::GiveUp) };
    let settled = settle(store, by_rules).await.expect("it has the lease");
    settle_down(store).await;
    settled
}

/// A job of four tasks with one attempt each, of which nobody has said what they may use; all of them have begun.
async fn begin(store: &dyn Store) -> (JobId, SessionId, Vec<Leased>) {
    let nodes = ["a", "b", "c", "d"].map(|name| {
        let mut node = node(name, &[]);
        (node.task.spec.max_attempts, node.task.spec.limits.fuel) = (1, Fuel::Exact { limit: None });
        node
    });
    let budget = Budget { fuel: Some(1_000), ..Budget::default() };
    let id = submit_job(store, NewJob { spec: JobSpec { budget, ..JobSpec::default() }, ..job(nodes) }).await;
    settle_down(store).await;
    let session = open(store).await;
    let leased = lease(store, session, 9).await;
    assert_eq!(leased.iter().map(may_use).collect::<Vec<_>>(), [250, 250, 250, 250]);
    (id, session, leased)
}

fn may_use(leased: &Leased) -> u64 {
    match leased.task.spec.limits.fuel {
        Fuel::Exact { limit: Some(limit) } => limit,
        other => panic!("it has a budget, and not {other:?}"),
    }
}

fn used(leased: &Leased, fuel: u64) -> Option<Receipt> {
    Some(Receipt { fuel: Some(fuel), ..Receipt::unmeasured(leased.task.spec.component) })
}

async fn succeed(store: &dyn Store, leased: &Leased, fuel: u64) {
    let settlement = Settlement { receipt: used(leased, fuel), ..settlement(leased, Verdict::Succeed) };
    settle(store, settlement).await.expect("it has the lease");
    settle_down(store).await;
}

/// Uses up all that it may.
async fn run_out(store: &dyn Store, leased: &Leased) -> Task {
    stop_by_rules(store, leased, Cause::Fuel, used(leased, may_use(leased))).await
}

/// It costs the task none of its attempts, of which it has but one, and the next has all that is left once nobody else has some
/// of it.
pub async fn share_of_fuel_obeyed(subject: &mut impl Subject) {
    let store = subject.store();
    let (id, session, leased) = begin(&*store).await;
    let stopped = run_out(&*store, &leased[0]).await;
    let last = &stopped.attempts[0].decision;
    assert_eq!((stopped.state.name(), stopped.failures_charged), (StateName::Queued, 0));
    assert_eq!((last.policy, last.charged), (Policy::Share, false));
    assert_eq!(store.job(id).await.expect("the store works").expect("it is there").cause, None, "others have the rest");
    for leased in &leased[1..3] {
        succeed(&*store, leased, 10).await;
    }
    assert_eq!(lease(&*store, session, 9).await, [], "it waits for all that it may get");
    succeed(&*store, &leased[3], 10).await;
    let again = lease_one(&*store, session).await;
    assert_eq!((may_use(&again), again.task.attempts_started), (1_000 - 280, 2));
    succeed(&*store, &again, 700).await;
    let ended = ended(&*store, id).await;
    assert_eq!((ended.state, ended.spent.fuel, ended.spent.attempts), (JobState::Succeeded, 980, 5));
}

/// All that is left is no share: what is stopped by that has spent the budget, and its job ends.
pub async fn share_of_fuel_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let (id, session, leased) = begin(&*store).await;
    run_out(&*store, &leased[0]).await;
    for leased in &leased[1..] {
        succeed(&*store, leased, 50).await;
    }
    let again = lease_one(&*store, session).await;
    assert_eq!(may_use(&again), 600);
    let stopped = run_out(&*store, &again).await;
    assert!(stopped.attempts[1].decision.charged);
    let ended = ended(&*store, id).await;
    assert_eq!((ended.cause, ended.spent.fuel), (Some(JobCause::Budget(BudgetName::Fuel)), 1_000));
    assert_eq!(states(&*store, id).await, "a=dead b=succeeded c=succeeded d=succeeded");
    assert_eq!(lease(&*store, session, 9).await, []);
}

/// What it has learned is in its record.
pub async fn task_whose_share_was_too_little_goes_on_after_a_restart(subject: &mut impl Subject) {
    let (id, _, leased) = begin(&*subject.store()).await;
    run_out(&*subject.store(), &leased[0]).await;
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    settle_down(&*store).await;
    // The others have lost their host, and what they have used is not known.
    let first = lease_named(&*store, session, "a").await;
    assert_eq!(may_use(&first), 750);
    assert_eq!(lease(&*store, session, 9).await, [], "it has all of it");
    succeed(&*store, &first, 150).await;
    for fuel in [200, 200, 200] {
        let next = lease_one(&*store, session).await;
        assert!(may_use(&next) >= fuel, "{}", may_use(&next));
        succeed(&*store, &next, fuel).await;
    }
    assert_eq!(ended(&*store, id).await.state, JobState::Succeeded);
}

/// It has the same queue, handler and code as they, is before them, and keeps its place.
pub async fn task_that_waits_for_fuel_lets_others_of_its_lane_start(subject: &mut impl Subject) {
    let store = subject.store();
    let (id, session, leased) = begin(&*store).await;
    let stopped = run_out(&*store, &leased[0]).await;
    let alone = [
        submit(&*store, new_task()).await.id,
        submit(&*store, new_task()).await.id,
        submit(&*store, new_task()).await.id,
    ];
    // As often as somebody asks, and one at a time.
    for task in alone {
        let other = lease_one(&*store, session).await;
        assert_eq!(other.task.id, task);
        succeed(&*store, &other, 10).await;
    }
    assert_eq!(lease(&*store, session, 9).await, [], "it waits for all that it may get");
    let last = submit(&*store, new_task()).await.id;
    for leased in &leased[1..] {
        succeed(&*store, leased, 10).await;
    }
    let both: Vec<_> = lease(&*store, session, 9).await.iter().map(|leased| leased.task.id).collect();
    assert_eq!(both, [stopped.id, last], "it has its old place");
    assert_eq!(find_job(&*store, id).await.state, JobState::Running);
}

/// Otherwise it would wait as long as its job has others that take shares.
pub async fn task_that_waits_for_fuel_is_not_overtaken_by_its_own_job(subject: &mut impl Subject) {
    let store = subject.store();
    let (_, session, leased) = begin(&*store).await;
    // A small one, which comes back behind the one that waits, and could have a share.
    let stopped = run_out(&*store, &leased[0]).await;
    let requeued = Settlement { receipt: used(&leased[1], 10), ..settlement(&leased[1], Verdict::Requeue) };
    let back = settle(&*store, requeued).await.expect("it has the lease");
    settle_down(&*store).await;
    assert_eq!(back.state.name(), StateName::Queued);
    assert_eq!(lease(&*store, session, 9).await, [], "others of its job still have some of the budget");
    for leased in &leased[2..] {
        succeed(&*store, leased, 10).await;
    }
    assert_eq!(lease_one(&*store, session).await.task.id, stopped.id);
}
