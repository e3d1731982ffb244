//! `sunaba job graph`: the tasks of a job as a tree, for Graphviz, or as a picture.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
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
    /// Write it to this file, which does not exist
    #[arg(long = "output", value_name = "FILE")]
    to: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "to")]
    force: bool,
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
            let graph = client.get_job_graph(args.id, fold).await?;
            match &args.to {
                Some(path) => {
                    write(path, &serde_json::to_string_pretty(&graph).expect("it has a JSON form"), args.force)?;
                }
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
        Some(path) => write(path, &drawn, args.force)?,
        None => {
            let lines = drawn.lines().map(|line| format!("{}\n", print::inert(line)));
            print::data(lines.collect::<String>().as_bytes())?;
        }
    }
    Ok(Exit::Ok)
}

/// Never over what is there already, unless that is wanted.
fn write(path: &Path, text: &str, force: bool) -> Result<(), CommandError> {
    let shown = path.display();
    let file = if force { File::create(path) } else { File::create_new(path) };
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let hint = "hint: name another file, or replace it with `--force`";
            CommandError::new(Exit::Conflict, format!("`{shown}` exists already\n{hint}"))
        }
        _ => CommandError::new(
            Exit::Error,
            format!("cannot write `{shown}`: {error}\nhint: name a file that you can write"),
        ),
    })
}
