//! How tasks are shown.

use std::time::Duration;

use comfy_table::Table;
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{
    AttemptView, AwaitsView, CompletionView, Filter, JobPlaceView, OfSchedule, RunningView, TaskView, TasksView,
};
use sunaba_runtime::task::{format_bytes, format_count, format_duration};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Tasks as a table, the newest first, or as a JSON object a line.
pub(super) async fn list(
    global: &Global,
    client: &Client,
    filter: &Filter,
    limit: usize,
) -> Result<Exit, CommandError> {
    let TasksView { tasks, next } = client.list_tasks(filter, limit).await?;
    if global.output != Format::Text {
        for task in &tasks {
            print::json(Format::Jsonl, task)?;
        }
        return Ok(Exit::Ok);
    }
    if tasks.is_empty() {
        print::aside(global, "no such tasks");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "ID",
        "STATE",
        "HANDLER",
        "QUEUE",
        "ATTEMPTS",
        "SUBMITTED",
    ]);
    for task in &tasks {
        let attempts = task.attempts_started.to_string();
        let state = task.state.to_string();
        table.add_row([&task.id, &state, &task.handler, &task.queue, &attempts, &task.submitted_at]);
    }
    print::table(&table)?;
    if let Some(before) = next {
        print::aside(global, format_args!("there are more: `--before {before}`, or a higher `--limit`"));
    }
    Ok(Exit::Ok)
}

/// A task as lines, or as JSON. Of what is rarely set, only what is set.
pub(crate) fn show_task(global: &Global, task: &TaskView) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(global.output, task);
    }
    let mut rows = vec![
        ("task", task.id.clone()),
        ("state", task.state.to_string()),
        ("handler", task.handler.clone()),
        ("queue", format!("{}, priority {}", task.queue, task.priority)),
        (
            "attempts",
            format!(
                "{} started, {} of at most {} failures, {} host{} lost",
                task.attempts_started,
                task.failures_charged,
                task.max_attempts,
                task.hosts_lost,
                if task.hosts_lost == 1 { "" } else { "s" }
            ),
        ),
        ("submitted", task.submitted_at.clone()),
    ];
    let others = [
        ("job", task.job.as_ref().map(job_line)),
        (
            "fuel budget",
            task.fuel_budget.map(|budget| format!("{} of {}", format_count(task.fuel_used), format_count(budget))),
        ),
        ("due", task.due_at.clone()),
        ("expires", task.expires_at.clone()),
        ("ended", task.ended_at.clone()),
        ("cancel", task.cancel.as_ref().map(|cancel| format!("asked for at {}: {}", cancel.at, cancel.reason))),
        ("waits", task.awaits.as_ref().map(waits_line)),
        ("completion", task.completion.as_ref().map(completion_line)),
        ("queue limits", task.queue_limits.clone()),
        ("key", task.key.clone()),
        ("unique", task.unique.clone()),
        ("tags", (!task.tags.is_empty()).then(|| task.tags.join(", "))),
        ("origin", task.origin.as_ref().map(|origin| format!("{} {}", origin_words(&origin.how), origin.task))),
        ("schedule", task.schedule.as_ref().map(schedule_line)),
        ("successor", task.successor.clone()),
        ("followed by", (!task.followers.is_empty()).then(|| task.followers.join(", "))),
    ];
    rows.extend(others.into_iter().filter_map(|(name, value)| Some((name, value?))));
    rows.push(("input", format!("{} of {}", format_bytes(task.input.size_bytes), task.input.media_type)));
    if let Some(output) = &task.output {
        rows.push(("output", format!("{} of {}", format_bytes(output.size_bytes), output.media_type)));
    }
    let limits = &task.limits;
    let (timeout, memory) =
        (format_duration(Duration::from_millis(limits.timeout_ms)), format_bytes(limits.memory_bytes));
    rows.push(("limits", format!("timeout {timeout}, memory {memory}, fuel {}", limits.fuel)));
    let grants = task.grants.words();
    rows.push(("grants", if grants.is_empty() { "none".into() } else { grants.join(", ") }));
    rows.push(("component", task.component.clone()));
    let version = if task.follows { "follows what is active at each attempt" } else { "pinned to this component" };
    rows.push(("version", version.to_owned()));
    rows.extend(task.attempts.iter().map(|attempt| ("attempt", attempt_line(attempt))));
    if let Some(live) = &task.live {
        rows.push(("now", now_line(live)));
    }
    print::rows(&rows)
}

