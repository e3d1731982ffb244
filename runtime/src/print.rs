//! Everything that reaches the terminal: data on standard output, the rest on standard error.
//!
//! Text that a guest made is shown inert: a log line must not be able to move the cursor or name the window.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table};
use console::Term;
use serde::Serialize;

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, LogFormat};

/// A terminal with fewer columns shows tables as they are.
const MIN_COLUMNS: u16 = 40;

/// A colour for standard error, empty where nobody would see it.
fn style(color: AnsiColor) -> Style {
    let colored = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if colored { Style::new().fg_color(Some(color.into())).bold() } else { Style::new() }
}

/// A text without control characters, which would be commands to a terminal, and without those that turn the direction of
/// the text or break its line, which would show something else than is there.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_command = |c: char| c.is_control() && c != '\t' || turns(c);
    if !text.contains(is_command) {
        return Cow::Borrowed(text);
    }
    let mut inert = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_command(c) { inert.extend(c.escape_default()) } else { inert.push(c) }
    }
    Cow::Owned(inert)
}

/// Why a host ends: for people, or into the log, where that is for programs.
pub(crate) fn host_error(global: &Global, failure: &CommandError) {
    match global.log_format {
        LogFormat::Json => tracing::error!("{failure}"),
        LogFormat::Text => error(failure),
    }
}

/// An error and its hint.
pub(crate) fn error(error: &CommandError) {
    let (red, cyan) = (style(AnsiColor::Red), style(AnsiColor::Cyan));
    let text = error.to_string();
    let (message, hint) = match text.split_once("\nhint: ") {
        Some((message, hint)) => (message, Some(hint)),
        None => (text.as_str(), None),
    };
    to_stderr(format_args!("{red}error:{red:#} {}", inert(message)));
    if let Some(hint) = hint {
        to_stderr(format_args!("{cyan}hint:{cyan:#} {}", inert(hint)));
    }
}

/// The headline of a report on standard error: `good` in green, else in red.
pub(crate) fn headline(good: bool, word: &str, rest: &str) {
    let style = style(if good { AnsiColor::Green } else { AnsiColor::Red });
    let gap = if rest.is_empty() { "" } else { " " };
    to_stderr(format_args!("{style}{word}{style:#}{gap}{}", inert(rest)));
}

/// A line for people, on standard error.
pub(crate) fn note(line: impl Display) {
    to_stderr(inert(&line.to_string()));
}

/// The same, for those who have not asked for quiet.
pub(crate) fn aside(global: &Global, line: impl Display) {
    if !global.quiet {
        note(line);
    }
}

/// Whoever reads standard error may have gone; that is no reason to fail.
fn to_stderr(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Data, on standard output, as it is.
///
/// # Errors
/// Standard output is full. When its reader has gone, the data was not wanted, and all is well.
pub(crate) fn data(bytes: &[u8]) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CommandError::new(Exit::Error, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A table, on standard output, no wider than the terminal: what does not fit a column goes on in the next line. Its cells are inert.
///
/// # Errors
/// Standard output is full.
pub(crate) fn table(table: &Table) -> Result<(), CommandError> {
    data(fitted(table).as_bytes())
}

/// The same as a text.
pub(crate) fn fitted(table: &Table) -> String {
    fitted_to(table, width())
}

fn fitted_to(table: &Table, width: Option<u16>) -> String {
    let mut table = table.clone();
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    // Each cell has a space before and after it.
    let line = |line: String| format!("{}\n", inert(line.strip_prefix(' ').unwrap_or(&line).trim_end()));
    table.lines().map(|shown| line(shown.to_string())).collect()
}

/// As much of a line as fits the terminal.
pub(crate) fn cut(line: &str) -> Cow<'_, str> {
    match width() {
        Some(width) => console::truncate_str(line, usize::from(width), ""),
        None => Cow::Borrowed(line),
    }
}

/// The columns of the terminal on standard output. None: it is none, or one on which no table fits, or nobody knows.
fn width() -> Option<u16> {
    let (_, columns) = Term::stdout().size_checked()?;
    (columns >= MIN_COLUMNS).then_some(columns)
}

/// Lines of a name and a value, on standard output. The values are inert, but for a hint, which has a line of its own.
///
/// # Errors
/// Standard output is full.
pub(crate) fn rows(rows: &[(&str, String)]) -> Result<(), CommandError> {
    data(rows.iter().map(|(name, value)| row(name, value)).collect::<String>().as_bytes())
}

fn row(name: &str, value: &str) -> String {
    match value.split_once("\nhint: ") {
        Some((value, hint)) => format!("{name:<12} {}\n{:<12} hint: {}\n", inert(value), "", inert(hint)),
        None => format!("{name:<12} {}\n", inert(value)),
    }
}

/// One JSON object on standard output.
///
/// # Errors
/// Standard output is full.
pub(crate) fn json(format: Format, value: &impl Serialize) -> Result<(), CommandError> {
    let written = match format {
        Format::Jsonl => serde_json::to_vec(value),
        Format::Json | Format::Text => serde_json::to_vec_pretty(value),
    };
    let mut text = written.map_err(|error| CommandError::new(Exit::Error, format!("cannot write JSON: {error}")))?;
    text.push(b'\n');
    data(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_of_a_value_has_a_line_of_its_own() {
        assert_eq!(row("state", "dead"), "state        dead\n");
        let told = row("attempt", "1 failed: no plan\nhint: name\na child");
        assert_eq!(told, "attempt      1 failed: no plan\n             hint: name\\na child\n");
    }

    #[test]
    fn width_of_the_terminal_obeyed() {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING).set_header(["QUEUE", "ATTENTION"]);
        table.add_row(["mail", "the oldest task has waited for an hour, and nothing of it runs"]);
        let fitted = fitted_to(&table, Some(40));
        assert!(fitted.lines().all(|line| line.len() <= 40), "{fitted}");
        assert!(fitted.lines().count() > 2 && fitted.contains("\nmail   the oldest"), "{fitted}");
        let whole = fitted_to(&table, None);
        assert_eq!(whole.lines().count(), 2, "{whole}");
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(inert("plain\ttext: \u{e9}"), "plain\ttext: \u{e9}");
        assert_eq!(inert("a\x1b[2Jb\rc\u{9b}1m"), "a\\u{1b}[2Jb\\rc\\u{9b}1m");
        // Nor the direction of a text: `gpj.exe` must not look like `exe.jpg`.
        assert_eq!(inert("\u{202e}gpj.exe\u{2066}\u{2028}"), "\\u{202e}gpj.exe\\u{2066}\\u{2028}");
    }
}
