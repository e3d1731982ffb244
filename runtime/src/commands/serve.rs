//! `sunaba serve`: a host with its queue on disk, its API, and a worker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use sunaba_runtime::compile::Compiler;
use sunaba_runtime::server::{Admission, NotAdmitted, Server};
use sunaba_runtime::store::{OpenError, Options};
use sunaba_runtime::task::{Durability, format_bytes, format_duration, parse_duration};
use sunaba_runtime::{AllowedDir, MemoryBudget, RuleSetting, Runtime, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::permits::OperatorArgs;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, LogFormat, print};

/// Where a host listens, and where its clients look for it, unless told otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:7878";
/// One of so many descriptors may be a connection: the others are for the queue, for what guests open, and for whoever
/// connects next.
const CONNECTIONS_SHARE: usize = 4;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the queue; made if it is not there
    #[arg(long, env = "SUNABA_DATA", default_value = "sunaba-data")]
    data: PathBuf,
    /// Where the API listens; port 0 takes any that is free
    #[arg(long, env = "SUNABA_LISTEN", default_value = DEFAULT_LISTEN, value_parser = listen_address)]
    listen: SocketAddr,
    /// Answer only to those who have a key, on a loopback address too; on any other that is so anyway
    #[arg(long, env = "SUNABA_REQUIRE_KEYS", conflicts_with = "insecure_no_keys")]
    require_keys: bool,
    /// Let whoever reaches an address that is not loopback do everything, without a key
    #[arg(long)]
    insecure_no_keys: bool,
    /// A name by which requests may call the host, besides `localhost` and addresses: that of a proxy, or its own in a network
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Attempts at a time [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=512))]
    concurrency: Option<u16>,
    /// What all attempts at a time may hold of the machine's memory: a size, or a part of what there is
    #[arg(long, value_name = "SIZE|PERCENT", default_value_t = MemoryBudget::default())]
    memory_budget: MemoryBudget,
    /// How many times over that budget is given to attempts, from 1 to 100: for those that do not use what they may
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor)]
    oversubscribe: f64,
    /// A directory out of which submitters may grant, read-only with `:ro`; none by default
    #[arg(long, value_name = "ROOT[:ro]")]
    allow_dir: Vec<AllowedDir>,
    /// Let tasks run what their package has at each attempt, unless they are submitted with `--pin` [default: they are pinned to
    /// what it has when they are submitted]
    #[arg(long)]
    follow_active: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    /// When what the host answers is on stable storage: `sync`, before the answer, or `relaxed(50ms)`, so long after it, which
    /// a crash loses
    #[arg(long, env = "SUNABA_DURABILITY", default_value_t = Durability::Sync)]
    durability: Durability,
    /// How long attempts have to end at a stop; what does not is handed back
    #[arg(long, value_parser = parse_duration, default_value = "30s")]
    grace: Duration,
    /// Another value for an alert rule, such as `failure-percent=20`, `queue-wait=5m` or `min-workers=2`
    #[arg(long, value_name = "NAME=VALUE")]
    alert: Vec<RuleSetting>,
    /// How often the host is looked at for alerts and its history
    #[arg(long, value_parser = parse_duration, default_value = "10s", hide = true)]
    watch_interval: Duration,
    /// How long the tasks of a host that was lost wait for another attempt
    #[arg(long, value_parser = parse_duration, default_value = "30s", hide = true)]
    lease_time: Duration,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    // What cannot be is refused before anything is touched.
    args.operator.apply(Runtime::builder())?;
    // The port first: a host that cannot listen has not touched its data.
    let server = Server::bind(args.listen).await.map_err(|error| CommandError::new(Exit::Unavailable, error))?;
    let server = server.connections(raise_descriptors() / CONNECTIONS_SHARE).named(args.allow_host.clone());
    let server = match (args.require_keys, args.insecure_no_keys) {
        (true, _) => server.admission(Admission::Keys),
        (_, true) => server.admission(Admission::Anybody),
        _ => server,
    };
    let not_admitted = |error: NotAdmitted| match error {
        NotAdmitted::NoKeys { .. } => CommandError::new(Exit::Usage, error),
        error => CommandError::new(Exit::Error, error),
    };
    if !args.data.exists() {
        server.check_keys(None).await.map_err(not_admitted)?;
    }
    let failed = |error: StartError| match error {
        StartError::Store(OpenError::InUse { .. }) => CommandError::new(Exit::Unavailable, error),
        _ => CommandError::new(Exit::Error, error),
    };
    let mut builder =
        Runtime::builder().data_with(&args.data, Options { durability: args.durability }).map_err(failed)?;
    // Before anything of the queue runs.
    if let Some(store) = builder.given_store() {
        server.check_keys(Some(&**store)).await.map_err(not_admitted)?;
    }
    // What is deployed may come from anybody: it is compiled where it can hurt nobody.
    builder = builder.compiler(Compiler::this_program());
    builder = args.operator.apply(builder.allow_dirs(args.allow_dir.clone()))?;
    builder = builder.memory_budget(args.memory_budget).oversubscribe(args.oversubscribe);
    builder = builder.worker(|worker| {
        worker.name = format!("host-{}", std::process::id());
        worker.lease_time = args.lease_time;
    });
    builder = builder.watch(|watch| {
        watch.interval = args.watch_interval;
        watch.rules = watch.rules.clone().with(&args.alert);
    });
    if args.follow_active {
        builder = builder.follow_active();
    }
    if let Some(slots) = args.concurrency {
        builder = builder.concurrency(usize::from(slots));
    }
    let runtime = Arc::new(builder.start().await.map_err(failed)?);
    // Before anybody is told that the host is ready: a signal from then on is a request to stop.
    let mut signals = Signals::new()?;
    announce(global, &args, &server, &runtime)?;

    let stop_serving = Arc::new(Notify::new());
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
            signals.next().await;
            stop_serving.notify_one();
            let _ = serving.await;
            return Ok(Exit::Error);
        }
        () = signals.next() => {}
    }
    match runtime.running() {
        0 => say(global, "stopping"),
        running => say(
            global,
            format_args!(
                "stopping: {running} running, with up to {} to end; a second signal hands them back at once",
                format_duration(args.grace)
            ),
        ),
    }
    let stopped = tokio::select! {
        stopped = runtime.stop(args.grace) => stopped,
        () = async { signals.next().await; runtime.force_stop(); std::future::pending().await } => Ok(()),
    };
    stop_serving.notify_one();
    // Whoever still waits is answered; the server bounds how long that takes.
    let _ = serving.await;
    stopped.map_err(|error| CommandError::new(Exit::Error, error))?;
    say(global, "stopped; nothing is lost");
    Ok(Exit::Ok)
}

