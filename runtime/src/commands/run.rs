//! `sunaba run`: one attempt of a handler, without a queue.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sunaba_runtime::task::{
    AttemptHost, AttemptReport, AttemptResult, BoxFuture, Cause, DirGrant, EnvGrant, Fuel, FuelMode, Grants, JSON,
    LogEntry, OCTETS, Outcome, Payload, Progress, Receipt, Stop, format_bytes, format_count, format_duration,
    parse_bytes, parse_duration,
};
use sunaba_runtime::{Attempt, Report};
use tokio::sync::{Notify, mpsc};

use super::{ReadError, load, read, read_all, read_component, small_sandbox};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// A larger input is refused.
const MAX_INPUT_BYTES: u64 = 16 << 20;
/// Lines and progress reports that wait to be printed; the guest's log limit keeps lines below it.
const EVENTS: usize = 4096;
/// Frames of a backtrace that are printed for people.
const SHOWN_FRAMES: usize = 12;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component, a `.wasm` file
    component: PathBuf,
    /// The name of one of its handlers
    handler: String,
    /// The input: JSON, `@FILE`, or `-` for standard input [default: nothing, which is `null` in JSON]
    #[arg(long, allow_hyphen_values = true)]
    input: Option<Input>,
    /// How long the attempt may take, such as `5s` [default: the handler's, else 300s]
    #[arg(long, value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// Instructions that it may use, `exact` to count without a limit, or `off` [default: the handler's, else exact]
    #[arg(long)]
    fuel: Option<Fuel>,
    /// Memory that it may use, such as `64MiB` [default: the handler's, else 128MiB]
    #[arg(long, value_parser = parse_bytes)]
    memory: Option<u64>,
    /// An environment variable for the guest
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<EnvGrant>,
    /// A directory for the guest, read-only unless `:rw`
    #[arg(long, value_name = "HOST::GUEST[:rw]")]
    dir: Vec<DirGrant>,
}

/// Where the input comes from.
#[derive(Debug, Clone)]
enum Input {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, text.strip_prefix('@')) {
            ("-", _) => Self::Stdin,
            (_, Some(path)) => Self::File(path.into()),
            (text, None) => Self::Text(text.into()),
        })
    }
}

impl Input {
    fn read(self) -> Result<Vec<u8>, CommandError> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::File(path) => read(&path, MAX_INPUT_BYTES),
            Self::Stdin => {
                read_all(std::io::stdin().lock(), MAX_INPUT_BYTES, "standard input").map_err(|error| match error {
                    ReadError::Io(error) => {
                        CommandError::new(Exit::Error, format!("cannot read standard input: {error}"))
                    }
                    ReadError::TooLarge(error) => error,
                })
            }
        }
    }
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let sandbox = small_sandbox()?;
    let mode = args.fuel.map_or(FuelMode::Exact, Fuel::mode);
    let bytes = read_component(&args.component)?;
    let component = load(&sandbox, &args.component, bytes.clone(), mode).await?;
    let mut attempt = Attempt::of(&component, &args.handler)?;
    let limits = attempt.limits_mut();
    limits.fuel = args.fuel.unwrap_or(limits.fuel);
    limits.timeout = args.timeout.unwrap_or(limits.timeout);
    limits.memory_bytes = args.memory.unwrap_or(limits.memory_bytes);
    limits.check().map_err(|error| CommandError::new(Exit::Usage, error))?;
    if limits.fuel.mode() != mode {
        // Only now is it known that the handler asks for the other mode.
        load(&sandbox, &args.component, bytes, limits.fuel.mode()).await?;
    }
    let grants = Grants { env: args.env, dirs: args.dir };
    grants.check().map_err(|error| CommandError::new(Exit::Usage, error))?;
    for grant in &grants.dirs {
        std::fs::read_dir(&grant.host).map_err(|error| cannot_grant(grant, &error))?;
    }
    let (media_type, nothing) = if attempt.takes_json() { (JSON, "null") } else { (OCTETS, "") };
    let bytes = args.input.map_or_else(|| Ok(nothing.into()), Input::read)?;
    let attempt = attempt.grants(grants).input(Payload::new(media_type, bytes))?;

    let talks = global.output == Format::Text && !global.quiet;
    let (events, mut said) = mpsc::channel(EVENTS);
    let watcher = Arc::new(Watcher { events: talks.then_some(events), interrupted: Notify::new() });
    let running = attempt.run(&sandbox, Arc::clone(&watcher) as Arc<dyn AttemptHost>);
    // One for the whole loop, and first in it: a guest that never stops talking must not drown it.
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(running, interrupt);
    let mut interrupted = false;
    let report = loop {
        tokio::select! {
            biased;
            _ = &mut interrupt, if !interrupted => {
                interrupted = true;
                watcher.interrupted.notify_one();
            }
            report = &mut running => break report?,
            Some(event) = said.recv() => event.print(),
        }
    };
    while let Ok(event) = said.try_recv() {
        event.print();
    }
    show(global, report, interrupted)
}

