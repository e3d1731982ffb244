//! `sunaba-report SAMPLES FOLDER`: reads what benchmarks have written down, and makes a table on the terminal, `report.json` and
//! `report.html` of it. `cargo xtask bench` calls it.
//!
//! It computes nothing that the samples do not say: medians, spreads, and ratios of figures of the same round. Goals are in
//! `goals.rs`; one that was not measured is said to be that, and is not met.

mod axis;
mod goals;
mod machine;
mod page;
mod plot;
mod summary;

use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use comfy_table::{Table, presets};
use sunaba_bench::read_samples;

use goals::{Judged, ratio_text};
use machine::Machine;
use summary::{Case, summarize};

/// Rows of one work on the terminal.
const FEW: usize = 6;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [samples, folder] = &arguments[..] else { bail!("what is wanted is `sunaba-report SAMPLES FOLDER`") };
    let (samples, folder) = (Path::new(samples), Path::new(folder));
    let file = File::open(samples).with_context(|| format!("cannot read `{}`", samples.display()))?;
    let written = read_samples(BufReader::new(file)).with_context(|| format!("`{}`", samples.display()))?;
    let cases = summarize(&written);
    let judged = goals::judge(&cases);
    let machine = Machine::look();
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let json = serde_json::json!({ "machine": machine, "goals": judged, "cases": cases,
        "remarks": written.remarks, "samples": written.samples });
    let (data, page) = (folder.join("report.json"), folder.join("report.html"));
    fs::write(&data, serde_json::to_vec_pretty(&json)?)
        .with_context(|| format!("cannot write `{}`", data.display()))?;
    let html = page::render(&machine, &judged, &cases, &written.remarks)?;
    fs::write(&page, html).with_context(|| format!("cannot write `{}`", page.display()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}\n\n{}\n", table(&cases), goals_table(&judged))?;
    for gap in written.remarks.iter().filter(|remark| remark.is_gap) {
        writeln!(out, "not measured: {}: {}: {}: {}", gap.area, gap.case, gap.way, gap.remark)?;
    }
    writeln!(out, "{machine}\nAll of it, with plots: {}\nThe samples: {}", page.display(), data.display())?;
    Ok(())
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Of a work that was done at many numbers, the first and the last are enough for a terminal.
fn is_amid_many(cases: &[Case], number: usize) -> bool {
    let case = &cases[number];
    let is_like = |other: &Case| (&other.area, &other.name, other.unit) == (&case.area, &case.name, case.unit);
    let before = cases[..number].iter().filter(|other| is_like(other)).count();
    let after = cases[number + 1..].iter().filter(|other| is_like(other)).count();
    before > 0 && after > 0 && before + after > FEW
}

fn table(cases: &[Case]) -> Table {
    let mut table = plain_table();
    table.set_header(["case", "who", "median", "least to most", "ratio", "of the rounds"]);
    for (number, case) in cases.iter().enumerate() {
        if is_amid_many(cases, number) {
            continue;
        }
        for (number, way) in case.ways.iter().enumerate() {
            let name = if number == 0 { case.title() } else { String::new() };
            let (ratio, of) = way.ratio.map_or_else(Default::default, |ratio| {
                (ratio_text(ratio.median), format!("{} to {}", ratio_text(ratio.min), ratio_text(ratio.max)))
            });
            table.add_row([
                name,
                way.name.clone(),
                case.unit.format(way.spread.median),
                way.range(case.unit),
                ratio,
                of,
            ]);
        }
    }
    table
}

fn goals_table(judged: &[Judged]) -> Table {
    let mut table = plain_table();
    table.set_header(["goal", "wanted", "measured", ""]);
    for goal in judged {
        table.add_row([
            goal.what.to_owned(),
            goal.wanted.clone(),
            goal.measured.clone(),
            goal.verdict.text().to_owned(),
        ]);
    }
    table
}
