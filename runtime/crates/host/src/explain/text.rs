//! A story as text: a name and a value in each row, as `task get` has them.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use sunaba_task::{format_bytes, format_count, format_duration};

use super::{AttemptStory, DeciderReport, DecisionReport, OutcomeReport, Story};
use crate::ReceiptReport;

/// Longer texts of handlers are cut here; JSON has the whole.
const MAX_TEXT_CHARS: usize = 300;
/// Digits of a component's digest that tell it from others.
const SHORT_DIGEST: usize = 12;

impl Story {
    /// The story as rows of a name and a value. A value holds what handlers have said as they said it: show it inert.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Rows::default();
        rows.add("task", self.id.clone());
        rows.add("handler", self.handler.clone());
        rows.add("state", format!("{} since {}", self.state, self.since));
        self.submission_rows(&mut rows);
        if self.attempts_forgotten > 0 {
            rows.add("forgotten", format!("attempts 1 to {}: a record keeps the newest", self.attempts_forgotten));
        }
        self.attempts.iter().for_each(|attempt| attempt.rows(&mut rows));
        if let Some(running) = &self.running {
            let time = format_duration(Duration::from_millis(running.running_ms));
            let (number, worker) = (running.number, &running.worker);
            rows.add(&format!("attempt {number}"), format!("{} on {worker}, running for {time}", running.started_at));
        }
        self.holds.iter().for_each(|hold| rows.add("waits", hold.message.clone()));
        match self.ahead {
            None | Some(0) => {}
            Some(1) => rows.add("waits", "1 task comes before it".into()),
            Some(ahead) => rows.add("waits", format!("{} tasks come before it", format_count(ahead))),
        }
        if let Some(cancel) = &self.cancel {
            rows.add("cancel", format!("asked for at {}: {}", cancel.at, short(&cancel.reason)));
        }
        if let Some(completion) = &self.completion {
            rows.add("completion", short(&completion.message));
        }
        self.links.iter().for_each(|link| rows.add(&link.link.replace('-', " "), link.task.clone()));
        rows.add(if self.state.is_terminal() { "end" } else { "next" }, short(&self.conclusion));
        rows.0
    }

    fn submission_rows(&self, rows: &mut Rows) {
        let asked = &self.submitted;
        let keys =
            [("key", &asked.key), ("unique key", &asked.unique_key), ("idempotency key", &asked.idempotency_key)];
        let keys = keys.into_iter().filter_map(|(name, key)| Some(format!(", {name} `{}`", key.as_ref()?)));
        let keys = keys.collect::<String>();
        rows.add(
            "submitted",
            format!("{} to the queue `{}`, priority {}{keys}", asked.at, asked.queue, asked.priority),
        );
        if let Some(at) = &asked.expires_at {
            rows.add("expires", format!("{at}, unless it has begun"));
        }
        let retried = match (&asked.retry_on, &asked.never_retry_on) {
            (None, never) if never.is_empty() => String::new(),
            (None, never) => format!(", but not {}", never.join(", ")),
            (Some(kinds), never) => {
                let never = if never.is_empty() { String::new() } else { format!(" but not {}", never.join(", ")) };
                let kinds = if kinds.is_empty() { "what the handler asks for".into() } else { kinds.join(", ") };
                format!(", only {kinds}{never}")
            }
        };
        let box_of = |ms| format!(", for {}", format_duration(Duration::from_millis(ms)));
        let boxed = asked.retry_for_ms.map(box_of).unwrap_or_default();
        let (failures, hosts) = (asked.max_attempts, asked.max_hosts_lost);
        rows.add(
            "retries",
            format!("{}{retried}{boxed}; dead at failure {failures} or lost host {hosts}", asked.backoff),
        );
        let limits = &asked.limits;
        let (timeout, memory) = (Duration::from_millis(limits.timeout_ms), limits.memory_bytes);
        rows.add(
            "limits",
            format!("timeout {}, memory {}, fuel {}", format_duration(timeout), format_bytes(memory), limits.fuel),
        );
        let grants = asked.grants.words();
        if !grants.is_empty() {
            rows.add("grants", grants.join(", "));
        }
        let digest = asked.input.sha256.as_ref().map(|digest| format!(", {digest}")).unwrap_or_default();
        let (size, media_type) = (format_bytes(asked.input.size_bytes), &asked.input.media_type);
        rows.add("input", format!("{size} of {media_type}{digest}"));
        rows.add("component", asked.component.clone());
    }
}

