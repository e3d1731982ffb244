//! `sunaba queue`: what waits where, and what an operator sets for it.

use std::time::Duration;

use sunaba_runtime::Client;
use sunaba_runtime::server::api::{QueuePatch, QueueView};
use sunaba_runtime::task::{LimitCaps, Rate, format_count, format_duration};

use super::frame;
use super::limit::{Limit, Seen, duration_or_none};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List queues: what waits and runs, their limits, and what needs attention
    List,
    /// Show a queue
    Show {
        /// Its name
        name: String,
    },
    /// Start nothing more of a queue; what runs goes on
    Pause {
        /// Its name
        name: String,
        #[command(flatten)]
        seen: Seen,
    },
    /// Let a queue go on
    Resume {
        /// Its name
        name: String,
        #[command(flatten)]
        seen: Seen,
    },
    /// Set limits of a queue; what is not named stays as it is
    Set(Box<SetArgs>),
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Its name
    name: String,
    /// Attempts at a time, or `none`
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<Limit<u32>>,
    /// Attempts at a time of all tasks with the same key, or `none`
    #[arg(long, value_name = "COUNT")]
    key_concurrency: Option<Limit<u32>>,
    /// Starts in a time, such as `100/1s`, or `none`
    #[arg(long, value_name = "COUNT/TIME")]
    rate: Option<Limit<Rate>>,
    /// Starts in a time of all tasks with the same key, or `none`
    #[arg(long, value_name = "COUNT/TIME")]
    key_rate: Option<Limit<Rate>>,
    /// Its share of all starts beside other queues with a weight, 1 to 1000, or `none`
    #[arg(long)]
    weight: Option<Limit<u32>>,
    /// Tasks that may wait in it, or `none`; a submit beyond is refused
    #[arg(long, value_name = "COUNT")]
    max_depth: Option<Limit<u64>>,
    /// A waiting task moves up by one priority for each such time, 1s to a day, or `none`
    #[arg(long, value_name = "DURATION", value_parser = duration_or_none)]
    aging: Option<Limit<u64>>,
    /// What an attempt may use at most, such as `timeout=30s,memory=64MiB`, or `none`; takes the place of all that was said before
    #[arg(long, value_name = "NAME=VALUE,...")]
    limit: Option<Limit<LimitCaps>>,
    #[command(flatten)]
    seen: Seen,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::List => {
            let queues = client.list_queues().await?;
            return frame::list(global, &queues, "no queue has tasks or settings", HEADER, row);
        }
        Command::Show { name } => {
            show(global, &client.get_queue(&name).await?)?;
        }
        Command::Pause { name, seen } => {
            set(global, &client, &name, QueuePatch { paused: Some(true), ..QueuePatch::default() }, seen).await?;
        }
        Command::Resume { name, seen } => {
            set(global, &client, &name, QueuePatch { paused: Some(false), ..QueuePatch::default() }, seen).await?;
        }
        Command::Set(args) => {
            let patch = QueuePatch {
                paused: None,
                weight: args.weight.map(|limit| limit.0),
                concurrency: args.concurrency.map(|limit| limit.0),
                key_concurrency: args.key_concurrency.map(|limit| limit.0),
                rate: args.rate.map(|limit| limit.0),
                key_rate: args.key_rate.map(|limit| limit.0),
                max_depth: args.max_depth.map(|limit| limit.0),
                aging_ms: args.aging.map(|limit| limit.0),
                limits: args.limit.map(|limit| limit.0),
            };
            if patch == QueuePatch::default() {
                let message = "nothing says what to set\nhint: name a limit, such as `--concurrency 4`";
                return Err(CommandError::new(Exit::Usage, message));
            }
            set(global, &client, &args.name, patch, args.seen).await?;
        }
    }
    Ok(Exit::Ok)
}

async fn set(global: &Global, client: &Client, name: &str, patch: QueuePatch, seen: Seen) -> Result<(), CommandError> {
    show(global, &client.set_queue(name, &patch, seen.expected()).await?)
}

/// What is shown of a queue among others.
pub(super) const HEADER: [&str; 7] = ["QUEUE", "QUEUED", "SCHEDULED", "RUNNING", "OLDEST", "SETTINGS", "ATTENTION"];

pub(super) fn row(queue: &QueueView) -> [String; 7] {
    let [queued, scheduled, running] = [queue.queued, queue.scheduled, queue.running].map(format_count);
    let (settings, attention) = (dash(&settings(queue).join(", ")), dash(&queue.attention.join("; ")));
    [queue.name.clone(), queued, scheduled, running, oldest(queue), settings, attention]
}

fn show(global: &Global, queue: &QueueView) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(global.output, queue);
    }
    let [queued, scheduled, running] = [queue.queued, queue.scheduled, queue.running].map(format_count);
    let settings = settings(queue);
    let rows = [
        ("queue", queue.name.clone()),
        ("settings", if settings.is_empty() { "all by default".into() } else { settings.join(", ") }),
        ("tasks", format!("{queued} queued, {scheduled} scheduled, {running} running")),
        ("oldest", oldest(queue)),
        ("attention", dash(&queue.attention.join("; "))),
    ];
    print::rows(&rows)
}

fn settings(queue: &QueueView) -> Vec<String> {
    let number = |what: &str, value: Option<u64>| value.map(|value| format!("{what} {value}"));
    let rate = |what: &str, value: Option<Rate>| value.map(|value| format!("{what} {value}"));
    let aging = queue.aging_ms.map(|ms| format!("aging {}", format_duration(Duration::from_millis(ms))));
    let settings = [
        queue.paused.then(|| "paused".to_owned()),
        number("concurrency", queue.concurrency.map(u64::from)),
        number("key concurrency", queue.key_concurrency.map(u64::from)),
        rate("rate", queue.rate),
        rate("key rate", queue.key_rate),
        number("weight", queue.weight.map(u64::from)),
        number("max depth", queue.max_depth),
        aging,
        queue.limits.as_ref().map(|limits| format!("limits {limits}")),
    ];
    settings.into_iter().flatten().collect()
}

fn oldest(queue: &QueueView) -> String {
    queue.oldest_ms.map_or_else(|| "-".into(), |ms| format_duration(Duration::from_millis(ms)))
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-".into() } else { text.to_owned() }
}
