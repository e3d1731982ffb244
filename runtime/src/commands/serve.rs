//! `sunaba serve`: a host with its queue on disk, its API, and a worker.

mod build;
mod flags;
mod notify;
mod reload;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use sunaba_runtime::config::{Config, Origin};
use sunaba_runtime::server::{Admission, NotAdmitted, Server, Settings};
use sunaba_runtime::store::OpenError;
use sunaba_runtime::task::trace::Spans;
use sunaba_runtime::task::{format_bytes, format_duration};
use sunaba_runtime::telemetry::Telemetry;
use sunaba_runtime::{Runtime, StartError};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use build::permitted;
pub(crate) use flags::Args;
use notify::Notify;

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, LogFormat, print};

/// One of so many descriptors may be a connection: the others are for the queue, for what guests open, and for whoever
/// connects next.
const CONNECTIONS_SHARE: usize = 4;

/// How long the last spans may take to be sent.
const SPANS_TIME: Duration = Duration::from_secs(5);

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let config = reload::read(global.config.as_ref(), &args)?;
    config.warnings.iter().for_each(|warning| say(global, format_args!("warning: {warning}")));
    // What cannot be is refused before anything is touched.
    let builder = permitted(&config)?;
    // The port first: a host that cannot listen has not touched its data.
    let server = Server::bind(config.host.listen).await.map_err(|error| CommandError::new(Exit::Unavailable, error))?;
    let server = server.connections(raise_descriptors() / CONNECTIONS_SHARE).named(config.host.allow_host.clone());
    let settings = Settings::default();
    settings.set(reload::shown(&config, &config));
    let server = server.settings(settings.clone());
    let server = match config.host.admits() {
        Some(admission) => server.admission(admission),
        None => server,
    };
    let not_admitted = |error: NotAdmitted| match error {
        NotAdmitted::NoKeys { .. } => CommandError::new(Exit::Usage, error),
        error => CommandError::new(Exit::Error, error),
    };
    if !config.host.data.exists() {
        server.check_keys(None).await.map_err(not_admitted)?;
    }
    let failed = |error: StartError| match error {
        StartError::Store(OpenError::InUse { .. }) => CommandError::new(Exit::Unavailable, error),
        _ => CommandError::new(Exit::Error, error),
    };
    let mut builder = build::host(&config, builder, &args).map_err(failed)?;
    let telemetry = config.otlp_endpoint.as_deref().map(|endpoint| Telemetry::start(endpoint, "sunaba")).transpose();
    let telemetry = telemetry.map_err(|error| CommandError::new(Exit::Usage, error))?;
    if let Some(telemetry) = &telemetry {
        builder = builder.worker(|worker| worker.spans = Spans::to(telemetry.sink()));
    }
    // Before anything of the queue runs.
    if let Some(store) = builder.given_store() {
        server.check_keys(Some(&**store)).await.map_err(not_admitted)?;
    }
    let runtime = Arc::new(builder.start().await.map_err(failed)?);
    match reload::deploy(&runtime, &config.packages).await {
        Ok(lines) => lines.into_iter().for_each(|line| say(global, line)),
        Err(error) => {
            // What was leased meanwhile goes back at once.
            let _ = runtime.stop(Duration::ZERO).await;
            return Err(error);
        }
    }
    let notify = Notify::from_env();
    // Before anybody is told that the host is ready: a signal from then on is a request to stop, or to reload.
    let mut signals = Signals::new()?;
    let mut hangups = Hangups::new()?;
    announce(global, &config, &server, &runtime)?;
    notify.say("READY=1");

    let stop_serving = Arc::new(tokio::sync::Notify::new());
    let serving = tokio::spawn({
        let (runtime, stop) = (Arc::clone(&runtime), Arc::clone(&stop_serving));
        async move { server.serve(runtime, async move { stop.notified().await }).await }
    });
    tokio::select! {
        lost = runtime.ended() => {
            // The worker ends by itself only if its store has failed, or has given what it ran to others.
            let message = lost.err().map_or_else(|| "the worker has ended".to_owned(), |error| error.to_string());
            let lost = CommandError::new(Exit::Error, message);
            if runtime.store().failure().is_none() {
                return Err(lost);
            }
            // Nothing runs and nothing is taken on any more, but what is durable can be looked at, and `/readyz` says why.
            print::host_error(global, &lost);
            say(global, "read-only until it is stopped");
            notify.say("STATUS=read-only: its store has failed");
            // Who loses says that the host lives.
            tokio::select! {
                () = signals.next() => {}
                () = notify.keep_alive(&runtime) => {}
            }
            stop_serving.notify_one();
            let _ = serving.await;
            return Ok(Exit::Error);
        }
        () = signals.next() => {}
        // Who loses says that the host lives, or reloads: what it has put in force by then stays so.
        () = notify.keep_alive(&runtime) => {}
        () = reloads(&mut hangups, global, &args, &runtime, &notify, (&config, &settings)) => {}
    }
    notify.say("STOPPING=1");
    match runtime.running() {
        0 => say(global, "stopping"),
        running => say(
            global,
            format_args!(
                "stopping: {running} running, with up to {} to end; a second signal hands them back at once",
                format_duration(config.host.grace)
            ),
        ),
    }
    let stopped = tokio::select! {
        stopped = runtime.stop(config.host.grace) => stopped,
        () = async { signals.next().await; runtime.force_stop(); std::future::pending().await } => Ok(()),
    };
    stop_serving.notify_one();
    // Whoever still waits is answered; the server bounds how long that takes.
    let _ = serving.await;
    if let Some(telemetry) = telemetry {
        telemetry.stop(SPANS_TIME).await;
    }
    stopped.map_err(|error| CommandError::new(Exit::Error, error))?;
    say(global, "stopped; nothing is lost");
    Ok(Exit::Ok)
}

