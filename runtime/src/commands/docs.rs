//! `sunaba completions`, `sunaba man` and `sunaba openapi`: what a shell, `man` and other programs are given, made of the command
//! line and the API themselves.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::exit::{CommandError, Exit};
use crate::{Cli, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that asks
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// A folder for a page of each command, made if it is not there [default: the page of `sunaba`, on standard output]
    folder: Option<PathBuf>,
}

/// Prints a script, for a file of the shell's own.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sunaba", &mut script);
    print::data(&script)?;
    Ok(Exit::Ok)
}

/// Prints the page of `sunaba`, or writes those of all its commands.
pub(crate) fn man(global: &Global, args: &ManArgs) -> Result<Exit, CommandError> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|error| CommandError::new(Exit::Error, error))?;
        print::data(&page)?;
        return Ok(Exit::Ok);
    };
    let failed = |error: std::io::Error| {
        let hint = "name a folder that you can write to";
        CommandError::new(Exit::Error, format!("cannot write to `{}`: {error}\nhint: {hint}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    let pages = pages(folder).map_err(failed)?;
    print::aside(global, format_args!("wrote {pages} pages to {}", folder.display()));
    Ok(Exit::Ok)
}

/// Prints what the API of a host of this release is; no host is asked.
pub(crate) fn openapi() -> Result<Exit, CommandError> {
    print::data(sunaba_server::openapi_text().as_bytes())?;
    Ok(Exit::Ok)
}

fn pages(folder: &Path) -> std::io::Result<usize> {
    let entries = std::fs::read_dir(folder)?.filter_map(Result::ok);
    Ok(entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "1")).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
