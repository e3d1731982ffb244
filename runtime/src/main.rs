//! The `sunaba` binary: reads the command line, dispatches, and turns errors into messages and exit codes.

mod commands;
mod exit;
mod print;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;

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
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Print results and errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print what the host does; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
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
    /// Look at components
    #[command(subcommand)]
    Component(commands::component::Command),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
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
    let done = match cli.command {
        Command::Run(args) => commands::run::run(&cli.global, args).await,
        Command::Component(command) => commands::component::run(&cli.global, command).await,
    };
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            print::error(&error);
            error.exit.into()
        }
    }
}

fn start_log(global: &Global) {
    let level = match global.verbose {
        0 => return,
        1 => "sunaba=debug,sunaba_sandbox=debug",
        _ => "trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .init();
}
