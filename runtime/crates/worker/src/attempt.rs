//! One attempt, from its lease to its settlement.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{Leased, SettleError, Settlement, Store, StoreError};
use sunaba_task::{
    AttemptContext, AttemptDetail, AttemptHost, AttemptReport, AttemptRequest, AttemptResult, COMPLETION_WAITS, Cause,
    ExecuteError, Executor, LeaseToken, Observation, Outcome, Payload, Plan, Seed, Stop, Task, Timestamp, catch_panic,
};
use tokio::time::Instant;

use crate::admission::{Admission, NotAdmitted};
use crate::decider::{Deciding, Ruling};

/// A store that is busy is asked again after this long, and then after longer, as long as the session lives.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Has a leased task executed; gives what was seen of it.
pub(crate) async fn execute(executor: &dyn Executor, leased: &Leased, host: Arc<dyn AttemptHost>) -> Observation {
    // A panic of host code is this attempt's failure, and nobody else's.
    let done = catch_panic(async { executor.execute(request(leased), host).await }).await;
    match done.unwrap_or_else(|_| Err(ExecuteError::Internal("host code panicked during the attempt".into()))) {
        Ok(report) => Observation::Reported(Box::new(report)),
        Err(ExecuteError::Closed) => Observation::HostStopping,
        Err(ExecuteError::NotLoaded { .. }) => Observation::NotReady,
        Err(error) => Observation::HostFailed { message: error.to_string(), retryable: error.is_retryable() },
    }
}

/// Has the plan that an attempt returned admitted, if it returned one. That is a part of the attempt: its time limit and whatever
/// stops it hold for that too.
pub(crate) async fn admit(
    admission: &dyn Admission,
    task: &Task,
    host: &dyn AttemptHost,
    begun: Instant,
    seen: Observation,
) -> Observation {
    let mut report = match seen {
        Observation::Reported(report) => report,
        other => return other,
    };
    let plan = match &mut report.result {
        AttemptResult::Returned(Outcome::Decompose(plan)) => {
            // It may be large, and nobody wants it twice.
            std::mem::replace(plan, Plan { children: Vec::new(), join: None, settings: Vec::new() })
        }
        _ => return Observation::Reported(report),
    };
    // Whoever is stopped is told so before its plan, and so is one whose time was over when it returned.
    let stopped = tokio::select! {
        biased;
        cause = host.stopped() => Err(cause),
        () = tokio::time::sleep_until(begun + task.spec.limits.timeout) => Err(Cause::Timeout),
        admitted = catch_panic(admission.plan(task, plan)) => Ok(admitted),
    };
    let admitted = match stopped {
        Ok(admitted) => admitted,
        Err(cause) => {
            let message = "its plan was being checked".into();
            report.result = AttemptResult::Stopped(Stop { cause, message, backtrace: Vec::new() });
            return Observation::Reported(report);
        }
    };
    match admitted {
        Ok(Ok(plan)) => Observation::Decomposed { report, plan: Arc::new(plan) },
        Ok(Err(NotAdmitted::Refused(reason))) => Observation::PlanRefused { report, reason },
        Ok(Err(NotAdmitted::Unavailable(message))) => Observation::HostFailed { message, retryable: true },
        Err(_) => {
            let message = "host code panicked over the attempt's plan".into();
            Observation::HostFailed { message, retryable: true }
        }
    }
}

fn started_at(task: &Task) -> Timestamp {
    task.lease().map_or(task.submitted_at, |lease| lease.started_at)
}

fn request(leased: &Leased) -> AttemptRequest {
    let Leased { task, input, .. } = leased;
    let spec = &task.spec;
    let started_at = started_at(task);
    AttemptRequest {
        component: spec.component,
        handler: spec.handler.handler.clone(),
        context: AttemptContext {
            task_id: task.id,
            job_id: task.job.as_ref().map(|link| link.job.to_string()),
            queue: spec.queue.clone(),
            attempt: task.attempts_started,
            failures: task.failures_charged,
            max_attempts: spec.max_attempts,
            submitted_at_ms: task.submitted_at.unix_ms(),
            started_at_ms: started_at.unix_ms(),
            deadline_ms: Some(started_at.after(spec.limits.timeout).unix_ms()),
            idempotency_key: spec.idempotency_key.clone(),
            attributes: attributes(task),
        },
        input: input.clone(),
        limits: spec.limits.clone(),
        grants: spec.grants.clone(),
        secrets: Vec::new(),
        // Another attempt is another try: whatever chance has done to the last one, it does not do again.
        seed: spec.deterministic.then(|| Seed {
            random: task.id.seed().wrapping_add(u64::from(task.attempts_started)),
            clock_ms: started_at.unix_ms(),
        }),
        capture: spec.capture,
    }
}

