//! `sunaba alert`: what is or was wrong with a host.

use comfy_table::Table;
use sunaba_runtime::server::api::{AlertState, AlertView};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

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
    if global.output != Format::Text {
        alerts.iter().try_for_each(|alert| print::json(Format::Jsonl, alert))?;
        return Ok(Exit::Ok);
    }
    if alerts.is_empty() {
        print::aside(global, "nothing is wrong");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["ALERT", "OF", "STATE", "SINCE", "RESOLVED", "FOUND"]);
    for alert in alerts {
        table.add_row(row(alert));
    }
    print::table(&table)?;
    Ok(Exit::Ok)
}

fn row(alert: AlertView) -> [String; 6] {
    let state = match alert.state {
        AlertState::Firing => "firing",
        AlertState::Resolved => "resolved",
    };
    let of = if alert.subject.is_empty() { "host".into() } else { alert.subject };
    let one_line = alert.message.lines().next().unwrap_or_default().to_owned();
    let (name, resolved) = (alert.alert.to_string(), alert.resolved_at.unwrap_or_default());
    [name, print::inert(&of).into_owned(), state.into(), alert.since, resolved, print::inert(&one_line).into_owned()]
}
