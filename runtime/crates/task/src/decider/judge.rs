//! What the host makes of a decider's answer. The answer is a wish: what was promised to the submitter stands.

use std::time::Duration;

use super::{DeciderVerdict, NotDecided, TaskDecider};
use crate::job::small_share;
use crate::{
    AttemptResult, Cause, Decision, MAX_DELAY, Observation, Policy, Task, Timestamp, Verdict, decide, format_duration,
};

/// Whether a decider is asked about this. What a host or an operator did is not its to judge: a cancel, a stop, an attempt
/// that was handed back, one that no host could run, or one whose share of its job's budget was too little.
pub fn asks_decider(task: &Task, seen: &Observation) -> bool {
    if task.spec.decider.is_none() || task.cancel.is_some() {
        return false;
    }
    match seen {
        Observation::Reported(report) => {
            let is_hosts = matches!(
                &report.result,
                AttemptResult::Stopped(stop) if matches!(stop.cause, Cause::Cancelled | Cause::LeaseLost)
            );
            !is_hosts && small_share(task, report).is_none()
        }
        Observation::Decomposed { .. } => true,
        Observation::PlanRefused { .. }
        | Observation::HostFailed { .. }
        | Observation::HostStopping
        | Observation::NotReady
        | Observation::NotBegun => false,
    }
}

/// What follows from an answer about this. A plan of it was admitted, and is settled with the decision.
pub fn judge(task: &Task, seen: &Observation, verdict: &DeciderVerdict, reason: &str, now: Timestamp) -> Decision {
    let built_in = decide(task, seen, now);
    if task.cancel.is_some() {
        return built_in;
    }
    let reason = if reason.is_empty() { "its decider gave no reason" } else { reason };
    match verdict {
        // A completion that came meanwhile is what the wait was for.
        DeciderVerdict::Accept if built_in.policy == Policy::Completed => built_in,
        DeciderVerdict::Accept => match built_in.verdict {
            Verdict::Succeed | Verdict::Decompose | Verdict::Snooze(_) | Verdict::Await(_) => {
                Decision::uncharged(built_in.verdict, Policy::Decider, reason.into())
            }
            // Whatever the rules would have done about a failure: it is final.
            _ => Decision::charged(Verdict::GiveUp, Policy::Decider, reason.into()),
        },
        DeciderVerdict::GiveUp => Decision::charged(Verdict::GiveUp, Policy::Decider, reason.into()),
        DeciderVerdict::Decompose(_) => Decision::uncharged(Verdict::Decompose, Policy::Decider, reason.into()),
        DeciderVerdict::RetryAfter(ms) => retry(task, Duration::from_millis(*ms).min(MAX_DELAY), reason, now),
    }
}

/// What was promised to the submitter comes first: a number of attempts, and a time.
fn retry(task: &Task, delay: Duration, reason: &str, now: Timestamp) -> Decision {
    let (spec, failures) = (&task.spec, task.failures_charged.saturating_add(1));
    let wanted = format!("its decider wanted a retry after {}: {reason}", format_duration(delay));
    if failures >= spec.max_attempts {
        let reason = format!("failure {failures} of at most {}; {wanted}", spec.max_attempts);
        return Decision::charged(Verdict::GiveUp, Policy::Decider, reason);
    }
    if let Some(limit) = spec.retry_for.filter(|limit| now.after(delay) > task.submitted_at.after(*limit)) {
        let limit = format_duration(limit);
        let reason = format!("the next attempt would begin later than {limit} after the submit; {wanted}");
        return Decision::charged(Verdict::GiveUp, Policy::TimeBox, reason);
    }
    Decision::charged(Verdict::Retry(delay), Policy::Decider, reason.into())
}

