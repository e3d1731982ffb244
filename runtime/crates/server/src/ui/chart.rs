//! Charts, drawn here as SVG: bars and lines over minutes. What goes in are numbers, and words of our own.

use std::fmt::Write as _;
use std::time::Duration;

use askama::filters::Safe;
use sunaba_host::{Minute, Share};
use sunaba_task::{Timestamp, format_count};

use super::show;

const MINUTE_MS: u64 = 60_000;
/// Points of a chart.
const SLOTS: usize = 60;
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 150.0;
/// Below it stand the times.
const FLOOR: f64 = 128.0;
const CEILING: f64 = 10.0;
/// Left of it stand the values.
const LEFT: f64 = 46.0;

/// A part of a bar: its class, its word, and what it counts.
type Part<'a> = (&'a str, &'a str, fn(&Minute) -> u64);

/// What was done in some minutes at a time, up to now.
pub(super) struct Span {
    pub(super) slots: Vec<Option<Minute>>,
    slot_minutes: u64,
    end_ms: u64,
}

/// Some minutes as one.
fn sum(all: &[&Minute]) -> Option<Minute> {
    let (first, rest) = all.split_first()?;
    let mut sum = (*first).clone();
    for more in rest {
        sum.submitted += more.submitted;
        sum.succeeded += more.succeeded;
        sum.lost += more.lost;
        sum.failed += more.failed;
        sum.wait.add(&more.wait);
        sum.run.add(&more.run);
    }
    Some(sum)
}

