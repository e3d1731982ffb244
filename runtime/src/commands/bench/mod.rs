//! `sunaba bench`: how many submits a host answers, and how quickly. Clients that keep their connections send one after another;
//! what they have seen is counted, and told also when the test is interrupted.

mod load;
mod local;
mod tally;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sunaba_runtime::task::{HandlerName, counted, format_count, format_duration, parse_duration};
use tokio::signal::unix::{SignalKind, signal};

use super::{frame, serve};
use crate::exit::{CommandError, Exit};
use crate::{Global, print};

use load::Load;
use local::Local;
use tally::{Latency, Tally};

/// By which the tasks of a test are found again.
const TAG: &str = "bench";
/// A test that runs for longer is no test any more.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
const SHORTEST: Duration = Duration::from_millis(100);
/// Of a host's 1,024 connections some are for others.
const MAX_CLIENTS: u32 = 1_000;
/// What a host takes in one request.
const MAX_BATCH: u32 = 10_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The handler whose tasks are submitted, as PACKAGE/HANDLER: what it does is done
    #[arg(long, value_name = "PACKAGE/HANDLER", required_unless_present = "local")]
    handler: Option<HandlerName>,
    /// Start a host in a temporary directory, with a handler that does nothing; it shares this machine with its clients
    #[arg(long, conflicts_with_all = ["handler", "input"])]
    local: bool,
    /// Clients at a time, each with a connection that it keeps; up to 1,000
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLIENTS)))]
    clients: u32,
    /// How long it is tried, from 100ms to 24h
    #[arg(long = "for", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// Tasks in a request, up to 10,000
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BATCH)))]
    batch: u32,
    /// Requests a second of all clients together, with latencies from when each was due [default: each as soon as the one
    /// before is answered]
    #[arg(long, value_name = "COUNT", value_parser = rate)]
    rate: Option<f64>,
    /// Wait for the end of each task, too, before the next is submitted
    #[arg(long, conflicts_with = "batch")]
    wait: bool,
    /// The input of each task, as JSON
    #[arg(long, value_name = "JSON", default_value = "null")]
    input: String,
    /// The queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if (SHORTEST..=LONGEST).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("`{text}` is not from 100ms to 24h"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or_else(|| format!("`{text}` is not a number from 0.001 to 1000000"))
}

/// What a test has shown.
#[derive(Debug, Serialize)]
struct Report {
    address: String,
    handler: String,
    clients: u32,
    /// Tasks in a request.
    batch: u32,
    /// Requests a second that were to be sent. Null: as many as were answered.
    rate: Option<f64>,
    /// How long it took, in seconds, up to the last answer.
    seconds: f64,
    /// Whether somebody has ended it before its time.
    interrupted: bool,
    /// Submits that were answered, whatever the answer.
    requests: u64,
    requests_per_second: f64,
    /// Submits without an answer when it ended.
    unanswered: u64,
    /// Tasks that were taken on.
    tasks: u64,
    tasks_per_second: f64,
    /// Tasks that were seen to succeed. Null: nobody waited.
    succeeded: Option<u64>,
    /// Tasks that were seen to end otherwise. Null: nobody waited.
    not_succeeded: Option<u64>,
    /// What went wrong, by its code.
    errors: BTreeMap<String, u64>,
    /// From when a submit was due to its answer, in milliseconds. Null: none was answered well.
    answer_ms: Option<Latency>,
    /// From when a submit was due to the end of its task, in milliseconds. Null: none was seen.
    end_ms: Option<Latency>,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let input = serde_json::value::RawValue::from_string(args.input.clone()).map_err(|error| {
        let message = format!("the input is no JSON: {error}\nhint: write it as `--input '{{\"name\":\"Ada\"}}'`");
        CommandError::new(Exit::Invalid, message)
    })?;
    // A connection is a descriptor, and two where the host is here too.
    serve::raise_descriptors();
    let local = match args.local {
        true => Some(Local::start(args.clients as usize).await?),
        false => None,
    };
    let tested = test(global, &args, input, local.as_ref()).await;
    if let Some(local) = local {
        local.end().await;
    }
    let report = tested?;
    frame::one(global, &report, rows)?;
    if !args.local {
        let again = format!("sunaba task delete --tag {TAG} --yes");
        print::aside(global, format_args!("its tasks have the tag `{TAG}`; `{again}` deletes those that have ended"));
    }
    Ok(match report.interrupted {
        true => Exit::Interrupted,
        false if report.tasks == 0 => Exit::Error,
        false => Exit::Ok,
    })
}

