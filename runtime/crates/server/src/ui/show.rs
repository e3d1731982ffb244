//! How values are shown: what templates call. All of it escapes what it is given, and what comes out is for a template alone.

use std::borrow::{Borrow, Cow};
use std::time::Duration;

use askama::filters::Safe;
use serde_json::value::RawValue;
use sunaba_task::{Timestamp, format_bytes, format_count, format_duration};

/// Characters of a text in a table.
const SHORT_CHARS: usize = 90;
/// Of a text that is shown whole, this much.
pub(super) const LONG_BYTES: usize = 64 << 10;

/// Numbers, as templates hand them over.
pub(super) trait Number {
    fn number(&self) -> u64;
}

impl Number for u64 {
    fn number(&self) -> u64 {
        *self
    }
}

impl Number for u32 {
    fn number(&self) -> u64 {
        u64::from(*self)
    }
}

impl Number for usize {
    fn number(&self) -> u64 {
        u64::try_from(*self).unwrap_or(u64::MAX)
    }
}

impl<T: Number> Number for &T {
    fn number(&self) -> u64 {
        (**self).number()
    }
}

/// `1,234`.
pub(super) fn count(number: impl Number) -> String {
    format_count(number.number())
}

/// `1 time`, `2 times`.
pub(super) fn of(number: impl Number, what: &str) -> String {
    let number = number.number();
    format!("{} {what}{}", format_count(number), if number == 1 { "" } else { "s" })
}

/// `4.0 MiB`.
pub(super) fn bytes(number: impl Number) -> String {
    format_bytes(number.number())
}

/// The same of what may not be there.
pub(super) fn maybe_bytes(number: impl Borrow<Option<u64>>) -> String {
    number.borrow().map_or_else(|| "\u{2013}".into(), format_bytes)
}

pub(super) fn maybe_count(number: impl Borrow<Option<u64>>) -> String {
    number.borrow().as_ref().map_or_else(|| "\u{2013}".into(), |number| format_count(*number))
}

/// Milliseconds as a duration for people.
pub(super) fn time(ms: impl Number) -> String {
    short_time(Duration::from_millis(ms.number()))
}

pub(super) fn maybe_time(ms: impl Borrow<Option<u64>>) -> String {
    ms.borrow().as_ref().map_or_else(|| "\u{2013}".into(), time)
}

/// Milliseconds with a fraction.
pub(super) fn millis(ms: impl Borrow<f64>) -> String {
    short_time(Duration::from_secs_f64((ms.borrow() / 1_000.0).clamp(0.0, 1e9)))
}

pub(super) fn maybe_millis(ms: impl Borrow<Option<f64>>) -> String {
    ms.borrow().as_ref().map_or_else(|| "\u{2013}".into(), |ms| millis(*ms))
}

/// A percentage that may not be there.
pub(super) fn percent(part: impl Borrow<Option<f64>>) -> String {
    part.borrow().map_or_else(|| "\u{2013}".into(), |part| format!("{part:.1} %"))
}

/// Two units at most: `2 h 5 min`, `3.2 s`, `40 ms`.
pub(super) fn short_time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format_duration(time),
        120..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 if seconds % 3_600 < 60 => format!("{} h", seconds / 3_600),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        86_400..864_000 if seconds % 86_400 >= 3_600 => {
            format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600)
        }
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The most important unit alone: `2 h`.
fn rough_time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// An instant by how long ago it was, or how far ahead it is; itself is in the title.
pub(super) fn ago(now: Option<Timestamp>, at: &str) -> String {
    let told = match (now, at.parse::<Timestamp>()) {
        (Some(now), Ok(at)) if at > now => format!("in {}", rough_time(at.since(now))),
        (Some(now), Ok(at)) if now.since(at) < Duration::from_secs(1) => "now".to_owned(),
        (Some(now), Ok(at)) => format!("{} ago", rough_time(now.since(at))),
        _ => at.to_owned(),
    };
    let at = escaped(at);
    format!("<time datetime=\"{at}\" title=\"{at}\">{}</time>", escaped(&told))
}

