//! The options of a request for a task: each within its bounds, whatever the handler is.

use std::time::Duration;

use sunaba_store::CancelWish;
use sunaba_task::{
    Fuel, HandlerName, MAX_DELAY, MAX_IDEMPOTENCY_KEY_BYTES, MAX_SPAN, OnConflict, TaskSpec, Unique, When,
    format_duration, is_name,
};

use crate::admission::{RefusedTask, TaskRequest};
use crate::job::JobRequest;

/// Tags of one task.
const MAX_TAGS: usize = 16;
const MAX_TAG_BYTES: usize = 64;
/// The longest key: of a limit, or of what is unique.
const MAX_KEY_BYTES: usize = 256;
/// Kinds of failure in one list.
const MAX_KINDS: usize = 32;
/// Tasks that may follow the end of one.
const MAX_CALLBACKS: usize = 8;
/// The longest name of a job.
const MAX_JOB_NAME_BYTES: usize = 128;
/// The longest reason for a cancel.
const MAX_REASON_BYTES: usize = 256;
/// The longest grace of a cancel.
const MAX_GRACE: Duration = Duration::from_secs(60 * 60);
/// How often a burst may put a task off, unless said otherwise: until ten delays have passed.
const DEBOUNCE_DELAYS: u32 = 10;

/// Whether every option is one that can be.
///
/// # Errors
/// [`RefusedTask::Value`]: the first that is not.
pub(crate) fn check(request: &TaskRequest) -> Result<(), RefusedTask> {
    if let Some(queue) = request.queue.as_ref().filter(|queue| !is_name(queue)) {
        return Err(RefusedTask::value("queue", queue, "a queue has up to 64 lower-case letters, digits and `-`"));
    }
    if request.max_attempts == Some(0) {
        return Err(RefusedTask::value("number of attempts", 0, "at least one is made"));
    }
    if request.max_hosts_lost == Some(0) {
        return Err(RefusedTask::value("number of lost hosts", 0, "it is from 1"));
    }
    when("delay", request.start, MAX_DELAY)?;
    expiry(request)?;
    if let Some(key) = &request.idempotency_key {
        text("idempotency key", key, MAX_IDEMPOTENCY_KEY_BYTES, is_anything)?;
    }
    if let Some(key) = &request.key {
        text("key", key, MAX_KEY_BYTES, is_printable)?;
    }
    tags(&request.tags)?;
    kinds("kinds to retry", request.retry_on.as_deref())?;
    kinds("kinds never to retry", request.never_retry_on.as_deref())?;
    span("time for retries", request.retry_for)?;
    if let Some(kept) = request.keep_result.filter(|kept| *kept > MAX_SPAN) {
        return Err(longest("time for which the result is kept", kept, MAX_SPAN));
    }
    if let Some(unique) = &request.unique {
        check_unique(unique, request.start)?;
    }
    callbacks(&request.on_success, &request.on_failure)
}

/// Whether the fuel of all attempts can be limited: it is something, and it is counted.
///
/// # Errors
/// [`RefusedTask::Value`].
pub(crate) fn fuel_budget(spec: &TaskSpec) -> Result<(), RefusedTask> {
    match spec.fuel_budget {
        Some(0) => Err(RefusedTask::value("fuel budget", 0, "it is from 1")),
        Some(budget) if spec.limits.fuel == Fuel::Off => {
            Err(RefusedTask::value("fuel budget", budget, "the fuel of its attempts is not counted"))
        }
        _ => Ok(()),
    }
}

/// Whether what is asked for of a job as a whole can be. Its budget is the store's to check.
///
/// # Errors
/// [`RefusedTask::Value`]: the first that cannot.
pub(crate) fn job(request: &JobRequest) -> Result<(), RefusedTask> {
    if !request.name.is_empty() {
        text("name of the job", &request.name, MAX_JOB_NAME_BYTES, is_printable)?;
    }
    if let Some(key) = &request.idempotency_key {
        text("idempotency key", key, MAX_IDEMPOTENCY_KEY_BYTES, is_anything)?;
    }
    tags(&request.tags)
}

/// Whether a task can be one of a job: it has no keys by which it could be another's, or be replaced.
///
/// # Errors
/// [`RefusedTask::Value`].
pub(crate) fn of_job(request: &TaskRequest) -> Result<(), RefusedTask> {
    if let Some(key) = &request.idempotency_key {
        return Err(RefusedTask::value("idempotency key", key, "a task of a job has none; the job can have one"));
    }
    match &request.unique {
        Some(unique) => {
            let reason = "a task of a job has none: it cannot be another's, nor be replaced";
            Err(RefusedTask::value("unique key", &unique.key, reason))
        }
        None => Ok(()),
    }
}