async fn test(
    global: &Global,
    args: &Args,
    input: Box<serde_json::value::RawValue>,
    local: Option<&Local>,
) -> Result<Report, CommandError> {
    let client = match local {
        Some(local) => global.client_at(&local.address)?,
        None => global.client()?,
    };
    let handler = local.map(|local| local.handler.clone()).or_else(|| args.handler.clone());
    let handler = handler.ok_or_else(|| CommandError::new(Exit::Usage, "nothing says which handler"))?;
    // What is not there is told at once, and not once for each request.
    client.get_handler(&handler).await?;
    let mut clients = Vec::with_capacity(args.clients as usize);
    for _ in 0..args.clients {
        clients.push(global.client_at(client.address())?);
    }
    // From here on it ends with a report.
    let interrupt = signal(SignalKind::interrupt())
        .map_err(|error| CommandError::new(Exit::Error, format!("cannot watch for signals: {error}")))?;
    print::aside(global, format_args!("{}", what(args, &handler)));
    let load = Load {
        handler: handler.to_string(),
        input,
        queue: args.queue.clone(),
        batch: args.batch,
        rate: args.rate,
        duration: args.duration,
        waits: args.wait,
    };
    let done = load.run(clients, interrupt).await?;
    let Tally { requests, unanswered, tasks, succeeded, not_succeeded, errors, answers, ends } = done.tally;
    let seconds = done.took.as_secs_f64();
    let per_second = |count: u64| if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 };
    Ok(Report {
        address: client.address().to_owned(),
        handler: handler.to_string(),
        clients: args.clients,
        batch: args.batch,
        rate: args.rate,
        seconds: (seconds * 1e3).round() / 1e3,
        interrupted: done.interrupted,
        requests,
        requests_per_second: per_second(requests),
        unanswered,
        tasks,
        tasks_per_second: per_second(tasks),
        succeeded: args.wait.then_some(succeeded),
        not_succeeded: args.wait.then_some(not_succeeded),
        errors,
        answer_ms: answers.told(),
        end_ms: ends.told(),
    })
}

/// What is about to be done, in a line.
fn what(args: &Args, handler: &HandlerName) -> String {
    let pace = args.rate.map_or_else(|| "as fast as they are answered".into(), |rate| format!("{rate} requests/s"));
    let clients = counted(args.clients.into(), "client", "clients");
    let batch = counted(args.batch.into(), "task", "tasks");
    let waits = if args.wait { ", each awaited" } else { "" };
    let time = format_duration(args.duration);
    format!("{clients} for {time}: {batch} of {handler} a request{waits}, {pace}")
}

fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let spread = |latency: &Latency| {
        let Latency { min, p50, p99, max } = latency;
        format!("min {min} ms, p50 {p50} ms, p99 {p99} ms, max {max} ms")
    };
    let rate = |count: u64, per_second: f64| format!("{}, {per_second:.1} a second", format_count(count));
    let dash = |latency: &Option<Latency>| latency.as_ref().map_or_else(|| "-".into(), spread);
    let early = if report.interrupted { ", interrupted" } else { "" };
    let mut rows = vec![
        ("host", report.address.clone()),
        ("time", format!("{}{early}", format_duration(Duration::from_secs_f64(report.seconds)))),
        ("requests", rate(report.requests, report.requests_per_second)),
        ("tasks", rate(report.tasks, report.tasks_per_second)),
        ("answers", dash(&report.answer_ms)),
    ];
    if let (Some(succeeded), Some(not_succeeded)) = (report.succeeded, report.not_succeeded) {
        let (succeeded, not_succeeded) = (format_count(succeeded), format_count(not_succeeded));
        rows.push(("ended", format!("{succeeded} succeeded, {not_succeeded} did not")));
        rows.push(("ends", dash(&report.end_ms)));
    }
    if report.unanswered > 0 {
        rows.push(("unanswered", format_count(report.unanswered)));
    }
    let errors: Vec<_> = report.errors.iter().map(|(code, count)| format!("{code} {}", format_count(*count))).collect();
    rows.push(("errors", if errors.is_empty() { "none".into() } else { errors.join(", ") }));
    rows
}
