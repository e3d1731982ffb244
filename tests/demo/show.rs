//! What the demo prints.

#![expect(clippy::print_stdout, reason = "this is the one file of the demo that prints")]

use std::cmp::Reverse;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use indicatif::ProgressBar;
use std::path::Path;

use sunaba_runtime::FailureReport;
use sunaba_runtime::task::{format_bytes, format_count, format_duration};

use crate::Audited;

/// Rows of a table.
const ROWS: usize = 10;

/// One more is done. Without a terminal, a line for each tenth.
pub(crate) fn progress(bar: &ProgressBar, task: &str) {
    bar.set_message(task.to_owned());
    bar.inc(1);
    let (position, length) = (bar.position(), bar.length().unwrap_or(0));
    if bar.is_hidden() && (position * 10 / length.max(1)) != ((position - 1) * 10 / length.max(1)) {
        println!("{position:>4}/{length} tasks");
    }
}

pub(crate) fn tables(audited: &[Audited]) {
    let mut largest: Vec<&Audited> = audited.iter().collect();
    largest.sort_by_key(|one| Reverse(one.audit.lines.code));
    println!("\nThe largest crates by lines of code");
    print(
        &["crate", "files", "code", "comments", "blank", "fuel", "time"],
        largest.iter().take(ROWS).map(|one| {
            let (audit, receipt) = (&one.audit, &one.receipt);
            vec![
                name(one),
                format_count(audit.files),
                format_count(audit.lines.code),
                format_count(audit.lines.comments),
                format_count(audit.lines.blank),
                format_count(receipt.fuel.unwrap_or(0)),
                duration(receipt.wall_ms),
            ]
        }),
    );

    let mut least_safe: Vec<&Audited> = audited.iter().filter(|one| one.audit.lines.unsafe_uses > 0).collect();
    least_safe.sort_by_key(|one| Reverse(one.audit.lines.unsafe_uses));
    println!("\nThe most `unsafe`");
    print(
        &["crate", "unsafe", "for 1,000 lines of code"],
        least_safe.iter().take(ROWS).map(|one| {
            let lines = &one.audit.lines;
            let share = lines.unsafe_uses as f64 * 1000.0 / lines.code.max(1) as f64;
            vec![name(one), format_count(lines.unsafe_uses), format!("{share:.1}")]
        }),
    );

    let unlicensed: Vec<&Audited> =
        audited.iter().filter(|one| one.audit.license.is_none() || one.audit.license_files.is_empty()).collect();
    println!("\nMissing licences ({} of {})", unlicensed.len(), audited.len());
    print(
        &["crate", "in the manifest", "files"],
        unlicensed.iter().take(ROWS).map(|one| {
            let audit = &one.audit;
            let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            vec![name(one), or_none(audit.license.clone().unwrap_or_default()), or_none(audit.license_files.join(", "))]
        }),
    );
    if unlicensed.len() > ROWS {
        println!("and {} more", unlicensed.len() - ROWS);
    }
}

fn name(one: &Audited) -> String {
    format!("{} {}", one.audit.name, one.audit.version.as_deref().unwrap_or_default())
}

fn print(header: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.to_vec()).add_rows(rows);
    // Text to the left, numbers to the right.
    for index in 1..header.len() {
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let numbers = table.column_cells_iter(index).flatten().all(|cell| is_number(&cell.content()));
        if let Some(column) = table.column_mut(index).filter(|_| numbers) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
}

pub(crate) fn started(address: &str, data: &Path, concurrency: usize) {
    println!("A host is at {address}: its queue in {}, {concurrency} tasks at a time", data.display());
}

pub(crate) fn page(title: Option<&str>, headings: usize, words: u64) {
    let title = title.unwrap_or("without a title");
    println!("\nREADME.md, rendered in a sandbox: `{title}`, {headings} headings, {} words", format_count(words));
}

pub(crate) fn thumbnail(picture: &Path, bytes: usize) {
    let name = picture.iter().rev().take(3).collect::<Vec<_>>();
    let name = name.iter().rev().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
    println!("The thumbnail of {name}: {}", format_bytes(bytes as u64));
}

pub(crate) fn stopped(failure: &FailureReport) {
    println!("\nThe guest that computes for ever\n  cause      {}: {}", failure.cause, failure.message);
    for (index, frame) in failure.backtrace.iter().enumerate() {
        println!("  {:<10} {index}: {frame}", if index == 0 { "backtrace" } else { "" });
    }
}

pub(crate) fn totals(audited: &[Audited], tasks: usize, took: Duration) {
    let sum = |count: fn(&Audited) -> u64| audited.iter().map(count).sum::<u64>();
    let mean = |ms: fn(&Audited) -> f64| duration(audited.iter().map(ms).sum::<f64>() / audited.len().max(1) as f64);
    let peak = audited.iter().map(|one| one.receipt.peak_memory_bytes).max().unwrap_or(0);
    let per_second = tasks as f64 / took.as_secs_f64();
    println!("\nIn all");
    let rows = [
        ("tasks", format!("{tasks} in {}, from the first submit to the last result", format_duration(took))),
        (
            "speed",
            format!("{per_second:.0} tasks a second, each in a sandbox of its own, each durable before and after"),
        ),
        ("files", format_count(sum(|one| one.audit.files))),
        ("code", format!("{} lines", format_count(sum(|one| one.audit.lines.code)))),
        ("unsafe", format!("{} uses", format_count(sum(|one| one.audit.lines.unsafe_uses)))),
        ("fuel", format_count(sum(|one| one.receipt.fuel.unwrap_or(0)))),
        ("memory", format!("{} at most in one sandbox", format_bytes(peak))),
        ("one audit", format!("{} on average", mean(|one| one.receipt.wall_ms))),
        ("sandbox", format!("{} of that on average, to make it and take it down", mean(|one| one.receipt.overhead_ms))),
    ];
    for (key, value) in rows {
        println!("  {key:<10} {value}");
    }
}

fn duration(ms: f64) -> String {
    format_duration(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
}

pub(crate) fn failure(task: &str, why: &str) {
    println!("  FAILED     {task}: {why}");
}

pub(crate) fn last_line(succeeded: usize, timed_out: usize, lost: usize) {
    println!("\ndemo: {succeeded} succeeded, {timed_out} timed out as intended, {lost} lost");
}