/// Whether a task can be made by a schedule again and again: with a key there would be one, and when it starts is the
/// schedule's to say.
///
/// # Errors
/// [`RefusedTask::Value`].
pub(crate) fn of_schedule(request: &TaskRequest) -> Result<(), RefusedTask> {
    if let Some(key) = &request.idempotency_key {
        return Err(RefusedTask::value(
            "idempotency key",
            key,
            "a tick makes one task as it is, and a key would allow no second",
        ));
    }
    if let Some(unique) = &request.unique {
        return Err(RefusedTask::value(
            "unique key",
            &unique.key,
            "the overlap policy of the schedule says what becomes of a second task",
        ));
    }
    match (request.start, request.expires) {
        (Some(When::After(delay)), _) => {
            Err(RefusedTask::value("delay", format_duration(delay), "a task of a schedule is due at its tick"))
        }
        (Some(When::At(start)), _) => {
            Err(RefusedTask::value("start", start, "a task of a schedule is due at its tick"))
        }
        (None, Some(When::At(expires))) => {
            Err(RefusedTask::value("instant to expire", expires, "a task of a schedule expires so long after its tick"))
        }
        (None, _) => Ok(()),
    }
}

/// The same of what undoes a task: it begins when its turn comes, with what came of that task.
///
/// # Errors
/// [`RefusedTask::Value`].
pub(crate) fn of_compensation(request: &TaskRequest) -> Result<(), RefusedTask> {
    of_job(request)?;
    if request.input.is_some() {
        return Err(RefusedTask::value("input", "something", "what undoes a task gets what came of it"));
    }
    Ok(())
}

/// How a task is to be cancelled: a grace of up to an hour, and a reason of one short line.
///
/// # Errors
/// [`RefusedTask::Value`].
pub fn cancel_wish(grace: Option<Duration>, reason: Option<String>) -> Result<CancelWish, RefusedTask> {
    if let Some(grace) = grace.filter(|grace| *grace > MAX_GRACE) {
        return Err(longest("grace", grace, MAX_GRACE));
    }
    let default = CancelWish::default();
    let reason = match reason {
        Some(reason) => {
            text("reason", &reason, MAX_REASON_BYTES, is_printable)?;
            reason
        }
        None => default.reason,
    };
    Ok(CancelWish { reason, grace })
}

/// One task for a burst of submits: each puts it off by `delay`, and none beyond `longest` after the first; by default ten
/// delays.
pub fn debounce(key: String, delay: Duration, longest: Option<Duration>) -> (Unique, When) {
    let longest = longest.unwrap_or_else(|| delay.saturating_mul(DEBOUNCE_DELAYS).min(MAX_DELAY));
    (Unique { key, window: None, on_conflict: OnConflict::Debounce { longest } }, When::After(delay))
}

fn expiry(request: &TaskRequest) -> Result<(), RefusedTask> {
    when("time to expire", request.expires, MAX_SPAN)?;
    // Of an instant and a duration only the store's clock can tell which comes first.
    match (request.start, request.expires) {
        (start, Some(When::After(expires))) => {
            let delay = if let Some(When::After(delay)) = start { delay } else { Duration::ZERO };
            if expires <= delay {
                let reason = "it counts from the submit, and is longer than the delay";
                return Err(RefusedTask::value("time to expire", format_duration(expires), reason));
            }
        }
        (Some(When::At(start)), Some(When::At(expires))) if expires <= start => {
            let reason = format!("it is later than the start, {start}");
            return Err(RefusedTask::value("instant to expire", expires, reason));
        }
        _ => {}
    }
    Ok(())
}

fn when(what: &'static str, when: Option<When>, limit: Duration) -> Result<(), RefusedTask> {
    match when {
        Some(When::After(delay)) if delay > limit => Err(longest(what, delay, limit)),
        _ => Ok(()),
    }
}

fn longest(what: &'static str, value: Duration, limit: Duration) -> RefusedTask {
    RefusedTask::value(what, format_duration(value), format!("the longest is {}", format_duration(limit)))
}

/// A part of a task's life: above zero, up to a year.
fn span(what: &'static str, span: Option<Duration>) -> Result<(), RefusedTask> {
    match span {
        Some(span) if span.is_zero() => Err(RefusedTask::value(what, format_duration(span), "it is above zero")),
        Some(span) if span > MAX_SPAN => Err(longest(what, span, MAX_SPAN)),
        _ => Ok(()),
    }
}

