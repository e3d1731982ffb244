//! `sunaba config`: what is configured and where that comes from, whether it can be, and a file to begin with.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use comfy_table::Table;
use serde_json::json;
use sunaba_runtime::config::{Config, ConfigError, DEFAULT_FILE, Layers, Origin, TEMPLATE};

use super::serve;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what is in force when a host starts here, by the file, the environment, and the defaults; never a secret
    Show {
        /// Where each value comes from, too
        #[arg(long)]
        origin: bool,
    },
    /// Check the file and the environment, and that what they name is there; ends with 8 when something is wrong
    Validate,
    /// Write a file to begin with, in which every setting is explained and nothing is changed
    Init {
        /// The file, which must not exist
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
    },
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    match args.command {
        Command::Show { origin } => show(global, &global.read_config()?, origin),
        Command::Validate => validate(global),
        Command::Init { file } => init(global, &file),
    }
}

fn show(global: &Global, config: &Config, with_origin: bool) -> Result<Exit, CommandError> {
    config.warnings.iter().for_each(|warning| print::aside(global, format_args!("warning: {warning}")));
    if global.output != Format::Text {
        let value = |row: &sunaba_runtime::config::Row| json!({"key": row.key, "value": row.value, "origin": row.origin.to_string()});
        match global.output {
            Format::Json => print::json(Format::Json, &config.rows().iter().map(value).collect::<Vec<_>>())?,
            format => config.rows().iter().try_for_each(|row| print::json(format, &value(row)))?,
        }
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(match with_origin {
        true => vec!["KEY", "VALUE", "ORIGIN"],
        false => vec!["KEY", "VALUE"],
    });
    for row in config.rows() {
        let mut cells = vec![row.key.clone(), row.value.clone()];
        if with_origin {
            cells.push(row.origin.to_string());
        }
        table.add_row(cells);
    }
    print::table(&table)?;
    Ok(Exit::Ok)
}

fn validate(global: &Global) -> Result<Exit, CommandError> {
    let mut layers = Layers::of_process(global.config.as_deref())?;
    layers.flag("address", global.address.clone());
    let config = match Config::read(&layers) {
        Ok(config) => config,
        Err(ConfigError::Wrong(problems)) => {
            problems.iter().for_each(|problem| print::error(&CommandError::new(Exit::Invalid, problem)));
            return Ok(Exit::Invalid);
        }
        Err(error) => return Err(error.into()),
    };
    config.warnings.iter().for_each(|warning| print::aside(global, format_args!("warning: {warning}")));
    // All of it, and not the first thing alone.
    let mut problems = Vec::new();
    problems.extend(serve::permitted(&config).err());
    for (name, package) in &config.packages {
        let read = super::read_component(&package.component);
        problems.extend(read.err().map(|error| error.about(format!("the package `{name}` of {}", package.origin))));
    }
    for group in &config.workers {
        for dir in group.dirs.iter().filter(|dir| !dir.host.is_dir()) {
            let origin = config.origin(&format!("workers.{}.dirs", group.id));
            let message = format!(
                "{origin}: the directory `{}` of the worker group `{}` is not there\nhint: name a directory that you can read",
                dir.host.display(),
                group.id
            );
            problems.push(CommandError::new(Exit::Invalid, message));
        }
    }
    if !problems.is_empty() {
        problems.iter().for_each(print::error);
        return Ok(Exit::Invalid);
    }
    let said = config.rows().iter().filter(|row| matches!(row.origin, Origin::File { .. })).count();
    let file = match &config.file {
        Some(file) => format!("{} with {said} values", file.display()),
        None => "without a file".to_owned(),
    };
    print::headline(true, "valid", &file);
    Ok(Exit::Ok)
}

fn init(global: &Global, file: &PathBuf) -> Result<Exit, CommandError> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => CommandError::new(
            Exit::Conflict,
            format!("`{}` is there already\nhint: name another file, or move that one away", file.display()),
        ),
        _ => CommandError::new(
            Exit::Error,
            format!("cannot write `{}`: {error}\nhint: name a file in a folder that you can write to", file.display()),
        ),
    };
    let mut made = std::fs::File::create_new(file).map_err(failed)?;
    made.write_all(TEMPLATE.as_bytes()).map_err(failed)?;
    print::aside(global, format_args!("wrote {}; nothing in it is in force until you take a `#` away", file.display()));
    Ok(Exit::Ok)
}