/// What travels with the task, and what its host adds, which nobody else can say in its place.
fn attributes(task: &Task) -> Vec<(String, String)> {
    let waits = (task.completion_waits > 0).then(|| (COMPLETION_WAITS.to_owned(), task.completion_waits.to_string()));
    let own = task.spec.attributes.iter().filter(|(name, _)| name != COMPLETION_WAITS).cloned();
    waits.into_iter().chain(own).collect()
}

/// Decides what follows, and settles; again while the record moves or the store is busy. Whoever runs this ends it when the
/// session is over: until then the lease is ours, and nobody else will end it.
pub(crate) async fn settle(mut deciding: Deciding<'_>, leased: Leased, mut seen: Observation, begun: Instant) {
    let Leased { token, mut task, .. } = leased;
    let (store, leased_at) = (deciding.store, started_at(&task));
    let mut pause = PAUSE;
    // What a decider has said stands until the record moves: it is not asked anew because the store was busy.
    let mut ruled: Option<(Settlement, bool)> = None;
    loop {
        let (settlement, has_own_plan) = match ruled.take() {
            Some(ruled) => ruled,
            None => {
                let ruling = deciding.rule(&task, &seen, leased_at.after(begun.elapsed())).await;
                let has_own_plan = ruling.plan.is_some();
                (settlement(token, &task, &seen, ruling), has_own_plan)
            }
        };
        let again = deciding.about.is_some().then(|| (settlement.clone(), has_own_plan));
        match settle_once(store, settlement).await {
            Ok(Ok(task)) => {
                let (id, state, attempt) = (task.id, task.state.name(), task.attempts_started);
                tracing::info!(task = %id, handler = %task.spec.handler, attempt, %state, "settled");
                return;
            }
            Ok(Err(SettleError::Stale(moved))) => task = *moved,
            Ok(Err(SettleError::Plan(refused))) if has_own_plan => deciding.refuse_plan(&refused.to_string()),
            Ok(Err(SettleError::Plan(refused))) => match seen {
                Observation::Decomposed { report, .. } => {
                    seen = Observation::PlanRefused { report, reason: refused.to_string() };
                }
                _ => {
                    tracing::error!(task = %task.id, %refused, "a plan was refused that was never made");
                    return;
                }
            },
            Ok(Err(error)) => {
                tracing::warn!(task = %task.id, %error, "an attempt's end was not recorded");
                return;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(task = %task.id, %error, "an attempt's end is not recorded yet");
                ruled = again;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(error) => {
                tracing::error!(task = %task.id, %error, "an attempt's end could not be recorded");
                return;
            }
        }
    }
}

async fn settle_once(store: &dyn Store, settlement: Settlement) -> Result<Result<Task, SettleError>, StoreError> {
    store.settle(vec![settlement]).await?.pop().ok_or(StoreError::Closed)
}

fn settlement(token: LeaseToken, task: &Task, seen: &Observation, ruling: Ruling) -> Settlement {
    let (receipt, output, mut detail) = match seen {
        Observation::HostFailed { .. } | Observation::HostStopping | Observation::NotReady => {
            (None, None, AttemptDetail::default())
        }
        Observation::Reported(report)
        | Observation::Decomposed { report, .. }
        | Observation::PlanRefused { report, .. } => {
            (Some(report.receipt.clone()), output(report).cloned(), detail(report))
        }
    };
    let plan = match (ruling.plan, seen) {
        (Some(plan), _) => Some(plan),
        (None, Observation::Decomposed { plan, .. }) => Some(Arc::clone(plan)),
        (None, _) => None,
    };
    detail.decider = ruling.record;
    Settlement {
        token,
        revision: task.revision,
        ending: seen.ending(),
        decision: ruling.decision,
        receipt,
        output,
        detail,
        plan,
    }
}

fn output(report: &AttemptReport) -> Option<&Payload> {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => Some(output),
        _ => None,
    }
}

fn detail(report: &AttemptReport) -> AttemptDetail {
    let (failure_detail, backtrace) = match &report.result {
        AttemptResult::Failed(failure) => (failure.detail.clone(), Vec::new()),
        AttemptResult::Stopped(stop) => (None, stop.backtrace.clone()),
        AttemptResult::Returned(_) => (None, Vec::new()),
    };
    AttemptDetail { failure_detail, backtrace, logs: report.logs.clone(), decider: None }
}