/// A word with the colour of what it means; the word itself is always there.
pub(super) fn chip(word: impl std::fmt::Display) -> Safe<String> {
    let word = word.to_string();
    Safe(format!("<span class=\"chip {}\">{}</span>", tone(&word), escaped(&word)))
}

/// Good, bad, on its way, waiting or over.
fn tone(word: &str) -> &'static str {
    match word {
        "succeeded" | "completed" | "active" | "good" | "succeed" | "closed" | "resolved" | "delivered" => "good",
        "dead" | "failed" | "stopped" | "firing" | "open" | "revoked" | "give-up" | "host-failed" | "host-lost"
        | "given up" | "failing" => "bad",
        "running" | "stopping" | "probing" | "compensating" | "on its way" => "busy",
        "retry-scheduled" | "retry" | "paused" | "wider" | "expired" | "snoozed" | "requeue" | "handed-back"
        | "disabled" | "to be tried again" => "warn",
        "queued" | "scheduled" | "blocked" | "snooze" | "await" | "waits" => "wait",
        _ => "over",
    }
}

/// What the short name of a component's digest is.
pub(super) fn digest(text: impl AsRef<str>) -> Safe<String> {
    let text = text.as_ref();
    let hex = text.rsplit(':').next().unwrap_or_default();
    let short: String = hex.chars().take(12).collect();
    Safe(format!("<code class=\"digest\" title=\"{}\">{}</code>", escaped(text), escaped(&short)))
}

/// An id, shortened in the middle where there is little room; all of it is in the title.
pub(super) fn id(text: impl AsRef<str>) -> Safe<String> {
    let text = text.as_ref();
    let (head, tail) = (text.get(..8), text.get(text.len().saturating_sub(6)..));
    let short = match (head, tail) {
        (Some(head), Some(tail)) if text.len() > 18 => format!("{head}\u{2026}{tail}"),
        _ => text.to_owned(),
    };
    Safe(format!("<code title=\"{}\">{}</code>", escaped(text), escaped(&short)))
}

/// The beginning of a text in one line.
pub(super) fn short(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut line = text.lines().next().unwrap_or_default();
    let mut is_cut = line.len() < text.trim_end().len();
    if let Some((end, _)) = line.char_indices().nth(SHORT_CHARS) {
        (line, is_cut) = (&line[..end], true);
    }
    format!("{line}{}", if is_cut { "\u{2026}" } else { "" })
}

/// A text as it is, in its lines; of a long one the beginning, and how long it is.
pub(super) fn long(text: impl AsRef<str>) -> Safe<String> {
    let text = text.as_ref();
    let end = text.floor_char_boundary(LONG_BYTES);
    let cut = match text.len() > end {
        true => format!(
            "<p class=\"cut\">the first {} of {}</p>",
            format_bytes(end as u64),
            format_bytes(text.len() as u64)
        ),
        false => String::new(),
    };
    Safe(format!("<pre tabindex=\"0\">{}</pre>{cut}", escaped(&text[..end])))
}

/// JSON with its lines apart, where it is not too long for that.
pub(super) fn json(text: impl AsRef<str>) -> Safe<String> {
    long(pretty(text))
}

/// The same as a text, for a field in which it can be changed.
pub(super) fn pretty(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let value = Some(text).filter(|text| text.len() <= LONG_BYTES).map(serde_json::from_str::<serde_json::Value>);
    let pretty = value.and_then(Result::ok).and_then(|value| serde_json::to_string_pretty(&value).ok());
    // Numbers that this program cannot hold would be shown as others.
    let is_exact = pretty.as_ref().is_some_and(|pretty| same_but_blanks(pretty, text));
    pretty.filter(|_| is_exact).unwrap_or_else(|| text.to_owned())
}

pub(super) fn raw(value: &RawValue) -> Safe<String> {
    json(value.get())
}

