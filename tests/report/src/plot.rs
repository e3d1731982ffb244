//! Plots as SVG, to be read without anything else, on a light or a dark page.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use sunaba_bench::Unit;

use crate::axis::Axis;
use crate::goals::{Mark, ratio_text};
use crate::summary::{Case, Way};

const WIDTH: u32 = 860;
/// Of a bar with the space around it.
const ROW: i32 = 30;
/// Of a goal's label.
const LABEL: i32 = 20;
/// So many times the second largest is cut.
const CUT: f64 = 8.0;
/// For the names at the left, and the figures at the right.
const NAMES: i32 = 270;
const FIGURES: i32 = 150;
const PLOT_HEIGHT: u32 = 300;
const FONT: &str = "sans-serif";
const SIZE: i32 = 13;
/// Stands for the colour of the page's text: it is replaced by that.
const INK: RGBColor = RGBColor(1, 2, 3);
const OURS: RGBColor = RGBColor(0x1b, 0x8f, 0xb3);
const OTHERS: RGBColor = RGBColor(0x92, 0x9d, 0xab);
const GOAL: RGBColor = RGBColor(0xd0, 0x5a, 0x1e);
/// Of lines, which are told apart by nothing else.
const LINES: [RGBColor; 6] = [
    OURS,
    RGBColor(0xb0, 0x78, 0x1a),
    RGBColor(0x9a, 0x5f, 0xb8),
    RGBColor(0xc9, 0x45, 0x30),
    RGBColor(0x2d, 0x97, 0x62),
    RGBColor(0x78, 0x86, 0x98),
];

fn is_ours(way: &Way) -> bool {
    way.name.starts_with("sunaba") || way.name.starts_with("sandbox")
}

fn text(right: HPos) -> TextStyle<'static> {
    (FONT, SIZE).into_font().color(&INK).pos(Pos::new(right, VPos::Center))
}

