//! What is decided, of what was seen.

use super::*;
use crate::testing::{self, failed, reported, stopped};
use crate::{Payload, Plan, Snooze};

fn verdict(task: &Task, seen: &Observation) -> (Verdict, bool) {
    let decision = decide(task, seen, testing::NOW);
    assert!(!decision.reason.is_empty());
    (decision.verdict, decision.charged)
}

fn is_retry(verdict: (Verdict, bool)) -> bool {
    matches!(verdict, (Verdict::Retry(_), true))
}

#[test]
fn output_succeeds_and_charges_nothing() {
    let seen = reported(AttemptResult::Returned(Outcome::Complete(Payload::json("1"))));
    assert_eq!(verdict(&testing::task(), &seen), (Verdict::Succeed, false));
}

#[test]
fn failures_are_retried_until_the_last_one() {
    let mut task = testing::task();
    for failures in 0..3 {
        task.failures_charged = failures;
        assert!(is_retry(verdict(&task, &failed("error", Disposition::ByPolicy))), "{failures}");
    }
    task.failures_charged = 3;
    assert_eq!(verdict(&task, &failed("error", Disposition::ByPolicy)), (Verdict::GiveUp, true));
    let asked = failed("error", Disposition::RetryAfter(Duration::from_secs(1)));
    assert_eq!(verdict(&task, &asked), (Verdict::GiveUp, true));
}

#[test]
fn fatal_failures_are_not_retried() {
    assert_eq!(verdict(&testing::task(), &failed("error", Disposition::Fatal)), (Verdict::GiveUp, true));
}

#[test]
fn only_the_listed_kinds_are_retried() {
    let mut task = testing::task();
    task.spec.retry_on = Some(vec!["network".into(), "timeout".into()]);
    assert!(is_retry(verdict(&task, &failed("network", Disposition::ByPolicy))));
    assert!(is_retry(verdict(&task, &stopped(Cause::Timeout))));
    assert_eq!(verdict(&task, &failed("error", Disposition::ByPolicy)), (Verdict::GiveUp, true));
    assert_eq!(verdict(&task, &stopped(Cause::Fuel)), (Verdict::GiveUp, true));
    let asked = failed("error", Disposition::RetryAfter(Duration::from_secs(7)));
    assert_eq!(verdict(&task, &asked), (Verdict::Retry(Duration::from_secs(7)), true));
}

#[test]
fn empty_list_of_kinds_retries_only_what_the_handler_asks_for() {
    let mut task = testing::task();
    task.spec.retry_on = Some(Vec::new());
    assert_eq!(verdict(&task, &failed("error", Disposition::ByPolicy)), (Verdict::GiveUp, true));
    assert!(is_retry(verdict(&task, &failed("error", Disposition::RetryAfter(Duration::from_secs(1))))));
}

#[test]
fn kinds_that_are_never_retried_are_not() {
    let mut task = testing::task();
    task.spec.retry_on = Some(vec!["network".into()]);
    task.spec.never_retry_on = vec!["network".into(), "fuel".into()];
    for seen in [failed("network", Disposition::RetryAfter(Duration::ZERO)), stopped(Cause::Fuel)] {
        let decision = decide(&task, &seen, testing::NOW);
        assert_eq!((decision.verdict, decision.policy), (Verdict::GiveUp, Policy::NeverRetryOn));
    }
}

#[test]
fn no_retry_begins_after_the_time_box() {
    let mut task = testing::task();
    task.spec.max_attempts = u32::MAX;
    task.spec.backoff = "fixed(10s)".parse().expect("a backoff");
    task.spec.retry_for = Some(Duration::from_secs(48 * 60 * 60));
    let seen = failed("error", Disposition::ByPolicy);
    let at = |seconds| decide(&task, &seen, testing::NOW.after(Duration::from_secs(seconds)));
    assert!(matches!(at(0).verdict, Verdict::Retry(_)));
    assert!(matches!(at(48 * 60 * 60 - 11).verdict, Verdict::Retry(_)));
    let late = at(48 * 60 * 60 - 9);
    assert_eq!((late.verdict, late.policy, late.charged), (Verdict::GiveUp, Policy::TimeBox, true));
}

#[test]
fn cancel_wins_over_every_result() {
    let mut task = testing::task();
    task.cancel = Some(testing::cancel());
    let complete = reported(AttemptResult::Returned(Outcome::Complete(Payload::json("1"))));
    for seen in [complete, failed("error", Disposition::Fatal), stopped(Cause::Cancelled)] {
        assert_eq!(verdict(&task, &seen), (Verdict::Cancel, false));
    }
}

