//! What to do about an attempt that has ended: a pure function of the task's record and of what happened.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::{self, NewPlan};
use crate::units::{format_count, format_duration};
use crate::{AttemptReport, AttemptResult, Cause, Disposition, Ending, Failure, Outcome, Snooze, Task, Timestamp};

/// No snooze is shorter: a task that comes back at once would keep its queue from everything else.
const MIN_SNOOZE: Duration = Duration::from_millis(100);
/// An executor that is stopping does not want the task back at once.
const STOPPING_PAUSE: Duration = Duration::from_secs(1);
/// The kind of failure that a plan is which cannot be run.
const PLAN_KIND: &str = "plan";
/// Why a plan is refused that nobody has looked at.
const NOT_ADMITTED: &str = "the worker that ran the attempt takes no children on";
/// No retry and no snooze waits longer.
pub const MAX_DELAY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the host does about an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What follows.
    pub verdict: Verdict,
    /// Whether the attempt counts against `max_attempts`.
    pub charged: bool,
    /// By which rule.
    pub policy: Policy,
    /// Why; one line, for people.
    pub reason: String,
}

impl Decision {
    /// A decision that counts against `max_attempts`.
    pub fn charged(verdict: Verdict, policy: Policy, reason: String) -> Self {
        Self { verdict, charged: true, policy, reason }
    }

    /// A decision that does not.
    pub fn uncharged(verdict: Verdict, policy: Policy, reason: String) -> Self {
        Self { verdict, charged: false, policy, reason }
    }
}

/// The rule by which something was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// An output is a success.
    Success,
    /// A failure is retried, by the task's backoff, until `max_attempts`.
    Retry,
    /// The handler itself asked for a retry, with a delay of its own; until `max_attempts`, too.
    HandlerDelay,
    /// The handler said that no retry would help.
    Fatal,
    /// `retry_on` lists other kinds.
    RetryOn,
    /// `never_retry_on` lists this kind.
    NeverRetryOn,
    /// `retry_for`: it is too late for another attempt.
    TimeBox,
    /// `fuel_budget`: there is no fuel for another attempt.
    FuelBudget,
    /// Its share of its job's budget was too little, which is not the handler's fault.
    Share,
    /// The handler asked to be run later.
    Snooze,
    /// Somebody gave the output for which the handler waits.
    Completed,
    /// Somebody asked to cancel the task.
    Cancel,
    /// Its host was lost, which is not the handler's fault.
    HostLost,
    /// `max_hosts_lost`: too many hosts were lost under it.
    Poison,
    /// Its host was stopped in good order, or gave it back before it had begun.
    HostStop,
    /// No host can run it.
    Unrunnable,
    /// The handler split its work into children.
    Decompose,
    /// The plan that the handler returned cannot be run.
    Plan,
    /// The task's decider said so.
    Decider,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The task succeeded.
    Succeed,
    /// It ends when its children have.
    Decompose,
    /// It failed, and runs again after this long.
    Retry(Duration),
    /// It did not fail, and runs again after this long.
    Snooze(Duration),
    /// It did not fail, and waits for somebody to complete it; it runs again after this long if nobody does.
    Await(Duration),
    /// It runs again as soon as there is a slot.
    Requeue,
    /// It is dead.
    GiveUp,
    /// It is cancelled.
    Cancel,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeed => "succeed",
            Self::Decompose => "decompose",
            Self::Retry(_) => "retry",
            Self::Snooze(_) => "snooze",
            Self::Await(_) => "await",
            Self::Requeue => "requeue",
            Self::GiveUp => "give-up",
            Self::Cancel => "cancel",
        }
    }

    /// Until the next attempt, where that was decided.
    pub fn delay(self) -> Option<Duration> {
        match self {
            Self::Retry(delay) | Self::Snooze(delay) | Self::Await(delay) => Some(delay),
            Self::Succeed | Self::Decompose | Self::Requeue | Self::GiveUp | Self::Cancel => None,
        }
    }
}