/// A bar for each way up to its median, a line from its least to its largest figure, and the figure and the ratio behind it.
pub(crate) fn bars(case: &Case, marks: &[Mark]) -> Result<String> {
    let mut svg = String::new();
    let ways = i32::try_from(case.ways.len())?;
    let head = i32::try_from(marks.len())? * LABEL;
    let height = u32::try_from(head + ROW * ways + 8)?;
    let most = scale(case, marks);
    let room = f64::from(WIDTH.cast_signed() - NAMES - FIGURES);
    let x = |value: f64| NAMES + ((value / most).clamp(0.0, 1.0) * room) as i32;
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        for (number, way) in (0..).zip(&case.ways) {
            let (top, middle) = (head + number * ROW, head + number * ROW + ROW / 2);
            let color = if is_ours(way) { OURS } else { OTHERS };
            let name = Text::new(way.name.clone(), (NAMES - 10, middle), text(HPos::Right));
            let bar = Rectangle::new([(NAMES, top + 5), (x(way.spread.median), top + ROW - 5)], color.filled());
            let whisker =
                PathElement::new([(x(way.spread.min), middle), (x(way.spread.max), middle)], INK.stroke_width(1));
            let ratio = way.ratio.map_or_else(String::new, |ratio| format!("  {}", ratio_text(ratio.median)));
            let cut = if way.spread.median > most { "... " } else { "" };
            let figure = format!("{cut}{}{ratio}", case.unit.format(way.spread.median));
            let figure = Text::new(figure, (x(way.spread.max) + 8, middle), text(HPos::Left));
            area.draw(&name).map_err(drawing)?;
            area.draw(&bar).map_err(drawing)?;
            area.draw(&whisker).map_err(drawing)?;
            area.draw(&figure).map_err(drawing)?;
        }
        for (number, mark) in (0..).zip(marks) {
            let (at, top, bottom) = (x(mark.value), number * LABEL, head + ROW * ways);
            let line = PathElement::new([(at, top + LABEL), (at, bottom)], GOAL.stroke_width(2));
            // On the side where there is room.
            let side = if at > WIDTH.cast_signed() / 2 { HPos::Right } else { HPos::Left };
            let label = Text::new(mark.label.clone(), (at, top + LABEL / 2), text(side));
            area.draw(&line).map_err(drawing)?;
            area.draw(&label).map_err(drawing)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(of_the_page(svg))
}

/// The largest figure of a plot; one that would make all others too small to see is cut.
fn scale(case: &Case, marks: &[Mark]) -> f64 {
    let mut figures: Vec<f64> = case.ways.iter().map(|way| way.spread.max).collect();
    figures.extend(marks.iter().map(|mark| mark.value));
    figures.sort_by(f64::total_cmp);
    match figures[..] {
        [.., second, most] if most > CUT * second => second * 2.0,
        [.., most] => most.max(f64::MIN_POSITIVE),
        [] => f64::MIN_POSITIVE,
    }
}

/// A line for each way over its quantiles.
pub(crate) fn distribution(case: &Case, marks: &[Mark]) -> Result<String> {
    let axis = Axis::quantiles();
    let lines = case.ways.iter().map(|way| (way.name.clone(), way.quantiles.clone())).collect::<Vec<_>>();
    lines_plot(&lines, &axis, case.unit, marks)
}

/// A line for each way over what its cases were done at.
pub(crate) fn over(cases: &[&Case], axis: &Axis) -> Result<String> {
    let Some(first) = cases.first() else { return Err(anyhow!("there is nothing to draw")) };
    let points = |name: &str| {
        let point = |case: &&Case| Some((axis.place(case.at?), case.way(name)?.spread.median));
        cases.iter().filter_map(point).collect::<Vec<_>>()
    };
    let lines: Vec<_> = first.ways.iter().map(|way| (way.name.clone(), points(&way.name))).collect();
    lines_plot(&lines, axis, first.unit, &[])
}

/// The ways of one case as points of one line: each is named by what it was done at.
pub(crate) fn over_ways(case: &Case, points: &[(f64, f64)], axis: &Axis) -> Result<String> {
    let points = points.iter().map(|(at, value)| (axis.place(*at), *value)).collect();
    lines_plot(&[("sunaba".into(), points)], axis, case.unit, &[])
}

type Line = (String, Vec<(f64, f64)>);

fn bounds(lines: &[Line], marks: &[Mark]) -> Range<f64> {
    let values = || lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
    let most = values().chain(marks.iter().map(|mark| mark.value)).fold(f64::MIN_POSITIVE, f64::max);
    values().fold(0.0, f64::min)..most * 1.1
}

fn lines_plot(lines: &[Line], axis: &Axis, unit: Unit, marks: &[Mark]) -> Result<String> {
    let mut svg = String::new();
    let faint = OTHERS.mix(0.35);
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, PLOT_HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(30)
            .x_label_area_size(40)
            .y_label_area_size(84)
            .build_cartesian_2d(axis.range(), bounds(lines, marks))
            .map_err(drawing)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(faint)
            .axis_style(faint)
            .x_desc(axis.name())
            .x_labels(9)
            .y_labels(6)
            .x_label_formatter(&|place| axis.label(*place))
            .y_label_formatter(&|value| unit.format(*value))
            .label_style((FONT, SIZE).into_font().color(&INK))
            .axis_desc_style((FONT, SIZE).into_font().color(&INK))
            .draw()
            .map_err(drawing)?;
        for (number, (name, points)) in lines.iter().enumerate() {
            let style = LINES[number % LINES.len()];
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style.stroke_width(2)).point_size(3))
                .map_err(drawing)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style.stroke_width(2)));
        }
        for mark in marks {
            let line = [(axis.range().start, mark.value), (axis.range().end, mark.value)];
            chart
                .draw_series(LineSeries::new(line, GOAL.stroke_width(2)))
                .map_err(drawing)?
                .label(&mark.label)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], GOAL.stroke_width(2)));
        }
        if lines.len() + marks.len() > 1 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .label_font((FONT, SIZE).into_font().color(&INK))
                .draw()
                .map_err(drawing)?;
        }
        area.present().map_err(drawing)?;
    }
    Ok(of_the_page(svg))
}

/// With the page's colour of text, which is another by night.
fn of_the_page(svg: String) -> String {
    svg.replace("\"#010203\"", "\"currentColor\"")
}

fn drawing(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}
