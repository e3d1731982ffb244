//! `sunaba job graph`: the tasks of a job as a tree, for Graphviz, or as a picture.

use std::path::{Path, PathBuf};

use sunaba_runtime::server::api::GraphFormat;
use sunaba_runtime::task::job::JobId;

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(super) struct GraphArgs {
    /// Its id
    id: JobId,
    /// As what [default: text, or JSON with `-o json`]
    #[arg(long = "as", value_enum)]
    picture: Option<Picture>,
    /// Write it to this file
    #[arg(long = "output", value_name = "FILE")]
    to: Option<PathBuf>,
    /// Show groups with more members than this as one node [default: 20]
    #[arg(long, value_name = "MEMBERS", value_parser = clap::value_parser!(u16).range(1..=2_000))]
    fold: Option<u16>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Picture {
    /// A tree of 80 columns
    Text,
    /// For Graphviz: `dot -Tsvg` and others draw it
    Dot,
    /// A picture for browsers, light and dark
    Svg,
}

pub(super) async fn run(global: &Global, args: GraphArgs) -> Result<Exit, CommandError> {
    let (client, fold) = (global.client()?, args.fold.map(usize::from));
    let format = match (args.picture, global.output) {
        (None, Format::Json | Format::Jsonl) => {
            let graph = client.job_graph(args.id, fold).await?;
            match &args.to {
                Some(path) => write(path, &serde_json::to_string_pretty(&graph).expect("it has a JSON form"))?,
                None => print::json(global.output, &graph)?,
            }
            return Ok(Exit::Ok);
        }
        (None | Some(Picture::Text), _) => GraphFormat::Text,
        (Some(Picture::Dot), _) => GraphFormat::Dot,
        (Some(Picture::Svg), _) => GraphFormat::Svg,
    };
    let drawn = client.draw_job(args.id, format, fold).await?;
    match &args.to {
        Some(path) => write(path, &drawn)?,
        None => {
            let lines = drawn.lines().map(|line| format!("{}\n", print::inert(line)));
            print::data(lines.collect::<String>().as_bytes())?;
        }
    }
    Ok(Exit::Ok)
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    std::fs::write(path, text).map_err(|error| {
        let path = path.display();
        CommandError::new(Exit::Error, format!("cannot write `{path}`: {error}\nhint: name a file that you can write"))
    })
}
