//! `sunaba events`, `sunaba task watch`: what happens to tasks, jobs and schedules, a line for each event.

use std::time::Duration;

use sunaba_runtime::server::api::EventView;
use sunaba_runtime::store::EventsOf;
use sunaba_runtime::task::TaskId;
use sunaba_runtime::task::job::JobId;
use sunaba_runtime::{Client, EventsWanted};

use super::show::Shown;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Events of one page.
const PAGE: usize = 500;
/// How long one request waits for the next event.
const WAIT: Duration = Duration::from_secs(25);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// After the event of this number; 0 means from the oldest that is kept [default: 0, or with `--follow` from now on]
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// Of this task only
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,
    /// Of this job and its tasks only
    #[arg(long, value_name = "ID", conflicts_with = "task")]
    job: Option<JobId>,
    /// Wait for further events, until interrupted
    #[arg(long)]
    follow: bool,
    /// How many at most
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with = "follow")]
    limit: u32,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    let after = args.after.or((!args.follow).then_some(0));
    let of = args.task.map(EventsOf::Task).or(args.job.map(EventsOf::Job));
    if args.follow {
        // Who loses: a wait, or the rest of a page that was not printed yet.
        tokio::select! {
            followed = follow(global, &client, after, of) => return followed,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    }
    let mut left = args.limit as usize;
    let mut wanted = EventsWanted { after, of, ..EventsWanted::default() };
    loop {
        wanted.limit = left.min(PAGE);
        let page = client.stream_events(wanted).await?;
        say_missed(global, page.missed && args.after.is_some_and(|after| after > 0));
        page.events.iter().try_for_each(|event| show(global, event, true))?;
        left -= page.events.len().min(left);
        // A page without events is not the last: the host looks at so many, of whichever task, for each.
        let is_last = Some(page.next) == wanted.after;
        wanted.after = Some(page.next);
        if is_last || left == 0 {
            break;
        }
    }
    if left == 0 && !global.quiet {
        print::note(format_args!("there may be more: `--after {}`", wanted.after.unwrap_or_default()));
    }
    Ok(Exit::Ok)
}

async fn follow(
    global: &Global,
    client: &Client,
    after: Option<u64>,
    of: Option<EventsOf>,
) -> Result<Exit, CommandError> {
    let mut events = client.follow(of, after);
    let mut missed = false;
    loop {
        let event = events.next().await?;
        if events.missed() && !missed {
            missed = true;
            say_missed(global, missed);
        }
        show(global, &event, true)?;
    }
}

/// Follows a task to its end, and ends as `task result --wait` does.
///
/// # Errors
/// The task is not there, or the host does not answer.
pub(super) async fn watch(global: &Global, client: &Client, id: TaskId) -> Result<Exit, CommandError> {
    client.get_task(id).await?;
    // Who loses: the watch; the task goes on.
    tokio::select! {
        watched = until_end(global, client, id) => watched?,
        _ = tokio::signal::ctrl_c() => {
            print::note(format_args!("task {id} goes on; `sunaba task cancel {id}` stops it"));
            return Ok(Exit::Interrupted);
        }
    }
    Ok(Shown::try_from(client.get_task_result(id).await?)?.exit())
}

async fn until_end(global: &Global, client: &Client, id: TaskId) -> Result<(), CommandError> {
    let mut wanted = EventsWanted { after: Some(0), of: Some(EventsOf::Task(id)), limit: PAGE, wait: Duration::ZERO };
    let mut ended = false;
    loop {
        let page = client.stream_events(wanted).await?;
        page.events.iter().try_for_each(|event| show(global, event, false))?;
        if page.events.iter().any(EventView::ends_task) {
            return Ok(());
        }
        if page.events.is_empty() && Some(page.next) == wanted.after {
            // Its end may be older than the feed: then nothing will ever come.
            if ended {
                return Ok(());
            }
            ended = client.get_task(id).await?.state.is_terminal();
            wanted.wait = if ended { Duration::ZERO } else { WAIT };
        }
        wanted.after = Some(page.next);
    }
}

fn say_missed(global: &Global, missed: bool) {
    if missed && !global.quiet {
        print::note("older events are not kept any more");
    }
}

/// An event as a line; `of_many` says of which task.
fn show(global: &Global, event: &EventView, of_many: bool) -> Result<(), CommandError> {
    if global.output != Format::Text {
        return print::json(Format::Jsonl, event);
    }
    let mut line = event.at.clone();
    if of_many {
        let id = event.schedule.as_ref().or(event.task.as_ref()).or(event.job.as_ref());
        let words = [id, event.handler.as_ref(), event.name.as_ref()];
        words.into_iter().flatten().for_each(|word| line.push_str(&format!(" {word}")));
    }
    line.push_str(&format!(" {}", event.event));
    if let Some(tick) = &event.tick {
        line.push_str(&format!(" tick {tick}"));
    }
    // Of which schedule it is, is said already.
    if let (Some(_), Some(task)) = (&event.schedule, &event.task) {
        line.push_str(&format!(" task {task}"));
    }
    if let Some(attempt) = event.attempt {
        line.push_str(&format!(" attempt {attempt}"));
    }
    if let Some(worker) = &event.worker {
        line.push_str(&format!(" on {worker}"));
    }
    if let Some(fraction) = event.fraction {
        line.push_str(&format!(" {:.0}%", fraction * 100.0));
    }
    if let Some(until) = &event.until {
        line.push_str(&format!(" until {until}"));
    }
    if let Some(message) = &event.message {
        line.push_str(&format!(": {message}"));
    }
    print::data(format!("{}\n", print::inert(&line)).as_bytes())
}
