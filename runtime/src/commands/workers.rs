//! `sunaba workers`: the worker groups of a host, and how many slots each has.

use sunaba_runtime::server::api::WorkerView;
use sunaba_runtime::task::{format_bytes, format_count};
use sunaba_runtime::worker::Slots;

use super::frame;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List worker groups: their slots, what runs, and whether one was started anew
    List,
    /// Change how many attempts at a time a worker group runs, until the host ends
    Set {
        /// Its name
        id: String,
        /// A number, or a range, such as `1..8`, within which it has as many as its backlog needs
        #[arg(long)]
        slots: Slots,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::List => frame::list(global, &client.list_workers().await?, "there is no worker group", HEADER, row),
        Command::Set { id, slots } => {
            let worker = client.set_worker(&id, &slots.to_string()).await?;
            match global.output {
                Format::Text => print::table(&frame::table(&[worker], HEADER, row))?,
                format => print::json(format, &worker)?,
            }
            Ok(Exit::Ok)
        }
    }
}

/// What is shown of a worker group.
pub(super) const HEADER: [&str; 7] = ["WORKER", "QUEUES", "SLOTS", "WANTED", "BUSY", "MEMORY", "RESTARTS"];

pub(super) fn row(worker: &WorkerView) -> [String; 7] {
    let restarts = match &worker.restart_reason {
        Some(reason) => format!("{}: {reason}", worker.restarts),
        None => "-".into(),
    };
    [
        worker.id.clone(),
        worker.queues.as_ref().map_or_else(|| "all".into(), |queues| queues.join(", ")),
        format_count(worker.slots as u64),
        worker.wanted.clone(),
        format_count(worker.busy as u64),
        worker.memory_bytes.map_or_else(|| "-".into(), format_bytes),
        restarts,
    ]
}
