//! What to do about an attempt that has ended: a pure function of the task's record and of what happened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AttemptReport, AttemptResult, Cause, Disposition, Ending, Failure, Outcome, Task};

/// No snooze is shorter: a task that comes back at once would keep its queue from everything else.
const MIN_SNOOZE: Duration = Duration::from_millis(100);
/// An executor that is stopping does not want the task back at once.
const STOPPING_PAUSE: Duration = Duration::from_secs(1);
/// No retry and no snooze waits longer.
pub const MAX_DELAY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the host does about an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What follows.
    pub verdict: Verdict,
    /// Whether the attempt counts against `max_attempts`.
    pub charged: bool,
    /// Why; one line, for people.
    pub reason: String,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The task succeeded.
    Succeed,
    /// It failed, and runs again after this long.
    Retry(Duration),
    /// It did not fail, and runs again after this long.
    Snooze(Duration),
    /// It runs again as soon as there is a slot.
    Requeue,
    /// It is dead.
    GiveUp,
    /// It is cancelled.
    Cancel,
}

/// What a worker saw of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The executor's report.
    Reported(Box<AttemptReport>),
    /// The executor could not do its part.
    HostFailed {
        /// For people.
        message: String,
        /// Whether it may go better another time.
        retryable: bool,
    },
    /// The executor was stopping.
    HostStopping,
}

impl Observation {
    /// How the attempt ended, for the record.
    pub fn ending(&self) -> Ending {
        let report = match self {
            Self::HostFailed { message, .. } => return Ending::HostFailed { message: message.clone() },
            Self::HostStopping => return Ending::HandedBack,
            Self::Reported(report) => report,
        };
        match &report.result {
            AttemptResult::Returned(Outcome::Complete(_)) => Ending::Completed,
            AttemptResult::Returned(Outcome::Snooze(snooze)) => Ending::Snoozed { reason: snooze.reason.clone() },
            AttemptResult::Returned(Outcome::Decompose(_)) => {
                let cause = Cause::NotSupported("decompose".into());
                Ending::Stopped {
                    cause,
                    message: "the handler returned `decompose`, which is not supported yet".into(),
                }
            }
            AttemptResult::Failed(Failure { kind, message, .. }) => {
                Ending::Failed { kind: kind.clone(), message: message.clone() }
            }
            AttemptResult::Stopped(stop) => {
                Ending::Stopped { cause: stop.cause.clone(), message: stop.message.clone() }
            }
        }
    }
}

/// What follows from what was seen of an attempt of this task. Ask again when the record has moved meanwhile.
pub fn decide(task: &Task, seen: &Observation) -> Decision {
    if let Some(at) = task.cancel_requested_at {
        return uncharged(Verdict::Cancel, format!("the task was cancelled at {at}"));
    }
    let report = match seen {
        Observation::Reported(report) => report,
        // The handler has not failed, so that what it wants retried does not matter.
        Observation::HostFailed { retryable: true, .. } => return retry_if_left(task, None),
        Observation::HostStopping => {
            return uncharged(Verdict::Snooze(STOPPING_PAUSE), "the executor was stopping".into());
        }
        Observation::HostFailed { retryable: false, .. } => {
            return charged(Verdict::GiveUp, "no host can run it".into());
        }
    };
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(_)) => uncharged(Verdict::Succeed, "the handler completed".into()),
        AttemptResult::Returned(Outcome::Snooze(snooze)) => uncharged(
            Verdict::Snooze(snooze.delay.clamp(MIN_SNOOZE, MAX_DELAY)),
            "the handler asked to be run later".into(),
        ),
        AttemptResult::Returned(Outcome::Decompose(_)) => {
            charged(Verdict::GiveUp, "`decompose` is not supported yet".into())
        }
        AttemptResult::Failed(failure) => match failure.disposition {
            Disposition::Fatal => charged(Verdict::GiveUp, "the handler said that no retry would help".into()),
            Disposition::RetryAfter(delay) => by_policy(task, &failure.kind, Some(delay.min(MAX_DELAY))),
            Disposition::ByPolicy => by_policy(task, &failure.kind, None),
        },
        AttemptResult::Stopped(stop) => match &stop.cause {
            // Not asked for by anybody, or the record would say so: the host is stopping.
            Cause::Cancelled | Cause::LeaseLost => uncharged(Verdict::Requeue, "the host stopped the attempt".into()),
            Cause::NotSupported(what) => charged(Verdict::GiveUp, format!("`{what}` is not supported yet")),
            cause => by_policy(task, cause.word(), None),
        },
    }
}

