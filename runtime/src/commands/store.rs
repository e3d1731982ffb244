//! `sunaba store`: what can be done with a data directory while no host holds it.

use std::fmt::Display;
use std::path::PathBuf;

use serde::Serialize;
use sunaba_runtime::store::OpenError;
use sunaba_runtime::store::maintenance::{self, MaintenanceError};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The directory of the queue [env: SUNABA_DATA] [default: sunaba-data]
    #[arg(long, global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what is in the store: tasks by state and queue, sizes, durability
    Info,
    /// Look at every value; ends with 1 when something is wrong
    Verify,
    /// Copy all of it into a file, which must not exist
    Backup {
        /// The file
        file: PathBuf,
    },
    /// Make a store of a backup, in a directory that is empty or does not exist; ends with 1 when something was left out
    Restore {
        /// The file
        file: PathBuf,
    },
    /// Give the disk back what deleted tasks took; needs room for what is left beside it meanwhile
    Compact,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    // On a thread of its own: it reads for as long as there is something.
    let Args { command, data } = args;
    let data = data.map_or_else(|| Ok(global.read_config()?.host.data), Ok::<_, CommandError>)?;
    let output = global.output;
    let working = tokio::task::spawn_blocking(move || work(output, command, data));
    working.await.map_err(|error| CommandError::new(Exit::Error, error))?
}

fn work(output: Format, command: Command, data: PathBuf) -> Result<Exit, CommandError> {
    match command {
        Command::Info => {
            let info = maintenance::info(&data).map_err(failed)?;
            show(output, &info)?;
        }
        Command::Verify => {
            let report = maintenance::verify(&data).map_err(failed)?;
            show(output, &report)?;
            return Ok(if report.is_sound() { Exit::Ok } else { Exit::Error });
        }
        Command::Backup { file } => show(output, &maintenance::backup(&data, &file).map_err(failed)?)?,
        Command::Restore { file } => {
            let restored = maintenance::restore(&file, &data).map_err(failed)?;
            show(output, &restored)?;
            return Ok(if restored.is_complete() { Exit::Ok } else { Exit::Error });
        }
        Command::Compact => show(output, &maintenance::compact(&data).map_err(failed)?)?,
    }
    Ok(Exit::Ok)
}

/// What was found or done, as text or as JSON.
fn show(output: Format, report: &(impl Display + Serialize)) -> Result<(), CommandError> {
    match output {
        Format::Text => print::data(inert_lines(&report.to_string()).as_bytes()),
        format => print::json(format, report),
    }
}

/// Lines, each inert and with its end.
fn inert_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", print::inert(line))).collect()
}

fn failed(error: MaintenanceError) -> CommandError {
    let exit = match &error {
        MaintenanceError::Open(OpenError::InUse { .. }) => Exit::Unavailable,
        MaintenanceError::Open(OpenError::Missing { .. }) => Exit::NotFound,
        MaintenanceError::Exists(_) | MaintenanceError::NotEmpty(_) => Exit::Conflict,
        MaintenanceError::Damaged { .. } => Exit::Invalid,
        _ => Exit::Error,
    };
    CommandError::new(exit, error)
}
