//! `sunaba audit`: what was changed by whom.

use std::path::PathBuf;

use sunaba_runtime::server::api::AuditView;
use sunaba_runtime::store::{AccessStore as _, AuditQuery, MAX_AUDIT_PAGE};

use super::frame;
use super::key::open;
use crate::Global;
use crate::exit::{CommandError, Exit};

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
    let store = data.as_deref().map(open).transpose()?;
    let client = if store.is_some() { None } else { Some(global.client()?) };
    let entries: Vec<AuditView> = frame::pages(limit, MAX_AUDIT_PAGE, async |before: Option<String>, limit| {
        Ok(match (&store, &client) {
            (Some(store), _) => {
                let before = before.as_deref().and_then(|before| before.parse().ok());
                let page = store.audit_log(AuditQuery { before, limit }).await;
                let page = page.map_err(|error| CommandError::new(Exit::Error, error))?;
                (page.entries.into_iter().map(Into::into).collect(), page.next.map(|next| next.to_string()))
            }
            (None, Some(client)) => {
                let page = client.list_audit(before, limit).await?;
                (page.entries, page.next)
            }
            (None, None) => (Vec::new(), None),
        })
    })
    .await?;
    let row = |entry: &AuditView| [&entry.at, &entry.who, &entry.what, &entry.of].map(Clone::clone);
    frame::list(global, &entries, "nothing was changed yet", ["AT", "WHO", "WHAT", "OF"], row)
}
