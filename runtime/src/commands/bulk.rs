//! Does the same to many tasks, page by page: `task cancel`, `task rerun` and their like, and `dead redrive` and `purge`.

use serde_json::json;
use sunaba_runtime::server::api::{Bulk, Cancel, Filter};
use sunaba_runtime::task::{StateName, format_count};
use sunaba_runtime::{BulkVerb, Client};

use super::which::joined;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Tasks of one page: each is one commit of the host.
const PAGE: usize = 500;
/// Tasks of which is said why it was not done to them.
const MAX_REFUSED: u64 = 20;
/// Tasks that are counted before somebody says `--yes`.
const MAX_COUNTED: usize = 1_000;

/// Does it to all that pass the filter, or counts them.
///
/// # Errors
/// It cannot be done to tasks in such states; nobody has said `--yes`; or the host did not do it.
pub(crate) async fn run(
    global: &Global,
    client: &Client,
    verb: BulkVerb,
    mut filter: Filter,
    yes: bool,
    cancel: Option<Cancel>,
) -> Result<Exit, CommandError> {
    let possible = states(verb);
    match &filter.state {
        None => filter.state = joined(possible),
        Some(given) => {
            let other = given.split(',').find(|given| !possible.iter().any(|state| state.to_string() == **given));
            if let Some(other) = other {
                let message = format!(
                    "tasks that are {other} cannot be {}\nhint: the states for that are {}",
                    done(verb),
                    possible.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                );
                return Err(CommandError::new(Exit::Usage, message));
            }
        }
    }
    // What was run again is not run again by every repetition of the command.
    filter.unhandled = (verb == BulkVerb::Rerun).then_some(true).or(filter.unhandled);
    if !yes {
        return count(global, client, verb, &filter).await;
    }
    filter.limit = Some(PAGE);
    let mut bulk = Bulk { filter, all: false, cancel };
    let (mut total, mut refused): (u64, u64) = (0, 0);
    loop {
        let page = client.bulk(verb, &bulk).await?;
        total += page.done.len() as u64;
        for not_done in &page.refused {
            refused += 1;
            if refused <= MAX_REFUSED {
                print::note(print::inert(&not_done.problem.detail));
            }
        }
        if global.output == Format::Jsonl {
            for id in &page.done {
                print::json(Format::Jsonl, &json!({"id": id}))?;
            }
            for not_done in &page.refused {
                print::json(Format::Jsonl, not_done)?;
            }
        }
        bulk.filter.before = page.next;
        if bulk.filter.before.is_none() {
            break;
        }
        if !global.quiet && !page.done.is_empty() {
            print::note(format_args!("{} {} so far", format_count(total), done(verb)));
        }
    }
    match global.output {
        Format::Text => print::data(format!("{}\n", summary(total, done(verb))).as_bytes())?,
        Format::Json => print::json(Format::Json, &json!({"done": total, "refused": refused}))?,
        Format::Jsonl => {}
    }
    if refused > 0 {
        let message = format!(
            "{} not be {}, for the reasons above\nhint: where a handler takes another input by now, do it one by one with \
             `--input`, or go back to a version that takes it with `sunaba handler rollback`",
            if refused == 1 { "1 task could".into() } else { format!("{} tasks could", format_count(refused)) },
            done(verb)
        );
        return Err(CommandError::new(Exit::Conflict, message));
    }
    Ok(Exit::Ok)
}

/// Counts what would be done, and does not do it.
async fn count(global: &Global, client: &Client, verb: BulkVerb, filter: &Filter) -> Result<Exit, CommandError> {
    let found = client.list_tasks(filter, MAX_COUNTED + 1).await?.tasks.len();
    let counted = match found {
        0 => {
            print::aside(global, "no such tasks");
            return Ok(Exit::Ok);
        }
        found if found > MAX_COUNTED => format!("more than {} tasks", format_count(MAX_COUNTED as u64)),
        1 => "1 task".to_owned(),
        found => format!("{} tasks", format_count(found as u64)),
    };
    let message = format!("{counted} would be {}; nothing was done\nhint: do it with `--yes`", done(verb));
    Err(CommandError::new(Exit::Usage, message))
}

fn summary(total: u64, done: &str) -> String {
    if total == 1 { format!("1 task {done}") } else { format!("{} tasks {done}", format_count(total)) }
}

fn done(verb: BulkVerb) -> &'static str {
    match verb {
        BulkVerb::Cancel => "cancelled",
        BulkVerb::RunNow => "made due",
        BulkVerb::Rerun => "run again",
        BulkVerb::Delete => "deleted",
    }
}

/// The states of tasks to which it can be done.
fn states(verb: BulkVerb) -> &'static [StateName] {
    match verb {
        BulkVerb::Cancel => &[
            StateName::Blocked,
            StateName::Scheduled,
            StateName::Queued,
            StateName::Running,
            StateName::RetryScheduled,
        ],
        BulkVerb::RunNow => &[StateName::Scheduled, StateName::RetryScheduled],
        BulkVerb::Rerun => &[StateName::Dead, StateName::Cancelled, StateName::Expired],
        BulkVerb::Delete => &[StateName::Succeeded, StateName::Dead, StateName::Cancelled, StateName::Expired],
    }
}
