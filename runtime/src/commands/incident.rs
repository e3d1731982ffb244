//! `sunaba incident`: like failures together, and what has resolved them before.

use std::time::Duration;

use sunaba_runtime::server::api::{IncidentView, ResolvedView};
use sunaba_runtime::task::{format_count, format_duration};

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
    /// List like failures, the last that were seen first
    List {
        /// Seen in so many days
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// Of this handler, as PACKAGE/HANDLER
        #[arg(long)]
        handler: Option<String>,
    },
    /// Show one, with what was said last and what has helped
    Show {
        /// Its id, as `incident list` shows it
        id: String,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    match args.verb {
        Verb::List { days, handler } => {
            let mut incidents = client.list_incidents(Some(days)).await?.incidents;
            incidents.retain(|incident| handler.as_ref().is_none_or(|handler| *handler == incident.handler));
            list(global, &incidents)
        }
        Verb::Show { id } => {
            let incidents = client.list_incidents(Some(u32::MAX)).await?.incidents;
            let Some(incident) = incidents.into_iter().find(|incident| incident.id == id) else {
                let message = format!("there is no incident `{id}`\nhint: `sunaba incident list` shows what there is");
                return Err(CommandError::new(Exit::NotFound, message));
            };
            frame::one(global, &incident, rows)
        }
    }
}

fn list(global: &Global, incidents: &[IncidentView]) -> Result<Exit, CommandError> {
    let header = ["ID", "HANDLER", "KIND", "FAILURES", "DEAD", "LAST", "RESOLVED BY", "WHAT"];
    frame::list(global, incidents, "nothing has failed", header, |incident| {
        [
            incident.id.clone(),
            incident.handler.clone(),
            incident.kind.clone(),
            format_count(incident.failures),
            format_count(incident.ended),
            incident.last_at.clone(),
            helped(&incident.resolved),
            incident.pattern.clone(),
        ]
    })
}

fn rows(incident: &IncidentView) -> Vec<(&'static str, String)> {
    let mean = incident.resolved.mean_ms.map_or_else(String::new, |ms| {
        format!(", {} after the first failure", format_duration(Duration::from_millis(ms)))
    });
    vec![
        ("incident", incident.id.clone()),
        ("handler", incident.handler.clone()),
        ("kind", incident.kind.clone()),
        ("what", incident.pattern.clone()),
        ("said last", incident.example.clone()),
        ("last task", incident.task.clone()),
        ("first seen", incident.first_at.clone()),
        ("last seen", incident.last_at.clone()),
        (
            "failures",
            format!("{}, after {} the task was over", format_count(incident.failures), format_count(incident.ended)),
        ),
        ("resolved by", format!("{}{mean}", helped(&incident.resolved))),
    ]
}

/// What has helped, the most frequent first.
fn helped(resolved: &ResolvedView) -> String {
    let mut helped =
        [(resolved.by_retry, "retry"), (resolved.by_rerun, "rerun"), (resolved.by_other_version, "another version")];
    helped.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let some = helped.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = some.map(|(count, what)| format!("{what} ({})", format_count(*count))).collect();
    if told.is_empty() { "nothing yet".into() } else { told.join(", ") }
}