#[test]
fn plan_that_was_admitted_charges_nothing_and_one_that_was_refused_is_fatal() {
    let task = testing::task();
    let plan = Plan { children: Vec::new(), join: None, settings: Vec::new() };
    let reported = reported(AttemptResult::Returned(Outcome::Decompose(plan)));
    let Observation::Reported(report) = &reported else { panic!("it was reported") };
    let admitted = Observation::Decomposed { report: report.clone(), plan: Arc::default() };
    assert_eq!(verdict(&task, &admitted), (Verdict::Decompose, false));
    assert_eq!(admitted.ending(), Ending::Decomposed { children: 0 });
    let reason = "tasks wait for each other in a circle: `a` waits for `a`\nhint: h".to_owned();
    let refused = Observation::PlanRefused { report: report.clone(), reason };
    let decision = decide(&task, &refused, testing::NOW);
    assert_eq!((decision.verdict, decision.charged, decision.policy), (Verdict::GiveUp, true, Policy::Plan));
    assert!(decision.reason.ends_with("`a` waits for `a`"), "{}", decision.reason);
    // Nobody has looked at it.
    assert_eq!(verdict(&task, &reported), (Verdict::GiveUp, true));
    let asked = Task { cancel: Some(testing::cancel()), ..task };
    assert_eq!(verdict(&asked, &admitted), (Verdict::Cancel, false));
}

#[test]
fn host_stop_and_snooze_charge_nothing() {
    let task = testing::task();
    assert_eq!(verdict(&task, &stopped(Cause::Cancelled)), (Verdict::Requeue, false));
    assert_eq!(verdict(&task, &stopped(Cause::LeaseLost)), (Verdict::Requeue, false));
    let seen = snoozed(false);
    assert_eq!(verdict(&task, &seen), (Verdict::Snooze(Duration::from_secs(3)), false));
}

fn snoozed(until_completed: bool) -> Observation {
    let snooze = Snooze { delay: Duration::from_secs(3), reason: String::new(), until_completed };
    reported(AttemptResult::Returned(Outcome::Snooze(snooze)))
}

#[test]
fn completion_is_taken_by_whoever_waits_for_it_and_by_nothing_else() {
    let (mut task, own) = (testing::task(), reported(AttemptResult::Returned(Outcome::Complete(Payload::json("1")))));
    assert_eq!(verdict(&task, &snoozed(true)), (Verdict::Await(Duration::from_secs(3)), false));
    task.completion = Some(testing::completion());
    let decision = decide(&task, &snoozed(true), testing::NOW);
    assert_eq!((decision.verdict, decision.policy), (Verdict::Succeed, Policy::Completed));
    assert!(decision.reason.contains("`alice`"), "{}", decision.reason);
    assert_eq!(verdict(&task, &snoozed(false)), (Verdict::Snooze(Duration::from_secs(3)), false));
    assert_eq!(decide(&task, &own, testing::NOW).policy, Policy::Success);
    assert_eq!(verdict(&task, &failed("error", Disposition::Fatal)), (Verdict::GiveUp, true));
    task.cancel = Some(testing::cancel());
    assert_eq!(verdict(&task, &snoozed(true)), (Verdict::Cancel, false));
}

#[test]
fn host_that_cannot_is_retried_only_if_it_may_help() {
    let task = testing::task();
    let seen = |retryable| Observation::HostFailed { message: "m".into(), retryable };
    assert!(is_retry(verdict(&task, &seen(true))));
    assert_eq!(verdict(&task, &seen(false)), (Verdict::GiveUp, true));
    for seen in [Observation::HostStopping, Observation::NotReady] {
        assert_eq!(verdict(&task, &seen), (Verdict::Snooze(STOPPING_PAUSE), false));
    }
    assert_eq!(verdict(&task, &Observation::NotBegun), (Verdict::Requeue, false));
    assert_eq!(Observation::NotBegun.ending(), Ending::HandedBack);
    let mut picky = task;
    picky.spec.retry_on = Some(vec!["network".into()]);
    assert!(is_retry(verdict(&picky, &seen(true))));
}

#[test]
fn no_delay_is_longer_than_the_longest() {
    let asked = failed("error", Disposition::RetryAfter(Duration::MAX));
    assert_eq!(verdict(&testing::task(), &asked), (Verdict::Retry(MAX_DELAY), true));
}
