//! `sunaba host`: the host itself.

use serde::Serialize;
use serde_json::json;
use sunaba_runtime::server::Problem;
use sunaba_runtime::server::api::HostView;
use sunaba_runtime::task::format_bytes;

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
    /// Show a host: its version, whether it is up and can do its work, its slots and its memory; ends with 6 if it cannot
    Show,
    /// Print the metrics, as Prometheus gets them
    Metrics,
}

/// A host, and how it is.
#[derive(Debug, Serialize)]
struct Shown {
    address: String,
    /// Why it cannot do its work. Null: it can.
    not_ready: Option<Problem>,
    #[serde(flatten)]
    host: HostView,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.command {
        Command::Show => {
            client.get_liveness().await?;
            let not_ready = match client.get_readiness().await {
                Ok(()) => None,
                Err(error) => Some(error.problem().cloned().ok_or(error)?),
            };
            let shown = Shown { address: client.address().to_owned(), not_ready, host: client.get_host().await? };
            frame::one(global, &shown, rows)?;
            Ok(if shown.not_ready.is_some() { Exit::Unavailable } else { Exit::Ok })
        }
        Command::Metrics => {
            let metrics = client.get_metrics().await?;
            match global.output {
                Format::Text => print::data(metrics.as_bytes())?,
                format => print::json(format, &json!({ "openmetrics": metrics }))?,
            }
            Ok(Exit::Ok)
        }
    }
}

fn rows(shown: &Shown) -> Vec<(&'static str, String)> {
    let host = &shown.host;
    let of = host.memory_budget_bytes.map(|bytes| format!(" of {}", format_bytes(bytes))).unwrap_or_default();
    let ready = match &shown.not_ready {
        None => "yes".to_owned(),
        Some(problem) => format!("no: {}", problem.detail),
    };
    vec![
        ("host", format!("sunaba {} at {}", host.version, shown.address)),
        ("ready", ready),
        ("slots", format!("{} of {} in use", host.running, host.slots)),
        ("memory", format!("{}{of} may be held by what runs", format_bytes(host.memory_held_bytes))),
        ("durability", host.durability.clone()),
    ]
}
