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

use crate::exit::{CommandError, Exit};

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
    /// Print results and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print what the host does; twice and thrice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
}

impl Global {
    /// A client of the host. Nothing is sent yet.
    ///
    /// # Errors
    /// The address is none, or the configuration is wrong that would say it.
    pub(crate) fn client(&self) -> Result<Client, CommandError> {
        match &self.address {
            Some(address) => Ok(Client::new(address)?),
            None => Ok(Client::new(&self.read_config()?.address)?),
        }
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

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one attempt of a handler, without a queue
    Run(commands::run::Args),
    /// Make a project with a handler that builds and runs at once
    New(commands::new::Args),
    /// Look at components
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
    /// Keep secrets for handlers, list and remove them
    Secret(commands::secret::Args),
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
    let done = runtime(is_host).and_then(|runtime| runtime.block_on(run(&cli.global, cli.command)));
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            print::error(&error);
            error.exit.into()
        }
    }
}

async fn run(global: &Global, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Run(args) => commands::run::run(global, args).await,
        Command::New(args) => commands::new::run(global, &args),
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
        Command::Secret(args) => commands::secret::run(global, args).await,
        Command::Workers(args) => commands::workers::run(global, args).await,
        Command::Config(args) => commands::config::run(global, args).await,
        Command::Doctor => commands::doctor::run(global).await,
        Command::Completions(args) => commands::docs::completions(&args),
        Command::Man(args) => commands::docs::man(global, &args),
        Command::Store(args) => commands::store::run(global, args).await,
    }
}

/// A host serves many at a time; every other command does one thing.
fn runtime(is_host: bool) -> Result<tokio::runtime::Runtime, CommandError> {
    let mut builder = if is_host {
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
        0 => "warn,sunaba_store::progress=info",
        1 => {
            "sunaba=info,sunaba_host=info,sunaba_server=info,sunaba_store=info,sunaba_worker=info,sunaba_sandbox=info,warn"
        }
        2 => "debug,sled=info,h2=info,hyper=info,wasmtime=info,cranelift=info",
        _ => "trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .init();
}
