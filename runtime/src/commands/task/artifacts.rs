//! `sunaba task artifacts`: lists what a task has left, and saves a file of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use comfy_table::Table;
use sunaba_runtime::server::api::{ArtifactView, ArtifactsView};
use sunaba_runtime::task::{ArtifactName, Digester, TaskId, format_bytes};
use sunaba_runtime::{Client, Download};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The task
    id: TaskId,
    /// One of its files, to be saved
    #[arg(requires = "save")]
    name: Option<ArtifactName>,
    /// Where to save it: a file that does not exist, or `-` for standard output
    #[arg(long = "output", value_name = "FILE", requires = "name")]
    save: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "save")]
    force: bool,
}

pub(crate) async fn run(global: &Global, client: &Client, args: Args) -> Result<Exit, CommandError> {
    let Args { id, name, save, force } = args;
    match name.zip(save) {
        None => list(global, &client.list_artifacts(id).await?)?,
        Some((name, place)) if place.as_os_str() == "-" => {
            let mut download = client.get_artifact(id, &name).await?;
            each_piece(&mut download, print::data).await?;
        }
        Some((name, place)) => {
            if !force && fs::symlink_metadata(&place).is_ok() {
                return Err(exists(&place));
            }
            let size_bytes = save_as(&mut client.get_artifact(id, &name).await?, &place, force).await?;
            print::aside(global, format_args!("{}: {}", place.display(), format_bytes(size_bytes)));
        }
    }
    Ok(Exit::Ok)
}

fn list(global: &Global, view: &ArtifactsView) -> Result<(), CommandError> {
    match global.output {
        Format::Json => return print::json(global.output, view),
        Format::Jsonl => return view.artifacts.iter().try_for_each(|artifact| print::json(Format::Jsonl, artifact)),
        Format::Text => {}
    }
    if view.artifacts.is_empty() {
        print::aside(global, format_args!("task {} has no artifacts", view.id));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "NAME",
        "TYPE",
        "SIZE",
        "ATTEMPT",
        "DIGEST OR ADDRESS",
    ]);
    for ArtifactView { name, media_type, size_bytes, digest, url, attempt, .. } in &view.artifacts {
        let size = size_bytes.map(format_bytes).unwrap_or_default();
        let what = digest.as_deref().or(url.as_deref()).unwrap_or_default();
        table.add_row([name.as_str(), media_type, &size, &attempt.to_string(), what]);
    }
    print::table(&table)
}

/// Gives each piece to somebody; the size of all of them. What arrived must be what the host has.
async fn each_piece(
    download: &mut Download,
    mut each: impl FnMut(&[u8]) -> Result<(), CommandError>,
) -> Result<u64, CommandError> {
    let (mut digester, mut size_bytes) = (Digester::default(), 0);
    while let Some(piece) = download.piece().await? {
        digester.update(&piece);
        size_bytes += piece.len() as u64;
        each(&piece)?;
    }
    if download.digest().is_some_and(|expected| digester.finish() != expected) {
        let message =
            "the file is not what it was when it was put\nhint: `sunaba store verify` looks at all that is kept";
        return Err(CommandError::new(Exit::Error, message));
    }
    Ok(size_bytes)
}

fn exists(place: &Path) -> CommandError {
    let message =
        format!("`{}` exists already\nhint: name another file, or replace it with `--force`", place.display());
    CommandError::new(Exit::Conflict, message)
}

/// Writes it beside its place first: there it is whole or not at all.
async fn save_as(download: &mut Download, place: &Path, force: bool) -> Result<u64, CommandError> {
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = Partial(place.with_file_name(name));
    let failed =
        |error: std::io::Error| CommandError::new(Exit::Error, format!("cannot write `{}`: {error}", place.display()));
    let mut file = File::create_new(&partial.0).map_err(failed)?;
    let size_bytes = each_piece(download, |piece| file.write_all(piece).map_err(failed)).await?;
    if force {
        fs::rename(&partial.0, place).map_err(failed)?;
    } else {
        // Never over what has come there meanwhile.
        fs::hard_link(&partial.0, place).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => exists(place),
            _ => failed(error),
        })?;
    }
    Ok(size_bytes)
}

struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // Under its own name it is not there any more, or there twice.
        let _ = fs::remove_file(&self.0);
    }
}
