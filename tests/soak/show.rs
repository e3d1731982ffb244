//! What the user reads: a line for each round, and a table at the end.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the one file that prints")]

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use sunaba_proofs::tally::Tally;
use sunaba_runtime::task::{format_count, format_duration};

/// Lines of a problem that are shown, and problems of a row.
const MAX_PROBLEMS: usize = 10;

/// A line of progress.
pub(crate) fn note(what: &str) {
    eprintln!("    {what}");
}

/// Something that must be known.
pub(crate) fn warn(what: &str) {
    eprintln!("warning: {what}");
}

/// It went wrong.
pub(crate) fn error(what: &str) {
    eprintln!("error: {what}");
}

/// The table of all rows, and everything that was found wrong.
pub(crate) fn table(rows: &[Tally]) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "fault",
        "driven by",
        "fired",
        "acknowledged",
        "lost",
        "duplicated",
        "longest recovery",
        "",
    ]);
    for row in rows {
        let number = |number: u64| Cell::new(format_count(number)).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(&row.fault),
            Cell::new(&row.way),
            number(row.fired),
            number(row.acknowledged),
            number(row.lost),
            number(row.duplicated),
            Cell::new(row.recovery.map_or("-".into(), |time: Duration| format_duration(time)))
                .set_alignment(CellAlignment::Right),
            Cell::new(if row.holds() { "" } else { "FAILED" }),
        ]);
    }
    println!("{table}");
    for row in rows.iter().filter(|row| !row.holds()) {
        if row.fired == 0 {
            error(&format!("`{}` never fired, so that nothing was shown of it", row.fault));
        }
        row.problems.iter().take(MAX_PROBLEMS).for_each(|problem| error(&format!("{}: {problem}", row.fault)));
    }
}
