//! `sunaba task`: submits tasks to a host, and shows what became of them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comfy_table::Table;
use serde_json::value::RawValue;
use sunaba_runtime::server::api::{AttemptView, Submit, TaskView, TasksView};
use sunaba_runtime::task::{
    DirGrant, EnvGrant, Fuel, HandlerName, StateName, TaskId, format_bytes, format_duration, parse_bytes,
    parse_duration,
};
use sunaba_runtime::{Client, InputError, MAX_INPUT_BYTES};

use super::input::Input;
use super::show::{self, Shown};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Submit a task; prints its id, or with `--wait` its result
    Submit(Box<SubmitArgs>),
    /// Show a task
    Get {
        /// Its id
        id: TaskId,
    },
    /// Print what came of a task
    Result {
        /// Its id
        id: TaskId,
        /// Wait until it has ended
        #[arg(long)]
        wait: bool,
    },
    /// Print what the attempts of a task said
    Logs {
        /// Its id
        id: TaskId,
        /// Of this attempt only
        #[arg(long, value_name = "NUMBER")]
        attempt: Option<u32>,
    },
    /// List tasks, the newest first
    List {
        /// In these states, with commas between them
        #[arg(long, value_delimiter = ',')]
        state: Vec<StateName>,
        /// In this queue
        #[arg(long)]
        queue: Option<String>,
        /// Of this PACKAGE/HANDLER, or of this PACKAGE
        #[arg(long)]
        handler: Option<String>,
        /// Older than this task
        #[arg(long, value_name = "ID")]
        before: Option<TaskId>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Cancel a task
    Cancel {
        /// Its id
        id: TaskId,
    },
}

#[derive(Debug, clap::Args)]
struct SubmitArgs {
    /// As PACKAGE/HANDLER
    handler: HandlerName,
    /// The input: JSON, `@FILE`, or `-` for standard input [default: nothing, which is `null` in JSON]
    #[arg(long, allow_hyphen_values = true)]
    input: Option<Input>,
    /// The lane in which it waits [default: the handler's, else `default`]
    #[arg(long)]
    queue: Option<String>,
    /// Higher first [default: the handler's, else 0]
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// How long it waits before its first attempt, such as `10s`
    #[arg(long, value_parser = parse_duration)]
    delay: Option<Duration>,
    /// Failures until it is dead [default: the handler's, else 4]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,
    /// How long an attempt may take [default: the handler's, else 300s]
    #[arg(long, value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Instructions that an attempt may use, `exact`, or `off` [default: the handler's, else exact]
    #[arg(long)]
    fuel: Option<Fuel>,
    /// Memory that an attempt may use [default: the handler's, else 128MiB]
    #[arg(long, value_parser = parse_bytes)]
    memory: Option<u64>,
    /// A second submit with this key gives the same task
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// An environment variable for the handler
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<EnvGrant>,
    /// A directory for the handler, read-only unless `:rw`; the host must allow it
    #[arg(long, value_name = "HOST::GUEST[:rw]")]
    dir: Vec<DirGrant>,
    /// Wait until it has ended, and end as `sunaba run` does
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::Submit(args) => submit(global, &client, *args).await,
        Command::Get { id } => {
            let task = client.task(id).await?;
            show_task(global, &task)?;
            Ok(Exit::Ok)
        }
        Command::Result { id, wait } => {
            if wait {
                return result_of_waiting(global, &client, id).await;
            }
            let task = client.task(id).await?;
            if !task.state.is_terminal() {
                let message =
                    format!("task {id} is {}, and has no result yet\nhint: wait for it with `--wait`", task.state);
                return Err(CommandError::new(Exit::Unavailable, message));
            }
            result(global, &client, id).await
        }
        Command::Logs { id, attempt } => logs(global, &client, id, attempt).await,
        Command::List { state, queue, handler, before, limit } => {
            let states: Vec<_> = state.iter().map(StateName::to_string).collect();
            let mut filters = Vec::new();
            if !states.is_empty() {
                filters.push(("state", states.join(",")));
            }
            filters.extend(queue.map(|queue| ("queue", queue)));
            filters.extend(handler.map(|handler| ("handler", handler)));
            filters.extend(before.map(|before| ("before", before.to_string())));
            list(global, &client, &filters, limit as usize).await
        }
        Command::Cancel { id } => {
            let task = client.cancel(id).await?;
            show_task(global, &task)?;
            Ok(Exit::Ok)
        }
    }
}

