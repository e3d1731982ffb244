//! `sunaba alert`: what is or was wrong with a host.

use sunaba_runtime::server::api::{AlertState, AlertView};

use super::frame;
use crate::Global;
use crate::exit::{CommandError, Exit};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the alerts that fire, and those that were resolved lately
    List {
        /// Only those that fire
        #[arg(long)]
        firing: bool,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let Verb::List { firing } = args.verb;
    let mut alerts = global.client()?.list_alerts().await?.alerts;
    alerts.retain(|alert| !firing || alert.state == AlertState::Firing);
    let header = ["ALERT", "OF", "STATE", "SINCE", "RESOLVED", "FOUND"];
    frame::list(global, &alerts, "nothing is wrong", header, row)
}

fn row(alert: &AlertView) -> [String; 6] {
    let state = match alert.state {
        AlertState::Firing => "firing",
        AlertState::Resolved => "resolved",
    };
    let of = if alert.subject.is_empty() { "host".into() } else { alert.subject.clone() };
    let one_line = alert.message.lines().next().unwrap_or_default().to_owned();
    let resolved = alert.resolved_at.clone().unwrap_or_default();
    [alert.alert.to_string(), of, state.into(), alert.since.clone(), resolved, one_line]
}
