//! The card of a node: its name and state, what it took, and where in the job's time it waited and ran.

use std::fmt::Write as _;

use sunaba_task::{StateName, format_count, format_duration};

use super::super::graph::{GraphNode, JobGraph};
use super::super::node::mark;
use super::super::pauses::PauseUntil;
use super::super::plain::{compact, fit, one_line, width};
use super::style::{color, escaped};

/// How high a card is, and what undoes one.
pub(super) const CARD_HEIGHT: f64 = 64.0;
pub(super) const UNDO_HEIGHT: f64 = 40.0;
/// Between two cards that belong together.
pub(super) const CARD_GAP: f64 = 14.0;
/// A card is no narrower, and no wider.
const WIDTHS: (f64, f64) = (158.0, 300.0);
/// What a letter of a name takes, and one of what stands below; generous.
const LETTERS: (f64, f64) = (7.9, 6.5);
/// Left and right of texts.
const PAD: f64 = 14.0;

impl GraphNode {
    pub(super) fn card_width(&self) -> f64 {
        let name = width(&self.name) as f64 * LETTERS.0 + 2.0 * PAD + 24.0;
        let facts = width(&self.facts()) as f64 * LETTERS.1 + 2.0 * PAD;
        name.max(facts).clamp(WIDTHS.0, WIDTHS.1)
    }

    pub(super) fn undo_width(&self) -> f64 {
        (width(&self.undo_text()) as f64 * LETTERS.1 + 2.0 * PAD + 30.0).clamp(WIDTHS.0, WIDTHS.1)
    }

    fn undo_text(&self) -> String {
        format!("undone by {}", self.handler)
    }

    /// What it took, or how it stands.
    fn facts(&self) -> String {
        if let Some(fold) = &self.fold {
            return format!("{}: {}", format_count(fold.members), fold.counts());
        }
        if self.attempts == 0 {
            return self.state.to_string();
        }
        let fuel = if self.fuel > 0 { format!(" \u{b7} fuel {}", compact(self.fuel)) } else { String::new() };
        let attempts = if self.attempts > 1 { format!(" \u{b7} {} attempts", self.attempts) } else { String::new() };
        format!("{}{fuel}{attempts}", format_duration(self.ran))
    }

    /// All that is known of it, for whoever points at it.
    fn told(&self) -> String {
        let mut cause = self.cause.as_ref().map(|cause| format!("\n{cause}")).unwrap_or_default();
        for failed in self.fold.iter().flat_map(|fold| &fold.failed) {
            let why = failed.cause.as_deref().unwrap_or_default();
            cause.push_str(&format!("\n{} is {}: {why}", failed.name, failed.state));
        }
        let waited = format_duration(self.waited);
        let pauses = [("between attempts", self.between_attempts), ("waited for somebody", self.for_somebody)];
        let pauses = pauses.into_iter().filter(|(_, time)| !time.is_zero());
        let pauses: String = pauses.map(|(what, time)| format!(", {what} {}", format_duration(time))).collect();
        let facts = self.facts();
        format!("{} ({})\n{}, {facts}, waited {waited}{pauses}{cause}", self.name, self.handler, self.state)
    }
}

impl JobGraph {
    /// Draws a card at the origin.
    pub(super) fn card(&self, index: usize, width: f64, body: &mut String) {
        let node = &self.nodes[index];
        let class = color(node.state);
        let chain = if node.critical { " on-chain" } else { "" };
        let _ = writeln!(body, "<g class=\"node\"><title>{}</title>", escaped(&node.told()));
        if node.fold.is_some() {
            // It stands for many.
            for shift in [8.0, 4.0] {
                let _ = writeln!(
                    body,
                    "<rect class=\"card behind\" x=\"{shift}\" y=\"{shift}\" width=\"{width:.1}\" height=\"{CARD_HEIGHT}\" rx=\"10\"/>"
                );
            }
        }
        let _ = writeln!(
            body,
            "<rect class=\"card{chain}\" width=\"{width:.1}\" height=\"{CARD_HEIGHT}\" rx=\"10\"/>\n<rect class=\"tint {class}\" \
             width=\"{width:.1}\" height=\"{CARD_HEIGHT}\" rx=\"10\"/>"
        );
        let room = ((width - 2.0 * PAD - 24.0) / LETTERS.0 + 0.5) as usize;
        let name = escaped(&fit(&one_line(&node.name, 200), room));
        let facts = ((width - 2.0 * PAD) / LETTERS.1 + 0.5) as usize;
        let facts = escaped(&fit(&node.facts(), facts));
        let right = width - PAD - 6.0;
        let _ = writeln!(
            body,
            "<text class=\"name\" x=\"{PAD}\" y=\"24\">{name}</text>\n<circle class=\"fill {class}\" cx=\"{right:.1}\" cy=\"20\" \
             r=\"8.5\"/><text class=\"mark\" x=\"{right:.1}\" y=\"24\">{}</text>\n<text class=\"small\" x=\"{PAD}\" y=\"42\">{facts}</text>",
            sign(node.state)
        );
        self.timeline(node, width, body);
        body.push_str("</g>\n");
    }

