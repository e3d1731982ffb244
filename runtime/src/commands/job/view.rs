//! How jobs are shown, on one screen of 80 columns.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comfy_table::Table;
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{JobCancelView, JobFilter, JobTaskView, JobView, JobsView, PlanFilter, PlanView};
use sunaba_runtime::task::job::{JobId, JobState};
use sunaba_runtime::task::{Timestamp, format_bytes, format_count, format_duration};

use super::super::ms;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Tasks of each kind that are shown.
const SHOWN: usize = 5;
/// Characters of a reason.
const SHOWN_CHARS: usize = 300;
/// Characters of a job's name in a table.
const NAME_CHARS: usize = 24;

/// Jobs as a table, the newest first, or as a JSON object a line.
pub(super) async fn list(
    global: &Global,
    client: &Client,
    filter: &JobFilter,
    limit: usize,
) -> Result<Exit, CommandError> {
    let JobsView { jobs, next } = client.list_jobs(filter, limit).await?;
    if global.output != Format::Text {
        jobs.iter().try_for_each(|job| print::json(Format::Jsonl, job))?;
        return Ok(Exit::Ok);
    }
    if jobs.is_empty() {
        print::aside(global, "no such jobs");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["ID", "STATE", "ENDED", "AGE", "NAME"]);
    for job in &jobs {
        let tasks = &job.tasks;
        let ended = format!("{}/{}", tasks.total.saturating_sub(tasks.unfinished), tasks.total);
        let name = cut(&job.name, NAME_CHARS);
        table.add_row([job.id.as_str(), &job.state.to_string(), &ended, &age(&job.submitted_at), &name]);
    }
    print::table(&table)?;
    if let Some(before) = next {
        print::aside(global, format_args!("there are more: `--before {before}`, or a higher `--limit`"));
    }
    Ok(Exit::Ok)
}

/// How long ago, in one unit. By this machine's clock, which is the host's too.
#[expect(clippy::disallowed_methods, reason = "a command is an edge: the person who types it means now")]
fn age(at: &str) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return "?".into() };
    let now = Timestamp::from_unix_ms(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms));
    let seconds = now.since(at).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A text of at most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The tasks of a plan as a table, or as a JSON object a line.
pub(super) async fn tasks(
    global: &Global,
    client: &Client,
    id: JobId,
    filter: &PlanFilter,
    limit: usize,
) -> Result<Exit, CommandError> {
    let PlanView { tasks, next } = client.list_job_tasks(id, filter, limit).await?;
    if global.output != Format::Text {
        tasks.iter().try_for_each(|task| print::json(Format::Jsonl, task))?;
        return Ok(Exit::Ok);
    }
    if tasks.is_empty() {
        print::aside(global, "no such tasks");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["NAME", "STATE", "ATTEMPTS", "ID"]);
    for task in &tasks {
        let attempts = task.attempts_started.to_string();
        table.add_row([task.name.as_str(), &task.state.to_string(), &attempts, &task.id]);
    }
    print::table(&table)?;
    if let Some(after) = next {
        print::aside(global, format_args!("there are more: `--after '{after}'`, or a higher `--limit`"));
    }
    Ok(Exit::Ok)
}

/// A job as lines, or as JSON. Of what is rarely set, only what is set.
pub(super) fn show(global: &Global, job: &JobView) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(global.output, job);
    }
    let mut rows = vec![("job", job.id.clone())];
    let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let others = [
        ("name", set(&job.name)),
        ("state", Some(state(job))),
        ("tasks", Some(counts(job))),
        ("spent", Some(spent(job))),
        ("budgets", set(&budgets(job))),
        ("on failure", Some(rules(job))),
        ("not undone", job.not_undone.clone()),
        ("to undo", Some(job.tasks.compensations).filter(|left| *left > 0).map(format_count)),
        ("result", job.result.clone()),
        ("tags", set(&job.tags.join(", "))),
        ("retry of", job.origin.as_ref().map(|id| format!("job {id}"))),
        ("retried as", job.successor.as_ref().map(|id| format!("job {id}"))),
        ("submitted", Some(job.submitted_at.clone())),
        ("deadline", job.deadline.clone().filter(|_| job.ended_at.is_none())),
        ("ended", job.ended_at.clone()),
    ];
    rows.extend(others.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for task in job.failing.iter().take(SHOWN) {
        rows.extend(failing(task));
    }
    if !job.running.is_empty() {
        rows.push((
            "running",
            running(&job.running, job.tasks.by_state.get(&sunaba_runtime::task::StateName::Running).copied()),
        ));
    }
    if let Some(wait) = &job.waits {
        rows.push((
            "waits",
            format!("`{}` is {}: {}", wait.name, wait.state, cut(&wait.messages.join("; "), SHOWN_CHARS)),
        ));
    }
    print::rows(&rows)
}

/// Where it stands, and why.
fn state(job: &JobView) -> String {
    let partial = if job.partial && job.state == JobState::Succeeded { ", in part" } else { "" };
    match &job.cause {
        Some(cause) if cause.kind == "cancelled" && job.state == JobState::Cancelled => cause.message.clone(),
        Some(cause) => format!("{}: {}", job.state, cause.message),
        None => format!("{}{partial}", job.state),
    }
}

