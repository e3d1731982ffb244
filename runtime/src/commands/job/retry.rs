//! `sunaba job retry`.

use sunaba_runtime::Client;
use sunaba_runtime::server::api::JobRetry;
use sunaba_runtime::task::job::{Awaited, JobId};

use super::submit;
use crate::Global;
use crate::exit::{CommandError, Exit};

#[derive(Debug, clap::Args)]
pub(super) struct RetryArgs {
    /// Its id
    id: JobId,
    /// Run this task anew too although it has succeeded, or with `GROUP/*` those of a group, and what waits for it
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    from: Vec<Awaited>,
    /// Wait until the new job has ended, and print its result; ends with 7 when it did not succeed
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(global: &Global, client: &Client, args: RetryArgs) -> Result<Exit, CommandError> {
    let RetryArgs { id, from, wait } = args;
    let job = client.retry_job(id, &JobRetry { from }).await?;
    submit::taken_on(global, client, &job, wait).await
}