impl AttemptStory {
    fn rows(&self, rows: &mut Rows) {
        let took = format_duration(Duration::from_millis(self.took_ms));
        let digest = self.component.rsplit(':').next().unwrap_or_default();
        let component: String = digest.chars().take(SHORT_DIGEST).collect();
        let place = format!("{} on {}, {took}, component {component}", self.started_at, self.worker);
        rows.add(&format!("attempt {}", self.number), place);
        rows.add("  outcome", outcome(&self.outcome));
        if let Some(receipt) = &self.receipt {
            rows.add("  used", used(receipt));
        }
        let DecisionReport { observed, policy, verdict, delay_ms, charged, reason, decider, changed } = &self.decision;
        let kind = observed.kind.as_ref().map(|kind| format!("kind {kind}, ")).unwrap_or_default();
        let cancelled = if observed.cancelled { ", a wish to cancel it" } else { "" };
        let before = counters(observed.failures_charged, observed.hosts_lost);
        rows.add("  observed", format!("{kind}{before} before{cancelled}"));
        let parameters = policy.parameters.iter().map(|(name, value)| parameter(name, value)).collect::<Vec<_>>();
        let colon = if parameters.is_empty() { "" } else { ": " };
        rows.add("  policy", format!("{}{colon}{}", policy.name, parameters.join(", ")));
        if let Some(decider) = decider {
            rows.add("  decider", asked(decider));
        }
        let delay =
            delay_ms.map(|ms| format!(" in {}", format_duration(Duration::from_millis(ms)))).unwrap_or_default();
        let charged = if *charged { ", charged" } else { "" };
        rows.add("  verdict", format!("{verdict}{delay}{charged}: {}", short(reason)));
        let due = changed.next_attempt_at.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
        let after = counters(changed.failures_charged, changed.hosts_lost);
        rows.add("  changed", format!("{}{due}, {after}", changed.state));
    }
}

impl fmt::Display for Story {
    /// The rows, for whoever shows them to no terminal: what handlers have said is not escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rows(self.rows()).fmt(f)
    }
}

/// A story as text: a name and a value in each row.
#[derive(Default)]
pub(crate) struct Rows(pub(crate) Vec<(String, String)>);

impl Rows {
    pub(crate) fn add(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name:<12} {value}"))
    }
}

fn asked(decider: &DeciderReport) -> String {
    let DeciderReport { package, component, verdict, reason, fuel, .. } = decider;
    let digest: String = component.rsplit(':').next().unwrap_or_default().chars().take(SHORT_DIGEST).collect();
    let fuel = fuel.map(|fuel| format!(", fuel {}", format_count(fuel))).unwrap_or_default();
    let said = verdict.as_deref().unwrap_or("did not decide");
    format!("{package}@{digest}{fuel}: {said}: {}", short(reason))
}

fn outcome(outcome: &OutcomeReport) -> String {
    let what = outcome.cause.as_ref().or(outcome.kind.as_ref().filter(|_| outcome.ending == "failed"));
    let what = what.map(|word| format!(" {word}")).unwrap_or_default();
    let message = outcome.message.as_ref().map(|message| format!(": {}", short(message))).unwrap_or_default();
    format!("{}{what}{message}", outcome.ending)
}

fn used(receipt: &ReceiptReport) -> String {
    let fuel = receipt.fuel.map(|fuel| {
        let least = if receipt.fuel_exact { "" } else { "at least " };
        format!("fuel {least}{}, ", format_count(fuel))
    });
    let wall = format_duration(Duration::from_secs_f64(receipt.wall_ms.max(0.0) / 1e3));
    let calls = if receipt.host_calls == 0 {
        String::new()
    } else {
        let time = format_duration(Duration::from_secs_f64(receipt.host_call_ms.max(0.0) / 1e3));
        let calls = if receipt.host_calls == 1 { "call" } else { "calls" };
        format!(", {} host {calls} in {time}", format_count(receipt.host_calls))
    };
    let memory = format_bytes(receipt.peak_memory_bytes);
    format!("{}wall time {wall}, peak memory {memory}{calls}", fuel.unwrap_or_default())
}

fn counters(failures: u32, hosts: u32) -> String {
    let plural = |count| if count == 1 { "" } else { "s" };
    format!("{failures} failure{} charged, {hosts} host{} lost", plural(failures), plural(hosts))
}

/// A rule's parameter: `retry_for_ms` 5000 is `retry-for 5s`.
fn parameter(name: &str, value: &Value) -> String {
    let (name, value) = match (name.strip_suffix("_ms"), value) {
        (Some(name), Value::Number(ms)) => {
            (name, format_duration(Duration::from_millis(ms.as_u64().unwrap_or_default())))
        }
        (_, Value::Array(words)) if words.is_empty() => (name, "nothing".into()),
        (_, Value::Array(words)) => (name, words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
        (_, Value::String(text)) => (name, text.clone()),
        (_, other) => (name, other.to_string()),
    };
    format!("{} {value}", name.replace('_', "-"))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}
