//! `sunaba report`: what a host has done, and the figures of the service.

use std::time::Duration;

use comfy_table::Table;
use sunaba_runtime::server::api::{FiguresView, PeriodView, ReportBy, ReportView};
use sunaba_runtime::task::{format_count, format_duration};

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The last seven days, each for itself [default: the last day as a whole]
    #[arg(long, conflicts_with = "weekly")]
    daily: bool,
    /// The last eight weeks, each for itself
    #[arg(long)]
    weekly: bool,
}

pub(crate) async fn run(global: &Global, args: Args) -> Result<Exit, CommandError> {
    let by = match (args.daily, args.weekly) {
        (true, _) => ReportBy::Day,
        (_, true) => ReportBy::Week,
        _ => ReportBy::Last,
    };
    let report = global.client()?.get_report(by).await?;
    match (global.output, by) {
        (Format::Jsonl, _) => report.periods.iter().try_for_each(|period| print::json(Format::Jsonl, period))?,
        (Format::Json, _) => print::json(Format::Json, &report)?,
        (Format::Text, ReportBy::Last) => one(&report)?,
        (Format::Text, _) => many(&report)?,
    }
    Ok(Exit::Ok)
}

/// A period, figure by figure.
fn one(report: &ReportView) -> Result<(), CommandError> {
    let Some(period) = report.periods.first() else { return Ok(()) };
    let (is, target) = (&period.figures, &report.targets);
    let judged = |found: String, target: String, name: &str| {
        let missed = period.missed.iter().any(|missed| missed == name);
        format!("{found:<8} target {target}{}", if missed { ", MISSED" } else { "" })
    };
    let at_least = |percent| format!("at least {}", percentage(percent));
    let at_most = |text: String| format!("at most {text}");
    let counts = format!(
        "{} submitted, {} succeeded, {} dead, {} expired, {} cancelled",
        format_count(period.submitted),
        format_count(period.succeeded),
        format_count(period.dead),
        format_count(period.expired),
        format_count(period.cancelled)
    );
    let recovered = format!(
        "{} by themselves, {} since somebody ran them again",
        format_count(period.recovered),
        format_count(period.recovered_by_person)
    );
    let available = judged(percentage(is.availability_percent), at_least(target.availability_percent), "availability");
    let healed = judged(percentage(is.self_healed_percent), at_least(target.self_healed_percent), "self-healed");
    print::rows(&[
        ("from", period.from.clone()),
        ("to", period.to.clone()),
        ("available", available),
        ("recovery", judged(time(is.recovery_ms), at_most(time(target.recovery_ms)), "recovery")),
        ("errors", judged(percentage(is.error_percent), at_most(percentage(target.error_percent)), "errors")),
        ("self-healed", healed),
        ("tasks", counts),
        ("recovered", recovered),
        ("attempts", format!("{}, {} failed", format_count(period.attempts), format_count(period.failed))),
        ("mean wait", time(period.mean_wait_ms)),
        ("run time", time(Some(period.run_ms))),
    ])
}

/// Periods, a row each.
fn many(report: &ReportView) -> Result<(), CommandError> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header([
        "FROM",
        "AVAILABLE",
        "RECOVERY",
        "ERRORS",
        "SELF-HEALED",
        "SUBMITTED",
        "SUCCEEDED",
        "DEAD",
        "FAILED",
        "WAIT",
        "MISSED",
    ]);
    for period in &report.periods {
        table.add_row(row(period));
    }
    print::table(&table)
}

fn row(period: &PeriodView) -> [String; 11] {
    let FiguresView { availability_percent, recovery_ms, error_percent, self_healed_percent } = period.figures;
    [
        period.from.split('T').next().unwrap_or_default().to_owned(),
        percentage(availability_percent),
        time(recovery_ms),
        percentage(error_percent),
        percentage(self_healed_percent),
        format_count(period.submitted),
        format_count(period.succeeded),
        format_count(period.dead),
        format_count(period.failed),
        time(period.mean_wait_ms),
        if period.missed.is_empty() { "-".into() } else { period.missed.join(" ") },
    ]
}

fn percentage(percent: Option<f64>) -> String {
    percent.map_or_else(|| "-".into(), |percent| format!("{percent:.2} %"))
}

fn time(ms: Option<u64>) -> String {
    ms.map_or_else(|| "-".into(), |ms| format_duration(Duration::from_millis(ms)))
}