/// What a worker saw of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The executor's report.
    Reported(Box<AttemptReport>),
    /// The executor's report, and the plan that the handler returned, as the host has admitted it.
    Decomposed {
        /// The report; its plan may be empty.
        report: Box<AttemptReport>,
        /// What was made of the plan.
        plan: Arc<NewPlan>,
    },
    /// The executor's report, and why the plan that the handler returned cannot be run.
    PlanRefused {
        /// The report; its plan may be empty.
        report: Box<AttemptReport>,
        /// By which rule; a hint may follow on a line of its own.
        reason: String,
    },
    /// The executor could not do its part.
    HostFailed {
        /// For people.
        message: String,
        /// Whether it may go better another time.
        retryable: bool,
    },
    /// The executor was stopping.
    HostStopping,
    /// The executor does not have the component yet; nothing was run.
    NotReady,
    /// Its worker gave it back before it had a slot; nothing was run.
    NotBegun,
}

impl Observation {
    /// What its executor has reported; none if nothing was run, or nothing came of it.
    pub fn report(&self) -> Option<&AttemptReport> {
        match self {
            Self::HostFailed { .. } | Self::HostStopping | Self::NotReady | Self::NotBegun => None,
            Self::Reported(report) | Self::Decomposed { report, .. } | Self::PlanRefused { report, .. } => Some(report),
        }
    }

