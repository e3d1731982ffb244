//! Why a task is where it is: its record told as a story, for people ([`Story::rows`]) and for programs (as JSON).
//!
//! Pure: a record, what it waits for, and an instant go in. Nothing here asks a store. The numbers that each attempt found and
//! left are not kept with it; they follow from the record's counters, less what the attempts after it have added.

mod phrases;
mod story;
mod text;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::{Value, json};
use sunaba_store::Standing;
use sunaba_task::{
    AttemptRecord, Cause, DeciderRecord, Digest, Ending, Grants, Limits, Origin, Policy, State, StateName, Task,
    TaskSpec, Timestamp, Verdict,
};

use crate::ReceiptReport;

pub(crate) use text::Rows;

pub use phrases::stalled;
pub use story::{
    AttemptStory, CancelReport, Changed, CompletionReport, DeciderReport, DecisionReport, GrantsReport, HoldReport,
    InputReport, LimitsReport, Link, Observed, OutcomeReport, PolicyReport, RunningAttempt, Story, Submission,
};

/// Tells the story of a task. `standing` is what it waits for, if anybody asked; `input` the digest of its input, if anybody
/// has computed it; `now` is by the store's clock.
pub fn explain(task: &Task, standing: Option<&Standing>, input: Option<Digest>, now: Timestamp) -> Story {
    let (mut holds, ahead) = standing.filter(|_| task.state == State::Queued).map_or((Vec::new(), None), |standing| {
        (standing.holds.iter().map(|hold| phrases::hold(task, hold)).collect(), standing.ahead)
    });
    holds.extend(phrases::awaits(task));
    Story {
        id: task.id.to_string(),
        handler: task.spec.handler.to_string(),
        state: task.state.name(),
        since: task.since.to_string(),
        submitted: submission(task, input),
        attempts_started: task.attempts_started,
        failures_charged: task.failures_charged,
        hosts_lost: task.hosts_lost,
        attempts_forgotten: task.attempts.first().map_or(0, |oldest| oldest.number.saturating_sub(1)),
        attempts: attempts(task),
        running: task.lease().map(|lease| RunningAttempt {
            number: task.attempts_started,
            worker: lease.worker.clone(),
            started_at: lease.started_at.to_string(),
            running_ms: millis(now.since(lease.started_at)),
        }),
        conclusion: phrases::conclusion(task, standing, now),
        holds,
        ahead,
        cancel: task
            .cancel
            .as_ref()
            .map(|cancel| CancelReport { at: cancel.at.to_string(), reason: cancel.reason.clone() }),
        completion: task.completion.as_ref().map(|given| phrases::completion(task, given)),
        links: links(task),
    }
}

fn submission(task: &Task, input: Option<Digest>) -> Submission {
    let spec = &task.spec;
    Submission {
        at: task.submitted_at.to_string(),
        queue: spec.queue.clone(),
        priority: spec.priority,
        key: spec.key.clone(),
        idempotency_key: spec.idempotency_key.clone(),
        unique_key: task.unique.clone(),
        expires_at: task.expires_at.map(|at| at.to_string()),
        component: spec.component.to_string(),
        max_attempts: spec.max_attempts,
        max_hosts_lost: spec.max_hosts_lost,
        backoff: spec.backoff.to_string(),
        retry_on: spec.retry_on.clone(),
        never_retry_on: spec.never_retry_on.clone(),
        retry_for_ms: spec.retry_for.map(millis),
        limits: LimitsReport::from(&spec.limits),
        grants: GrantsReport::from(&spec.grants),
        input: InputReport {
            media_type: task.input.media_type.clone(),
            size_bytes: task.input.size_bytes,
            sha256: input.map(|digest| digest.to_string()),
        },
    }
}

