//! A policy of its own: what becomes of an attempt that failed. It imports nothing, so that the same situation always gives the
//! same decision, on every host and on paper.
//!
//! It leaves those alone who ask for that, gives up early on what will not pass, and asks a person in the end.

#![cfg_attr(target_family = "wasm", no_std)]

use sunaba_decider::prelude::*;

/// Whoever says that he is asked too often is asked again after so long, and each time that much later.
const RATE_LIMITED: Duration = Duration::from_secs(30);
/// The first retry of anything else comes after so long, the next after twice that.
const FIRST: Duration = Duration::from_millis(250);
/// A person is asked after so many failures.
const ASK_AFTER: u32 = 3;
/// The same bug this often in a row is no accident.
const SAME_TRAPS: usize = 2;

/// What follows from the last attempt.
fn decide(situation: Situation) -> Decision {
    let Some(kind) = situation.failure_kind() else {
        return Decision::accept("the handler did its work");
    };
    let failures = situation.failures.max(1);
    match kind {
        "rate-limited" => {
            Decision::retry_after(RATE_LIMITED * failures, format!("asked too often {failures} times: waits longer"))
        }
        "trap" if situation.same_in_a_row() >= SAME_TRAPS => {
            Decision::give_up(format!("the same trap {SAME_TRAPS} times in a row is a bug, and no retry mends it"))
        }
        _ if failures >= ASK_AFTER => Decision::escalate(
            approval(&situation, kind),
            format!("failed {failures} times, the last time with `{kind}`: a person decides"),
        ),
        _ => {
            let delay = FIRST * 2_u32.saturating_pow(failures - 1);
            Decision::retry_after(delay, format!("`{kind}` may pass"))
        }
    }
}

/// The task that asks a person, by the handler of the example `approval`; its answer is what the task gives.
fn approval(situation: &Situation, kind: &str) -> Child {
    // Names and kinds have no character that JSON would write otherwise.
    let purpose = format!("{} after {} failures ({kind})", situation.handler, situation.failures);
    let json = format!(r#"{{"amount":1000,"purpose":"{purpose}","wait_seconds":3600,"notify":null}}"#);
    Child::new("ask", "approval/approval", json)
}

sunaba_decider::export!(decide);

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_decider::testing::{completed, failed, situation, stopped};

    fn delay(decision: &Decision) -> Duration {
        match decision.verdict {
            Verdict::RetryAfter(ms) => Duration::from_millis(ms),
            _ => panic!("no retry: {decision:?}"),
        }
    }

    #[test]
    fn success_stands() {
        let decision = decide(situation(vec![failed("network", "m"), completed("1")]));
        assert_eq!(decision.verdict, Verdict::Accept);
    }

    #[test]
    fn rate_limits_wait_longer_each_time() {
        let busy = || failed("rate-limited", "429");
        let delays = [1, 2, 5].map(|times| delay(&decide(situation((0..times).map(|_| busy()).collect()))).as_secs());
        assert_eq!(delays, [30, 60, 150]);
    }

    #[test]
    fn same_trap_twice_is_given_up_and_another_is_not() {
        let trap = |message: &str| stopped("trap", message);
        assert_eq!(decide(situation(vec![trap("a"), trap("a")])).verdict, Verdict::GiveUp);
        assert_eq!(delay(&decide(situation(vec![trap("a"), trap("b")]))), Duration::from_millis(500));
    }

    #[test]
    fn person_is_asked_after_three_failures() {
        let decision = decide(situation((0..3).map(|_| failed("network", "no route")).collect()));
        let Verdict::Decompose(plan) = decision.verdict else { panic!("{decision:?}") };
        assert_eq!((plan.children.len(), plan.join.as_deref()), (1, Some("ask")));
        assert_eq!(plan.children[0].handler, "approval/approval");
    }
}
