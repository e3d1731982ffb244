//! Between the generated types of the contract and plain data, and the bounds on texts that come from a guest.

use std::time::Duration;

use sunaba_task::{
    AttemptContext, COMPLETION, Child, Dependency, Disposition, Failure, LogLevel, Outcome, Payload, Plan, Snooze,
    WAIT_FOR,
};

use crate::bindings::{host, types};
use crate::book::Book;
use crate::http::Redactor;

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

/// A longer media type is none: it is cut only so that no more of it is looked through.
const MAX_MEDIA_TYPE_BYTES: usize = 256;
/// More of a kind is not looked at: each character that is kept had at most four bytes.
const MAX_KIND_BYTES: usize = 4 * Failure::MAX_KIND_BYTES;

fn from_guest(mut payload: types::Payload, book: &Book) -> Payload {
    book.cut(&mut payload.media_type, MAX_MEDIA_TYPE_BYTES);
    Payload::new(payload.media_type, payload.bytes)
}

/// The book takes secrets out of what is cut, before it is.
pub(crate) fn outcome(outcome: types::Outcome, book: &Book) -> Outcome {
    match outcome {
        types::Outcome::Complete(output) => Outcome::Complete(from_guest(output, book)),
        types::Outcome::Decompose(wit) => Outcome::Decompose(plan(wit, book)),
        types::Outcome::Snooze(mut wit) => {
            book.cut(&mut wit.reason, Failure::MAX_MESSAGE_BYTES);
            let (delay, until_completed) = (Duration::from_millis(wit.delay_ms), !wit.settings.is_empty());
            Outcome::Snooze(Snooze { delay, reason: wit.reason, until_completed })
        }
    }
}

/// What of a snooze's settings the host does not know; none when there is but the one that it knows, or none.
pub(crate) fn unknown_setting(snooze: &types::Snooze) -> Option<String> {
    let unknown = snooze.settings.iter().find_map(|(key, value)| match (key.as_str(), value.as_str()) {
        (WAIT_FOR, COMPLETION) => None,
        (WAIT_FOR, value) => Some(format!("setting {WAIT_FOR}={value}")),
        (key, _) => Some(format!("setting {key}")),
    });
    unknown.or_else(|| (snooze.settings.len() > 1).then(|| format!("setting {WAIT_FOR}, twice")))
}