    /// Where in the job's time it waited, and where it ran: of the time from its first attempt to its end, what is coloured.
    fn timeline(&self, node: &GraphNode, width: f64, body: &mut String) {
        let (room, total) = (width - 2.0 * PAD, self.took().as_secs_f64().max(1e-3));
        let place = |at: sunaba_task::Timestamp| {
            PAD + room * (at.since(self.submitted_at).as_secs_f64() / total).clamp(0.0, 1.0)
        };
        let _ =
            writeln!(body, "<rect class=\"track\" x=\"{PAD}\" y=\"52\" width=\"{room:.1}\" height=\"4\" rx=\"2\"/>");
        let end = node.ended_at.unwrap_or(self.now);
        let started = node.started_at.unwrap_or(end);
        let mut bar = |class: &str, from: f64, to: f64, least: f64| {
            let length = (to - from).max(least);
            if length > 0.0 {
                let from = from.min(PAD + room - length);
                let _ = writeln!(
                    body,
                    "<rect class=\"{class}\" x=\"{from:.1}\" y=\"52\" width=\"{length:.1}\" height=\"4\" rx=\"2\"/>"
                );
            }
        };
        bar("wait", place(node.submitted_at), place(started), 0.0);
        if node.started_at.is_some() {
            bar(&format!("fill {}", color(node.state)), place(started), place(end), 4.0);
            for pause in &node.pauses {
                bar(pause.until.class(), place(pause.from), place(pause.to), 0.0);
            }
        }
    }

    /// Draws what undoes a node at the origin.
    pub(super) fn undo_card(&self, index: usize, width: f64, body: &mut String) {
        let node = &self.nodes[index];
        let class = color(node.state);
        let chain = if node.critical { " on-chain" } else { "" };
        let room = ((width - 2.0 * PAD - 24.0) / LETTERS.1) as usize;
        let text = escaped(&fit(&one_line(&node.undo_text(), 200), room));
        let right = width - PAD - 6.0;
        let _ = writeln!(
            body,
            "<g class=\"node\"><title>{}</title><rect class=\"card undo{chain}\" width=\"{width:.1}\" height=\"{UNDO_HEIGHT}\" rx=\"10\"/>\n\
             <text class=\"small\" x=\"{PAD}\" y=\"17\">{text}</text>\n<text class=\"small\" x=\"{PAD}\" y=\"32\">{}</text>\n<circle \
             class=\"fill {class}\" cx=\"{right:.1}\" cy=\"20\" r=\"8.5\"/><text class=\"mark\" x=\"{right:.1}\" y=\"24\">{}</text></g>",
            escaped(&node.told()),
            escaped(&node.facts()),
            sign(node.state)
        );
    }
}

impl PauseUntil {
    /// The class of the bar over that of its task.
    fn class(self) -> &'static str {
        match self {
            Self::NextAttempt => "wait",
            Self::Completion => "wait somebody",
            Self::Children => "wait children",
        }
    }
}

/// The sign in a card's corner.
fn sign(state: StateName) -> char {
    match state {
        StateName::Running => '\u{2192}',
        StateName::Queued | StateName::Scheduled | StateName::Blocked => '\u{2026}',
        other => mark(other),
    }
}
