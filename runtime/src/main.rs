//! The `sunaba` binary: reads the command line, dispatches, and turns errors into messages and exit codes.

mod commands;
mod exit;
mod print;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use sunaba_runtime::Client;
use sunaba_runtime::config::{Config, Layers};

use crate::commands::key::ApiKey;
use crate::exit::{CommandError, Exit};

/// Most of what a host allocates is freed by another thread than the one that made it, which costs the system's allocator locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Durable tasks, each in its own WebAssembly sandbox.
#[derive(Debug, Parser)]
#[command(name = "sunaba", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// How results are printed
    // Not `--output`: that is what a task gives.
    #[arg(short, long = "format", value_name = "FORMAT", global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// The host to talk to [env: SUNABA_ADDRESS] [default: http://127.0.0.1:7878]
    #[arg(long, global = true)]
    address: Option<String>,
    /// The configuration [env: SUNABA_CONFIG] [default: sunaba.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    // No settings: what shows a configuration never has a key.
    /// A key of the host; other programs on this machine can see an argument, so better set the variable, or name a file
    #[arg(long, value_name = "KEY", env = "SUNABA_API_KEY", hide_env_values = true, global = true)]
    api_key: Option<ApiKey>,
    /// A file that has the key
    #[arg(long, value_name = "FILE", env = "SUNABA_API_KEY_FILE", global = true)]
    api_key_file: Option<PathBuf>,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// How the log is written, on standard error
    #[arg(long, env = "SUNABA_LOG_FORMAT", value_name = "FORMAT", global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Print what the host does; twice and thrice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

impl Global {
    /// A client of the host. Nothing is sent yet.
    ///
    /// # Errors
    /// The address is none, or the configuration is wrong that would say it, or there is no key where one was named.
    pub(crate) fn client(&self) -> Result<Client, CommandError> {
        match &self.address {
            Some(address) => self.client_at(address),
            None => self.client_at(&self.read_config()?.address),
        }
    }

    /// A client of the host at this address, with the key that was given.
    ///
    /// # Errors
    /// The address is none, or there is no key where one was named.
    pub(crate) fn client_at(&self, address: &str) -> Result<Client, CommandError> {
        // A person is told at once that nobody answers, and can try again.
        let client = Client::builder(address).tries(1).build()?;
        let key = commands::key::given(self.api_key.as_ref(), self.api_key_file.as_deref())?;
        Ok(match key {
            Some(key) => client.with_key(&key),
            None => client,
        })
    }

    /// What the file and the environment say.
    ///
    /// # Errors
    /// The file cannot be read, or something is wrong.
    pub(crate) fn read_config(&self) -> Result<Config, CommandError> {
        let mut layers = Layers::of_process(self.config.as_deref())?;
        layers.flag("address", self.address.clone());
        Ok(Config::read(&layers)?)
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// JSON, one object a line
    Jsonl,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// JSON, one object a line
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one attempt of a handler, without a queue
    Run(commands::run::Args),
    /// Make a project with a handler that builds and runs at once
    New(commands::new::Args),
    /// Build the handlers of a project, and show what came of it
    Build(commands::build::Args),
    /// Look at components, check and compile them
    #[command(subcommand)]
    Component(commands::component::Command),
    /// Run a host: a durable queue, its HTTP API, and a worker
    Serve(commands::serve::Args),
    /// Deploy components to a host, show what it has, and control it
    Handler(commands::handler::Args),
    /// Submit tasks to a host, show what became of them, and change that
    Task(commands::task::Args),
    /// Submit jobs to a host, which are tasks that belong together, and show what became of them
    Job(commands::job::Args),
    /// Look at queues, pause them, and set their limits
    Queue(commands::queue::Args),
    /// Look at dead letters, and run them again or delete them
    Dead(commands::dead::Args),
    /// Print what happens to tasks, a line for each event
    Events(commands::events::Args),
    /// Show or set how long what has ended is kept
    Retention(commands::retention::Args),
    /// Show what attempts have used, summed by handler or by tag
    Usage(commands::usage::Args),
    /// Have tasks made again and again, by a calendar
    Schedule(commands::schedule::Args),
    /// Have others told of what happens to tasks and jobs, by signed requests
    Webhook(commands::webhook::Args),
    /// Show what is or was wrong with a host
    Alert(commands::alert::Args),
    /// Show what a host has done, with the figures of the service
    Report(commands::report::Args),
    /// Show like failures together, and what has resolved them before
    Incident(commands::incident::Args),
    /// Keep secrets for handlers, list and remove them
    Secret(commands::secret::Args),
    /// Make, list and revoke the keys by which a host knows who may do what
    Key(commands::key::Args),
    /// Show what was changed by whom
    Audit(commands::audit::Args),
    /// Show a host at work, look after look: queues, workers, what runs, throughput
    Top(commands::top::Args),
    /// Load a host with submits, and show how many it answers and how quickly
    Bench(commands::bench::Args),
    /// Show a host: whether it is up and can do its work, and its metrics
    Host(commands::host::Args),
    /// Show how many attempts the worker groups of a host run at a time, and change that
    Workers(commands::workers::Args),
    /// Show what is configured and where that comes from, check it, and write a file to begin with
    Config(commands::config::Args),
    /// Check what a host needs: toolchain, store, limits of the system, clock, permissions; ends with 1 when something is wrong
    Doctor,
    /// Print a script that completes commands in a shell
    Completions(commands::docs::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(commands::docs::ManArgs),
    /// Print what the HTTP API is, as an OpenAPI 3.1 document
    Openapi,
    /// Look at a data directory that no host holds, verify it, back it up, restore it, compact it
    Store(commands::store::Args),
}

fn main() -> ExitCode {
    // This program is its own compiler's child; then it has no command line.
    sunaba_runtime::compile::serve_if_asked();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and end well; everything else is a wrong command line.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let _ = error.print();
            return exit.into();
        }
    };
    start_log(&cli.global);
    let is_host = matches!(cli.command, Command::Serve(_));
    let done = runtime(is_host || matches!(cli.command, Command::Bench(_)))
        .and_then(|runtime| runtime.block_on(run(&cli.global, cli.command)));
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            if is_host {
                print::host_error(&cli.global, &error)
            } else {
                print::error(&error)
            }
            error.exit.into()
        }
    }
}

