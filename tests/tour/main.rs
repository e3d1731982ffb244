//! `cargo xtask tour`: does what the README says of a host, command by command, and records what a terminal would show.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use sunaba_proofs::readme::{Around, Reader, blocks, commands};
use sunaba_proofs::tour::{Step, cast, page};

/// The sections that are shown; what stands before them is done, and not shown.
const SECTIONS: [&str; 2] = ["Run it as a durable task", "Operate it"];
const TITLE: &str = "A tour of sunaba: its README, line by line";
/// More of what a command says is not kept.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    match tour() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "this is the one function that prints")]
fn note(line: &str) {
    eprintln!("{line}");
}

fn tour() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package is at tests")?.to_owned();
    let binaries = std::env::current_exe()?.parent().context("a binary is in a folder")?.to_owned();
    let guests = std::env::var_os("SUNABA_GUESTS").map_or_else(|| root.join("target/guests"), PathBuf::from);
    let compiler = std::fs::read_to_string(guests.join("rustc")).ok();
    let markdown = std::fs::read_to_string(root.join("README.md")).context("there is no README")?;
    let folder = root.join("target/tour");
    let mut reader = Reader::new(Around { root, binaries, compiler })?;
    let mut steps = Vec::new();
    for block in blocks(&markdown) {
        let is_shown = SECTIONS.contains(&&*block.section);
        match block.kind.as_str() {
            "sh" if is_shown => {
                for command in commands(&block.body) {
                    note(&format!("$ {command}"));
                    steps.push(record(&mut reader, &block.heading, &command)?);
                }
            }
            "sh" => drop(reader.run(&block.body)?),
            "sh background" => {
                let begun = now();
                let said = reader.start(&block.body)?;
                let took = begun.elapsed();
                let (heading, command) = (block.heading.clone(), block.body.trim().to_owned());
                steps.push(Step { heading, background: true, command, said: vec![(took, said)], took });
            }
            _ => {}
        }
    }
    if steps.is_empty() {
        bail!("the README has no section `{}` any more", SECTIONS.join("`, `"));
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    for (name, text) in [("tour.cast", cast(TITLE, unix_seconds(), &steps)), ("tour.html", page(TITLE, &steps))] {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
        note(&format!("wrote {}", file.display()));
    }
    Ok(())
}

/// Runs a command, and notes when it has said what.
fn record(reader: &mut Reader, heading: &str, command: &str) -> Result<Step> {
    // One pipe for both, so that what is said stands in the order in which it was said.
    let (mut said, to) = std::io::pipe()?;
    let mut bash = reader.bash(command);
    bash.stdout(to.try_clone()?).stderr(to);
    let begun = now();
    let mut child = bash.spawn().context("cannot start bash")?;
    // What is left of the pipe's other end is ours.
    drop(bash);
    let (mut pieces, mut bytes, mut piece) = (Vec::new(), 0, [0; 16 << 10]);
    loop {
        let read = said.read(&mut piece)?;
        if read == 0 {
            break;
        }
        bytes += read;
        if bytes <= MAX_OUTPUT_BYTES {
            pieces.push((begun.elapsed(), String::from_utf8_lossy(&piece[..read]).into_owned()));
        }
    }
    child.wait()?;
    let took = begun.elapsed();
    let step = Step { heading: heading.to_owned(), background: false, command: command.to_owned(), said: pieces, took };
    reader.follow().with_context(|| {
        let said: String = step.said.iter().map(|(_, text)| text.as_str()).collect();
        format!("`{command}` failed, and said\n{said}")
    })?;
    Ok(step)
}

#[expect(clippy::disallowed_methods, reason = "what is recorded are real times")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a recording says when it was made")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