/// What the built-in rules decide about this where the decider has not.
pub fn undecided(task: &Task, seen: &Observation, decider: &TaskDecider, why: &NotDecided, now: Timestamp) -> Decision {
    let mut decision = decide(task, seen, now);
    decision.reason = format!("{}; its decider `{}` did not decide: {why}", decision.reason, decider.package);
    decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Shares;
    use crate::testing::{self, NOW, failed, reported, stopped};
    use crate::{Digest, Disposition, Lease, Outcome, Payload, Plan, Snooze, State};

    fn task() -> Task {
        let mut task = testing::task();
        task.spec.decider = Some(TaskDecider { package: "calm".into(), component: Digest::of(b"calm") });
        task
    }

    fn completed() -> Observation {
        reported(AttemptResult::Returned(Outcome::Complete(Payload::json("1"))))
    }

    fn snoozed(until_completed: bool) -> Observation {
        let snooze = Snooze { delay: Duration::from_secs(9), reason: String::new(), until_completed };
        reported(AttemptResult::Returned(Outcome::Snooze(snooze)))
    }

    fn judged(task: &Task, seen: &Observation, verdict: DeciderVerdict) -> Decision {
        judge(task, seen, &verdict, "said so", NOW)
    }

    fn plan() -> DeciderVerdict {
        DeciderVerdict::Decompose(Plan { children: Vec::new(), join: None, settings: Vec::new() })
    }

    #[test]
    fn decider_is_asked_about_what_the_handler_did_and_about_nothing_else() {
        let asked = [
            completed(),
            snoozed(false),
            failed("network", Disposition::Fatal),
            stopped(Cause::Fuel),
            stopped(Cause::Timeout),
        ];
        let others = [
            stopped(Cause::Cancelled),
            stopped(Cause::LeaseLost),
            Observation::HostStopping,
            Observation::NotReady,
            Observation::HostFailed { message: String::new(), retryable: true },
        ];
        let cancelled = Task { cancel: Some(testing::cancel()), ..task() };
        for seen in &asked {
            assert!(asks_decider(&task(), seen), "{seen:?}");
            assert!(!asks_decider(&testing::task(), seen), "it has none: {seen:?}");
            assert!(!asks_decider(&cancelled, seen), "it is cancelled: {seen:?}");
        }
        for seen in &others {
            assert!(!asks_decider(&task(), seen), "{seen:?}");
        }
        let lease = Lease { shares: Shares { fuel: true, artifact_bytes: false }, ..testing::lease() };
        let shares = Task { state: State::Running(lease), ..task() };
        assert!(!asks_decider(&shares, &stopped(Cause::Fuel)), "its share was too little");
        assert!(asks_decider(&shares, &stopped(Cause::Timeout)));
    }

    #[test]
    fn every_answer_about_every_end_is_one_decision() {
        let (ok, wait, put_off) = (completed(), snoozed(true), snoozed(false));
        let (fault, fatal) = (failed("network", Disposition::ByPolicy), failed("network", Disposition::Fatal));
        let nine = Duration::from_secs(9);
        let retry = || DeciderVerdict::RetryAfter(1_500);
        let again = Verdict::Retry(Duration::from_millis(1_500));
        for (seen, verdict, expected, charged) in [
            (&ok, DeciderVerdict::Accept, Verdict::Succeed, false),
            (&put_off, DeciderVerdict::Accept, Verdict::Snooze(nine), false),
            (&wait, DeciderVerdict::Accept, Verdict::Await(nine), false),
            (&fault, DeciderVerdict::Accept, Verdict::GiveUp, true),
            (&ok, retry(), again, true),
            (&fault, retry(), again, true),
            // A handler's word that no retry would help is an observation, and not a rule.
            (&fatal, retry(), again, true),
            (&ok, DeciderVerdict::GiveUp, Verdict::GiveUp, true),
            (&fault, DeciderVerdict::GiveUp, Verdict::GiveUp, true),
            (&ok, plan(), Verdict::Decompose, false),
            (&fault, plan(), Verdict::Decompose, false),
        ] {
            let decision = judged(&task(), seen, verdict.clone());
            assert_eq!((decision.verdict, decision.charged), (expected, charged), "{seen:?} {verdict:?}");
            assert_eq!((decision.policy, decision.reason.as_str()), (Policy::Decider, "said so"));
        }
    }

    #[test]
    fn cancel_and_a_completion_come_before_any_answer() {
        let cancelled = Task { cancel: Some(testing::cancel()), ..task() };
        let decision = judged(&cancelled, &completed(), DeciderVerdict::RetryAfter(1));
        assert_eq!((decision.verdict, decision.policy), (Verdict::Cancel, Policy::Cancel));
        let given = Task { completion: Some(testing::completion()), ..task() };
        let decision = judged(&given, &snoozed(true), DeciderVerdict::Accept);
        assert_eq!((decision.verdict, decision.policy), (Verdict::Succeed, Policy::Completed));
    }

    #[test]
    fn attempts_and_time_that_were_promised_obeyed() {
        let mut task = task();
        task.failures_charged = 2;
        task.spec.retry_for = Some(Duration::from_secs(5));
        let decision = judged(&task, &failed("a", Disposition::ByPolicy), DeciderVerdict::RetryAfter(5_000));
        assert_eq!(decision.verdict, Verdict::Retry(Duration::from_secs(5)));
        task.spec.retry_for = None;
        let decision = judged(&task, &failed("a", Disposition::ByPolicy), DeciderVerdict::RetryAfter(u64::MAX));
        assert_eq!(decision.verdict, Verdict::Retry(MAX_DELAY));
    }

    #[test]
    fn attempts_and_time_that_were_promised_violated() {
        let mut task = task();
        task.failures_charged = 3;
        let seen = failed("a", Disposition::ByPolicy);
        let decision = judged(&task, &seen, DeciderVerdict::RetryAfter(1));
        assert_eq!((decision.verdict, decision.policy), (Verdict::GiveUp, Policy::Decider));
        assert!(decision.reason.contains("failure 4 of at most 4; its decider wanted a retry"), "{}", decision.reason);
        task.failures_charged = 0;
        task.spec.retry_for = Some(Duration::from_secs(5));
        let decision = judged(&task, &seen, DeciderVerdict::RetryAfter(5_001));
        assert_eq!((decision.verdict, decision.policy), (Verdict::GiveUp, Policy::TimeBox));
        assert!(decision.reason.contains("its decider wanted a retry"), "{}", decision.reason);
    }

    #[test]
    fn built_in_rules_decide_and_say_so_where_the_decider_has_not() {
        let (task, seen) = (task(), failed("a", Disposition::ByPolicy));
        let decider = task.spec.decider.clone().expect("it has one");
        let decision = undecided(&task, &seen, &decider, &NotDecided::because("it used up its fuel"), NOW);
        assert_eq!(
            Decision { reason: String::new(), ..decision.clone() },
            Decision { reason: String::new(), ..decide(&task, &seen, NOW) }
        );
        assert!(decision.reason.ends_with("; its decider `calm` did not decide: it used up its fuel"));
    }
}