/// Takes all the descriptors that the system gives; how many that is.
pub(super) fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX)
}

/// Tells where the host is, to people or to a program.
fn announce(global: &Global, config: &Config, server: &Server, runtime: &Runtime) -> Result<(), CommandError> {
    let address = format!("http://{}", server.address());
    let host = &config.host;
    let data = std::path::absolute(&host.data).unwrap_or_else(|_| host.data.clone());
    let packages = runtime.packages().len();
    let durability = match host.durability.loss() {
        None => host.durability.to_string(),
        Some(loss) => format!("{}: a crash loses up to {} of answers", host.durability, format_duration(loss)),
    };
    if global.output != Format::Text {
        let ready = json!({
            "address": address, "data": data, "durability": host.durability, "concurrency": runtime.slots(), "packages": packages,
            "memory_budget_bytes": runtime.memory_budget_bytes(), "follow_active": runtime.follows_active(),
            "pid": std::process::id(), "keys": server.admits() == Admission::Keys,
        });
        return print::json(Format::Jsonl, &ready);
    }
    if global.log_format == LogFormat::Json {
        say(global, format_args!("ready at {address}"));
    } else if !global.quiet {
        print::headline(true, "ready", &format!("sunaba {}", env!("CARGO_PKG_VERSION")));
        for (name, value) in [
            ("address", address.clone()),
            ("dashboard", format!("{address}/ui/")),
            ("data", data.display().to_string()),
            ("durability", durability),
            ("concurrency", runtime.slots().to_string()),
            ("memory", runtime.memory_budget_bytes().map_or_else(|| "without a budget".into(), format_bytes)),
            ("packages", packages.to_string()),
        ] {
            print::note(format_args!("  {name:<12} {value}"));
        }
        if runtime.follows_active() {
            print::note("  versions     tasks follow the active one, unless they are pinned");
        }
        match (server.admits(), server.address().ip().is_loopback()) {
            (Admission::Keys, true) => print::note("  keys         are asked for"),
            (Admission::Keys, false) => {
                print::note("  keys         are asked for, and travel unencrypted: put a proxy with TLS in front");
            }
            (Admission::Anybody, true) => {}
            (Admission::Anybody, false) => {
                print::note("  keys         none: whoever reaches this address may do everything")
            }
        }
        if let Some(file) = &config.file {
            print::note(format_args!("  config       {}", file.display()));
        }
        for worker in runtime.workers().iter().filter(|_| !config.workers.is_empty()) {
            print::note(format_args!("  worker       {}: {}", worker.id, wanted(&worker.wanted.to_string())));
        }
        // What the operator has said, as it was said.
        for row in config.rows().iter().filter(|row| row.origin != Origin::Default) {
            if row.key.starts_with("grants.") || row.key.starts_with("limits.") {
                let name = row.key.split('.').next_back().unwrap_or_default();
                print::note(format_args!("  {name:<12} {}", row.value));
            }
        }
    }
    Ok(())
}

/// How many slots: a number, or a range.
fn wanted(slots: &str) -> String {
    format!("{slots} {}", if slots == "1" { "slot" } else { "slots" })
}

/// For people; into the log, where that is for programs.
fn say(global: &Global, line: impl std::fmt::Display) {
    match global.log_format {
        _ if global.quiet => {}
        LogFormat::Json => tracing::info!("{line}"),
        LogFormat::Text => print::note(line),
    }
}

/// The signals that ask for a stop.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, CommandError> {
        let failed =
            |error: std::io::Error| CommandError::new(Exit::Error, format!("cannot watch for signals: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        // Who loses is asked again at the next call.
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signal that asks for a reload, or tells that the terminal has gone.
struct Hangups {
    hangup: tokio::signal::unix::Signal,
    had_terminal: bool,
}

impl Hangups {
    fn new() -> Result<Self, CommandError> {
        let failed =
            |error: std::io::Error| CommandError::new(Exit::Error, format!("cannot watch for signals: {error}"));
        let hangup = signal(SignalKind::hangup()).map_err(failed)?;
        Ok(Self { hangup, had_terminal: std::io::stdin().is_terminal() })
    }

    /// Waits for the next; whether it asks for a reload.
    async fn next(&mut self) -> bool {
        self.hangup.recv().await;
        // A host that somebody has started in a window ends with it, as every program does.
        !self.had_terminal || std::io::stdin().is_terminal()
    }
}

/// Reloads the configuration as often as somebody asks for it, until the host's terminal has gone.
async fn reloads(
    hangups: &mut Hangups,
    global: &Global,
    args: &Args,
    runtime: &Runtime,
    notify: &Notify,
    (started, settings): (&Config, &Settings),
) {
    while hangups.next().await {
        notify.say("STATUS=reloading");
        if let Some(last) = reload::reload(global, args, runtime, started).await {
            settings.set(reload::shown(started, &last));
        }
        notify.say("STATUS=");
    }
}