/// The attempts with the counters that each has found and left.
fn attempts(task: &Task) -> Vec<AttemptStory> {
    let count = |counts: fn(&AttemptRecord) -> bool| {
        u32::try_from(task.attempts.iter().filter(|attempt| counts(attempt)).count()).unwrap_or(u32::MAX)
    };
    // What the attempts that are kept have not added was there before them.
    let mut failures = task.failures_charged.saturating_sub(count(is_charged));
    let mut lost = task.hosts_lost.saturating_sub(count(is_lost));
    let story = |attempt: &AttemptRecord| {
        let before = (failures, lost);
        failures += u32::from(is_charged(attempt));
        lost += u32::from(is_lost(attempt));
        AttemptStory {
            number: attempt.number,
            worker: attempt.worker.clone(),
            component: attempt.receipt.as_ref().map_or(task.spec.component, |receipt| receipt.component).to_string(),
            started_at: attempt.started_at.to_string(),
            ended_at: attempt.ended_at.to_string(),
            took_ms: millis(attempt.ended_at.since(attempt.started_at)),
            outcome: OutcomeReport::from(&attempt.ending),
            receipt: attempt.receipt.clone().map(ReceiptReport::from),
            decision: decision(task, attempt, before, (failures, lost)),
        }
    };
    task.attempts.iter().map(story).collect()
}

fn is_charged(attempt: &AttemptRecord) -> bool {
    attempt.decision.charged
}

fn is_lost(attempt: &AttemptRecord) -> bool {
    attempt.ending == Ending::HostLost
}

fn decision(task: &Task, attempt: &AttemptRecord, before: (u32, u32), after: (u32, u32)) -> DecisionReport {
    let decision = &attempt.decision;
    let delay = decision.verdict.delay();
    let state = match decision.verdict {
        Verdict::Succeed => StateName::Succeeded,
        Verdict::Decompose => StateName::Blocked,
        Verdict::Retry(_) => StateName::RetryScheduled,
        Verdict::Snooze(_) | Verdict::Await(_) => StateName::Scheduled,
        Verdict::Requeue => StateName::Queued,
        Verdict::GiveUp => StateName::Dead,
        Verdict::Cancel => StateName::Cancelled,
    };
    DecisionReport {
        observed: Observed {
            kind: OutcomeReport::from(&attempt.ending).kind,
            failures_charged: before.0,
            hosts_lost: before.1,
            cancelled: decision.policy == Policy::Cancel,
        },
        policy: PolicyReport {
            name: word(decision.policy),
            parameters: parameters(decision.policy, &task.spec, delay)
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        },
        verdict: decision.verdict.word().into(),
        delay_ms: delay.map(millis),
        charged: decision.charged,
        reason: decision.reason.clone(),
        decider: None,
        changed: Changed {
            state,
            next_attempt_at: delay.map(|delay| attempt.ended_at.after(delay).to_string()),
            failures_charged: after.0,
            hosts_lost: after.1,
        },
    }
}

/// What a rule goes by.
fn parameters(policy: Policy, spec: &TaskSpec, delay: Option<Duration>) -> Vec<(&'static str, Value)> {
    let max_attempts = ("max_attempts", json!(spec.max_attempts));
    match policy {
        Policy::Retry => vec![max_attempts, ("backoff", json!(spec.backoff.to_string()))],
        Policy::HandlerDelay => {
            delay.map(|delay| ("asked_ms", json!(millis(delay)))).into_iter().chain([max_attempts]).collect()
        }
        Policy::RetryOn => vec![("retry_on", json!(spec.retry_on))],
        Policy::NeverRetryOn => vec![("never_retry_on", json!(spec.never_retry_on))],
        Policy::FuelBudget => vec![("fuel_budget", json!(spec.fuel_budget))],
        Policy::TimeBox => vec![("retry_for_ms", json!(spec.retry_for.map(millis)))],
        Policy::Decider => spec.decider.iter().map(|decider| ("decider", json!(decider.to_string()))).collect(),
        Policy::HostLost | Policy::Poison => vec![("max_hosts_lost", json!(spec.max_hosts_lost))],
        Policy::Success
        | Policy::Fatal
        | Policy::Snooze
        | Policy::Completed
        | Policy::Cancel
        | Policy::HostStop
        | Policy::Share
        | Policy::Unrunnable
        | Policy::Decompose
        | Policy::Plan => Vec::new(),
    }
}

