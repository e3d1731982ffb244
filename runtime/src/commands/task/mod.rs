//! `sunaba task`: submits tasks to a host, shows what became of them, and changes that.

mod artifacts;
mod batch;
mod complete;
mod submit;
mod view;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use sunaba_runtime::server::api::{Cancel, Filter, NewInput, TaskView};
use sunaba_runtime::task::{JSON, StateName, TaskId, parse_duration};
use sunaba_runtime::{BulkVerb, Client, InputError};

pub(crate) use submit::{SubmitArgs, give_input};

use super::input::Input;
use super::show::{self, Shown};
use super::which::{Aim, Target, Which};
use super::{bulk, events, ms};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

pub(super) use view::show_task;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Submit a task; prints its id, or with `--wait` its result
    Submit(Box<submit::SubmitArgs>),
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
    /// List the files and links that a task has left, or save one of the files
    Artifacts(artifacts::Args),
    /// Tell why a task is where it is: what happened, what was decided, and what it waits for
    Explain {
        /// Its id
        id: TaskId,
    },
    /// List tasks, the newest first
    List {
        /// In these states, with commas between them
        #[arg(long, value_delimiter = ',')]
        state: Vec<StateName>,
        #[command(flatten)]
        which: Which,
        /// Without those in whose stead there is a newer task
        #[arg(long)]
        unhandled: bool,
        /// Only those that wait for somebody to complete them
        #[arg(long)]
        waits_for_completion: bool,
        /// Older than this task
        #[arg(long, value_name = "ID")]
        before: Option<TaskId>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Follow a task to its end, a line for each event; ends as `task result --wait` does
    Watch {
        /// Its id
        id: TaskId,
    },
    /// Cancel a task, or many that have not ended
    Cancel {
        #[command(flatten)]
        target: Target,
        /// In these states, with commas between them [default: all that have not ended]
        #[arg(long, value_delimiter = ',')]
        state: Vec<StateName>,
        /// How long a running attempt has to end by itself, up to 1h [default: the worker's]
        #[arg(long, value_parser = parse_duration)]
        grace: Option<Duration>,
        /// Why, in one line; kept with the task
        #[arg(long)]
        reason: Option<String>,
    },
    /// Give a task that waits for it its output: an approval, or an event from outside
    Complete(complete::CompleteArgs),
    /// Make a new task, with the component that is deployed now, of one that has ended, or of many that have without success
    Rerun {
        #[command(flatten)]
        target: Target,
        /// In these states, with commas between them [default: dead,cancelled,expired]
        #[arg(long, value_delimiter = ',')]
        state: Vec<StateName>,
        /// Another input, of one task: JSON, `@FILE`, or `-` for standard input
        #[arg(long, allow_hyphen_values = true)]
        input: Option<Input>,
    },
    /// Run what failed and waits for its next attempt now
    Retry {
        #[command(flatten)]
        target: Target,
    },
    /// Run what waits for its time now
    RunNow {
        #[command(flatten)]
        target: Target,
        /// In these states, with commas between them [default: scheduled,retry-scheduled]
        #[arg(long, value_delimiter = ',')]
        state: Vec<StateName>,
    },
    /// Delete a task that has ended, or many, with all that is kept of them
    Delete {
        #[command(flatten)]
        target: Target,
        /// In these states, with commas between them [default: all that have ended]
        #[arg(long, value_delimiter = ',')]
        state: Vec<StateName>,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::Submit(args) => submit::run(global, &client, *args).await,
        Command::Get { id } => {
            show_task(global, &client.get_task(id).await?)?;
            Ok(Exit::Ok)
        }
        Command::Result { id, wait } => {
            if wait {
                return result_of_waiting(global, &client, id).await;
            }
            let task = client.get_task(id).await?;
            if !task.state.is_terminal() {
                let message =
                    format!("task {id} is {}, and has no result yet\nhint: wait for it with `--wait`", task.state);
                return Err(CommandError::new(Exit::Unavailable, message));
            }
            result(global, &client, id).await
        }
        Command::Logs { id, attempt } => logs(global, &client, id, attempt).await,
        Command::Artifacts(args) => artifacts::run(global, &client, args).await,
        Command::Explain { id } => {
            let story = client.explain_task(id).await?;
            match global.output {
                Format::Text => {
                    let rows = story.rows();
                    let rows: Vec<_> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                    print::rows(&rows)?;
                }
                format => print::json(format, &story)?,
            }
            Ok(Exit::Ok)
        }
        Command::List { state, which, unhandled, waits_for_completion, before, limit } => {
            let (before, unhandled) = (before.map(|id| id.to_string()), unhandled.then_some(true));
            let awaiting_completion = waits_for_completion.then_some(true);
            let filter = Filter { unhandled, awaiting_completion, before, ..which.filter(&state) };
            view::list(global, &client, &filter, limit as usize).await
        }
        Command::Watch { id } => events::watch(global, &client, id).await,
        Command::Cancel { target, state, grace, reason } => {
            let cancel = Cancel { grace_ms: grace.map(ms), reason };
            match target.aim(&state)? {
                Aim::One(id) => {
                    show_task(global, &client.cancel_task(id, &cancel).await?)?;
                    Ok(Exit::Ok)
                }
                Aim::Many { filter, yes } => {
                    bulk::run(global, &client, BulkVerb::Cancel, filter, yes, Some(cancel)).await
                }
            }
        }
        Command::Complete(args) => complete::run(global, &client, args).await,
        Command::Rerun { target, state, input } => match target.aim(&state)? {
            Aim::One(id) => rerun(global, &client, id, input).await,
            Aim::Many { .. } if input.is_some() => Err(one_input()),
            Aim::Many { filter, yes } => bulk::run(global, &client, BulkVerb::Rerun, filter, yes, None).await,
        },
        Command::Retry { target } => run_now(global, &client, target, &[], Some(StateName::RetryScheduled)).await,
        Command::RunNow { target, state } => run_now(global, &client, target, &state, None).await,
        Command::Delete { target, state } => match target.aim(&state)? {
            Aim::One(id) => delete(global, &client, id).await,
            Aim::Many { filter, yes } => bulk::run(global, &client, BulkVerb::Delete, filter, yes, None).await,
        },
    }
}

