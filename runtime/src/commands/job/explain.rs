//! `sunaba job explain`: why a job is where it is.

use sunaba_runtime::task::job::JobId;

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArgs {
    /// Its id
    id: JobId,
}

pub(super) async fn run(global: &Global, ExplainArgs { id }: ExplainArgs) -> Result<Exit, CommandError> {
    let story = global.client()?.explain_job(id).await?;
    match global.output {
        Format::Text => {
            let rows = story.rows();
            let rows: Vec<_> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            print::rows(&rows)?;
        }
        format => print::json(format, &story)?,
    }
    Ok(Exit::Ok)
}