async fn run(global: &Global, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Run(args) => commands::run::run(global, args).await,
        Command::New(args) => commands::new::run(global, &args),
        Command::Build(args) => commands::build::run(global, args).await,
        Command::Component(command) => commands::component::run(global, command).await,
        Command::Serve(args) => commands::serve::run(global, args).await,
        Command::Handler(args) => commands::handler::run(global, args).await,
        Command::Task(args) => commands::task::run(global, args).await,
        Command::Job(args) => commands::job::run(global, args).await,
        Command::Queue(args) => commands::queue::run(global, args).await,
        Command::Dead(args) => commands::dead::run(global, args).await,
        Command::Events(args) => commands::events::run(global, args).await,
        Command::Retention(args) => commands::retention::run(global, args).await,
        Command::Usage(args) => commands::usage::run(global, args).await,
        Command::Schedule(args) => commands::schedule::run(global, args).await,
        Command::Webhook(args) => commands::webhook::run(global, args).await,
        Command::Alert(args) => commands::alert::run(global, args).await,
        Command::Report(args) => commands::report::run(global, args).await,
        Command::Incident(args) => commands::incident::run(global, args).await,
        Command::Secret(args) => commands::secret::run(global, args).await,
        Command::Key(args) => commands::key::run(global, args).await,
        Command::Audit(args) => commands::audit::run(global, args).await,
        Command::Top(args) => commands::top::run(global, args).await,
        Command::Bench(args) => commands::bench::run(global, args).await,
        Command::Host(args) => commands::host::run(global, args).await,
        Command::Workers(args) => commands::workers::run(global, args).await,
        Command::Config(args) => commands::config::run(global, args).await,
        Command::Doctor => commands::doctor::run(global).await,
        Command::Openapi => commands::docs::openapi(),
        Command::Completions(args) => commands::docs::completions(&args),
        Command::Man(args) => commands::docs::man(global, &args),
        Command::Store(args) => commands::store::run(global, args).await,
    }
}

/// A host serves many at a time, and its load test asks for as much; every other command does one thing.
fn runtime(is_busy: bool) -> Result<tokio::runtime::Runtime, CommandError> {
    let mut builder = if is_busy {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let failed = |error| CommandError::new(Exit::Error, format!("cannot start: {error}"));
    builder.enable_all().build().map_err(failed)
}

fn start_log(global: &Global) {
    let level = match global.verbose {
        // And how far something is that takes long.
        0 => "warn,sunaba_store::progress=info,sunaba::commands=info",
        1 => {
            "sunaba=info,sunaba_host=info,sunaba_server=info,sunaba_store=info,sunaba_worker=info,sunaba_sandbox=info,warn"
        }
        2 => "debug,sled=info,h2=info,hyper=info,wasmtime=info,cranelift=info",
        _ => "trace",
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match global.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
