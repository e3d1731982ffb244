//! Between the generated types of the contract and plain data, and the bounds on texts that come from a guest.

use std::time::Duration;

use sunaba_task::{AttemptContext, Child, Dependency, Disposition, Failure, LogLevel, Outcome, Payload, Plan};

use crate::bindings::{host, types};

/// Shortens a text to so many bytes, with a mark where it was cut.
pub(crate) fn cut(text: &mut String, max_bytes: usize) {
    const MARK: &str = "...";
    if text.len() > max_bytes {
        text.truncate(text.floor_char_boundary(max_bytes.saturating_sub(MARK.len())));
        text.push_str(MARK);
    }
}

pub(crate) fn context(context: AttemptContext) -> types::Context {
    types::Context {
        task_id: context.task_id.to_string(),
        job_id: context.job_id,
        queue: context.queue,
        attempt: context.attempt,
        failures: context.failures,
        max_attempts: context.max_attempts,
        submitted_at_ms: context.submitted_at_ms,
        started_at_ms: context.started_at_ms,
        deadline_ms: context.deadline_ms,
        idempotency_key: context.idempotency_key,
        attributes: context.attributes,
    }
}

pub(crate) fn to_guest(payload: &Payload) -> types::Payload {
    types::Payload { media_type: payload.media_type.clone(), bytes: payload.bytes.to_vec() }
}

fn from_guest(payload: types::Payload) -> Payload {
    Payload::new(payload.media_type, payload.bytes)
}

pub(crate) fn outcome(outcome: types::Outcome) -> Outcome {
    match outcome {
        types::Outcome::Complete(output) => Outcome::Complete(from_guest(output)),
        types::Outcome::Decompose(wit) => Outcome::Decompose(plan(wit)),
        types::Outcome::Snooze(ms) => Outcome::Snooze(Duration::from_millis(ms)),
    }
}

fn plan(plan: types::Plan) -> Plan {
    let dependency = |wit: types::Dependency| Dependency { name: wit.name, settings: wit.settings };
    let child = |wit: types::Child| Child {
        name: wit.name,
        handler: wit.handler,
        input: from_guest(wit.input),
        after: wit.after.into_iter().map(dependency).collect(),
        settings: wit.settings,
    };
    Plan { children: plan.children.into_iter().map(child).collect(), join: plan.join, settings: plan.settings }
}

pub(crate) fn failure(mut failure: types::Failure) -> Failure {
    cut(&mut failure.kind, Failure::MAX_KIND_BYTES);
    cut(&mut failure.message, Failure::MAX_MESSAGE_BYTES);
    Failure {
        kind: failure.kind,
        message: failure.message,
        detail: failure.detail.map(from_guest),
        disposition: match failure.disposition {
            types::Disposition::ByPolicy => Disposition::ByPolicy,
            types::Disposition::RetryAfter(ms) => Disposition::RetryAfter(Duration::from_millis(ms)),
            types::Disposition::Fatal => Disposition::Fatal,
        },
    }
}

pub(crate) fn level(level: host::Level) -> LogLevel {
    match level {
        host::Level::Trace => LogLevel::Trace,
        host::Level::Debug => LogLevel::Debug,
        host::Level::Info => LogLevel::Info,
        host::Level::Warn => LogLevel::Warn,
        host::Level::Error => LogLevel::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let cases = [
            ("short", "short"),
            ("exactly10!", "exactly10!"),
            ("longer than ten", "longer ..."),
            ("ああああ", "ああ..."),
        ];
        for (text, expected) in cases {
            let mut text = text.to_owned();
            cut(&mut text, 10);
            assert_eq!(text, expected);
        }
    }
}
