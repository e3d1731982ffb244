//! `sunaba audit`: what was changed by whom.

use std::path::PathBuf;

use comfy_table::Table;
use sunaba_runtime::server::api::AuditView;
use sunaba_runtime::store::{AccessStore as _, AuditQuery, MAX_AUDIT_PAGE};

use super::key::open;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List changes, the newest first; as JSON with how things stood before and after
    List {
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Work on this data directory, which no host holds
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let Command::List { limit, data } = args.command;
    let (mut entries, mut before): (Vec<AuditView>, Option<String>) = (Vec::new(), None);
    let store = data.as_deref().map(open).transpose()?;
    let client = if store.is_some() { None } else { Some(global.client()?) };
    while entries.len() < limit {
        let wanted = (limit - entries.len()).min(MAX_AUDIT_PAGE);
        let (page, next): (Vec<AuditView>, _) = match (&store, &client) {
            (Some(store), _) => {
                let before = before.as_deref().and_then(|before| before.parse().ok());
                let page = store.audit_log(AuditQuery { before, limit: wanted }).await;
                let page = page.map_err(|error| CommandError::new(Exit::Error, error))?;
                (page.entries.into_iter().map(Into::into).collect(), page.next.map(|next| next.to_string()))
            }
            (None, Some(client)) => {
                let page = client.list_audit(before.take(), wanted).await?;
                (page.entries, page.next)
            }
            (None, None) => break,
        };
        entries.extend(page);
        before = next;
        if before.is_none() {
            break;
        }
    }
    show(global, &entries)?;
    Ok(Exit::Ok)
}

fn show(global: &Global, entries: &[AuditView]) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return entries.iter().try_for_each(|entry| print::json(Format::Jsonl, entry));
    }
    if entries.is_empty() {
        print::aside(global, "nothing was changed yet");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["AT", "WHO", "WHAT", "OF"]);
    for entry in entries {
        table.add_row([&entry.at, &entry.who, &entry.what, &entry.of]);
    }
    print::table(&table)
}
