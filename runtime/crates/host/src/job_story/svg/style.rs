//! The looks: colours by state, for light and for dark ground; and how others' texts come into a document.

use std::fmt::Write as _;

use sunaba_task::StateName;

/// The class of a state's colour.
pub(super) fn color(state: StateName) -> &'static str {
    match state {
        StateName::Succeeded => "succeeded",
        StateName::Dead | StateName::Expired => "dead",
        StateName::Cancelled => "cancelled",
        StateName::Running => "running",
        StateName::RetryScheduled => "retry",
        StateName::Queued | StateName::Scheduled => "queued",
        StateName::Blocked => "blocked",
    }
}

/// A text as it may stand in a document, between tags or in an attribute. What no document may hold is shown.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            c if super::super::plain::is_command(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(escaped, "{}", c.escape_default());
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// The tips of edges.
pub(super) const DEFS: &str = "<defs>\
<marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"4\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
<path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker>\
<marker id=\"tip-critical\" viewBox=\"0 0 8 8\" refX=\"4\" refY=\"4\" markerWidth=\"12\" markerHeight=\"12\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
<path class=\"tip critical\" d=\"M0 0L8 4L0 8z\"/></marker></defs>";

/// Sand by day, and slate by night.
pub(super) const STYLE: &str = "
svg{--ground:#faf8f4;--card:#ffffff;--line:#d9d2c5;--text:#2b2a27;--dim:#7a756b;--edge:#b3aa9a;--chain:#c2762b;--plan:#f1ece2;--track:#e9e3d8;--wait:#cdc4b4;
--succeeded:#3f9a64;--dead:#cf4a3f;--cancelled:#8f8a82;--running:#3d7fc4;--retry:#d08a1e;--queued:#a08c4a;--blocked:#b3aa9a}
@media (prefers-color-scheme:dark){svg{--ground:#16191d;--card:#20252b;--line:#39414a;--text:#e8e6e1;--dim:#98a0a8;--edge:#56606b;--chain:#e3a04f;--plan:#1b2026;--track:#2c333b;--wait:#4a545f;
--succeeded:#58b981;--dead:#e8695e;--cancelled:#8a929b;--running:#64a3e6;--retry:#e6ab4b;--queued:#bfa95f;--blocked:#5f6974}}
text{font-family:ui-sans-serif,system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--text)}
.ground{fill:var(--ground)}
.job{font-size:19px;font-weight:650}
.facts,.legend{font-size:12px;fill:var(--dim)}
.word{font-weight:650}
.word.succeeded{fill:var(--succeeded)}.word.dead{fill:var(--dead)}.word.cancelled{fill:var(--cancelled)}.word.running{fill:var(--running)}
.name{font-size:13px;font-weight:600}
.small{font-size:11px;fill:var(--dim);font-variant-numeric:tabular-nums}
.mark{font-size:11px;font-weight:700;text-anchor:middle;fill:var(--card)}
.card{fill:var(--card);stroke:var(--line);stroke-width:1.2}
.card.on-chain,.plan.on-chain{stroke:var(--chain);stroke-width:2.6}
.card.undo{fill:var(--plan);stroke-dasharray:5 4}
.plan{fill:var(--plan);stroke:var(--line);stroke-width:1.2}
.track{fill:var(--track)}.wait{fill:var(--wait)}.wait.somebody{fill:var(--queued)}.wait.children{fill:var(--track)}
.tint{opacity:.07;pointer-events:none}
.tint.succeeded,.fill.succeeded{fill:var(--succeeded)}
.tint.dead,.fill.dead{fill:var(--dead)}
.tint.cancelled,.fill.cancelled{fill:var(--cancelled)}
.tint.running,.fill.running{fill:var(--running)}
.tint.retry,.fill.retry{fill:var(--retry)}
.tint.queued,.fill.queued{fill:var(--queued)}
.tint.blocked,.fill.blocked{fill:var(--blocked)}
.edge{fill:none;stroke:var(--edge);stroke-width:1.5}
.edge.critical{stroke:var(--chain);stroke-width:3.2}
.edge.undoes{stroke-dasharray:4 4}
.tip{fill:var(--edge)}.tip.critical{fill:var(--chain)}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_texts_are_texts() {
        let hostile = "</text><script>alert(1)</script>\"'&\u{0}\u{202e}\u{ffff}";
        let shown = "&lt;/text&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\u{0}\\u{202e}\\u{ffff}";
        assert_eq!(escaped(hostile), shown);
    }
}
