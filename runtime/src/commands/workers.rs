//! `sunaba workers`: the worker groups of a host, and how many slots each has.

use comfy_table::Table;
use sunaba_runtime::server::api::WorkerView;
use sunaba_runtime::task::{format_bytes, format_count};
use sunaba_runtime::worker::Slots;

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
        Command::List => {
            let workers = client.list_workers().await?;
            match global.output {
                Format::Text => list(&workers)?,
                _ => workers.iter().try_for_each(|worker| print::json(Format::Jsonl, worker))?,
            }
        }
        Command::Set { id, slots } => {
            let worker = client.set_worker(&id, &slots.to_string()).await?;
            match global.output {
                Format::Text => list(std::slice::from_ref(&worker))?,
                format => print::json(format, &worker)?,
            }
        }
    }
    Ok(Exit::Ok)
}

fn list(workers: &[WorkerView]) -> Result<(), CommandError> {
    let mut table = Table::new();
    let header = ["WORKER", "QUEUES", "SLOTS", "WANTED", "BUSY", "MEMORY", "RESTARTS"];
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for worker in workers {
        let restarts = match &worker.restart_reason {
            Some(reason) => format!("{}: {reason}", worker.restarts),
            None => "-".into(),
        };
        table.add_row([
            worker.id.clone(),
            worker.queues.as_ref().map_or_else(|| "all".into(), |queues| queues.join(", ")),
            format_count(worker.slots as u64),
            worker.wanted.clone(),
            format_count(worker.busy as u64),
            worker.memory_bytes.map_or_else(|| "-".into(), format_bytes),
            restarts,
        ]);
    }
    print::table(&table)
}