async fn submit(global: &Global, client: &Client, args: SubmitArgs) -> Result<Exit, CommandError> {
    let handler = client.handler(&args.handler).await?;
    let bytes = args.input.map(Input::read).transpose()?;
    let mut submit = Submit {
        handler: args.handler.to_string(),
        queue: args.queue,
        priority: args.priority,
        delay_ms: args.delay.map(ms),
        max_attempts: args.max_attempts,
        timeout_ms: args.timeout.map(ms),
        fuel: args.fuel.map(|fuel| fuel.to_string()),
        memory_bytes: args.memory,
        idempotency_key: args.idempotency_key,
        env: args.env.into_iter().map(|env| (env.key, env.value)).collect(),
        dirs: args.dir.iter().map(absolute).collect::<Result<_, _>>()?,
        ..Submit::default()
    };
    if let Some(bytes) = bytes {
        let size_bytes = bytes.len() as u64;
        if size_bytes > MAX_INPUT_BYTES {
            return Err(InputError::TooLarge { size_bytes, limit_bytes: MAX_INPUT_BYTES }.into());
        }
        if handler.input_schema.is_some() {
            let json: Box<RawValue> =
                serde_json::from_slice(&bytes).map_err(|error| InputError::Json(error.to_string()))?;
            submit.input = Some(json);
        } else {
            submit.input_base64 = Some(STANDARD.encode(&bytes));
        }
    }
    let task = client.submit(&submit).await?;
    let id: TaskId = task.id.parse().map_err(|error| CommandError::new(Exit::Error, error))?;
    if args.wait {
        if global.output == Format::Text && !global.quiet {
            print::note(format_args!("task {id}"));
        }
        // The task is there, whatever becomes of us: its id must not be lost.
        return result_of_waiting(global, client, id).await.map_err(|error| error.about(format_args!("task {id}")));
    }
    match global.output {
        Format::Text => print::data(format!("{id}\n").as_bytes())?,
        format => print::json(format, &task)?,
    }
    Ok(Exit::Ok)
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The grant with the full path of its directory: the host is not in the folder that we are in.
fn absolute(grant: &DirGrant) -> Result<String, CommandError> {
    let host = std::path::absolute(&grant.host).map_err(|error| CommandError::file(&grant.host, &error))?;
    if host.to_str().is_none() {
        let message = format!("the path `{}` is not UTF-8\nhint: rename the directory", host.display());
        return Err(CommandError::new(Exit::Invalid, message));
    }
    Ok(DirGrant { host, ..grant.clone() }.to_string())
}

async fn result_of_waiting(global: &Global, client: &Client, id: TaskId) -> Result<Exit, CommandError> {
    // Who loses: the wait; the task goes on.
    tokio::select! {
        ended = client.wait(id) => ended?,
        _ = tokio::signal::ctrl_c() => {
            print::note(format_args!("task {id} goes on; `sunaba task cancel {id}` stops it"));
            return Ok(Exit::Interrupted);
        }
    };
    result(global, client, id).await
}

async fn result(global: &Global, client: &Client, id: TaskId) -> Result<Exit, CommandError> {
    let result = client.result(id).await?;
    let json = (global.output != Format::Text).then(|| result.clone());
    if json.is_none() && !global.quiet {
        result.logs.iter().for_each(show::log);
    }
    let shown = Shown::try_from(result)?;
    match &json {
        Some(result) => print::json(global.output, result)?,
        None => shown.print(global)?,
    }
    Ok(shown.exit())
}

async fn logs(global: &Global, client: &Client, id: TaskId, attempt: Option<u32>) -> Result<Exit, CommandError> {
    let mut logs = client.logs(id).await?;
    if let Some(number) = attempt {
        let known = logs.attempts.len();
        logs.attempts.retain(|attempt| attempt.number == number);
        if logs.attempts.is_empty() {
            let message = format!("task {id} has no attempt {number} that has ended\nhint: {known} have");
            return Err(CommandError::new(Exit::NotFound, message));
        }
    }
    if global.output != Format::Text {
        print::json(global.output, &logs)?;
        return Ok(Exit::Ok);
    }
    let many = logs.attempts.len() > 1;
    for attempt in &logs.attempts {
        if many {
            print::note(format_args!("attempt {}", attempt.number));
        }
        for entry in &attempt.logs {
            print::data(format!("{}\n", print::inert(&show::log_line(entry))).as_bytes())?;
        }
    }
    if logs.attempts.is_empty() && !global.quiet {
        print::note(format_args!("no attempt of task {id} has ended yet; it is {}", logs.state));
    }
    Ok(Exit::Ok)
}

async fn list(
    global: &Global,
    client: &Client,
    filters: &[(&str, String)],
    limit: usize,
) -> Result<Exit, CommandError> {
    let TasksView { tasks, next } = client.tasks(filters, limit).await?;
    if global.output != Format::Text {
        for task in &tasks {
            print::json(Format::Jsonl, task)?;
        }
        return Ok(Exit::Ok);
    }
    if tasks.is_empty() {
        print::note("no such tasks");
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
        print::note(format_args!("there are more: `--before {before}`, or a higher `--limit`"));
    }
    Ok(Exit::Ok)
}

fn show_task(global: &Global, task: &TaskView) -> Result<(), CommandError> {
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
                "{} started, {} of at most {} failures, {} hosts lost",
                task.attempts_started, task.failures_charged, task.max_attempts, task.hosts_lost
            ),
        ),
        ("submitted", task.submitted_at.clone()),
    ];
    let others = [("due", &task.due_at), ("ended", &task.ended_at), ("cancel asked", &task.cancel_requested_at)];
    rows.extend(others.into_iter().filter_map(|(name, at)| Some((name, at.clone()?))));
    rows.push(("input", format!("{} of {}", format_bytes(task.input.size_bytes), task.input.media_type)));
    if let Some(output) = &task.output {
        rows.push(("output", format!("{} of {}", format_bytes(output.size_bytes), output.media_type)));
    }
    rows.push(("component", task.component.clone()));
    rows.extend(task.attempts.iter().map(|attempt| ("attempt", attempt_line(attempt))));
    let lines = rows.iter().map(|(name, value)| format!("{name:<12} {}\n", print::inert(value)));
    print::data(lines.collect::<String>().as_bytes())
}

fn attempt_line(attempt: &AttemptView) -> String {
    let what = attempt.cause.as_ref().or(attempt.kind.as_ref()).map(|word| format!(" {word}")).unwrap_or_default();
    let message = attempt.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    let delay =
        attempt.delay_ms.map(|ms| format!(" in {}", format_duration(Duration::from_millis(ms)))).unwrap_or_default();
    format!("{} {}{what}{message}; {}{delay} ({})", attempt.number, attempt.ending, attempt.verdict, attempt.reason)
}
