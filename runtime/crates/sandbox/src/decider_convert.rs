//! Between the generated types of a decider's world and plain data.

use sunaba_task::{
    Body, BudgetLeft, Child, ChildSeen, DeciderVerdict, Dependency, Disposition, PastAttempt, Payload, Plan, PlanSeen,
    Seen, Situation,
};

use crate::decider_bindings::{policy, types};

/// A whole situation, as the guest gets it. A body that was left out would be empty.
pub(crate) fn situation(situation: &Situation) -> policy::Situation {
    let budget =
        |budget: &BudgetLeft| policy::Budget { name: budget.name.clone(), limit: budget.limit, left: budget.left };
    policy::Situation {
        task_id: situation.task_id.clone(),
        handler: situation.handler.clone(),
        input: payload(&situation.input),
        failures: situation.failures,
        hosts_lost: situation.hosts_lost,
        max_attempts: situation.max_attempts,
        now_ms: situation.now_ms,
        attempts: situation.attempts.iter().map(attempt).collect(),
        budgets: situation.budgets.iter().map(budget).collect(),
        settings: situation.settings.clone(),
    }
}

fn attempt(attempt: &PastAttempt) -> policy::AttemptRecord {
    policy::AttemptRecord {
        number: attempt.number,
        started_at_ms: attempt.started_at_ms,
        ended_at_ms: attempt.ended_at_ms,
        fuel: attempt.fuel,
        peak_memory_bytes: attempt.peak_memory_bytes,
        observation: observation(&attempt.observation),
    }
}

fn observation(seen: &Seen) -> policy::Observation {
    use policy::Observation;
    match seen {
        Seen::Completed { output } => Observation::Returned(Ok(types::Outcome::Complete(payload(output)))),
        Seen::Decomposed { plan } => Observation::Returned(Ok(types::Outcome::Decompose(plan_seen(plan)))),
        Seen::Snoozed { delay_ms, reason, until_completed } => {
            let wait = || (sunaba_task::WAIT_FOR.to_owned(), sunaba_task::COMPLETION.to_owned());
            let settings = until_completed.then(wait).into_iter().collect();
            let snooze = types::Snooze { delay_ms: *delay_ms, reason: reason.clone(), settings };
            Observation::Returned(Ok(types::Outcome::Snooze(snooze)))
        }
        Seen::Failed { kind, message, detail, disposition } => Observation::Returned(Err(types::Failure {
            kind: kind.clone(),
            message: message.clone(),
            detail: detail.as_ref().map(payload),
            disposition: match disposition {
                Disposition::ByPolicy => types::Disposition::ByPolicy,
                Disposition::RetryAfter(delay) => {
                    types::Disposition::RetryAfter(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
                }
                Disposition::Fatal => types::Disposition::Fatal,
            },
            settings: Vec::new(),
        })),
        Seen::Stopped { cause, detail, message } => Observation::Stopped(policy::Stop {
            cause: cause.clone(),
            detail: detail.clone(),
            message: message.clone(),
        }),
    }
}

fn payload(body: &Body) -> types::Payload {
    match body {
        Body::Whole(Payload { media_type, bytes }) => {
            types::Payload { media_type: media_type.clone(), bytes: bytes.to_vec() }
        }
        Body::Omitted { media_type, .. } => types::Payload { media_type: media_type.clone(), bytes: Vec::new() },
    }
}

fn plan_seen(plan: &PlanSeen) -> types::Plan {
    let after = |after: &Dependency| types::Dependency { name: after.name.clone(), settings: after.settings.clone() };
    let child = |child: &ChildSeen| types::Child {
        name: child.name.clone(),
        handler: child.handler.clone(),
        input: payload(&child.input),
        after: child.after.iter().map(after).collect(),
        settings: child.settings.clone(),
    };
    types::Plan {
        children: plan.children.iter().map(child).collect(),
        join: plan.join.clone(),
        settings: plan.settings.clone(),
    }
}

/// What a decider said, as it said it.
pub(crate) fn decision(decision: policy::Decision) -> (DeciderVerdict, String) {
    let verdict = match decision.verdict {
        policy::Verdict::Accept => DeciderVerdict::Accept,
        policy::Verdict::RetryAfter(ms) => DeciderVerdict::RetryAfter(ms),
        policy::Verdict::GiveUp => DeciderVerdict::GiveUp,
        policy::Verdict::Decompose(plan) => DeciderVerdict::Decompose(from_guest(plan)),
    };
    (verdict, decision.reason)
}

fn from_guest(plan: types::Plan) -> Plan {
    let after = |after: types::Dependency| Dependency { name: after.name, settings: after.settings };
    let child = |child: types::Child| Child {
        name: child.name,
        handler: child.handler,
        input: Payload::new(child.input.media_type, child.input.bytes),
        after: child.after.into_iter().map(after).collect(),
        settings: child.settings,
    };
    Plan { children: plan.children.into_iter().map(child).collect(), join: plan.join, settings: plan.settings }
}