fn is_anything(_: char) -> bool {
    true
}

fn is_printable(c: char) -> bool {
    !c.is_control()
}

fn text(what: &'static str, text: &str, most: usize, allowed: fn(char) -> bool) -> Result<(), RefusedTask> {
    if text.is_empty() || text.len() > most {
        return Err(RefusedTask::value(what, text, format!("it has 1 to {most} bytes")));
    }
    if !text.chars().all(allowed) {
        return Err(RefusedTask::value(what, text.escape_debug(), "it has no control characters"));
    }
    Ok(())
}

fn tags(tags: &[String]) -> Result<(), RefusedTask> {
    if tags.len() > MAX_TAGS {
        return Err(RefusedTask::value("number of tags", tags.len(), format!("a task has at most {MAX_TAGS}")));
    }
    for (index, tag) in tags.iter().enumerate() {
        text("tag", tag, MAX_TAG_BYTES, is_printable)?;
        if tag.contains(',') {
            return Err(RefusedTask::value("tag", tag, "it has no commas"));
        }
        if tags[..index].contains(tag) {
            return Err(RefusedTask::value("tag", tag, "it is given twice"));
        }
    }
    Ok(())
}

fn kinds(what: &'static str, kinds: Option<&[String]>) -> Result<(), RefusedTask> {
    let kinds = kinds.unwrap_or_default();
    if kinds.len() > MAX_KINDS {
        return Err(RefusedTask::value(what, format!("{} of them", kinds.len()), format!("at most {MAX_KINDS}")));
    }
    match kinds.iter().find(|kind| !is_name(kind)) {
        Some(kind) => {
            let reason = "a kind of failure has up to 64 lower-case letters, digits and `-`";
            Err(RefusedTask::value(what, kind, reason))
        }
        None => Ok(()),
    }
}

fn check_unique(unique: &Unique, start: Option<When>) -> Result<(), RefusedTask> {
    text("unique key", &unique.key, MAX_KEY_BYTES, is_printable)?;
    span("window of the unique key", unique.window)?;
    let OnConflict::Debounce { longest: most } = unique.on_conflict else { return Ok(()) };
    if most > MAX_DELAY {
        return Err(longest("longest delay of a burst", most, MAX_DELAY));
    }
    match start {
        Some(When::After(delay)) if !delay.is_zero() && delay <= most => Ok(()),
        Some(When::After(delay)) => {
            let reason = format!("it is above zero, and no longer than the longest, {}", format_duration(most));
            Err(RefusedTask::value("delay of a burst", format_duration(delay), reason))
        }
        _ => Err(RefusedTask::value("start of a burst", "an instant", "a burst needs a delay")),
    }
}