fn cannot_grant(grant: &DirGrant, error: &std::io::Error) -> CommandError {
    let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Invalid };
    let host = grant.host.display();
    CommandError::new(
        exit,
        format!("cannot grant `{grant}`: `{host}`: {error}\nhint: name a directory that you can read"),
    )
}

/// Prints what the guest says while it runs, and stops it at the keyboard's interrupt.
struct Watcher {
    events: Option<mpsc::Sender<Event>>,
    interrupted: Notify,
}

enum Event {
    Log(LogEntry),
    Progress(Progress),
}

impl Event {
    fn print(&self) {
        match self {
            Self::Log(entry) => {
                let fields = entry.fields.iter().map(|(key, value)| format!(" {key}={value}")).collect::<String>();
                print::note(format_args!(
                    "{:>6}ms {:<6} {:<5} {}{fields}",
                    entry.at_ms,
                    entry.source.to_string(),
                    entry.level,
                    entry.message
                ));
            }
            Self::Progress(progress) => {
                let percent =
                    progress.fraction.map(|fraction| format!("{:>3.0}% ", fraction * 100.0)).unwrap_or_default();
                print::note(format_args!("{percent}{}", progress.message));
            }
        }
    }
}

impl AttemptHost for Watcher {
    fn on_log(&self, entry: &LogEntry) {
        if let Some(events) = &self.events {
            // Full means that the terminal is slower than the guest; the report has every line.
            let _ = events.try_send(Event::Log(entry.clone()));
        }
    }

    fn on_progress(&self, progress: Progress) {
        if let Some(events) = &self.events {
            let _ = events.try_send(Event::Progress(progress));
        }
    }

    fn stopped(&self) -> BoxFuture<'_, Cause> {
        Box::pin(async {
            self.interrupted.notified().await;
            Cause::Cancelled
        })
    }
}

fn show(global: &Global, report: AttemptReport, interrupted: bool) -> Result<Exit, CommandError> {
    let exit = match &report.result {
        _ if interrupted => Exit::Interrupted,
        AttemptResult::Returned(_) => Exit::Ok,
        AttemptResult::Stopped(Stop { cause: Cause::Timeout, .. }) => Exit::Timeout,
        AttemptResult::Failed(_) | AttemptResult::Stopped(_) => Exit::TaskFailed,
    };
    if global.output == Format::Text {
        show_text(global, report)?;
    } else {
        print::json(global.output, &Report::from(report))?;
    }
    Ok(exit)
}

fn show_text(global: &Global, report: AttemptReport) -> Result<(), CommandError> {
    let AttemptReport { result, receipt, .. } = report;
    match result {
        AttemptResult::Returned(Outcome::Complete(output)) => {
            if !global.quiet {
                print::headline(true, "succeeded", &format!("in {}", format_duration(receipt.wall)));
                show_receipt(&receipt);
            }
            print::data(&output.bytes)?;
            // JSON is a line; other bytes are left as they are.
            return if output.is_json() { print::data(b"\n") } else { Ok(()) };
        }
        AttemptResult::Returned(Outcome::Decompose(_) | Outcome::Snooze(_)) => {
            unreachable!("the sandbox stops these until they are supported")
        }
        AttemptResult::Failed(failure) => {
            print::headline(false, "failed", &format!("{}: {}", failure.kind, failure.message));
            if let Some(detail) = failure.detail.filter(Payload::is_json) {
                print::note(format_args!("  detail       {}", String::from_utf8_lossy(&detail.bytes)));
            }
        }
        AttemptResult::Stopped(stop) => {
            print::headline(false, "stopped", &format!("{}: {}", stop.cause, stop.message));
            show_backtrace(&stop);
        }
    }
    if !global.quiet {
        show_receipt(&receipt);
    }
    Ok(())
}

fn show_backtrace(stop: &Stop) {
    for (index, frame) in stop.backtrace.iter().take(SHOWN_FRAMES).enumerate() {
        print::note(format_args!("  {index:>4}: {frame}"));
    }
    let hidden = stop.backtrace.len().saturating_sub(SHOWN_FRAMES);
    if hidden > 0 {
        print::note(format_args!("        and {hidden} more (all with `-o json`)"));
    }
}

fn show_receipt(receipt: &Receipt) {
    let fuel = match (receipt.fuel, receipt.fuel_exact) {
        (Some(fuel), true) => format_count(fuel),
        (Some(fuel), false) => format!("at least {} (within a million)", format_count(fuel)),
        (None, _) => "off".into(),
    };
    let said = receipt.log_bytes + receipt.stdout_bytes + receipt.stderr_bytes;
    let rows = [
        ("fuel", fuel),
        (
            "wall time",
            format!("{} ({} of it sandbox)", format_duration(receipt.wall), format_duration(receipt.overhead)),
        ),
        ("peak memory", format_bytes(receipt.peak_memory_bytes)),
        ("input", format_bytes(receipt.input_bytes)),
        ("output", format_bytes(receipt.output_bytes)),
        ("logs", format!("{} kept, {} dropped", format_bytes(said), format_bytes(receipt.dropped_bytes))),
        ("component", receipt.component.to_string()),
    ];
    for (name, value) in rows {
        print::note(format_args!("  {name:<12} {value}"));
    }
}
