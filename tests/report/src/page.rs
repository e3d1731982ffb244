//! The page: goals, then each area with its plots and figures.

use anyhow::Result;
use askama::Template;

use crate::goals::{Judged, Verdict};
use crate::machine::Machine;
use crate::plot;
use crate::summary::Case;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    machine: &'a Machine,
    goals: &'a [Judged],
    areas: Vec<Area<'a>>,
}

struct Area<'a> {
    name: &'a str,
    cases: Vec<Section<'a>>,
}

struct Section<'a> {
    title: String,
    better: &'static str,
    plots: Vec<String>,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    who: &'a str,
    median: String,
    range: String,
    rounds: usize,
    ratio: String,
}

impl Judged {
    fn class(&self) -> &'static str {
        match self.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::NotMeasured => "unknown",
        }
    }
}

pub(crate) fn render(machine: &Machine, goals: &[Judged], cases: &[Case]) -> Result<String> {
    let mut areas: Vec<Area<'_>> = Vec::new();
    for case in cases {
        let section = section(case, cases)?;
        match areas.iter_mut().find(|area| area.name == case.area) {
            Some(area) => area.cases.push(section),
            None => areas.push(Area { name: &case.area, cases: vec![section] }),
        }
    }
    Ok(Page { machine, goals, areas }.render()?)
}

fn section<'a>(case: &'a Case, all: &[Case]) -> Result<Section<'a>> {
    let mut plots = vec![plot::bars(case)?];
    if case.ways.iter().any(|way| way.quantiles.len() > 2) {
        plots.push(plot::distribution(case)?);
    }
    let like: Vec<_> = all.iter().filter(|other| (&other.area, &other.name) == (&case.area, &case.name)).collect();
    // Once, below the last of them.
    if case.at.is_some() && like.len() > 1 && like.last().is_some_and(|last| last.at == case.at) {
        plots.push(plot::over(&like)?);
    }
    let rows = case.ways.iter().map(|way| Row {
        who: &way.name,
        median: case.unit.format(way.spread.median),
        range: way.range(case.unit),
        rounds: way.rounds,
        ratio: way
            .ratio
            .map_or_else(String::new, |ratio| format!("{:.2}x ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max)),
    });
    let better = if case.is_higher_better() { "more is better" } else { "less is better" };
    Ok(Section { title: case.title(), better, plots, rows: rows.collect() })
}
