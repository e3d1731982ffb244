//! `sunaba job`: looks at jobs.

mod explain;
mod graph;

use crate::Global;
use crate::exit::{CommandError, Exit};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell why a job is where it is: what failed, what was not run or undone, where the time went, what it waits for
    Explain(explain::ExplainArgs),
    /// Print the tasks of a job as a tree, for Graphviz, or as an SVG document, with the longest chain marked
    Graph(graph::GraphArgs),
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    match args.command {
        Command::Explain(args) => explain::run(global, args).await,
        Command::Graph(args) => graph::run(global, args).await,
    }
}