/// A failure of this kind: retried if it may be and if a failure is left. `asked` is the handler's own wish for a delay,
/// with which it said that it is to be retried.
fn by_policy(task: &Task, kind: &str, asked: Option<Duration>) -> Decision {
    let kinds = task.spec.retry_on.as_ref();
    let wanted = asked.is_some() || kinds.is_none_or(|kinds| kinds.iter().any(|known| known == kind));
    if !wanted {
        return charged(Verdict::GiveUp, format!("`{kind}` is not among the kinds that are retried"));
    }
    retry_if_left(task, asked)
}

fn retry_if_left(task: &Task, asked: Option<Duration>) -> Decision {
    let (spec, failures) = (&task.spec, task.failures_charged.saturating_add(1));
    if failures >= spec.max_attempts {
        return charged(Verdict::GiveUp, format!("failure {failures} of at most {}", spec.max_attempts));
    }
    let reason = format!("failure {failures} of at most {}, to be retried", spec.max_attempts);
    match asked {
        Some(delay) => charged(Verdict::Retry(delay), format!("{reason} after the delay that the handler asked for")),
        None => {
            let delay = spec.backoff.delay(failures, task.id.seed());
            charged(Verdict::Retry(delay), format!("{reason} by {}", spec.backoff))
        }
    }
}

fn charged(verdict: Verdict, reason: String) -> Decision {
    Decision { verdict, charged: true, reason }
}

fn uncharged(verdict: Verdict, reason: String) -> Decision {
    Decision { verdict, charged: false, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, failed, reported, stopped};
    use crate::{Payload, Snooze, TaskSpec, Timestamp};

    fn verdict(task: &Task, seen: &Observation) -> (Verdict, bool) {
        let decision = decide(task, seen);
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
    fn cancel_wins_over_every_result() {
        let mut task = testing::task();
        task.cancel_requested_at = Some(Timestamp::from_unix_ms(1));
        let complete = reported(AttemptResult::Returned(Outcome::Complete(Payload::json("1"))));
        for seen in [complete, failed("error", Disposition::Fatal), stopped(Cause::Cancelled)] {
            assert_eq!(verdict(&task, &seen), (Verdict::Cancel, false));
        }
    }

    #[test]
    fn host_stop_and_snooze_charge_nothing() {
        let task = testing::task();
        assert_eq!(verdict(&task, &stopped(Cause::Cancelled)), (Verdict::Requeue, false));
        assert_eq!(verdict(&task, &stopped(Cause::LeaseLost)), (Verdict::Requeue, false));
        let snooze = Snooze { delay: Duration::from_secs(3), reason: String::new() };
        let seen = reported(AttemptResult::Returned(Outcome::Snooze(snooze)));
        assert_eq!(verdict(&task, &seen), (Verdict::Snooze(Duration::from_secs(3)), false));
    }

    #[test]
    fn host_that_cannot_is_retried_only_if_it_may_help() {
        let task = testing::task();
        let seen = |retryable| Observation::HostFailed { message: "m".into(), retryable };
        assert!(is_retry(verdict(&task, &seen(true))));
        assert_eq!(verdict(&task, &seen(false)), (Verdict::GiveUp, true));
        assert_eq!(verdict(&task, &Observation::HostStopping), (Verdict::Snooze(STOPPING_PAUSE), false));
        let picky = Task { spec: TaskSpec { retry_on: Some(vec!["network".into()]), ..task.spec.clone() }, ..task };
        assert!(is_retry(verdict(&picky, &seen(true))));
    }

    #[test]
    fn no_delay_is_longer_than_the_longest() {
        let asked = failed("error", Disposition::RetryAfter(Duration::MAX));
        assert_eq!(verdict(&testing::task(), &asked), (Verdict::Retry(MAX_DELAY), true));
    }
}
