//! `sunaba dead`: dead letters, which are tasks that ended badly and in whose stead there is no newer one.

use comfy_table::Table;
use sunaba_runtime::server::api::{Filter, TaskView, TasksView};
use sunaba_runtime::task::{StateName, TaskId, format_count};
use sunaba_runtime::{BulkVerb, Client};

use super::bulk;
use super::input::Input;
use super::show::Shown;
use super::task::{self, show_task};
use super::which::{Aim, Target, Which};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Characters of a message in a table.
const SHOWN_CHARS: usize = 60;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List dead letters, the newest first
    List {
        #[command(flatten)]
        which: Which,
        /// Older than this task
        #[arg(long, value_name = "ID")]
        before: Option<TaskId>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Count dead letters by handler and by what they died of
    Groups {
        #[command(flatten)]
        which: Which,
    },
    /// Show a dead letter and its last failure
    Show {
        /// Its id
        id: TaskId,
    },
    /// Run a dead letter again, with the component that is deployed now, perhaps with another input; or many
    Redrive {
        #[command(flatten)]
        target: Target,
        /// Another input, of one task: JSON, `@FILE`, or `-` for standard input
        #[arg(long, allow_hyphen_values = true)]
        input: Option<Input>,
    },
    /// Delete a dead letter, or many
    Purge {
        #[command(flatten)]
        target: Target,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::List { which, before, limit } => {
            let filter = Filter { before: before.map(|id| id.to_string()), ..dead(which.filter(&[])) };
            list(global, &client, &filter, limit as usize).await
        }
        Command::Groups { which } => groups(global, &client, &which.filter(&[])).await,
        Command::Show { id } => {
            let task = letter(&client, id).await?;
            show_task(global, &task)?;
            if global.output == Format::Text && !global.quiet {
                Shown::try_from(client.get_task_result(id).await?)?.print(global)?;
            }
            Ok(Exit::Ok)
        }
        Command::Redrive { target, input } => match target.aim(&[])? {
            Aim::One(id) => {
                let task = letter(&client, id).await?;
                if let Some(successor) = task.successor {
                    let message = format!(
                        "task {id} was run again already, as {successor}\nhint: `sunaba task rerun {id}` makes another"
                    );
                    return Err(CommandError::new(Exit::Conflict, message));
                }
                task::rerun(global, &client, id, input).await
            }
            Aim::Many { .. } if input.is_some() => Err(task::one_input()),
            Aim::Many { filter, yes } => bulk::run(global, &client, BulkVerb::Rerun, dead(filter), yes, None).await,
        },
        Command::Purge { target } => match target.aim(&[])? {
            Aim::One(id) => {
                letter(&client, id).await?;
                task::delete(global, &client, id).await
            }
            Aim::Many { filter, yes } => bulk::run(global, &client, BulkVerb::Delete, dead(filter), yes, None).await,
        },
    }
}

/// Of what passes the filter, the dead letters.
fn dead(filter: Filter) -> Filter {
    Filter { state: Some(StateName::Dead.to_string()), unhandled: Some(true), ..filter }
}

/// A task that is dead.
async fn letter(client: &Client, id: TaskId) -> Result<TaskView, CommandError> {
    let task = client.get_task(id).await?;
    if task.state != StateName::Dead {
        let message =
            format!("task {id} is {}, and no dead letter\nhint: `sunaba task` is for tasks in every state", task.state);
        return Err(CommandError::new(Exit::Conflict, message));
    }
    Ok(task)
}

async fn list(global: &Global, client: &Client, filter: &Filter, limit: usize) -> Result<Exit, CommandError> {
    let TasksView { tasks, next } = client.list_tasks(filter, limit).await?;
    if global.output != Format::Text {
        tasks.iter().try_for_each(|task| print::json(Format::Jsonl, task))?;
        return Ok(Exit::Ok);
    }
    if tasks.is_empty() {
        print::aside(global, "no dead letters");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["ID", "HANDLER", "KIND", "DIED", "MESSAGE"]);
    for task in &tasks {
        let last = task.attempts.last();
        let kind = last.and_then(|last| last.kind.clone()).or_else(|| last.map(|last| last.ending.clone()));
        let message = last.map(|last| last.message.as_ref().unwrap_or(&last.reason).clone()).unwrap_or_default();
        table.add_row([
            task.id.clone(),
            task.handler.clone(),
            kind.unwrap_or_else(|| "-".into()),
            task.ended_at.clone().unwrap_or_default(),
            short(&message),
        ]);
    }
    print::table(&table)?;
    if let Some(before) = next {
        print::aside(global, format_args!("there are more: `--before {before}`, or a higher `--limit`"));
    }
    Ok(Exit::Ok)
}

async fn groups(global: &Global, client: &Client, filter: &Filter) -> Result<Exit, CommandError> {
    let groups = client.list_dead_groups(filter).await?;
    if global.output != Format::Text {
        print::json(global.output, &groups)?;
        return Ok(Exit::Ok);
    }
    if groups.groups.is_empty() {
        print::aside(global, "no dead letters");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["COUNT", "HANDLER", "KIND", "NEWEST", "MESSAGE"]);
    for group in &groups.groups {
        let count = format_count(group.count);
        table.add_row([count, group.handler.clone(), group.kind.clone(), group.newest.clone(), short(&group.message)]);
    }
    print::table(&table)?;
    if groups.more {
        let counted = format_count(groups.counted);
        print::aside(global, format_args!("the newest {counted} were counted; there are older ones"));
    }
    Ok(Exit::Ok)
}

/// The beginning of what a guest said, inert and in one line.
fn short(message: &str) -> String {
    let inert = print::inert(message);
    match inert.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &inert[..end]),
        None => inert.into_owned(),
    }
}