/// Reads how many times over something is given.
fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|factor| (1.0..=100.0).contains(factor));
    factor.ok_or_else(|| format!("`{text}` is not a factor\nhint: write a number from 1 to 100, such as `1.5`"))
}

/// Reads an address to listen on; `localhost` is one, too.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().map_err(|_| {
        format!(
            "`{text}` is not an address to listen on\nhint: write an IP address and a port, such as `{DEFAULT_LISTEN}`"
        )
    })
}

/// Takes all the descriptors that the system gives; how many that is.
fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX)
}

/// Tells where the host is, to people or to a program.
fn announce(global: &Global, args: &Args, server: &Server, runtime: &Runtime) -> Result<(), CommandError> {
    let address = format!("http://{}", server.address());
    let data = std::path::absolute(&args.data).unwrap_or_else(|_| args.data.clone());
    let packages = runtime.packages().len();
    let durability = match args.durability.loss() {
        None => args.durability.to_string(),
        Some(loss) => format!("{}: a crash loses up to {} of answers", args.durability, format_duration(loss)),
    };
    if global.output != Format::Text {
        let ready = json!({
            "address": address, "data": data, "durability": args.durability, "concurrency": runtime.slots(), "packages": packages,
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
            ("address", address),
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
        for (name, value) in args.operator.rows() {
            print::note(format_args!("  {name:<12} {value}"));
        }
    }
    Ok(())
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