fn callbacks(on_success: &[HandlerName], on_failure: &[HandlerName]) -> Result<(), RefusedTask> {
    let count = on_success.len() + on_failure.len();
    if count > MAX_CALLBACKS {
        let reason = format!("at most {MAX_CALLBACKS} tasks follow the end of one");
        return Err(RefusedTask::value("number of callbacks", count, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> TaskRequest {
        TaskRequest::new("mail/send".parse().expect("a name"))
    }

    /// The option that is wrong.
    fn wrong(request: &TaskRequest) -> &'static str {
        match check(request) {
            Err(RefusedTask::Value { what, value, reason }) => {
                assert!(value.len() < 100 && !reason.is_empty(), "{value}: {reason}");
                what
            }
            other => panic!("{other:?}"),
        }
    }

    const YEAR: Duration = MAX_SPAN;
    const MOMENT: Duration = Duration::from_millis(1);

    fn after(seconds: u64) -> Option<When> {
        Some(When::After(Duration::from_secs(seconds)))
    }

    fn at(unix_ms: u64) -> Option<When> {
        Some(When::At(sunaba_task::Timestamp::from_unix_ms(unix_ms)))
    }

    #[test]
    fn options_at_their_bounds_are_taken() {
        let handler = request().handler;
        let bounds = TaskRequest {
            queue: Some("a".repeat(64)),
            start: Some(When::After(MAX_DELAY)),
            expires: Some(When::After(YEAR)),
            key: Some("k".repeat(256)),
            tags: (0..16).map(|tag| format!("{tag:064}")).collect(),
            max_attempts: Some(u32::MAX),
            max_hosts_lost: Some(1),
            retry_on: Some(vec!["network".into(); 32]),
            never_retry_on: Some(Vec::new()),
            retry_for: Some(YEAR),
            keep_result: Some(Duration::ZERO),
            idempotency_key: Some("i".repeat(256)),
            unique: Some(Unique { key: "u".repeat(256), window: Some(YEAR), on_conflict: OnConflict::Reject }),
            on_success: vec![handler.clone(); 4],
            on_failure: vec![handler.clone(); 4],
            ..request()
        };
        assert_eq!(check(&bounds), Ok(()));
        assert_eq!(check(&request()), Ok(()));
        let (unique, start) = debounce("k".into(), Duration::from_secs(5), None);
        assert_eq!(unique.on_conflict, OnConflict::Debounce { longest: Duration::from_secs(50) });
        assert_eq!(check(&TaskRequest { unique: Some(unique), start: Some(start), ..request() }), Ok(()));
    }

    #[test]
    fn options_beyond_their_bounds_are_refused_by_name() {
        let handler = request().handler;
        let unique = |key: &str, window| Some(Unique { key: key.into(), window, on_conflict: OnConflict::Existing });
        let burst = |longest| {
            let on_conflict = OnConflict::Debounce { longest: Duration::from_secs(longest) };
            Some(Unique { key: "k".into(), window: None, on_conflict })
        };
        let cases = [
            ("queue", TaskRequest { queue: Some("A b".into()), ..request() }),
            ("number of attempts", TaskRequest { max_attempts: Some(0), ..request() }),
            ("number of lost hosts", TaskRequest { max_hosts_lost: Some(0), ..request() }),
            ("delay", TaskRequest { start: Some(When::After(Duration::MAX)), ..request() }),
            ("time to expire", TaskRequest { expires: Some(When::After(Duration::MAX)), ..request() }),
            ("time to expire", TaskRequest { expires: after(0), ..request() }),
            ("time to expire", TaskRequest { start: after(5), expires: after(5), ..request() }),
            ("instant to expire", TaskRequest { start: at(5), expires: at(5), ..request() }),
            ("key", TaskRequest { key: Some(String::new()), ..request() }),
            ("key", TaskRequest { key: Some("k".repeat(257)), ..request() }),
            ("key", TaskRequest { key: Some("a\nb".into()), ..request() }),
            ("idempotency key", TaskRequest { idempotency_key: Some(String::new()), ..request() }),
            ("number of tags", TaskRequest { tags: vec!["t".into(); 17], ..request() }),
            ("tag", TaskRequest { tags: vec!["t".repeat(65)], ..request() }),
            ("tag", TaskRequest { tags: vec!["t".repeat(1 << 20)], ..request() }),
            ("tag", TaskRequest { tags: vec!["a,b".into()], ..request() }),
            ("tag", TaskRequest { tags: vec!["a\u{1b}".into()], ..request() }),
            ("tag", TaskRequest { tags: vec!["a".into(), "a".into()], ..request() }),
            ("kinds to retry", TaskRequest { retry_on: Some(vec!["Network".into()]), ..request() }),
            ("kinds to retry", TaskRequest { retry_on: Some(vec!["a".into(); 33]), ..request() }),
            ("kinds never to retry", TaskRequest { never_retry_on: Some(vec![String::new()]), ..request() }),
            ("time for retries", TaskRequest { retry_for: Some(Duration::ZERO), ..request() }),
            ("time for retries", TaskRequest { retry_for: Some(YEAR + MOMENT), ..request() }),
            ("time for which the result is kept", TaskRequest { keep_result: Some(YEAR + MOMENT), ..request() }),
            ("unique key", TaskRequest { unique: unique("", None), ..request() }),
            ("window of the unique key", TaskRequest { unique: unique("k", Some(Duration::ZERO)), ..request() }),
            ("longest delay of a burst", TaskRequest { unique: burst(1 << 40), start: after(5), ..request() }),
            ("delay of a burst", TaskRequest { unique: burst(4), start: after(5), ..request() }),
            ("start of a burst", TaskRequest { unique: burst(4), ..request() }),
            ("number of callbacks", TaskRequest { on_failure: vec![handler; 9], ..request() }),
        ];
        for (what, request) in cases {
            assert_eq!(wrong(&request), what, "{request:?}");
        }
    }

    #[test]
    fn cancel_has_bounds() {
        assert_eq!(cancel_wish(None, None), Ok(CancelWish::default()));
        assert!(cancel_wish(Some(MAX_GRACE), Some("r".repeat(256))).is_ok());
        assert!(cancel_wish(Some(MAX_GRACE + MOMENT), None).is_err());
        for reason in [String::new(), "r".repeat(257), "a\nb".into()] {
            assert!(cancel_wish(None, Some(reason)).is_err());
        }
    }
}