impl Story {
    /// Adds what a decider was asked and said about this attempt, as it is kept beside the attempt's record.
    pub fn add_decider(&mut self, number: u32, record: DeciderRecord) {
        let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.number == number) else { return };
        let DeciderRecord { decider, verdict, reason, fuel, situation } = record;
        attempt.decision.decider = Some(DeciderReport {
            package: decider.package,
            component: decider.component.to_string(),
            verdict,
            reason,
            fuel,
            situation: serde_json::from_str(&situation).unwrap_or_default(),
        });
    }
}

fn links(task: &Task) -> Vec<Link> {
    let origin = task.origin.map(|origin| match origin {
        Origin::Rerun(id) => ("rerun-of", id),
        Origin::Callback(id) => ("callback-of", id),
        Origin::Replaces(id) => ("replaces", id),
        Origin::Reuses(id) => ("stands-for", id),
    });
    let successor = task.successor.map(|id| ("replaced-by", id));
    let followers = task.followers.iter().map(|id| ("followed-by", *id));
    let links = origin.into_iter().chain(successor).chain(followers);
    links.map(|(link, id)| Link { link: link.into(), task: id.to_string() }).collect()
}

impl From<&Ending> for OutcomeReport {
    fn from(ending: &Ending) -> Self {
        let (ending, cause, kind, message) = match ending {
            Ending::Completed => ("completed", None, None, None),
            Ending::Decomposed { .. } => ("decomposed", None, None, None),
            Ending::Snoozed { reason } => ("snoozed", None, None, (!reason.is_empty()).then_some(reason)),
            Ending::Failed { kind, message } => ("failed", None, Some(kind.as_str()), Some(message)),
            Ending::Stopped { cause, message } => ("stopped", Some(cause), Some(cause.word()), Some(message)),
            Ending::HostFailed { message } => ("host-failed", None, Some("host"), Some(message)),
            Ending::HostLost => ("host-lost", None, None, None),
            Ending::HandedBack => ("handed-back", None, None, None),
        };
        Self {
            ending: ending.into(),
            cause: cause.map(Cause::to_string),
            kind: kind.map(str::to_owned),
            message: message.cloned(),
        }
    }
}

impl From<&Limits> for LimitsReport {
    fn from(limits: &Limits) -> Self {
        Self {
            fuel: limits.fuel.to_string(),
            timeout_ms: millis(limits.timeout),
            memory_bytes: limits.memory_bytes,
            output_bytes: limits.output_bytes,
            stdout_bytes: limits.stdout_bytes,
            stderr_bytes: limits.stderr_bytes,
            log_bytes: limits.log_bytes,
            log_lines: limits.log_lines,
            host_call_bytes: limits.host_call_bytes,
            moved_bytes: limits.moved_bytes,
            resources: limits.resources,
            instances: limits.instances,
            tables: limits.tables,
            open_files: limits.open_files,
            written_bytes: limits.written_bytes,
            random_bytes: limits.random_bytes,
            requests: limits.requests,
            concurrent_requests: limits.concurrent_requests,
            request_bytes: limits.request_bytes,
            artifact_bytes: limits.artifact_bytes,
        }
    }
}

impl From<&Grants> for GrantsReport {
    fn from(grants: &Grants) -> Self {
        Self {
            env: grants.env.iter().map(|grant| grant.key.clone()).collect(),
            dirs: grants.dirs.iter().map(ToString::to_string).collect(),
            http: grants.http.iter().map(ToString::to_string).collect(),
            secrets: grants.secrets.clone(),
            scratch_bytes: grants.scratch_bytes,
            clock: grants.clock,
        }
    }
}

/// The word that a rule has in JSON.
fn word(policy: Policy) -> String {
    serde_json::to_value(policy).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
