//! Everything that reaches the terminal: data on standard output, the rest on standard error.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the one file that prints")]

use std::io::{IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;

use crate::Format;
use crate::exit::{CommandError, Exit};

/// A colour for standard error, empty where nobody would see it.
fn style(color: AnsiColor) -> Style {
    let colored = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if colored { Style::new().fg_color(Some(color.into())).bold() } else { Style::new() }
}

/// An error and its hint.
pub(crate) fn error(error: &CommandError) {
    let (red, cyan) = (style(AnsiColor::Red), style(AnsiColor::Cyan));
    let text = error.to_string();
    let (message, hint) = match text.split_once("\nhint: ") {
        Some((message, hint)) => (message, Some(hint)),
        None => (text.as_str(), None),
    };
    eprintln!("{red}error:{red:#} {message}");
    if let Some(hint) = hint {
        eprintln!("{cyan}hint:{cyan:#} {hint}");
    }
}

/// The headline of a report on standard error: `good` in green, else in red.
pub(crate) fn headline(good: bool, word: &str, rest: &str) {
    let style = style(if good { AnsiColor::Green } else { AnsiColor::Red });
    eprintln!("{style}{word}{style:#} {rest}");
}

/// A line for people, on standard error.
pub(crate) fn note(line: impl std::fmt::Display) {
    eprintln!("{line}");
}

/// A line of data, on standard output.
pub(crate) fn line(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Bytes of data, on standard output, as they are.
///
/// # Errors
/// Standard output is closed or full.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| CommandError::new(Exit::Error, format!("cannot write to standard output: {error}")))
}

/// One JSON object on standard output.
///
/// # Errors
/// Standard output is closed or full.
pub(crate) fn json(format: Format, value: &impl Serialize) -> Result<(), CommandError> {
    let written = match format {
        Format::Jsonl => serde_json::to_vec(value),
        Format::Json | Format::Text => serde_json::to_vec_pretty(value),
    };
    let mut text = written.map_err(|error| CommandError::new(Exit::Error, format!("cannot write JSON: {error}")))?;
    text.push(b'\n');
    bytes(&text)
}
