//! One attempt, from its beginning to its end.

use std::sync::Arc;

use sunaba_store::Leased;
use sunaba_task::schedule::{SCHEDULE, SCHEDULE_TICK};
use sunaba_task::trace::{TRACEPARENT, TaskTrace};
use sunaba_task::{
    AttemptContext, AttemptHost, AttemptRequest, AttemptResult, COMPLETION_WAITS, Cause, ExecuteError, Executor,
    Observation, Outcome, Plan, Seed, Stop, Task, Timestamp, catch_panic,
};
use tokio::time::Instant;

use crate::admission::{Admission, NotAdmitted};

/// Has a leased task executed; gives what was seen of it.
pub(crate) async fn execute(
    executor: &dyn Executor,
    leased: &Leased,
    host: Arc<dyn AttemptHost>,
    is_traced: bool,
) -> Observation {
    // A panic of host code is this attempt's failure, and nobody else's.
    let done = catch_panic(async { executor.execute(request(leased, is_traced), host).await }).await;
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

pub(crate) fn started_at(task: &Task) -> Timestamp {
    task.lease().map_or(task.submitted_at, |lease| lease.started_at)
}

fn request(leased: &Leased, is_traced: bool) -> AttemptRequest {
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
            attributes: attributes(task, is_traced),
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
fn attributes(task: &Task, is_traced: bool) -> Vec<(String, String)> {
    let waits = (task.completion_waits > 0).then(|| (COMPLETION_WAITS.to_owned(), task.completion_waits.to_string()));
    let schedule = task.schedule.iter().map(|link| (SCHEDULE.to_owned(), link.name.to_string()));
    let tick = task.schedule.iter().filter_map(|link| Some((SCHEDULE_TICK.to_owned(), link.tick?.to_string())));
    // What it asks others is below its own span, if there is one.
    let traced = is_traced.then(|| TaskTrace::of(task).of_attempt(task.attempts_started).to_string());
    let is_ours =
        |name: &str| [COMPLETION_WAITS, SCHEDULE, SCHEDULE_TICK].contains(&name) || is_traced && name == TRACEPARENT;
    let own = task.spec.attributes.iter().filter(|(name, _)| !is_ours(name)).cloned();
    let traced = traced.map(|traced| (TRACEPARENT.to_owned(), traced));
    waits.into_iter().chain(schedule).chain(tick).chain(traced).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use sunaba_task::schedule::ScheduleLink;
    use sunaba_task::{Digest, NewTask, Payload, TaskId, TaskSpec, Timestamp};

    use super::*;

    #[test]
    fn handler_is_told_the_schedule_and_the_tick_and_nobody_else_can_say_them() {
        let mut spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        spec.attributes = vec![pair("tenant", "a"), pair(SCHEDULE, "false"), pair(SCHEDULE_TICK, "false")];
        let new = NewTask::new(spec, Payload::json("1"));
        let mut task = Task::submitted(TaskId::from_bytes([7; 16]), 1, &new, Timestamp::from_unix_ms(1));
        assert_eq!(attributes(&task, false), [pair("tenant", "a")]);
        let name = "nightly".parse().expect("a name");
        let tick = Some(Timestamp::from_unix_ms(1_767_225_600_000));
        task.schedule = Some(Box::new(ScheduleLink { name, tick }));
        let told = [pair(SCHEDULE, "nightly"), pair(SCHEDULE_TICK, "2026-01-01T00:00:00.000Z"), pair("tenant", "a")];
        assert_eq!(attributes(&task, false), told);
    }

    #[test]
    fn handler_of_a_traced_attempt_is_told_its_own_place_in_the_trace() {
        let mut spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        spec.attributes = vec![(TRACEPARENT.to_owned(), given.to_owned())];
        let new = NewTask::new(spec, Payload::json("1"));
        let task = Task::submitted(TaskId::from_bytes([7; 16]), 1, &new, Timestamp::from_unix_ms(1));
        assert_eq!(attributes(&task, false), task.spec.attributes);
        let told = attributes(&task, true);
        assert_eq!((told.len(), told[0].0.as_str()), (1, TRACEPARENT));
        assert!(told[0].1 != given && told[0].1.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{told:?}");
    }
}
