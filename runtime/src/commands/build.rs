//! `sunaba build`: has cargo build the handlers of a project with the right flags, and shows what came of it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use serde_json::Value;
use sunaba_runtime::sandbox::ComponentInfo;
use sunaba_runtime::task::{FuelMode, format_bytes};

use super::{load, read_component, small_sandbox};
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// What handlers are built for.
const TARGET: &str = "wasm32-wasip2";
/// More components of one build are not looked at.
const MAX_COMPONENTS: usize = 256;
/// A longer line of cargo's messages is none of those that are read.
const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The project's folder [default: the one that you are in]
    folder: Option<PathBuf>,
    /// Build this package of a workspace only
    #[arg(short, long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Build without optimisation: quickly, and a component many times as large
    #[arg(long)]
    debug: bool,
    /// What cargo is told besides, such as `-- --locked`
    #[arg(last = true, value_name = "ARGUMENTS")]
    cargo: Vec<String>,
}

/// A component that was built.
#[derive(Debug, Serialize)]
struct Built {
    path: String,
    digest: String,
    size_bytes: u64,
    exports: Vec<String>,
    handlers: Vec<String>,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let folder = args.folder.as_deref().unwrap_or(Path::new("."));
    if !folder.join("Cargo.toml").is_file() {
        let message = format!(
            "there is no `Cargo.toml` in `{}`\nhint: go to a handler's project, or make one with `sunaba new NAME`",
            folder.display()
        );
        return Err(CommandError::new(Exit::NotFound, message));
    }
    add_target(global, folder)?;
    let files = cargo(global, folder, &args)?;
    if files.is_empty() {
        let message =
            "cargo has built no component\nhint: a handler's `Cargo.toml` has `[lib]` with `crate-type = [\"cdylib\"]`";
        return Err(CommandError::new(Exit::Invalid, message));
    }
    let sandbox = small_sandbox()?;
    let mut built = Vec::with_capacity(files.len());
    for file in files {
        let info = load(&sandbox, &file, read_component(&file)?, FuelMode::Exact).await?;
        built.push(of(&file, &info));
    }
    if global.output != Format::Text {
        built.iter().try_for_each(|built| print::json(Format::Jsonl, built))?;
        return Ok(Exit::Ok);
    }
    built.iter().try_for_each(|built| print::rows(&rows(built)))?;
    if let [Built { path, handlers, .. }] = built.as_slice()
        && let Some(handler) = handlers.first()
    {
        print::aside(global, format_args!("run it once by `sunaba run {path} {handler} --input JSON`"));
    }
    Ok(Exit::Ok)
}

fn of(file: &Path, info: &ComponentInfo) -> Built {
    Built {
        path: file.display().to_string(),
        digest: info.digest.to_string(),
        size_bytes: info.size_bytes,
        exports: info.exports.clone(),
        handlers: info.handlers.iter().map(|handler| handler.name.clone()).collect(),
    }
}

fn rows(built: &Built) -> Vec<(&'static str, String)> {
    let handlers = if built.handlers.is_empty() { "none; a policy".into() } else { built.handlers.join(", ") };
    vec![
        ("component", built.path.clone()),
        ("size", format_bytes(built.size_bytes)),
        ("digest", built.digest.clone()),
        ("exports", built.exports.join(", ")),
        ("handlers", handlers),
    ]
}

fn cannot_start(program: &str, error: &std::io::Error) -> CommandError {
    let hint = "install Rust by rustup (https://rustup.rs), or put it on the path";
    CommandError::new(Exit::Error, format!("cannot start `{program}`: {error}\nhint: {hint}"))
}

/// Has rustup add the target, where the compiler in use does not have it.
fn add_target(global: &Global, folder: &Path) -> Result<(), CommandError> {
    if has_target(folder)? {
        return Ok(());
    }
    print::aside(global, format_args!("adding the target {TARGET} by rustup"));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let added = rustup.status();
    if added.as_ref().is_ok_and(std::process::ExitStatus::success) && has_target(folder)? {
        return Ok(());
    }
    let why = match added {
        Ok(status) => format!("`rustup target add {TARGET}` ended with {status}"),
        Err(error) => format!("cannot start `rustup`: {error}"),
    };
    let message = format!(
        "the compiler has no target {TARGET}: {why}\nhint: install it by hand (`rustup target add {TARGET}`), or name a compiler that has \
         it in RUSTC"
    );
    Err(CommandError::new(Exit::Error, message))
}

/// Whether the compiler that cargo would use can build for the target.
fn has_target(folder: &Path) -> Result<bool, CommandError> {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let mut rustc = Command::new(&compiler);
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(folder);
    let output = rustc.stdin(Stdio::null()).output().map_err(|error| cannot_start(&compiler, &error))?;
    // The path is printed whether or not anything is there.
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let mut files = std::fs::read_dir(libraries).into_iter().flatten().flatten();
    Ok(files.any(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
}

/// Has cargo build; the components that it has made. What it says goes to standard error, as cargo's own words.
fn cargo(global: &Global, folder: &Path, args: &Args) -> Result<Vec<PathBuf>, CommandError> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--target", TARGET, "--message-format", "json-render-diagnostics"]).current_dir(folder);
    if !args.debug {
        cargo.arg("--release");
    }
    if let Some(package) = &args.package {
        cargo.args(["--package", package]);
    }
    if global.quiet {
        cargo.arg("--quiet");
    }
    cargo.args(&args.cargo).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = cargo.spawn().map_err(|error| cannot_start("cargo", &error))?;
    let mut files = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for line in lines.filter(|line| line.len() <= MAX_LINE_BYTES) {
            files.extend(components(&line).into_iter().take(MAX_COMPONENTS - files.len()));
        }
    }
    let status = child.wait().map_err(|error| cannot_start("cargo", &error))?;
    if !status.success() {
        let message = format!(
            "`cargo build --target {TARGET}` ended with {status}\nhint: what is wrong stands above, in cargo's words"
        );
        return Err(CommandError::new(Exit::Error, message));
    }
    // Shorter where that says the same.
    let here = std::env::current_dir().ok();
    let shorter = |file: PathBuf| match here.as_ref().and_then(|here| file.strip_prefix(here).ok()) {
        Some(short) => short.to_owned(),
        None => file,
    };
    Ok(files.into_iter().map(shorter).collect())
}

/// The components in one of cargo's messages: what a library of the kind `cdylib` was made into.
fn components(message: &str) -> Vec<PathBuf> {
    let Ok(message) = serde_json::from_str::<Value>(message) else { return Vec::new() };
    let is_cdylib =
        message["target"]["crate_types"].as_array().is_some_and(|kinds| kinds.iter().any(|it| it == "cdylib"));
    if message["reason"] != "compiler-artifact" || !is_cdylib {
        return Vec::new();
    }
    let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    files.filter(|file| file.ends_with(".wasm")).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_found_in_what_cargo_says() {
        let message = |kind: &str, file: &str| {
            format!(r#"{{"reason":"compiler-artifact","target":{{"crate_types":["{kind}"]}},"filenames":["{file}"]}}"#)
        };
        assert_eq!(components(&message("cdylib", "/a/words.wasm")), [PathBuf::from("/a/words.wasm")]);
        for other in
            [message("rlib", "/a/words.wasm"), message("cdylib", "/a/words.rlib"), "warning".into(), "{}".into()]
        {
            assert!(components(&other).is_empty(), "{other}");
        }
    }
}