/// Makes due one task, or many; of those only what is in this state, if one is given.
async fn run_now(
    global: &Global,
    client: &Client,
    target: Target,
    states: &[StateName],
    only: Option<StateName>,
) -> Result<Exit, CommandError> {
    match target.aim(states)? {
        Aim::One(id) => {
            show_task(global, &client.run_task_now(id).await?)?;
            Ok(Exit::Ok)
        }
        Aim::Many { mut filter, yes } => {
            filter.state = only.map(|state| state.to_string()).or(filter.state);
            bulk::run(global, client, BulkVerb::RunNow, filter, yes, None).await
        }
    }
}

/// Makes a task over again; prints the new one's id.
pub(super) async fn rerun(
    global: &Global,
    client: &Client,
    id: TaskId,
    input: Option<Input>,
) -> Result<Exit, CommandError> {
    let input = match input {
        None => NewInput::default(),
        Some(input) => new_input(&client.get_task(id).await?, input)?,
    };
    let made = client.rerun_task(id, &input).await?;
    match global.output {
        Format::Text => print::data(format!("{}\n", made.id).as_bytes())?,
        format => print::json(format, &made)?,
    }
    Ok(Exit::Ok)
}

/// Another input of the kind that the task had.
fn new_input(task: &TaskView, input: Input) -> Result<NewInput, CommandError> {
    let bytes = input.read()?;
    if task.input.media_type != JSON {
        let (input_base64, media_type) = (Some(STANDARD.encode(&bytes)), Some(task.input.media_type.clone()));
        return Ok(NewInput { input: None, input_base64, media_type });
    }
    let json: Box<RawValue> = serde_json::from_slice(&bytes).map_err(|error| InputError::Json(error.to_string()))?;
    Ok(NewInput { input: Some(json), ..NewInput::default() })
}

/// An input is one task's.
pub(super) fn one_input() -> CommandError {
    CommandError::new(Exit::Usage, "there are an input and many tasks\nhint: name one task by its id")
}

pub(super) async fn delete(global: &Global, client: &Client, id: TaskId) -> Result<Exit, CommandError> {
    let deleted = client.delete_task(id).await?;
    match global.output {
        Format::Text if global.quiet => {}
        Format::Text => print::note(format_args!("deleted {}", deleted.deleted)),
        format => print::json(format, &deleted)?,
    }
    Ok(Exit::Ok)
}

pub(super) async fn result_of_waiting(global: &Global, client: &Client, id: TaskId) -> Result<Exit, CommandError> {
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
    let result = client.get_task_result(id).await?;
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
    let mut logs = client.get_task_logs(id).await?;
    if let Some(number) = attempt {
        let known = logs.attempts.len();
        logs.attempts.retain(|attempt| attempt.number == number);
        if logs.attempts.is_empty() {
            let message = format!("task {id} has no attempt {number} that has ended or runs here\nhint: {known} have");
            return Err(CommandError::new(Exit::NotFound, message));
        }
    }
    if global.output != Format::Text {
        print::json(global.output, &logs)?;
        return Ok(Exit::Ok);
    }
    if let Some(attempt) = logs.attempts.iter().find(|attempt| attempt.running) {
        print::aside(global, format_args!("attempt {} is still running", attempt.number));
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
