//! A job as a picture: a plan in layers from left to right, and plans under nodes within these. It has no scripts and asks for
//! nothing from outside, and looks right on light and on dark ground.

mod blocks;
mod card;
mod style;

use std::fmt::Write as _;

use super::graph::{GraphEdge, JobGraph};
use super::layout::layout;
use super::plain::{compact, fit, one_line};
use blocks::{Block, blocks};
use card::{CARD_GAP, UNDO_HEIGHT};
use style::{DEFS, STYLE, color, escaped};
use sunaba_task::{StateName, format_count, format_duration};

/// Around everything, and around a plan within its node.
const MARGIN: f64 = 28.0;
const INSET: f64 = 18.0;
/// Above everything, and below.
const HEAD: f64 = 64.0;
const FOOT: f64 = 40.0;
/// It is no narrower than this.
const MIN_WIDTH: f64 = 560.0;

/// What is drawn of a plan, and how large that is.
struct Drawing {
    body: String,
    width: f64,
    height: f64,
}

impl JobGraph {
    /// The job as an SVG document.
    pub fn svg(&self) -> String {
        let drawing = self.draw_plan(None, &self.children());
        let width = (drawing.width + 2.0 * MARGIN).max(MIN_WIDTH);
        let height = drawing.height + HEAD + FOOT + MARGIN;
        let title = escaped(&self.headline());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n{DEFS}\n<rect class=\"ground\" \
             width=\"100%\" height=\"100%\"/>\n"
        );
        self.head(width, &mut svg);
        let x = (width - drawing.width) / 2.0;
        let _ = writeln!(svg, "<g transform=\"translate({x:.1} {HEAD:.1})\">\n{}</g>", drawing.body);
        self.foot(height, &mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn head(&self, width: f64, svg: &mut String) {
        let name = if self.name.is_empty() { &self.id } else { &self.name };
        let tasks = if self.tasks == 1 { "1 task".into() } else { format!("{} tasks", format_count(self.tasks)) };
        let facts = format!("{tasks} \u{b7} {} \u{b7} fuel {}", format_duration(self.took()), compact(self.fuel));
        let state = super::tree::word(self.state);
        let class = match self.state {
            sunaba_task::job::JobState::Succeeded => "succeeded",
            sunaba_task::job::JobState::Failed => "dead",
            sunaba_task::job::JobState::Cancelled => "cancelled",
            _ => "running",
        };
        let room = ((width - 2.0 * MARGIN) / 10.5) as usize;
        let _ = writeln!(
            svg,
            "<text class=\"job\" x=\"{MARGIN}\" y=\"30\">{}<title>{}</title></text>\n<text class=\"facts\" x=\"{MARGIN}\" y=\"50\">\
             <tspan class=\"word {class}\">{state}</tspan> \u{b7} {}</text>",
            escaped(&fit(&one_line(name, 200), room.max(8))),
            escaped(&one_line(name, 200)),
            escaped(&facts)
        );
    }

    /// What the colours and lines stand for, of those that are there.
    fn foot(&self, height: f64, svg: &mut String) {
        let (mut x, y) = (MARGIN, height - 20.0);
        for state in StateName::ALL.into_iter().filter(|state| self.nodes.iter().any(|node| node.state == *state)) {
            let _ = writeln!(
                svg,
                "<circle class=\"fill {}\" cx=\"{:.0}\" cy=\"{:.0}\" r=\"4\"/><text class=\"legend\" x=\"{:.0}\" y=\"{y:.0}\">{state}</text>",
                color(state),
                x + 4.0,
                y - 4.0,
                x + 13.0
            );
            x += 30.0 + 6.6 * state.to_string().len() as f64;
        }
        if !self.path.is_empty() {
            let _ = writeln!(
                svg,
                "<path class=\"edge critical\" d=\"M{:.0} {:.0}h22\"/><text class=\"legend\" x=\"{:.0}\" y=\"{y:.0}\">longest chain</text>",
                x,
                y - 4.0,
                x + 28.0
            );
            x += 124.0;
        }
        if let Some(left_out) = self.left_out() {
            let _ = writeln!(svg, "<text class=\"legend\" x=\"{x:.0}\" y=\"{y:.0}\">{}</text>", escaped(&left_out));
        }
    }

    /// Draws the plan of a node, or the job's own.
    fn draw_plan(&self, parent: Option<usize>, children: &[Vec<usize>]) -> Drawing {
        let plan: Vec<usize> = match parent {
            None => self.plan(None).collect(),
            Some(parent) => children[parent].iter().copied().filter(|child| !self.nodes[*child].undoes).collect(),
        };
        let has_plan = |index: usize| children[index].iter().any(|child| !self.nodes[*child].undoes);
        let undo = |index: usize| children[index].iter().copied().find(|child| self.nodes[*child].undoes);
        let is_plain = |index: usize| !has_plan(index) && undo(index).is_none();
        let blocks = blocks(self, &plan, is_plain);
        let mut of = vec![usize::MAX; self.nodes.len()];
        blocks
            .iter()
            .enumerate()
            .for_each(|(block, Block { nodes, .. })| nodes.iter().for_each(|node| of[*node] = block));
        let drawings: Vec<Drawing> = blocks.iter().map(|block| self.draw_block(block, children)).collect();
        let edges = ties(&self.edges, &of);
        let sizes: Vec<_> = drawings.iter().map(|drawing| (drawing.width, drawing.height)).collect();
        let pairs: Vec<_> = edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let placed = layout(&sizes, &pairs);
        let mut body = String::new();
        // What matters most is drawn last.
        for critical in [false, true] {
            for (edge, bends) in edges.iter().zip(&placed.bends).filter(|(edge, _)| edge.critical == critical) {
                let (from, to) = (placed.at[edge.from], placed.at[edge.to]);
                // Where a card ends that has others under it, not where all of it does.
                let middle = |block: usize| blocks[block].middle(sizes[block].1);
                let start = (from.0 + sizes[edge.from].0, from.1 + middle(edge.from));
                let end = (to.0, to.1 + middle(edge.to));
                draw_edge(edge, start, bends, end, &mut body);
            }
        }
        for (drawing, (x, y)) in drawings.iter().zip(&placed.at) {
            let _ = writeln!(body, "<g transform=\"translate({x:.1} {y:.1})\">\n{}</g>", drawing.body);
        }
        Drawing { body, width: placed.width, height: placed.height }
    }

    fn draw_block(&self, block: &Block, children: &[Vec<usize>]) -> Drawing {
        if let [index] = block.nodes[..] {
            return self.draw_node(index, children);
        }
        let columns = block.columns();
        let widths: Vec<_> = block.nodes.iter().map(|index| self.nodes[*index].card_width()).collect();
        let (width, height) = (widths.iter().copied().fold(0.0, f64::max), card::CARD_HEIGHT);
        let rows = block.nodes.len().div_ceil(columns);
        let (across, down) = (width + CARD_GAP, height + CARD_GAP);
        let size = (columns as f64 * across - CARD_GAP + 2.0 * INSET, rows as f64 * down - CARD_GAP + 2.0 * INSET);
        let critical = if block.nodes.iter().any(|index| self.nodes[*index].critical) { " on-chain" } else { "" };
        let mut body =
            format!("<rect class=\"plan{critical}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"14\"/>\n", size.0, size.1);
        for (place, index) in block.nodes.iter().enumerate() {
            let (x, y) = (INSET + (place % columns) as f64 * across, INSET + (place / columns) as f64 * down);
            let _ = writeln!(body, "<g transform=\"translate({x:.1} {y:.1})\">");
            self.card(*index, width, &mut body);
            body.push_str("</g>\n");
        }
        Drawing { body, width: size.0, height: size.1 }
    }

    /// A node: its card, what undoes it below, and its own plan in it.
    fn draw_node(&self, index: usize, children: &[Vec<usize>]) -> Drawing {
        let node = &self.nodes[index];
        let undo = children[index].iter().copied().find(|child| self.nodes[*child].undoes);
        let has_plan = children[index].iter().any(|child| !self.nodes[*child].undoes);
        let mut body = String::new();
        let undo_width = undo.map_or(0.0, |undo| self.nodes[undo].undo_width());
        let mut width = node.card_width().max(undo_width);
        let mut height = card::CARD_HEIGHT;
        if has_plan {
            let inner = self.draw_plan(Some(index), children);
            let chain = if node.critical { " on-chain" } else { "" };
            width = width.max(inner.width) + 2.0 * INSET;
            height += inner.height + 3.0 * INSET;
            let _ =
                writeln!(body, "<rect class=\"plan{chain}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"14\"/>");
            let card = width - 2.0 * INSET;
            let _ = writeln!(body, "<g transform=\"translate({INSET} {INSET})\">");
            self.card(index, card, &mut body);
            body.push_str("</g>\n");
            let (x, y) = ((width - inner.width) / 2.0, card::CARD_HEIGHT + 2.0 * INSET);
            let _ = writeln!(body, "<g transform=\"translate({x:.1} {y:.1})\">\n{}</g>", inner.body);
        } else {
            self.card(index, width, &mut body);
        }
        if let Some(undo) = undo {
            let y = height + CARD_GAP * 1.6;
            let _ = writeln!(
                body,
                "<path class=\"edge undoes\" marker-end=\"url(#tip)\" d=\"M{:.1} {height:.1}V{:.1}\"/>",
                30.0,
                y - 3.0
            );
            let _ = writeln!(body, "<g transform=\"translate(0 {y:.1})\">");
            self.undo_card(undo, width, &mut body);
            body.push_str("</g>\n");
            height = y + UNDO_HEIGHT;
        }
        Drawing { body, width, height }
    }
}

/// The edges between blocks, each once.
fn ties(edges: &[GraphEdge], of: &[usize]) -> Vec<GraphEdge> {
    let mut ties: std::collections::BTreeMap<(usize, usize), GraphEdge> = std::collections::BTreeMap::new();
    for edge in edges {
        let (from, to) = (of[edge.from], of[edge.to]);
        if from == usize::MAX || to == usize::MAX || from == to {
            continue;
        }
        let tie = ties.entry((from, to)).or_insert(GraphEdge { from, to, ..edge.clone() });
        tie.critical |= edge.critical;
    }
    ties.into_values().collect()
}

/// A smooth line from the right side of one to the left side of the other, through its bends.
fn draw_edge(edge: &GraphEdge, start: (f64, f64), bends: &[(f64, f64, f64)], end: (f64, f64), body: &mut String) {
    let end = (end.0 - 5.0, end.1);
    let mut path = format!("M{:.1} {:.1}", start.0, start.1);
    let mut before = start;
    for (x, y, along) in bends.iter().copied().chain([(end.0, end.1, 0.0)]) {
        let reach = ((x - before.0).abs() / 2.0).max(24.0);
        let _ = write!(path, "C{:.1} {:.1} {:.1} {y:.1} {x:.1} {y:.1}", before.0 + reach, before.1, x - reach);
        if along > 0.0 {
            let _ = write!(path, "h{along:.1}");
        }
        before = (x + along, y);
    }
    let (class, tip) = if edge.critical { (" critical", "tip-critical") } else { ("", "tip") };
    let rule = edge.rule.map(|rule| format!("<title>a failure means {rule}</title>")).unwrap_or_default();
    let _ = writeln!(body, "<path class=\"edge{class}\" marker-end=\"url(#{tip})\" d=\"{path}\">{rule}</path>");
}