impl Span {
    /// The last `slot_minutes` times sixty minutes.
    pub(super) fn new(minutes: &[Minute], now: Timestamp, slot_minutes: u64) -> Self {
        let slot_ms = slot_minutes * MINUTE_MS;
        let end_ms = (now.unix_ms() / slot_ms + 1) * slot_ms;
        let slot = |index: usize| {
            let from = end_ms.saturating_sub((SLOTS - index) as u64 * slot_ms);
            let of = |minute: &&Minute| (from..from + slot_ms).contains(&minute.at.unix_ms());
            sum(&minutes.iter().filter(of).collect::<Vec<_>>())
        };
        Self { slots: (0..SLOTS).map(slot).collect(), slot_minutes, end_ms }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// All of it as one.
    pub(super) fn whole(&self) -> Option<Minute> {
        sum(&self.slots.iter().flatten().collect::<Vec<_>>())
    }

    fn frame(&self, title: &str, most: &str, body: &str) -> Safe<String> {
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\"><title>{}</title>",
            show::escaped(title),
            show::escaped(title)
        );
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {CEILING}H{WIDTH}M{LEFT} {:.1}H{WIDTH}\"/><path class=\"axis\" d=\"M{LEFT} \
             {FLOOR}H{WIDTH}\"/><text class=\"tick\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most}</text>{body}",
            (CEILING + FLOOR) / 2.0,
            LEFT - 6.0,
            CEILING + 4.0,
        );
        let slot_ms = self.slot_minutes * MINUTE_MS;
        let begin_ms = self.end_ms.saturating_sub(SLOTS as u64 * slot_ms);
        for (part, anchor) in [(0.0, "start"), (0.5, "middle"), (1.0, "end")] {
            let at = begin_ms + ((self.end_ms - begin_ms) as f64 * part) as u64;
            let text = Timestamp::from_unix_ms(at).to_string();
            let x = LEFT + (WIDTH - LEFT) * part;
            let clock = text.get(11..16).unwrap_or_default();
            let _ = write!(svg, "<text class=\"tick\" x=\"{x:.0}\" y=\"146\" text-anchor=\"{anchor}\">{clock}</text>");
        }
        svg.push_str("</svg>");
        Safe(svg)
    }

    /// Bars of counts, each stacked from what `parts` find, with the class of each.
    pub(super) fn bars(&self, title: &str, parts: &[Part<'_>]) -> Safe<String> {
        let total = |minute: &Minute| parts.iter().map(|(_, _, part)| part(minute)).sum::<u64>();
        let most = self.slots.iter().flatten().map(total).max().unwrap_or(0).max(1);
        let step = (WIDTH - LEFT) / SLOTS as f64;
        let mut body = String::new();
        for (index, minute) in self.slots.iter().enumerate() {
            let Some(minute) = minute.as_ref().filter(|minute| total(minute) > 0) else { continue };
            let (x, mut y) = (LEFT + step * index as f64, FLOOR);
            let _ = body.write_str("<g>");
            let mut words = Vec::new();
            for (class, word, part) in parts {
                let count = part(minute);
                let height = (FLOOR - CEILING) * count as f64 / most as f64;
                // What is there can be seen, however little it is.
                let height = if count > 0 { height.max(1.5) } else { 0.0 };
                y -= height;
                if count > 0 {
                    words.push(format!("{} {word}", format_count(count)));
                    let width = (step - 1.5).max(1.0);
                    let _ = write!(
                        body,
                        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                    );
                }
            }
            let _ = write!(body, "<title>{}: {}</title></g>", self.clock(index), words.join(", "));
        }
        self.frame(title, &format_count(most), &body)
    }

    /// The half, the 95th and the 99th of a hundred of some times, as lines over a scale of powers of ten.
    pub(super) fn quantiles(&self, title: &str, of: fn(&Minute) -> &Share) -> Safe<String> {
        let lines = [("p99", 990), ("p95", 950), ("p50", 500)];
        let at = |minute: &Option<Minute>, per_mille| of(minute.as_ref()?).quantile(per_mille);
        let longest = self.slots.iter().filter_map(|minute| at(minute, 990)).max().unwrap_or_default();
        let most = ceiling(longest);
        let step = (WIDTH - LEFT) / SLOTS as f64;
        let y = |time: Duration| FLOOR - (FLOOR - CEILING) * scale(time) / scale(most);
        let mut body = String::new();
        for (class, per_mille) in lines {
            let (mut path, mut dots, mut draws) = (String::new(), String::new(), false);
            for (index, minute) in self.slots.iter().enumerate() {
                let Some(time) = at(minute, per_mille) else {
                    draws = false;
                    continue;
                };
                let (x, y) = (LEFT + step * (index as f64 + 0.5), y(time));
                let _ = write!(path, "{}{x:.1} {y:.1}", if draws { "L" } else { "M" });
                draws = true;
                let told = format!("{}: {class} {}", self.clock(index), show::short_time(time));
                let _ = write!(
                    dots,
                    "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\"><title>{told}</title></circle>"
                );
            }
            let _ = write!(body, "<path class=\"line {class}\" d=\"{path}\"/>{dots}");
        }
        self.frame(title, &show::short_time(most), &body)
    }

    fn clock(&self, index: usize) -> String {
        let slot_ms = self.slot_minutes * MINUTE_MS;
        let at = self.end_ms.saturating_sub((SLOTS - index) as u64 * slot_ms);
        Timestamp::from_unix_ms(at).to_string().get(11..16).unwrap_or_default().to_owned()
    }
}

/// The next power of ten, from a millisecond on.
fn ceiling(time: Duration) -> Duration {
    let mut ceiling = Duration::from_millis(1);
    while ceiling < time && ceiling < Duration::from_secs(10_000) {
        ceiling *= 10;
    }
    ceiling
}

/// How high a time stands: each ten times as long one higher, and a tenth of a millisecond at the floor.
fn scale(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).max(1.0).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_rises_by_one_for_each_ten_times() {
        assert_eq!(scale(Duration::ZERO), 0.0);
        assert!((scale(Duration::from_millis(1)) - 1.0).abs() < 1e-9);
        assert!((scale(Duration::from_secs(1)) - 4.0).abs() < 1e-9);
        assert_eq!(ceiling(Duration::from_millis(11)), Duration::from_millis(100));
        assert_eq!(ceiling(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn span_without_anything_is_empty_and_is_drawn() {
        let span = Span::new(&[], Timestamp::from_unix_ms(1_700_000_000_000), 3);
        assert!(span.is_empty() && span.whole().is_none());
        let drawn = span.bars("tasks", &[("good", "succeeded", |minute| minute.succeeded)]).0;
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>") && !drawn.contains("<rect"), "{drawn}");
    }
}