    /// How the attempt ended, for the record.
    pub fn ending(&self) -> Ending {
        let report = match self {
            Self::HostFailed { message, .. } => return Ending::HostFailed { message: message.clone() },
            Self::HostStopping | Self::NotReady | Self::NotBegun => return Ending::HandedBack,
            Self::Decomposed { plan, .. } => return Ending::Decomposed { children: plan.nodes.len() as u64 },
            Self::PlanRefused { reason, .. } => {
                return Ending::Failed { kind: PLAN_KIND.into(), message: reason.clone() };
            }
            Self::Reported(report) => report,
        };
        match &report.result {
            AttemptResult::Returned(Outcome::Complete(_)) => Ending::Completed,
            AttemptResult::Returned(Outcome::Snooze(snooze)) => Ending::Snoozed { reason: snooze.reason.clone() },
            AttemptResult::Returned(Outcome::Decompose(_)) => {
                Ending::Failed { kind: PLAN_KIND.into(), message: NOT_ADMITTED.into() }
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

/// What follows from what was seen of an attempt of this task; `now` is by the store's clock. Ask again when the record has
/// moved meanwhile.
pub fn decide(task: &Task, seen: &Observation, now: Timestamp) -> Decision {
    crate::fuel_budget::within(task, seen, by_rules(task, seen, now))
}

fn by_rules(task: &Task, seen: &Observation, now: Timestamp) -> Decision {
    if let Some(cancel) = &task.cancel {
        let reason = format!("the task was cancelled at {}: {}", cancel.at, cancel.reason);
        return Decision::uncharged(Verdict::Cancel, Policy::Cancel, reason);
    }
    let report = match seen {
        Observation::Reported(report) => report,
        Observation::Decomposed { plan, .. } => {
            let children = plan.nodes.len() as u64;
            let tasks = if children == 1 { "task" } else { "tasks" };
            let reason = format!("the handler split its work into {} {tasks}", format_count(children));
            return Decision::uncharged(Verdict::Decompose, Policy::Decompose, reason);
        }
        Observation::PlanRefused { reason, .. } => return plan_refused(reason),
        // The handler has not failed, so that what it wants retried does not matter.
        Observation::HostFailed { retryable: true, .. } => return retry_if_left(task, None, now),
        Observation::HostStopping => {
            let reason = "the executor was stopping".into();
            return Decision::uncharged(Verdict::Snooze(STOPPING_PAUSE), Policy::HostStop, reason);
        }
        Observation::NotReady => {
            let reason = "its component is not ready on this host yet".into();
            return Decision::uncharged(Verdict::Snooze(STOPPING_PAUSE), Policy::HostStop, reason);
        }
        // Whoever has a slot may have it at once.
        Observation::NotBegun => {
            let reason = "its worker gave it back before it had begun".into();
            return Decision::uncharged(Verdict::Requeue, Policy::HostStop, reason);
        }
        Observation::HostFailed { retryable: false, .. } => {
            return Decision::charged(Verdict::GiveUp, Policy::Unrunnable, "no host can run it".into());
        }
    };
    if let Some(budget) = job::small_share(task, report) {
        return job::after_small_share(budget);
    }
    let unsupported =
        |what: &str| Decision::charged(Verdict::GiveUp, Policy::Unrunnable, format!("`{what}` is not supported yet"));
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(_)) => {
            Decision::uncharged(Verdict::Succeed, Policy::Success, "the handler completed".into())
        }
        AttemptResult::Returned(Outcome::Snooze(snooze)) => snoozed(task, snooze),
        AttemptResult::Returned(Outcome::Decompose(_)) => plan_refused(NOT_ADMITTED),
        AttemptResult::Failed(failure) => match failure.disposition {
            Disposition::Fatal => {
                let reason = "the handler said that no retry would help".into();
                Decision::charged(Verdict::GiveUp, Policy::Fatal, reason)
            }
            Disposition::RetryAfter(delay) => by_kind(task, &failure.kind, Some(delay.min(MAX_DELAY)), now),
            Disposition::ByPolicy => by_kind(task, &failure.kind, None, now),
        },
        AttemptResult::Stopped(stop) => match &stop.cause {
            // Not asked for by anybody, or the record would say so: the host is stopping.
            Cause::Cancelled | Cause::LeaseLost => {
                Decision::uncharged(Verdict::Requeue, Policy::HostStop, "the host stopped the attempt".into())
            }
            Cause::NotSupported(what) => unsupported(what),
            cause => by_kind(task, cause.word(), None, now),
        },
    }
}

/// No retry would help: the same handler makes the same plan.
fn plan_refused(reason: &str) -> Decision {
    let rule = reason.lines().next().unwrap_or_default();
    Decision::charged(Verdict::GiveUp, Policy::Plan, format!("its plan cannot be run: {rule}"))
}

/// A task that waits to be completed and was already has what it waits for.
fn snoozed(task: &Task, snooze: &Snooze) -> Decision {
    let delay = snooze.delay.clamp(MIN_SNOOZE, MAX_DELAY);
    match &task.completion {
        _ if !snooze.until_completed => {
            let reason = "the handler asked to be run later".into();
            Decision::uncharged(Verdict::Snooze(delay), Policy::Snooze, reason)
        }
        None => {
            let reason = "the handler waits for somebody to complete the task".into();
            Decision::uncharged(Verdict::Await(delay), Policy::Snooze, reason)
        }
        Some(completion) => {
            let (who, at) = (completion.who(), completion.at);
            let reason = format!("the handler waits to be completed, and {who} had done that at {at}");
            Decision::uncharged(Verdict::Succeed, Policy::Completed, reason)
        }
    }
}

/// A failure of this kind: retried if it may be and if a failure is left. `asked` is the handler's own wish for a delay,
/// with which it said that it is to be retried.
fn by_kind(task: &Task, kind: &str, asked: Option<Duration>, now: Timestamp) -> Decision {
    let spec = &task.spec;
    let is_in = |kinds: &Vec<String>| kinds.iter().any(|known| known == kind);
    if is_in(&spec.never_retry_on) {
        let reason = format!("`{kind}` is among the kinds that are never retried");
        return Decision::charged(Verdict::GiveUp, Policy::NeverRetryOn, reason);
    }
    if asked.is_none() && !spec.retry_on.as_ref().is_none_or(is_in) {
        let reason = format!("`{kind}` is not among the kinds that are retried");
        return Decision::charged(Verdict::GiveUp, Policy::RetryOn, reason);
    }
    retry_if_left(task, asked, now)
}

fn retry_if_left(task: &Task, asked: Option<Duration>, now: Timestamp) -> Decision {
    let (spec, failures) = (&task.spec, task.failures_charged.saturating_add(1));
    let policy = if asked.is_some() { Policy::HandlerDelay } else { Policy::Retry };
    if failures >= spec.max_attempts {
        return Decision::charged(
            Verdict::GiveUp,
            policy,
            format!("failure {failures} of at most {}", spec.max_attempts),
        );
    }
    let delay = asked.unwrap_or_else(|| spec.backoff.delay(failures, task.id.seed()));
    if let Some(limit) = spec.retry_for.filter(|limit| now.after(delay) > task.submitted_at.after(*limit)) {
        let reason = format!("the next attempt would begin later than {} after the submit", format_duration(limit));
        return Decision::charged(Verdict::GiveUp, Policy::TimeBox, reason);
    }
    let reason = format!("failure {failures} of at most {}, to be retried", spec.max_attempts);
    let reason = match asked {
        Some(_) => format!("{reason} after the delay that the handler asked for"),
        None => format!("{reason} by {}", spec.backoff),
    };
    Decision::charged(Verdict::Retry(delay), policy, reason)
}

#[cfg(test)]
mod tests;
