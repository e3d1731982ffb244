//! Traces: of which trace a task is a part, the spans of its way through a host, and who is told of them. Plain data and pure
//! functions; where spans go is [`SpanSink`]'s.
//!
//! Nothing is kept between two steps of a task: the ids of its spans are made of its own id, so that an attempt after a restart
//! finds the spans above its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Digest, Ending, Receipt, Task, TaskId, Timestamp};

/// The name of the attribute that says of which trace a task is a part, and of the header.
pub const TRACEPARENT: &str = "traceparent";
/// Host calls of one attempt that have spans of their own; of the others it is told how many there were.
pub const MAX_CALL_SPANS: usize = 128;
/// What is told of an error.
const MAX_ERROR_BYTES: usize = 300;
/// That somebody wants to have the trace.
const SAMPLED: u8 = 1;

/// A place in a trace, as a `traceparent` has it. Source: W3C Trace Context, section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
    /// What is to be done with it.
    pub flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent` of the version that there is.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let context = Self { trace: bytes(trace)?, span: bytes(span)?, flags: bytes::<1>(flags)?[0] };
        let is_one = version == "00" && parts.next().is_none();
        (is_one && context.trace != [0; 16] && context.span != [0; 8]).then_some(context)
    }

    /// Whether somebody wants to have it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", self.flags)
    }
}

/// Lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Where the spans of a task are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskTrace {
    task: TaskId,
    trace: [u8; 16],
    /// The span of whoever has submitted it.
    parent: Option<[u8; 8]>,
    flags: u8,
}

impl TaskTrace {
    /// That of its submitter; else one of its own, which is called as the task is.
    pub fn of(task: &Task) -> Self {
        let given = task.spec.attributes.iter().find(|(name, _)| name == TRACEPARENT);
        match given.and_then(|(_, text)| TraceContext::parse(text)) {
            Some(TraceContext { trace, span, flags }) => Self { task: task.id, trace, parent: Some(span), flags },
            None => Self { task: task.id, trace: *task.id.as_bytes(), parent: None, flags: SAMPLED },
        }
    }

    /// Whether somebody wants to have it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    fn span(&self, what: &str) -> [u8; 8] {
        let digest = Digest::of(&[self.task.as_bytes().as_slice(), what.as_bytes()].concat());
        *digest.as_bytes().first_chunk().expect("a digest has 32 bytes")
    }

    fn submit(&self) -> [u8; 8] {
        self.span("submit")
    }

    fn attempt(&self, attempt: u32) -> [u8; 8] {
        self.span(&format!("attempt {attempt}"))
    }

    fn at(&self, span: [u8; 8]) -> TraceContext {
        TraceContext { trace: self.trace, span, flags: self.flags }
    }

    /// The place of an attempt, for what it asks others.
    pub fn of_attempt(&self, attempt: u32) -> TraceContext {
        self.at(self.attempt(attempt))
    }
}

/// What kind of step a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// It hands a task to whoever runs it.
    Producer,
    /// It does what was handed over.
    Consumer,
    /// A part of another.
    Internal,
}

/// What is said of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// A step of a task, over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where it is.
    pub context: TraceContext,
    /// The span above it.
    pub parent: Option<[u8; 8]>,
    /// Whether that one is somebody else's.
    pub has_remote_parent: bool,
    /// What it is called.
    pub name: String,
    /// What kind of step it is.
    pub kind: SpanKind,
    /// When it began, since the epoch, by the store's clock.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
    /// What is said of it.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Why it failed, if it has.
    pub error: Option<String>,
}

/// Whoever sends spans somewhere. Called on threads that may not wait: what cannot be kept is dropped, and counted.
pub trait SpanSink: Send + Sync + 'static {
    /// These are over.
    fn take(&self, spans: Vec<Span>);
}

/// Who is told of spans, if anybody is.
#[derive(Clone, Default)]
pub struct Spans(Option<Arc<dyn SpanSink>>);

impl Spans {
    /// Told to this one.
    pub fn to(sink: Arc<dyn SpanSink>) -> Self {
        Self(Some(sink))
    }

    /// Whoever is told; none when nobody is, and nothing is to be made.
    pub fn sink(&self) -> Option<&dyn SpanSink> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Spans(on)" } else { "Spans(off)" })
    }
}

fn text(name: &'static str, value: impl ToString) -> (&'static str, SpanValue) {
    (name, SpanValue::Text(value.to_string()))
}

fn number(name: &'static str, value: impl TryInto<i64>) -> (&'static str, SpanValue) {
    (name, SpanValue::Number(value.try_into().unwrap_or(i64::MAX)))
}

fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_millis(at.unix_ms())
}

fn about(task: &Task) -> Vec<(&'static str, SpanValue)> {
    vec![
        text("sunaba.task.id", task.id),
        text("sunaba.handler", &task.spec.handler),
        text("sunaba.queue", &task.spec.queue),
    ]
}

/// The span of a submit that took so long, until the store had the task; none if nobody wants its trace.
pub fn submit_span(task: &Task, took: Duration) -> Option<Span> {
    let trace = TaskTrace::of(task);
    trace.is_sampled().then(|| Span {
        context: trace.at(trace.submit()),
        parent: trace.parent,
        has_remote_parent: trace.parent.is_some(),
        name: format!("submit {}", task.spec.handler),
        kind: SpanKind::Producer,
        start: since_epoch(task.submitted_at).saturating_sub(took),
        took,
        attributes: about(task),
        error: None,
    })
}

/// A host call of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSpan {
    /// Its name.
    pub name: &'static str,
    /// How long after the attempt it began.
    pub after: Duration,
    /// How long it took.
    pub took: Duration,
}

/// An attempt that is over, as its worker has seen it.
#[derive(Debug, Clone)]
pub struct AttemptSeen<'a> {
    /// The record with which it ran.
    pub task: &'a Task,
    /// When it began, by the store's clock.
    pub started_at: Timestamp,
    /// How long it had been leased before.
    pub waited: Duration,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub ending: &'a Ending,
    /// What it has used, where that is known.
    pub receipt: Option<&'a Receipt>,
    /// Its first host calls.
    pub calls: Vec<CallSpan>,
}

/// The spans of an attempt: its lease, below the task's submit, itself, and its host calls; none if nobody wants its trace.
pub fn attempt_spans(seen: AttemptSeen<'_>) -> Vec<Span> {
    let AttemptSeen { task, started_at, waited, took, ending, receipt, calls } = seen;
    let (trace, attempt) = (TaskTrace::of(task), task.attempts_started);
    if !trace.is_sampled() {
        return Vec::new();
    }
    let (lease, own) = (trace.span(&format!("lease {attempt}")), trace.attempt(attempt));
    let start = since_epoch(started_at);
    let span = |context, parent, name, kind, start, took| Span {
        context,
        parent: Some(parent),
        has_remote_parent: false,
        name,
        kind,
        start,
        took,
        attributes: Vec::new(),
        error: None,
    };
    let leased = Span {
        attributes: about(task),
        ..span(
            trace.at(lease),
            trace.submit(),
            format!("lease {}", task.spec.handler),
            SpanKind::Consumer,
            start.saturating_sub(waited),
            waited,
        )
    };
    let mut attributes = about(task);
    attributes.extend([number("sunaba.attempt", attempt), text("sunaba.outcome", outcome(ending))]);
    if let Some(receipt) = receipt {
        attributes.extend(receipt.fuel.map(|fuel| number("sunaba.fuel", fuel)));
        attributes.push(number("sunaba.peak_memory_bytes", receipt.peak_memory_bytes));
        attributes.push(number("sunaba.host_calls", receipt.host_calls));
    }
    let name = format!("attempt {}", task.spec.handler);
    let attempted =
        Span { attributes, error: error(ending), ..span(trace.at(own), lease, name, SpanKind::Internal, start, took) };
    let call = |(number, call): (usize, CallSpan)| {
        let id = trace.span(&format!("call {attempt} {number}"));
        span(trace.at(id), own, call.name.to_owned(), SpanKind::Internal, start + call.after, call.took)
    };
    [leased, attempted].into_iter().chain(calls.into_iter().take(MAX_CALL_SPANS).enumerate().map(call)).collect()
}

fn outcome(ending: &Ending) -> &'static str {
    match ending {
        Ending::Completed => "completed",
        Ending::Decomposed { .. } => "decomposed",
        Ending::Snoozed { .. } => "snoozed",
        Ending::Failed { .. } => "failed",
        Ending::HostFailed { .. } => "host-failed",
        Ending::HostLost => "host-lost",
        Ending::HandedBack => "handed-back",
        Ending::Stopped { .. } => "stopped",
    }
}

fn error(ending: &Ending) -> Option<String> {
    let mut error = match ending {
        Ending::Completed | Ending::Decomposed { .. } | Ending::Snoozed { .. } | Ending::HandedBack => return None,
        Ending::Failed { kind, message } => format!("{kind}: {message}"),
        Ending::Stopped { cause, message } => format!("{cause}: {message}"),
        Ending::HostFailed { message } => message.clone(),
        Ending::HostLost => "the host was lost".into(),
    };
    error.truncate(error.floor_char_boundary(MAX_ERROR_BYTES));
    Some(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewTask, Payload, TaskSpec};

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_is_a_traceparent_is_a_place_in_a_trace() {
        assert_eq!(TraceContext::parse(GOOD).map(|context| context.to_string()).as_deref(), Some(GOOD));
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    fn task(traceparent: Option<&str>) -> Task {
        let mut spec = TaskSpec::new("words/count".parse().expect("a name"), Digest::of(b"component"));
        spec.attributes = traceparent.map(|text| (TRACEPARENT.to_owned(), text.to_owned())).into_iter().collect();
        let new = NewTask::new(spec, Payload::json("1"));
        let at = Timestamp::from_unix_ms(1_767_225_600_000);
        Task { attempts_started: 1, ..Task::submitted(TaskId::from_bytes([7; 16]), 1, &new, at) }
    }

    fn seen<'a>(task: &'a Task, ending: &'a Ending, calls: usize) -> AttemptSeen<'a> {
        let call = CallSpan { name: "wasi:clocks/wall-clock.now", after: Duration::ZERO, took: Duration::ZERO };
        let (waited, took) = (Duration::from_millis(5), Duration::from_millis(20));
        let (started_at, receipt, calls) = (Timestamp::from_unix_ms(1_767_225_601_000), None, vec![call; calls]);
        AttemptSeen { task, started_at, waited, took, ending, receipt, calls }
    }

    #[test]
    fn spans_of_a_task_are_one_below_the_other() {
        for (given, parent) in [(Some(GOOD), TraceContext::parse(GOOD).map(|context| context.span)), (None, None)] {
            let task = task(given);
            let submit = submit_span(&task, Duration::from_millis(3)).expect("it is wanted");
            let spans = attempt_spans(seen(&task, &Ending::Completed, 2));
            assert_eq!((submit.parent, submit.has_remote_parent), (parent, parent.is_some()));
            let parents: Vec<_> = spans.iter().map(|span| span.parent).collect();
            let own = Some(spans[1].context.span);
            assert_eq!(parents, [Some(submit.context.span), Some(spans[0].context.span), own, own]);
            assert!(spans.iter().all(|span| span.context.trace == submit.context.trace && span.error.is_none()));
            assert_eq!(TaskTrace::of(&task).of_attempt(1), spans[1].context);
            let mut ids: Vec<_> = spans.iter().chain([&submit]).map(|span| span.context.span).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 5, "each has an id of its own");
        }
    }

    #[test]
    fn failed_attempt_says_why_and_what_nobody_wants_is_not_made() {
        let failed = Ending::Failed { kind: "network".into(), message: "ä".repeat(1_000) };
        let spans = attempt_spans(seen(&task(None), &failed, 0));
        let error = spans[1].error.as_deref().expect("it failed");
        assert!(error.starts_with("network: ä") && error.len() <= MAX_ERROR_BYTES);
        let unwanted = task(Some(&GOOD.replace("-01", "-00")));
        assert_eq!(
            (attempt_spans(seen(&unwanted, &failed, 1)), submit_span(&unwanted, Duration::ZERO)),
            (vec![], None)
        );
    }

    #[test]
    fn spans_of_calls_obeyed() {
        let task = task(None);
        assert_eq!(attempt_spans(seen(&task, &Ending::Completed, MAX_CALL_SPANS)).len(), 2 + MAX_CALL_SPANS);
    }

    #[test]
    fn spans_of_calls_violated() {
        let task = task(None);
        assert_eq!(attempt_spans(seen(&task, &Ending::Completed, MAX_CALL_SPANS + 1)).len(), 2 + MAX_CALL_SPANS);
    }
}