/// The bytes of a plan are its names, its inputs and its settings.
pub(crate) fn plan_bytes(plan: &Plan) -> u64 {
    fn settings(settings: &[(String, String)]) -> usize {
        settings.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
    let after = |after: &Dependency| after.name.len() + settings(&after.settings);
    let child = |child: &Child| {
        let names = child.name.len() + child.handler.len() + child.input.media_type.len();
        let after: usize = child.after.iter().map(after).sum();
        (names + child.input.bytes.len() + after + settings(&child.settings)) as u64
    };
    let own = plan.join.as_ref().map_or(0, String::len) + settings(&plan.settings);
    plan.children.iter().map(child).sum::<u64>() + own as u64
}

fn settings(wit: &mut [(String, String)], redactor: Option<&Redactor>) {
    if let Some(redactor) = redactor {
        wit.iter_mut().flat_map(|(key, value)| [key, value]).for_each(|text| redactor.text(text));
    }
}

/// A child without secrets, whatever it has them in.
pub(crate) fn child(mut wit: types::Child, book: &Book, redactor: Option<&Redactor>) -> Child {
    let mut input = from_guest(wit.input, book);
    if let Some(redactor) = redactor {
        redactor.bytes(&mut input.bytes);
        let names = wit.after.iter_mut().map(|after| &mut after.name);
        names.chain([&mut wit.name, &mut wit.handler]).for_each(|text| redactor.text(text));
    }
    settings(&mut wit.settings, redactor);
    wit.after.iter_mut().for_each(|after| settings(&mut after.settings, redactor));
    let dependency = |wit: types::Dependency| Dependency { name: wit.name, settings: wit.settings };
    let after = wit.after.into_iter().map(dependency).collect();
    Child { name: wit.name, handler: wit.handler, input, after, settings: wit.settings }
}

fn plan(mut wit: types::Plan, book: &Book) -> Plan {
    let redactor = book.redactor();
    let redactor = redactor.as_deref();
    settings(&mut wit.settings, redactor);
    if let (Some(join), Some(redactor)) = (&mut wit.join, redactor) {
        redactor.text(join);
    }
    let children = wit.children.into_iter().map(|wit| child(wit, book, redactor)).collect();
    Plan { children, join: wit.join, settings: wit.settings }
}

pub(crate) fn failure(mut failure: types::Failure, book: &Book) -> Failure {
    // As the guest wrote it: in capitals that are not kept, a secret would not be found any more.
    book.cut(&mut failure.kind, MAX_KIND_BYTES);
    book.cut(&mut failure.message, Failure::MAX_MESSAGE_BYTES);
    Failure {
        kind: kind(&failure.kind),
        message: failure.message,
        detail: failure.detail.map(|detail| from_guest(detail, book)),
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
    use std::sync::Arc;

    use sunaba_task::{Limits, Unattended};

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
    fn secrets_are_taken_out_before_anything_of_a_result_is_cut_or_changed() {
        let book = Book::new(&Limits::default(), crate::clock::now(), Arc::new(Unattended));
        book.redact_with(Arc::new(Redactor::new([("Hunter2_Hunter2", "sunaba-secret-K-1")].into_iter())));
        let at_the_cut = format!("{}Hunter2_Hunter2", "x".repeat(Failure::MAX_MESSAGE_BYTES - 8));
        let payload = || types::Payload { media_type: "text/Hunter2_Hunter2".into(), bytes: Vec::new() };
        let failure = failure(
            types::Failure {
                kind: "Hunter2_Hunter2".into(),
                message: at_the_cut.clone(),
                detail: Some(payload()),
                disposition: types::Disposition::ByPolicy,
                settings: Vec::new(),
            },
            &book,
        );
        assert_eq!(failure.kind, "sunaba-secret-k-1");
        assert!(failure.message.ends_with("xsunab..."), "{}", failure.message);
        assert_eq!(failure.detail.map(|detail| detail.media_type).as_deref(), Some("text/sunaba-secret-K-1"));
        let snooze = types::Snooze { delay_ms: 1, reason: at_the_cut, settings: Vec::new() };
        let Outcome::Snooze(snooze) = outcome(types::Outcome::Snooze(snooze), &book) else { panic!("it is one") };
        assert!(snooze.reason.ends_with("xsunab..."), "{}", snooze.reason);
    }

    #[test]
    fn secrets_are_taken_out_of_all_of_a_plan() {
        let book = Book::new(&Limits::default(), crate::clock::now(), Arc::new(Unattended));
        book.redact_with(Arc::new(Redactor::new([("Hunter2_Hunter2", "sunaba-secret-K-1")].into_iter())));
        let text = || "a Hunter2_Hunter2".to_owned();
        let pairs = || vec![(text(), text())];
        let child = types::Child {
            name: text(),
            handler: text(),
            input: types::Payload { media_type: text(), bytes: text().into_bytes() },
            after: vec![types::Dependency { name: text(), settings: pairs() }],
            settings: pairs(),
        };
        let wit = types::Plan { children: vec![child], join: Some(text()), settings: pairs() };
        let Outcome::Decompose(plan) = outcome(types::Outcome::Decompose(wit), &book) else { panic!("it is one") };
        // The input's bytes are shown as text, as far as they are.
        let shown = format!("{plan:?}");
        assert!(!shown.contains("Hunter2"), "{shown}");
        assert_eq!(shown.matches("sunaba-secret-K-1").count(), 12, "{shown}");
    }

    #[test]
    fn settings_of_a_snooze_obeyed() {
        let book = Book::new(&Limits::default(), crate::clock::now(), Arc::new(Unattended));
        for (settings, expected) in [(vec![], false), (vec![("wait-for".into(), "completion".into())], true)] {
            let snooze = types::Snooze { delay_ms: 1, reason: String::new(), settings };
            assert_eq!(unknown_setting(&snooze), None);
            let Outcome::Snooze(snooze) = outcome(types::Outcome::Snooze(snooze), &book) else { panic!("it is one") };
            assert_eq!(snooze.until_completed, expected);
        }
    }

    #[test]
    fn settings_of_a_snooze_violated() {
        let one = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        for (settings, named) in [
            (one("wait-for", "godot"), "setting wait-for=godot"),
            (one("wait-until", "completion"), "setting wait-until"),
            ([one("wait-for", "completion"), one("wait-for", "completion")].concat(), "setting wait-for, twice"),
        ] {
            let snooze = types::Snooze { delay_ms: 1, reason: String::new(), settings };
            assert_eq!(unknown_setting(&snooze).as_deref(), Some(named));
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
