//! Between the generated types of the contract and plain data, and the bounds on texts that come from a guest.

use std::time::Duration;

use sunaba_task::{AttemptContext, Child, Dependency, Disposition, Failure, LogLevel, Outcome, Payload, Plan, Snooze};

use crate::bindings::{host, types};

/// Shortens a text to so many bytes, with a mark where it was cut.
pub(crate) fn cut(text: &mut String, max_bytes: usize) {
    const MARK: &str = "...";
    if text.len() > max_bytes {
        text.truncate(text.floor_char_boundary(max_bytes.saturating_sub(MARK.len())));
        text.push_str(MARK);
        text.shrink_to_fit();
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
        types::Outcome::Snooze(mut wit) => {
            cut(&mut wit.reason, Failure::MAX_MESSAGE_BYTES);
            Outcome::Snooze(Snooze { delay: Duration::from_millis(wit.delay_ms), reason: wit.reason })
        }
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
    cut(&mut failure.message, Failure::MAX_MESSAGE_BYTES);
    Failure {
        kind: kind(&failure.kind),
        message: failure.message,
        detail: failure.detail.map(from_guest),
        disposition: match failure.disposition {
            types::Disposition::ByPolicy => Disposition::ByPolicy,
            types::Disposition::RetryAfter(ms) => Disposition::RetryAfter(Duration::from_millis(ms)),
            types::Disposition::Fatal => Disposition::Fatal,
        },
    }
}

/// A failure's kind as the contract writes it: another character becomes `-`, and nothing becomes `error`.
fn kind(kind: &str) -> String {
    let allowed = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let kind: String = kind.chars().map(|c| allowed(c.to_ascii_lowercase())).take(Failure::MAX_KIND_BYTES).collect();
    if kind.is_empty() { "error".into() } else { kind }
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
    fn kinds_and_media_types_are_held_to_the_contract() {
        for (given, kept) in [("network", "network"), ("", "error"), ("HTTP 503", "http-503"), ("a\nb", "a-b")] {
            assert_eq!(kind(given), kept);
        }
        assert_eq!(kind(&"x".repeat(1000)).len(), Failure::MAX_KIND_BYTES);
        assert!(Payload::is_media_type("application/json") && Payload::is_media_type("image/svg+xml"));
        for wrong in ["", "json", "/json", "a/", "a/b/c", "a/b\r\nx: y", "a/b c"] {
            assert!(!Payload::is_media_type(wrong), "{wrong}");
        }
    }

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
