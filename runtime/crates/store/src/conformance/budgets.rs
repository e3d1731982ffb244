//! What jobs may spend, and what is undone when they do not end well.

use sunaba_task::job::{Budget, BudgetName, JobCause, JobSpec, JobState, NewJob, Node, OnFailure};
use sunaba_task::{Fuel, Origin, Receipt, StateName};

use super::jobs::{end_named, ended, job, lease_named, node, states, submit_job, tasks};
use super::*;
use crate::SubmitJobError;

fn with_budget(budget: Budget, job: NewJob) -> NewJob {
    NewJob { spec: JobSpec { budget, ..job.spec }, ..job }
}

/// The last attempt begins, and none after it.
pub async fn attempts_of_a_job_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    for (limit, state) in [(2, JobState::Succeeded), (1, JobState::Failed)] {
        let budget = Budget { attempts: Some(limit), ..Budget::default() };
        let id = submit_job(&*store, with_budget(budget, job([node("a", &[]), node("b", &["a"])]))).await;
        end_named(&*store, session, "a", Verdict::Succeed).await;
        settle_down(&*store).await;
        if state == JobState::Succeeded {
            end_named(&*store, session, "b", Verdict::Succeed).await;
        } else {
            assert_eq!(lease(&*store, session, 1).await, []);
        }
        let ended = ended(&*store, id).await;
        assert_eq!((ended.state, ended.spent.attempts), (state, limit));
        let cause = (state == JobState::Failed).then_some(JobCause::Budget(BudgetName::Attempts));
        assert_eq!(ended.cause, cause);
    }
}

/// Those that run at the same time share what is left, and what one does not use comes back to the others.
pub async fn fuel_of_a_job_obeyed_and_violated(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let budget = Budget { fuel: Some(1_000), ..Budget::default() };
    let limited = |name: &str, fuel: Option<u64>| {
        let mut node = node(name, &[]);
        node.task.spec.limits.fuel = Fuel::Exact { limit: fuel };
        node
    };
    let settle_with = async |leased: &Leased, used: u64| {
        let receipt = Receipt { fuel: Some(used), ..Receipt::unmeasured(leased.task.spec.component) };
        let settlement = Settlement { receipt: Some(receipt), ..settlement(leased, Verdict::Succeed) };
        settle(&*store, settlement).await.expect("it has the lease");
        settle_down(&*store).await;
    };
    let fuel = |leased: &Leased| leased.task.spec.limits.fuel;
    let nodes = [limited("a", Some(600)), limited("b", Some(600)), limited("c", None), limited("d", Some(1))];
    let id = submit_job(&*store, with_budget(budget.clone(), job(nodes))).await;
    settle_down(&*store).await;
    let first = lease_named(&*store, session, "a").await;
    assert_eq!(fuel(&first), Fuel::Exact { limit: Some(600) });
    assert_eq!(lease(&*store, session, 9).await, [], "the others wait for what it gives back");
    settle_with(&first, 100).await;
    let second = lease_one(&*store, session).await;
    assert_eq!(fuel(&second), Fuel::Exact { limit: Some(600) });
    settle_with(&second, 600).await;
    let third = lease_one(&*store, session).await;
    assert_eq!(fuel(&third), Fuel::Exact { limit: Some(150) }, "a half of what is left");
    settle_with(&third, 300).await;
    let ended = ended(&*store, id).await;
    assert_eq!((ended.cause, ended.spent.fuel), (Some(JobCause::Budget(BudgetName::Fuel)), 1_000));
    assert_eq!(states(&*store, id).await, "a=succeeded b=succeeded c=succeeded d=cancelled");
    let mut off = node("off", &[]);
    off.task.spec.limits.fuel = Fuel::Off;
    let refused = store.submit_job(with_budget(budget, job([off]))).await.expect("the store works");
    assert_eq!(refused, Err(SubmitJobError::FuelNotCounted("off".parse().expect("a name"))));
    let nothing = Budget { fuel: Some(0), ..Budget::default() };
    let refused = store.submit_job(with_budget(nothing, job([]))).await.expect("the store works");
    assert!(matches!(refused, Err(SubmitJobError::OutOfRange(_))));
}

/// Also if its host was down meanwhile.
pub async fn time_of_a_job_obeyed_and_violated(subject: &mut impl Subject) {
    let budget = Budget { time: Some(SECOND * 10), ..Budget::default() };
    for (passes, state) in [(SECOND * 9, JobState::Succeeded), (SECOND * 10, JobState::Failed)] {
        let new = with_budget(budget.clone(), job([node("a", &[])]));
        let id = submit_job(&*subject.store(), new).await;
        subject.advance(passes);
        subject.restart();
        let store = subject.store();
        let session = open(&*store).await;
        settle_down(&*store).await;
        if state == JobState::Succeeded {
            end_named(&*store, session, "a", Verdict::Succeed).await;
        }
        let ended = ended(&*store, id).await;
        let cause = (state == JobState::Failed).then_some(JobCause::Budget(BudgetName::Time));
        assert_eq!((ended.state, ended.cause), (state, cause));
        assert_eq!(lease(&*store, session, 1).await, []);
    }
}

fn undone(name: &str, after: &[&str]) -> Node {
    let mut compensation = new_task();
    compensation.spec.handler = "words/undo".parse().expect("a name");
    Node { compensation: Some(compensation), ..node(name, after) }
}

fn saga() -> NewJob {
    let nodes = [undone("a", &[]), undone("b", &["a"]), node("c", &["b"]), undone("d", &["c"])];
    NewJob { spec: JobSpec { on_failure: OnFailure::Compensate, ..JobSpec::default() }, ..job(nodes) }
}

