//! The tasks under one that has decomposed: how far they are, and what came of each.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use sunaba_runtime::server::api::Filter;
use sunaba_runtime::task::TaskId;
use sunaba_runtime::{Client, EventsWanted};

use crate::{Audited, Summary, show};

/// Who audits one crate.
const AUDIT: &str = "crate-audit/crate-audit";
/// How a task has ended, in the feed.
const ENDS: [&str; 4] = ["succeeded", "dead", "cancelled", "expired"];
/// Events that are read at a time, and how long the host waits for the first.
const EVENTS: usize = 1_000;
const WAIT: Duration = Duration::from_secs(30);

/// Shows each audit that ends, by the host's feed, until the one has ended that they are under.
pub(crate) async fn follow(client: &Client, root: TaskId, bar: &ProgressBar) -> Result<()> {
    let (root, mut after) = (root.to_string(), 0);
    loop {
        let wanted = EventsWanted { after: Some(after), of: None, limit: EVENTS, wait: WAIT };
        let page = client.stream_events(wanted).await?;
        after = page.next;
        for event in page.events.iter().filter(|event| ENDS.contains(&event.event.as_str())) {
            match &event.task {
                Some(task) if *task == root => return Ok(()),
                Some(task) if event.handler.as_deref() == Some(AUDIT) => show::progress(bar, task),
                _ => {}
            }
        }
    }
}

/// What every audit gave that has succeeded, with what it used.
pub(crate) async fn audited(client: &Client) -> Result<Vec<Audited>> {
    let audits = Filter { handler: Some(AUDIT.into()), state: Some("succeeded".into()), ..Filter::default() };
    let mut audited = Vec::new();
    for task in client.list_tasks(&audits, usize::MAX).await?.tasks {
        let result = client.get_task_result(task.id.parse()?).await?;
        let output = result.output.with_context(|| format!("the output of {} is not there", task.id))?;
        let audit = serde_json::from_str(output.get()).context("the audit's output cannot be read")?;
        audited.push(Audited { audit, receipt: result.receipt.context("there is no receipt")? });
    }
    Ok(audited)
}

/// Terminal records that the store has.
pub(crate) async fn count_ended(client: &Client) -> Result<usize> {
    let tasks = client.list_tasks(&Filter::default(), usize::MAX).await?.tasks;
    Ok(tasks.iter().filter(|task| task.state.is_terminal()).count())
}

/// The report was made of all that the store has.
pub(crate) fn check(summary: &Summary, audited: &[Audited]) -> Result<()> {
    let sum = |count: fn(&Audited) -> u64| audited.iter().map(count).sum::<u64>();
    let of_tasks = (audited.len() as u64, sum(|one| one.audit.files), sum(|one| one.audit.lines.code));
    let of_report = (summary.crates, summary.files, summary.lines.code);
    ensure!(of_report == of_tasks, "the report has {of_report:?} crates, files and lines, and its tasks {of_tasks:?}");
    Ok(())
}
