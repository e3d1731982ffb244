//! The page: goals, what was not measured, then each area with its plots and figures.

use anyhow::Result;
use askama::Template;
use sunaba_bench::{Remark, Unit};

use crate::axis::Axis;
use crate::goals::{self, Judged, Verdict, ratio_text};
use crate::machine::Machine;
use crate::plot;
use crate::summary::{Case, Way};

/// More rows are folded away below their plot.
const OPEN_ROWS: usize = 12;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    machine: &'a Machine,
    goals: &'a [Judged],
    gaps: Vec<&'a Remark>,
    areas: Vec<Area<'a>>,
}

struct Area<'a> {
    name: &'a str,
    sections: Vec<Section<'a>>,
}

/// One work, whatever it was done at.
struct Section<'a> {
    title: String,
    better: &'static str,
    plots: Vec<String>,
    /// What the numbers of the first column are; empty where there is none.
    at: &'static str,
    has_ratios: bool,
    is_folded: bool,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    at: String,
    who: &'a str,
    remarks: &'a [String],
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

pub(crate) fn render(machine: &Machine, goals: &[Judged], cases: &[Case], remarks: &[Remark]) -> Result<String> {
    let mut areas: Vec<Area<'_>> = Vec::new();
    for case in cases {
        let is_like = |other: &&Case| (&other.area, &other.name, other.unit) == (&case.area, &case.name, case.unit);
        let like: Vec<_> = cases.iter().filter(is_like).collect();
        // Once for all that it was done at, where the first of them is.
        if like.first().is_some_and(|first| first.at != case.at) {
            continue;
        }
        let section = if like.len() > 1 { series(&like)? } else { single(case)? };
        match areas.iter_mut().find(|area| area.name == case.area) {
            Some(area) => area.sections.push(section),
            None => areas.push(Area { name: &case.area, sections: vec![section] }),
        }
    }
    let gaps = remarks.iter().filter(|remark| remark.is_gap).collect();
    Ok(Page { machine, goals, gaps, areas }.render()?)
}

fn single(case: &Case) -> Result<Section<'_>> {
    let (own, of_quantiles) = goals::marks(case);
    let mut plots = Vec::new();
    let waiting: Vec<_> = case.ways.iter().filter_map(|way| Some((waiting(way)?, way.spread.median))).collect();
    if waiting.len() > 1 {
        let axis = Axis::over(case, &waiting.iter().map(|(at, _)| *at).collect::<Vec<_>>());
        plots.push(plot::over_ways(case, &waiting, &axis)?);
    } else {
        plots.push(plot::bars(case, &own)?);
    }
    if case.ways.iter().any(|way| way.quantiles.len() > 2) {
        plots.push(plot::distribution(case, &of_quantiles)?);
    }
    let rows: Vec<_> = case.ways.iter().map(|way| row(case, way)).collect();
    Ok(section(case, case.title(), plots, "", rows))
}

/// How many others waited, where a way is named by that.
fn waiting(way: &Way) -> Option<f64> {
    way.name.strip_suffix(" waiting")?.parse().ok()
}

fn series<'a>(cases: &[&'a Case]) -> Result<Section<'a>> {
    let first = cases[0];
    let axis = Axis::over(first, &cases.iter().filter_map(|case| case.at).collect::<Vec<_>>());
    let plots = vec![plot::over(cases, &axis)?];
    let rows = cases.iter().flat_map(|case| case.ways.iter().map(|way| row(case, way))).collect();
    let name = axis.name();
    Ok(section(first, format!("{}: {}", first.area, first.name), plots, name, rows))
}

fn section<'a>(case: &'a Case, title: String, plots: Vec<String>, at: &'static str, rows: Vec<Row<'a>>) -> Section<'a> {
    let better = if case.is_higher_better() { "more is better" } else { "less is better" };
    let has_ratios = rows.iter().any(|row| !row.ratio.is_empty());
    Section { title, better, plots, at, has_ratios, is_folded: rows.len() > OPEN_ROWS, rows }
}

fn row<'a>(case: &Case, way: &'a Way) -> Row<'a> {
    let ratio = way
        .ratio
        .map(|ratio| format!("{} ({} to {})", ratio_text(ratio.median), ratio_text(ratio.min), ratio_text(ratio.max)));
    Row {
        at: case.at.map_or_else(String::new, |at| Unit::Count.format(at)),
        who: &way.name,
        remarks: &way.remarks,
        median: case.unit.format(way.spread.median),
        range: way.range(case.unit),
        rounds: way.rounds,
        ratio: ratio.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use sunaba_bench::{Sample, Written};

    use super::*;
    use crate::summary::summarize;

    fn sample(area: &str, case: &str, way: &str, value: f64) -> Sample {
        let (area, case, way) = (area.into(), case.into(), way.into());
        Sample { area, case, way, round: 0, value, unit: Unit::PerSecond, at: None, quantile: None }
    }

    fn page(written: &Written) -> String {
        let machine = Machine::of_nothing();
        let cases = summarize(written);
        render(&machine, &goals::judge(&cases), &cases, &written.remarks).expect("it can be drawn")
    }

    #[test]
    fn page_tells_goals_that_are_met_missed_and_not_measured() {
        let life = |way: &str, value| sample("store", "submit + lease + settle, 64 waiters", way, value);
        let whole = |way: &str, value| sample("end to end", "no-op tasks, saturated", way, value);
        let samples =
            vec![life("bare sled", 10.0), life("sunaba", 9.0), whole("bare loop", 10.0), whole("sunaba", 1.0)];
        let page = page(&Written { samples, remarks: Vec::new() });
        assert_eq!(page.matches("\"met\">met").count(), 1, "{page}");
        assert_eq!(page.matches("\"missed\">MISSED").count(), 1, "{page}");
        assert!(page.matches("\"unknown\">not measured").count() > 5, "{page}");
        assert_eq!(page.matches("goal: 0.60x of bare sled").count(), 1, "{page}");
    }

    #[test]
    fn page_names_what_was_not_measured_and_shows_it_as_text() {
        let remark = Remark {
            area: "peers".into(),
            case: "no-op".into(),
            way: "runc".into(),
            remark: "<script>no</script>".into(),
            is_gap: true,
        };
        let page = page(&Written { samples: Vec::new(), remarks: vec![remark] });
        assert!(page.contains("Not measured") && page.contains("runc") && !page.contains("<script>"), "{page}");
    }

    #[test]
    fn what_was_done_at_many_numbers_is_one_plot() {
        let at = |at: f64| Sample { at: Some(at), ..sample("soak", "soak: disk", "sunaba", at) };
        let page =
            page(&Written { samples: (1..=60).map(|step| at(f64::from(step) * 10.0)).collect(), remarks: Vec::new() });
        assert_eq!((page.matches("<svg").count(), page.matches("<details").count()), (1, 1));
        assert!(page.contains("seconds since the load began"), "{page}");
    }

    #[test]
    fn plots_have_the_colour_of_the_pages_text() {
        let page = page(&Written { samples: vec![sample("a", "b", "sunaba", 1.0)], remarks: Vec::new() });
        assert!(page.contains("currentColor") && !page.contains("#010203"), "{page}");
    }
}