/// Leases what undoes the task of this name, and ends it.
async fn end_undo(store: &dyn Store, session: SessionId, name: &str, verdict: Verdict) {
    settle_down(store).await;
    let leased = lease_named(store, session, "undo").await;
    let link = leased.task.job.clone().expect("it is of a job");
    let parent = find(store, link.parent.expect("it has one")).await.expect("it is there");
    assert_eq!((parent.job.expect("it is of a job").name.as_str(), link.undoes), (name, true));
    assert_eq!((leased.task.spec.handler.to_string().as_str(), leased.task.origin), ("words/undo", None::<Origin>));
    let told: serde_json::Value = serde_json::from_slice(&leased.input.bytes).expect("JSON");
    assert_eq!((told["task"].as_str(), &told["output"]), (Some(parent.id.to_string().as_str()), &1.into()));
    settle(store, settlement(&leased, verdict)).await.expect("it has the lease");
    settle_down(store).await;
}

/// One after the other, and not what was never done.
pub async fn what_has_succeeded_is_undone_the_last_first(subject: &mut impl Subject) {
    let id = submit_job(&*subject.store(), saga()).await;
    let store = subject.store();
    let session = open(&*store).await;
    end_named(&*store, session, "a", Verdict::Succeed).await;
    end_named(&*store, session, "b", Verdict::Succeed).await;
    end_named(&*store, session, "c", Verdict::GiveUp).await;
    settle_down(&*store).await;
    assert_eq!(store.job(id).await.expect("the store works").expect("it is there").state, JobState::Compensating);
    end_undo(&*store, session, "b", Verdict::Succeed).await;
    drop(store);
    subject.restart();
    let store = subject.store();
    let session = open(&*store).await;
    end_undo(&*store, session, "a", Verdict::Succeed).await;
    let job = ended(&*store, id).await;
    assert_eq!((job.state, job.not_undone, job.tasks.total()), (JobState::Failed, None, 6));
    assert_eq!(states(&*store, id).await, "a=succeeded b=succeeded c=dead d=cancelled");
    assert_eq!(job.tasks.in_state(StateName::Succeeded), 4);
    // One that ends well undoes nothing.
    let id = submit_job(&*store, saga()).await;
    for next in ["a", "b", "c", "d"] {
        end_named(&*store, session, next, Verdict::Succeed).await;
    }
    assert_eq!((ended(&*store, id).await.state, lease(&*store, session, 1).await), (JobState::Succeeded, vec![]));
}

/// What is left is told, and not touched.
pub async fn what_cannot_be_undone_ends_the_undoing(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, saga()).await;
    end_named(&*store, session, "a", Verdict::Succeed).await;
    end_named(&*store, session, "b", Verdict::Succeed).await;
    end_named(&*store, session, "c", Verdict::GiveUp).await;
    end_undo(&*store, session, "b", Verdict::GiveUp).await;
    let job = ended(&*store, id).await;
    assert_eq!((job.state, job.not_undone), (JobState::Failed, Some("b".parse().expect("a name"))));
    assert_eq!(lease(&*store, session, 1).await, []);
}

/// By whom it is cancelled does not matter.
pub async fn cancelled_job_is_undone_if_it_was_to_be(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let id = submit_job(&*store, saga()).await;
    end_named(&*store, session, "a", Verdict::Succeed).await;
    store.cancel_job(id, CancelWish::default()).await.expect("the store works").expect("it is there");
    end_undo(&*store, session, "a", Verdict::Succeed).await;
    let job = ended(&*store, id).await;
    assert_eq!((job.state, tasks(&*store, id).await.len()), (JobState::Cancelled, 4));
}

/// All of it has ended, so that nothing is left to be cancelled; why it fails is not forgotten, nor is its undoing cut short.
pub async fn cancel_of_a_job_that_is_undone_changes_nothing(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let budget = Budget { time: Some(SECOND * 10), ..Budget::default() };
    let id = submit_job(&*store, with_budget(budget, saga())).await;
    end_named(&*store, session, "a", Verdict::Succeed).await;
    end_named(&*store, session, "b", Verdict::GiveUp).await;
    settle_down(&*store).await;
    let told = store.cancel_job(id, CancelWish::default()).await.expect("the store works").expect("it is there");
    assert_eq!(told.state, JobState::Compensating);
    subject.advance(SECOND * 11);
    end_undo(&*store, session, "a", Verdict::Succeed).await;
    let job = ended(&*store, id).await;
    assert!(matches!(&job.cause, Some(JobCause::Task { name, .. }) if name.as_str() == "b"), "{:?}", job.cause);
    assert_eq!((job.state, job.not_undone), (JobState::Failed, None));
}

/// What undoes is not held to what was spent, however the job has come to its end.
pub async fn job_that_has_spent_its_attempts_is_undone(subject: &mut impl Subject) {
    let store = subject.store();
    let session = open(&*store).await;
    let third = JobCause::Budget(BudgetName::Attempts);
    for (attempts, fails) in [(2, false), (3, true)] {
        let budget = Budget { attempts: Some(attempts), ..Budget::default() };
        let id = submit_job(&*store, with_budget(budget, saga())).await;
        end_named(&*store, session, "a", Verdict::Succeed).await;
        end_named(&*store, session, "b", Verdict::Succeed).await;
        if fails {
            end_named(&*store, session, "c", Verdict::GiveUp).await;
        }
        end_undo(&*store, session, "b", Verdict::Succeed).await;
        end_undo(&*store, session, "a", Verdict::Succeed).await;
        let job = ended(&*store, id).await;
        assert_eq!((job.state, job.not_undone), (JobState::Failed, None));
        assert_eq!(job.cause == Some(third.clone()), !fails, "{:?}", job.cause);
    }
}
