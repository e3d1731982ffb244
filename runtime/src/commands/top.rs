//! `sunaba top`: a host at work, look after look: on a terminal in one place, elsewhere a line for each look.

mod view;

use std::time::Duration;

use console::Term;
use serde::Serialize;
use sunaba_runtime::server::api::{AlertState, AlertView, Filter, HostView, QueueView, TaskView, UsageBy, WorkerView};
use sunaba_runtime::task::parse_duration;
use sunaba_runtime::{Client, ClientError};
use tokio::time::Instant;

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Looks where nobody watches, unless told otherwise: what writes into a file must end.
const LOOKS: u32 = 10;
/// Running tasks that are asked for.
const TASKS: usize = 20;
/// A host is not asked more often.
const SHORTEST: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long from one look to the next, at least 100ms
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    interval: Duration,
    /// How many looks [default: on a terminal until interrupted, elsewhere 10]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Look once, and show all of it
    #[arg(long, conflicts_with = "count")]
    once: bool,
}

/// What was seen at one look. What the key may not see is null.
#[derive(Debug, Serialize)]
struct Look {
    address: String,
    host: HostView,
    queues: Vec<QueueView>,
    workers: Option<Vec<WorkerView>>,
    /// Those that fire.
    alerts: Option<Vec<AlertView>>,
    /// Tasks that run, the newest first, at most 20.
    running: Vec<TaskView>,
    /// Attempts that have ended since the look before, a second. Null at the first look.
    attempts_per_second: Option<f64>,
    /// Those of them that failed or were stopped.
    failures_per_second: Option<f64>,
}

/// Attempts that had ended by an instant.
#[derive(Debug, Clone, Copy)]
struct Count {
    at: Instant,
    attempts: u64,
    failures: u64,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let client = global.client()?;
    let term = Term::stdout();
    let in_place = term.is_term() && global.output == Format::Text && !args.once;
    let looks = match (args.once, args.count) {
        (true, _) => Some(1),
        (false, None) if in_place => None,
        (false, count) => Some(count.unwrap_or(LOOKS)),
    };
    let shown = Shown { in_place: in_place.then_some(&term), whole: args.once };
    // Who loses: a look, which changes nothing.
    tokio::select! {
        done = watch(global, &client, args.interval.max(SHORTEST), looks, &shown) => done,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

/// How looks are shown to people.
struct Shown<'t> {
    /// Each over the one before.
    in_place: Option<&'t Term>,
    /// All of it, and not a line.
    whole: bool,
}

async fn watch(
    global: &Global,
    client: &Client,
    interval: Duration,
    looks: Option<u32>,
    shown: &Shown<'_>,
) -> Result<Exit, CommandError> {
    let (mut before, mut lines, mut done) = (None, 0, 0);
    loop {
        let (look, count) = look(client, before).await?;
        before = count;
        match (global.output, shown.in_place) {
            (Format::Text, Some(term)) => {
                lines = redraw(term, &view::screen(&look, usize::from(term.size().1)), lines)?
            }
            (Format::Text, None) if shown.whole => print::data(view::screen(&look, usize::from(u16::MAX)).as_bytes())?,
            (Format::Text, None) => print::data(view::line(&look).as_bytes())?,
            (format, _) => print::json(if shown.whole { format } else { Format::Jsonl }, &look)?,
        }
        done += 1;
        if looks.is_some_and(|looks| done >= looks) {
            return Ok(Exit::Ok);
        }
        tokio::time::sleep(interval).await;
    }
}

/// Takes away the lines of the look before, and shows this one; how many lines it has.
fn redraw(term: &Term, screen: &str, lines: usize) -> Result<usize, CommandError> {
    let drawn = term.clear_last_lines(lines).and_then(|()| term.write_str(screen));
    drawn.map_err(|error| CommandError::new(Exit::Error, format!("cannot write to standard output: {error}")))?;
    Ok(screen.lines().count())
}

async fn look(client: &Client, before: Option<Count>) -> Result<(Look, Option<Count>), CommandError> {
    let host = client.get_host().await?;
    let queues = client.list_queues().await?;
    let running = Filter { state: Some("running".into()), ..Filter::default() };
    let running = client.list_tasks(&running, TASKS).await?.tasks;
    let workers = permitted(client.list_workers().await)?;
    let alerts = permitted(client.list_alerts().await)?.map(|alerts| {
        let firing = alerts.alerts.into_iter().filter(|alert| alert.state == AlertState::Firing);
        firing.collect::<Vec<_>>()
    });
    let count = permitted(client.list_usage(UsageBy::Handler).await)?.map(|usage| Count {
        at: Instant::now(),
        attempts: usage.iter().map(|sums| sums.attempts).sum(),
        failures: usage.iter().map(|sums| sums.failed + sums.stopped).sum(),
    });
    let rate = |of: fn(&Count) -> u64| {
        let (before, now) = (before?, count?);
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        // A host that was started anew may have forgotten some.
        (seconds > 0.0).then(|| of(&now).saturating_sub(of(&before)) as f64 / seconds)
    };
    let (attempts_per_second, failures_per_second) = (rate(|count| count.attempts), rate(|count| count.failures));
    let address = client.address().to_owned();
    let look = Look { address, host, queues, workers, alerts, running, attempts_per_second, failures_per_second };
    Ok((look, count))
}

/// What the key may see; none of what it may not.
fn permitted<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(error) if error.status() == Some(403) => Ok(None),
        answer => answer.map(Some),
    }
}