fn same_but_blanks(one: &str, other: &str) -> bool {
    let letters = |text: &str| {
        let mut sorted: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        sorted.sort_unstable();
        sorted
    };
    letters(one) == letters(other)
}

/// How much of something is used, as a bar; its numbers stand beside it in words.
pub(super) fn meter(used: impl Number, of: impl Number) -> Safe<String> {
    let share = share(used.number(), of.number());
    bar(share, if share >= 90 { "full" } else { "" })
}

/// How far something is, as a bar.
pub(super) fn progress(done: impl Number, of: impl Number) -> Safe<String> {
    bar(share(done.number(), of.number()), "")
}

/// In a hundred.
fn share(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0).min(100)
}

fn bar(share: u64, tone: &str) -> Safe<String> {
    Safe(format!(
        "<svg class=\"meter {tone}\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{share} %\"><rect \
         width=\"100\" height=\"6\" class=\"rest\"/><rect width=\"{share}\" height=\"6\" class=\"used\"/></svg>"
    ))
}

/// A text that can stand between tags and in an attribute.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    Cow::Owned(escaped)
}

/// A whole page without what could make its text look like another: control characters, but for the ends of lines and tabs, and the
/// marks that turn the direction of text. They are shown as what they are.
pub(super) fn inert(page: &str) -> Cow<'_, str> {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_odd = |c: char| c.is_control() && c != '\n' && c != '\t' || turns(c);
    if !page.contains(is_odd) {
        return Cow::Borrowed(page);
    }
    let mut inert = String::with_capacity(page.len() + 64);
    for c in page.chars() {
        match c {
            // A browser makes an end of a line of it, in forms.
            '\r' => inert.push_str("\\r"),
            c if is_odd(c) => inert.extend(c.escape_unicode()),
            c => inert.push(c),
        }
    }
    Cow::Owned(inert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_inert() {
        assert_eq!(escaped("<a href='x'>\"&"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
        assert_eq!(inert("a\u{1b}[31m\u{202e}b\n\tc\r"), "a\\u{1b}[31m\\u{202e}b\n\tc\\r");
        for shown in
            [chip("<i>").0, digest("sha256:<i>").0, id("<i>").0, ago(None, "<i>"), long("<i>").0, json("<i>").0]
        {
            assert!(!shown.contains("<i>"), "{shown}");
        }
    }

    #[test]
    fn instants_are_told_by_their_distance() {
        let now = "2026-01-02T03:04:05Z".parse::<Timestamp>().ok();
        for (at, told) in [
            ("2026-01-02T03:04:05Z", ">now<"),
            ("2026-01-02T03:03:25Z", ">40 s ago<"),
            ("2026-01-02T01:00:00Z", ">2 h ago<"),
            ("2025-12-30T01:00:00Z", ">3 d ago<"),
            ("2026-01-02T03:09:06Z", ">in 5 min<"),
            ("never", ">never<"),
        ] {
            let shown = ago(now, at);
            assert!(shown.contains(told) && shown.contains(&format!("title=\"{at}\"")), "{shown}");
        }
    }

    #[test]
    fn long_text_says_how_long_it_is() {
        let shown = long("x".repeat(LONG_BYTES + 1)).0;
        assert!(shown.contains("the first 64.0 KiB of 64.0 KiB"), "{}", &shown[shown.len() - 80..]);
        assert!(!long("x".repeat(LONG_BYTES)).0.contains("the first"));
        assert_eq!(short("one\ntwo"), "one\u{2026}");
        assert_eq!(short("x".repeat(SHORT_CHARS)).chars().count(), SHORT_CHARS);
        assert_eq!(short("x".repeat(SHORT_CHARS + 1)).chars().count(), SHORT_CHARS + 1);
    }

    #[test]
    fn json_is_not_changed_by_being_shown() {
        assert!(json(r#"{"b":1,"a":[]}"#).0.contains("&quot;b&quot;: 1"));
        let exact = r#"{"b":123456789012345678901234567890}"#;
        assert!(json(exact).0.contains("123456789012345678901234567890"));
    }
}
