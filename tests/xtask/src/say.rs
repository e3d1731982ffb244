//! What the user reads: one line for each step, before it starts.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the one file that prints")]

use std::io::IsTerminal;

/// A step begins.
pub(crate) fn step(what: &str) {
    mark("\x1b[1;32m", "==>", what);
}

/// Something worth knowing within a step.
pub(crate) fn note(what: &str) {
    mark("", "   ", what);
}

/// It went wrong.
pub(crate) fn error(what: &str) {
    mark("\x1b[1;31m", "error:", what);
}

/// As it is, on standard output.
pub(crate) fn plain(text: &str) {
    println!("{text}");
}

fn mark(color: &str, mark: &str, what: &str) {
    let colored = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if colored && !color.is_empty() { eprintln!("{color}{mark}\x1b[0m {what}") } else { eprintln!("{mark} {what}") }
}