/// Where a task stands in its job.
fn job_line(place: &JobPlaceView) -> String {
    let JobPlaceView { id, name, parent, undoes } = place;
    match parent {
        None => format!("{id}, as `{name}`"),
        Some(parent) if *undoes => format!("{id}, to undo task {parent}"),
        Some(parent) => format!("{id}, as `{name}` under task {parent}"),
    }
}

/// What a task that waits to be completed waits for.
fn waits_line(awaits: &AwaitsView) -> String {
    let what = if awaits.reason.is_empty() { String::new() } else { format!(": {}", awaits.reason) };
    format!("for somebody to complete it, until {}{what}", awaits.until)
}

/// What somebody has given as its output.
fn completion_line(given: &CompletionView) -> String {
    let who = given.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let right = if given.with_token { ", with its token" } else { "" };
    let taken = if given.taken { "" } else { "; the task has not succeeded with it" };
    format!("given at {}{who}{right}{taken}", given.at)
}

/// What a running attempt does: whether it is stuck, or only slow.
fn now_line(live: &RunningView) -> String {
    let span = |ms| format_duration(Duration::from_millis(ms));
    let what = match (&live.host_call, live.fuel) {
        (Some(call), _) => format!("in {call} for {}", span(live.host_call_ms.unwrap_or(0))),
        (None, Some(fuel)) => {
            let speed = live.fuel_per_second.map(|fuel| format!(", {}/s", format_count(fuel))).unwrap_or_default();
            format!("computing: {} fuel{speed}", format_count(fuel))
        }
        (None, None) => "computing".into(),
    };
    let calls = if live.host_calls == 1 { "call" } else { "calls" };
    format!(
        "{what} (attempt {}, running for {}, {} of memory, {} host {calls})",
        live.attempt,
        span(live.running_ms),
        format_bytes(live.memory_bytes),
        format_count(live.host_calls)
    )
}

fn attempt_line(attempt: &AttemptView) -> String {
    let what = attempt.cause.as_ref().or(attempt.kind.as_ref()).map(|word| format!(" {word}")).unwrap_or_default();
    // A refusal has a hint, which comes after all that is said of the attempt.
    let (message, hint) = match attempt.message.as_deref().map(|message| message.split_once("\nhint: ").ok_or(message))
    {
        Some(Ok((message, hint))) => (format!(": {message}"), format!("\nhint: {hint}")),
        Some(Err(message)) => (format!(": {message}"), String::new()),
        None => (String::new(), String::new()),
    };
    let delay =
        attempt.delay_ms.map(|ms| format!(" in {}", format_duration(Duration::from_millis(ms)))).unwrap_or_default();
    let AttemptView { number, ending, verdict, reason, .. } = attempt;
    format!("{number} {ending}{what}{message}; {verdict}{delay} ({reason}){hint}")
}

/// Which schedule made a task.
fn schedule_line(OfSchedule { name, tick }: &OfSchedule) -> String {
    match tick {
        Some(tick) => format!("{name}, tick {tick}"),
        None => format!("{name}, triggered by hand"),
    }
}

/// What a task has to do with the one that it was made from.
fn origin_words(how: &str) -> &str {
    match how {
        "rerun" => "a rerun of",
        "callback" => "follows the end of",
        "replaces" => "in place of",
        "reuses" => "stands for",
        other => other,
    }
}
