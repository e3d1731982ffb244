//! Plots as SVG, to be read without anything else.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::summary::{Case, Way};

const WIDTH: u32 = 760;
const BAR_HEIGHT: u32 = 34;
const MARGINS: u32 = 60;
const LABELS: u32 = 230;
const PLOT_HEIGHT: u32 = 320;
const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0x8b);
const OTHERS: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);
/// Of lines, which are told apart by nothing else.
const THEIRS: [RGBColor; 5] = [
    RGBColor(0x8a, 0x5a, 0x00),
    RGBColor(0x7b, 0x3f, 0x98),
    RGBColor(0xb3, 0x34, 0x1f),
    RGBColor(0x1d, 0x7a, 0x4d),
    RGBColor(0x5d, 0x6b, 0x7c),
];
const WHISKER: RGBColor = RGBColor(0x22, 0x22, 0x22);

fn is_ours(way: &Way) -> bool {
    way.name.starts_with("sunaba") || way.name.starts_with("sandbox")
}

fn color(way: &Way) -> RGBColor {
    if is_ours(way) { OURS } else { OTHERS }
}

/// A bar for each way up to its median, and a line from its least to its largest figure.
pub(crate) fn bars(case: &Case) -> Result<String> {
    let mut svg = String::new();
    let ways = case.ways.len();
    let height = MARGINS + BAR_HEIGHT * u32::try_from(ways)?;
    let most = case.ways.iter().map(|way| way.spread.max).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin_right(24)
            .margin_top(6)
            .x_label_area_size(34)
            .y_label_area_size(LABELS)
            .build_cartesian_2d(0.0..most * 1.05, 0.0..ways as f64)
            .map_err(drawing)?;
        let top = ways as f64;
        let name = |y: &f64| {
            // A label for each bar, at its middle.
            let number = (top - y - 0.5).round();
            let is_middle = (top - y - 0.5 - number).abs() < 1e-6;
            let way = if is_middle { case.ways.get(number.max(0.0) as usize) } else { None };
            way.map_or_else(String::new, |way| way.name.clone())
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(5)
            .x_label_formatter(&|value| case.unit.format(*value))
            .y_labels(ways * 2 + 1)
            .y_label_formatter(&name)
            .label_style((FONT, 13))
            .draw()
            .map_err(drawing)?;
        for (number, way) in case.ways.iter().enumerate() {
            let low = top - number as f64 - 1.0;
            let bar = Rectangle::new([(0.0, low + 0.2), (way.spread.median, low + 0.8)], color(way).filled());
            let whisker = PathElement::new([(way.spread.min, low + 0.5), (way.spread.max, low + 0.5)], WHISKER);
            chart.draw_series([bar]).map_err(drawing)?;
            chart.draw_series([whisker]).map_err(drawing)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

/// A line for each way over its quantiles.
pub(crate) fn distribution(case: &Case) -> Result<String> {
    let lines = case.ways.iter().map(|way| (way.name.clone(), is_ours(way), way.quantiles.clone())).collect::<Vec<_>>();
    lines_plot(&lines, "share of all", &|value| case.unit.format(*value), 0.0..1.0)
}

/// A line for each way over what its cases were done at.
pub(crate) fn over(cases: &[&Case]) -> Result<String> {
    let Some(first) = cases.first() else { return Err(anyhow!("there is nothing to draw")) };
    let points = |name: &str| {
        let point = |case: &&Case| Some((case.at?.max(1.0).log10(), case.way(name)?.spread.median));
        cases.iter().filter_map(point).collect::<Vec<_>>()
    };
    let lines: Vec<_> = first.ways.iter().map(|way| (way.name.clone(), is_ours(way), points(&way.name))).collect();
    let most = cases.iter().filter_map(|case| case.at).fold(1.0, f64::max).log10();
    lines_plot(&lines, "power of ten", &|value| first.unit.format(*value), 0.0..most.max(1.0))
}

type Line = (String, bool, Vec<(f64, f64)>);

fn lines_plot(lines: &[Line], x: &str, y: &dyn Fn(&f64) -> String, range: std::ops::Range<f64>) -> Result<String> {
    let mut svg = String::new();
    let most = lines.iter().flat_map(|(.., points)| points).map(|(_, value)| *value).fold(0.0, f64::max);
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, PLOT_HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(80)
            .build_cartesian_2d(range, 0.0..(most * 1.1).max(f64::MIN_POSITIVE))
            .map_err(drawing)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc(x)
            .y_label_formatter(&|value| y(value))
            .label_style((FONT, 13))
            .draw()
            .map_err(drawing)?;
        for (number, (name, is_ours, points)) in lines.iter().enumerate() {
            let style = if *is_ours { OURS } else { THEIRS[number % THEIRS.len()] };
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style.stroke_width(2)).point_size(3))
                .map_err(drawing)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .label_font((FONT, 13))
            .draw()
            .map_err(drawing)?;
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}
