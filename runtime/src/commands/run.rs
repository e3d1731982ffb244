//! `sunaba run`: one attempt of a handler, without a queue.

mod artifacts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sunaba_runtime::server::api::ArtifactView;
use sunaba_runtime::task::{
    Artifact, ArtifactName, ArtifactSink, ArtifactSource, AskError, AttemptHost, AttemptReport, BoxFuture, Cause,
    DirGrant, EnvGrant, Fuel, FuelMode, Grants, JSON, LogEntry, OCTETS, Payload, Progress, Seed, parse_bytes,
    parse_duration,
};
use sunaba_runtime::{Attempt, Report, SecretSource, StatedLimits};
use tokio::sync::{Notify, mpsc};

use artifacts::Folder;

use super::input::Input;
use super::permits::{TaskArgs, secrets};
use super::show::{self, Shown};
use super::{load, read_component, small_sandbox};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Lines and progress reports that wait to be printed; the guest's log limit keeps lines below it.
const EVENTS: usize = 4096;

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
    /// A secret, where it is, and the one host that it is sent to: `NAME=env:VARIABLE@URL` or `NAME=file:PATH@URL`
    #[arg(long, value_name = "NAME=WHERE@URL")]
    secret: Vec<String>,
    #[command(flatten)]
    more: TaskArgs,
    /// Clock and random numbers from a seed: with the same one and the same input, it does the same again
    #[arg(long, value_name = "N[@UNIX_MS]")]
    seed: Option<Seed>,
    /// Keep the artifacts in this directory, which is made if it is not there [default: they go with the run]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Let artifacts replace files that are in their directory
    #[arg(long, requires = "artifacts")]
    force: bool,
}

/// What is told of a run, for programs.
#[derive(Serialize)]
struct RunReport {
    #[serde(flatten)]
    report: Report,
    artifacts: Vec<ArtifactView>,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let sources = secrets(&args.secret)?;
    let sandbox = small_sandbox()?;
    let mode = args.fuel.map_or(FuelMode::Exact, Fuel::mode);
    let bytes = read_component(&args.component)?;
    let component = load(&sandbox, &args.component, bytes.clone(), mode).await?;
    let stated =
        StatedLimits { timeout: args.timeout, fuel: args.fuel, memory_bytes: args.memory, others: args.more.limits() };
    stated.check().map_err(|error| CommandError::new(Exit::Usage, error))?;
    let mut attempt = Attempt::of(&component, &args.handler)?.limits(&stated);
    let wanted = attempt.limits_mut().fuel.mode();
    if wanted != mode {
        // Only now is it known that the handler asks for the other mode.
        load(&sandbox, &args.component, bytes, wanted).await?;
    }
    let grants = Grants {
        env: args.env,
        dirs: args.dir,
        http: args.more.http.clone(),
        secrets: sources.iter().map(|source| source.name.clone()).collect(),
        scratch_bytes: args.more.scratch,
        clock: args.more.clock(),
    };
    grants.check().map_err(|error| CommandError::new(Exit::Usage, error))?;
    let secrets = sources.iter().map(SecretSource::read).collect::<Result<_, _>>()?;
    let attempt = attempt.grants(grants.clone()).secrets(secrets);
    attempt.effective_grants()?;
    for grant in &grants.dirs {
        std::fs::read_dir(&grant.host).map_err(|error| cannot_grant(grant, &error))?;
    }
    let (media_type, nothing) = if attempt.takes_json() { (JSON, "null") } else { (OCTETS, "") };
    let bytes = args.input.map_or_else(|| Ok(nothing.into()), Input::read)?;
    let mut attempt = attempt.input(Payload::new(media_type, bytes))?;
    if let Some(seed) = args.seed {
        attempt = attempt.seed(seed);
    }
    if let Some(capture) = args.more.capture {
        attempt = attempt.capture(capture);
    }
    let folder = Folder::new(args.artifacts.as_deref(), args.force)?;

    let talks = global.output == Format::Text && !global.quiet;
    let (events, mut said) = mpsc::channel(EVENTS);
    let watcher =
        Arc::new(Watcher { events: talks.then_some(events), interrupted: Notify::new(), folder: folder.clone() });
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
    let exit = show(global, report, interrupted, &folder);
    folder.end();
    exit
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
    folder: Folder,
}

enum Event {
    Log(LogEntry),
    Progress(Progress),
}

impl Event {
    fn print(&self) {
        match self {
            Self::Log(entry) => show::log(entry),
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

    fn create_artifact(
        &self,
        name: ArtifactName,
        media_type: String,
    ) -> BoxFuture<'_, Result<Box<dyn ArtifactSink>, AskError>> {
        Box::pin(self.folder.create(name, media_type))
    }

    fn open_artifact(
        &self,
        task: Option<String>,
        name: ArtifactName,
    ) -> BoxFuture<'_, Result<Box<dyn ArtifactSource>, AskError>> {
        Box::pin(self.folder.open(task, name))
    }

    fn artifacts(&self, task: Option<String>) -> BoxFuture<'_, Result<Vec<Artifact>, AskError>> {
        Box::pin(async move {
            if task.is_none() { Ok(self.folder.list()) } else { Err(AskError::no_store("artifacts.list")) }
        })
    }

    fn link_artifact(&self, name: ArtifactName, url: String) -> BoxFuture<'_, Result<Artifact, AskError>> {
        Box::pin(self.folder.link(name, url))
    }

    fn stopped(&self) -> BoxFuture<'_, Cause> {
        Box::pin(async {
            self.interrupted.notified().await;
            Cause::Cancelled
        })
    }
}

fn show(global: &Global, report: AttemptReport, interrupted: bool, folder: &Folder) -> Result<Exit, CommandError> {
    let shown = Shown::from(&report);
    let exit = if interrupted { Exit::Interrupted } else { shown.exit() };
    if global.output == Format::Text {
        shown.print(global)?;
        folder.print(global);
    } else {
        let artifacts = folder.list().into_iter().map(ArtifactView::from).collect();
        print::json(global.output, &RunReport { report: Report::from(report), artifacts })?;
    }
    Ok(exit)
}
