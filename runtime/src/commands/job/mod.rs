//! `sunaba job`: submits jobs to a host, shows what became of them, and cancels them.

mod explain;
mod file;
mod graph;
mod many;
mod outcome;
mod retry;
mod submit;
mod toml_text;
mod view;

use sunaba_runtime::Client;
use sunaba_runtime::server::api::{Cancel, JobFilter, PlanFilter};
use sunaba_runtime::task::TaskId;
use sunaba_runtime::task::job::{JobId, JobState};

use crate::exit::{CommandError, Exit};
use crate::{Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell why a job is where it is: what failed, what was not run or undone, where the time went, what it waits for
    Explain(explain::ExplainArgs),
    /// Print the tasks of a job as a tree, for Graphviz, or as an SVG document, with the longest chain marked
    Graph(graph::GraphArgs),
    /// Submit a job; prints its id, or with `--wait` its result
    Submit(submit::SubmitArgs),
    /// Show a job: where it stands, what it has spent, and which of its tasks need a look
    Get {
        /// Its id
        id: JobId,
        /// Wait until it has ended; ends with 7 when it did not succeed
        #[arg(long)]
        wait: bool,
    },
    /// List jobs, the newest first
    List {
        /// In these states, with commas between them
        #[arg(long, value_delimiter = ',')]
        state: Vec<JobState>,
        /// With this tag
        #[arg(long)]
        tag: Option<String>,
        /// Older than this job
        #[arg(long, value_name = "ID")]
        before: Option<JobId>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Cancel a job, or many: what has not begun never will, and what runs is asked to end
    Cancel(many::CancelArgs),
    /// Make a new job of one that has ended: what has succeeded stands, the rest is run anew; prints the new one's id
    Retry(retry::RetryArgs),
    /// Print what came of a job, or of tasks of it
    Result {
        /// Its id
        id: JobId,
        /// Wait until it has ended
        #[arg(long)]
        wait: bool,
        /// Of this task, or with `GROUP/*` of a group, in place of the job's own: an object a line
        #[arg(long, value_name = "NAME")]
        of: Option<String>,
    },
    /// List the tasks of a job, by their names
    Tasks {
        /// Its id
        id: JobId,
        /// Only this one, or with `GROUP/*` those of a group
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Those under this task, in place of the job's own
        #[arg(long, value_name = "ID")]
        parent: Option<TaskId>,
        /// After this name
        #[arg(long, value_name = "NAME")]
        after: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::Explain(args) => explain::run(global, args).await,
        Command::Graph(args) => graph::run(global, args).await,
        Command::Retry(args) => retry::run(global, &client, args).await,
        Command::Submit(args) => submit::run(global, &client, args).await,
        Command::Get { id, wait } => get(global, &client, id, wait).await,
        Command::List { state, tag, before, limit } => {
            let states: Vec<_> = state.iter().map(ToString::to_string).collect();
            let state = (!states.is_empty()).then(|| states.join(","));
            let before = before.map(|id| id.to_string());
            view::list(global, &client, &JobFilter { state, tag, before, limit: None }, limit as usize).await
        }
        Command::Cancel(args) => match args.one()? {
            Some(id) => cancel(global, &client, id, args.reason, args.wait).await,
            None => many::cancel(global, &client, args).await,
        },
        Command::Result { id, wait, of } => {
            if wait && let Some(exit) = until_end(&client, id).await? {
                return Ok(exit);
            }
            match of {
                Some(only) => outcome::of_tasks(global, &client, id, only).await,
                None => outcome::result(global, &client, id).await,
            }
        }
        Command::Tasks { id, only, parent, after, limit } => {
            let parent = parent.map(|id| id.to_string());
            let filter = PlanFilter { parent, only, cursor: after, limit: None };
            view::tasks(global, &client, id, &filter, limit as usize).await
        }
    }
}

async fn get(global: &Global, client: &Client, id: JobId, wait: bool) -> Result<Exit, CommandError> {
    if wait && let Some(exit) = until_end(client, id).await? {
        return Ok(exit);
    }
    let job = client.get_job(id).await?;
    view::show(global, &job)?;
    Ok(if wait { outcome::exit(&job) } else { Exit::Ok })
}

async fn cancel(
    global: &Global,
    client: &Client,
    id: JobId,
    reason: Option<String>,
    wait: bool,
) -> Result<Exit, CommandError> {
    let cancelled = client.cancel_job(id, &Cancel { reason, grace_ms: None }).await?;
    view::cancelled(global, &cancelled)?;
    if wait && let Some(exit) = until_end(client, id).await? {
        return Ok(exit);
    }
    if wait {
        let state = client.get_job(id).await?.state;
        print::aside(global, format_args!("all of it has ended; the job is {state}"));
    }
    Ok(Exit::Ok)
}

/// Waits for the end of a job; how to end when somebody interrupts that.
async fn until_end(client: &Client, id: JobId) -> Result<Option<Exit>, CommandError> {
    // Who loses: the wait; the job goes on.
    tokio::select! {
        ended = client.wait_job(id) => ended?,
        _ = tokio::signal::ctrl_c() => {
            print::note(format_args!("job {id} goes on; `sunaba job cancel {id}` stops it"));
            return Ok(Some(Exit::Interrupted));
        }
    };
    Ok(None)
}
