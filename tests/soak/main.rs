//! `cargo xtask soak`: every proof over and over with new seeds, and a table of what was shown.

use std::path::Path;
use std::process::ExitCode;

use sunaba_proofs::crash;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((word, [directory, orders @ ..])) if word == "child" => child(Path::new(directory), orders),
        _ => ExitCode::from(2),
    }
}

/// The process that the crash tests kill.
fn child(directory: &Path, orders: &[String]) -> ExitCode {
    let Some(orders) = crash::Orders::parse(orders) else { return ExitCode::from(2) };
    crash::live(directory, &orders).map_or(ExitCode::FAILURE, ExitCode::from)
}
