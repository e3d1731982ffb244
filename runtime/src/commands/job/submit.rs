//! `sunaba job submit`.

use std::path::PathBuf;

use sunaba_runtime::Client;
use sunaba_runtime::server::api::JobView;
use sunaba_runtime::task::job::JobId;

use super::{file, outcome, until_end};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(super) struct SubmitArgs {
    /// The job, in JSON or TOML, or `-` for standard input
    file: PathBuf,
    /// A second submit with this key gives the same job
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until it has ended, and print its result; ends with 7 when it did not succeed
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(global: &Global, client: &Client, args: SubmitArgs) -> Result<Exit, CommandError> {
    let mut submit = file::read(&args.file)?;
    if let Some(key) = args.idempotency_key {
        if submit.idempotency_key.as_ref().is_some_and(|other| *other != key) {
            let message = "there is `--idempotency-key`, and another key in the file\nhint: leave out one";
            return Err(CommandError::new(Exit::Usage, message));
        }
        submit.idempotency_key = Some(key);
    }
    let job = client.submit_job(&submit).await?;
    taken_on(global, client, &job, args.wait).await
}

/// Prints the id of a job that was taken on, or what comes of it.
pub(super) async fn taken_on(
    global: &Global,
    client: &Client,
    job: &JobView,
    wait: bool,
) -> Result<Exit, CommandError> {
    let id: JobId = job.id.parse().map_err(|error| CommandError::new(Exit::Error, error))?;
    if !wait {
        match global.output {
            Format::Text => print::data(format!("{id}\n").as_bytes())?,
            format => print::json(format, job)?,
        }
        return Ok(Exit::Ok);
    }
    if global.output == Format::Text && !global.quiet {
        print::note(format_args!("job {id}"));
    }
    // The job is there, whatever becomes of us: its id must not be lost.
    let about = |error: CommandError| error.about(format_args!("job {id}"));
    match until_end(client, id).await.map_err(about)? {
        Some(exit) => Ok(exit),
        None => outcome::result(global, client, id).await.map_err(about),
    }
}
