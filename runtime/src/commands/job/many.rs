//! Cancels one job, or many, page by page.

use serde_json::json;
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{CancelJobs, JobFilter};
use sunaba_runtime::task::format_count;
use sunaba_runtime::task::job::{JobId, JobState};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Jobs of one page, which the host cancels one after another.
const PAGE: usize = 50;
/// Jobs that are counted before somebody says `--yes`.
const MAX_COUNTED: usize = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    /// Its id; or say which with `--state` and `--tag`
    pub(super) id: Option<JobId>,
    /// Those in these states, with commas between them
    #[arg(long, value_delimiter = ',')]
    state: Vec<JobState>,
    /// Those with this tag
    #[arg(long)]
    tag: Option<String>,
    /// All that have not ended
    #[arg(long)]
    all: bool,
    /// Do it to many; without this, they are counted only
    #[arg(long)]
    yes: bool,
    /// Why, in one line; kept with the job and its tasks
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Wait until all of it has ended
    #[arg(long, requires = "id")]
    pub(super) wait: bool,
}

impl CancelArgs {
    /// The one job that is meant. None: many are.
    ///
    /// # Errors
    /// Nothing says which jobs, or too much does.
    pub(super) fn one(&self) -> Result<Option<JobId>, CommandError> {
        let wrong = |message: &str| Err(CommandError::new(Exit::Usage, message));
        let has_filter = !self.state.is_empty() || self.tag.is_some();
        match (self.id, has_filter, self.all) {
            (Some(id), false, false) => Ok(Some(id)),
            (Some(_), ..) => wrong("there are an id and a filter\nhint: name one job by its id, or many by filters"),
            (None, false, false) => {
                wrong("nothing says which jobs\nhint: give an id, a filter such as `--tag TAG`, or `--all`")
            }
            (None, true, true) => wrong("there are a filter and `--all`\nhint: leave out one"),
            (None, ..) => Ok(None),
        }
    }
}

/// Cancels all that pass the filter, or counts them.
///
/// # Errors
/// Jobs in such states have ended; nobody has said `--yes`; or the host did not do it.
pub(super) async fn cancel(global: &Global, client: &Client, args: CancelArgs) -> Result<Exit, CommandError> {
    if let Some(ended) = args.state.iter().find(|state| state.is_terminal()) {
        let message = format!("jobs that are {ended} cannot be cancelled\nhint: they have ended");
        return Err(CommandError::new(Exit::Usage, message));
    }
    let open = JobState::ALL.into_iter().filter(|state| !state.is_terminal());
    let states: Vec<_> = if args.state.is_empty() { open.collect() } else { args.state };
    let state = Some(states.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    let mut filter = JobFilter { state, tag: args.tag, ..JobFilter::default() };
    if !args.yes {
        return count(global, client, &filter).await;
    }
    filter.limit = Some(PAGE);
    let mut cancel = CancelJobs { filter, all: false, reason: args.reason };
    let (mut done, mut refused) = (0, 0);
    loop {
        let page = client.cancel_jobs(&cancel).await?;
        done += page.done.len();
        refused += page.refused.len();
        page.refused.iter().for_each(|not_done| print::note(print::inert(&not_done.problem.detail)));
        if global.output == Format::Jsonl {
            page.done.iter().try_for_each(|id| print::json(Format::Jsonl, &json!({"id": id})))?;
            page.refused.iter().try_for_each(|not_done| print::json(Format::Jsonl, not_done))?;
        }
        cancel.filter.before = page.next;
        if cancel.filter.before.is_none() {
            break;
        }
    }
    match global.output {
        Format::Text => print::data(format!("{} cancelled\n", counted(done)).as_bytes())?,
        Format::Json => print::json(Format::Json, &json!({"done": done, "refused": refused}))?,
        Format::Jsonl => {}
    }
    Ok(if refused == 0 { Exit::Ok } else { Exit::Unavailable })
}

async fn count(global: &Global, client: &Client, filter: &JobFilter) -> Result<Exit, CommandError> {
    let found = client.list_jobs(filter, MAX_COUNTED + 1).await?.jobs.len();
    if found == 0 {
        print::aside(global, "no such jobs");
        return Ok(Exit::Ok);
    }
    let counted =
        if found > MAX_COUNTED { format!("more than {}", self::counted(MAX_COUNTED)) } else { self::counted(found) };
    let message = format!("{counted} would be cancelled; nothing was done\nhint: do it with `--yes`");
    Err(CommandError::new(Exit::Usage, message))
}

fn counted(jobs: usize) -> String {
    if jobs == 1 { "1 job".into() } else { format!("{} jobs", format_count(jobs as u64)) }
}