fn counts(job: &JobView) -> String {
    let mut parts: Vec<_> =
        job.tasks.by_state.iter().map(|(state, count)| format!("{} {state}", format_count(*count))).collect();
    if job.tasks.planned > 0 {
        parts.push(format!("{} to be made", format_count(job.tasks.planned)));
    }
    match parts.is_empty() {
        true => "none".into(),
        false => format!("{}: {}", format_count(job.tasks.total), parts.join(", ")),
    }
}

fn spent(job: &JobView) -> String {
    let (attempts, fuel) = (job.spent.attempts, job.spent.fuel);
    let time = job.spent.time_ms.map(|ms| format!(", {}", format_duration(Duration::from_millis(ms))));
    let word = if attempts == 1 { "attempt" } else { "attempts" };
    let artifacts = Some(job.spent.artifact_bytes).filter(|bytes| *bytes > 0);
    let artifacts = artifacts.map(|bytes| format!(", {} of artifacts", format_bytes(bytes))).unwrap_or_default();
    let (attempts, fuel, time) = (format_count(attempts), format_count(fuel), time.unwrap_or_default());
    format!("{attempts} {word}, {fuel} fuel{artifacts}{time}")
}

/// The budgets that somebody has set, and how much of each is spent.
fn budgets(job: &JobView) -> String {
    /// What a job may have when nobody says it.
    const DEFAULT_TASKS: u64 = 1_000_000;
    const DEFAULT_DEPTH: u32 = 16;
    let (budget, spent) = (&job.budget, &job.spent);
    let of = |name: &str, limit: Option<u64>, spent: u64| {
        limit.map(|limit| format!("{name} {} of {}", format_count(spent), format_count(limit)))
    };
    let tasks = budget.tasks.filter(|tasks| *tasks != DEFAULT_TASKS);
    let depth = budget.depth.filter(|depth| *depth != DEFAULT_DEPTH).map(|depth| format!("depth {depth}"));
    let time = budget.time_ms.map(|ms| format!("time {}", format_duration(Duration::from_millis(ms))));
    let artifacts = budget
        .artifact_bytes
        .map(|limit| format!("artifact-bytes {} of {}", format_bytes(spent.artifact_bytes), format_bytes(limit)));
    let all = [
        of("attempts", budget.attempts, spent.attempts),
        time,
        of("fuel", budget.fuel, spent.fuel),
        artifacts,
        of("tasks", tasks, spent.tasks),
        depth,
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn rules(job: &JobView) -> String {
    let stops = if job.stop_on_failure { ", the first stops the others" } else { "" };
    format!("{}{stops}", job.on_failure)
}

/// A task that failed: its name and where it stands, why, and its id to look further.
fn failing(task: &JobTaskView) -> [(&'static str, String); 3] {
    let attempts = match task.attempts_started {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    };
    // What is to be tried again may yet do well.
    let word = if task.state.is_terminal() { "failed" } else { "failing" };
    [
        (word, format!("{} is {}, {attempts}", task.name, task.state)),
        ("", cut(task.reason.as_deref().unwrap_or("no reason is known"), SHOWN_CHARS)),
        ("", format!("task {}", task.id)),
    ]
}

fn running(tasks: &[JobTaskView], all: Option<u64>) -> String {
    let names: Vec<_> = tasks.iter().take(SHOWN).map(|task| task.name.as_str()).collect();
    let more = all.unwrap_or_default().saturating_sub(names.len() as u64);
    match more {
        0 => names.join(", "),
        more => format!("{} and {} more", names.join(", "), format_count(more)),
    }
}

/// Why a job that has ended has no output, on standard error.
pub(super) fn say_why(job: &JobView) {
    let message = job.cause.as_ref().map_or("", |cause| cause.message.as_str());
    let word = job.state.to_string();
    let why = message.strip_prefix(&word).map_or(message, |rest| rest.trim_start_matches(": "));
    let colon = if why.is_empty() { "" } else { ":" };
    print::headline(false, &format!("{word}{colon}"), why);
    for task in job.failing.iter().take(SHOWN) {
        for (name, value) in failing(task) {
            let (value, hint) = value.split_once("\nhint: ").unwrap_or((&value, ""));
            print::note(format_args!("  {name:<12} {value}"));
            if !hint.is_empty() {
                print::note(format_args!("  {:<12} hint: {hint}", ""));
            }
        }
    }
}

/// What a cancel of a job came to.
pub(super) fn cancelled(global: &Global, view: &JobCancelView) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(global.output, view);
    }
    let tasks = |count: u64| if count == 1 { "1 task".to_owned() } else { format!("{} tasks", format_count(count)) };
    let mut rows = vec![("job", view.job.id.clone()), ("state", state(&view.job))];
    if view.job.state.is_terminal() && view.stopped + view.still_running == 0 {
        rows.push(("stopped", "nothing: all of it has ended".into()));
        return print::rows(&rows);
    }
    rows.push(("stopped", format!("{} that had not begun", tasks(view.stopped))));
    let still = match view.still_running {
        0 => "nothing".into(),
        1 => format!("{}, which is asked to end", running(&view.running, Some(1))),
        count => format!("{}, which are asked to end: {}", tasks(count), running(&view.running, Some(count))),
    };
    rows.push(("still runs", still));
    print::rows(&rows)
}
