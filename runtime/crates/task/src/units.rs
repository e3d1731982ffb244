//! Durations, sizes and counts as people write and read them.

use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

/// A text that is no duration or size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}\nhint: write {example}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// Reads a duration such as `30s`, `1m 30s` or `250ms`.
///
/// # Errors
/// The text has no number, no unit, or a unit that nobody knows.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    humantime::parse_duration(text.trim()).map_err(|_| UnitError {
        text: text.into(),
        what: "duration",
        example: "a number and a unit, such as `30s`, `250ms` or `1m 30s`",
    })
}

/// Reads a size such as `64MiB` or `1GB`; a bare number counts bytes.
///
/// # Errors
/// The text has no number, or a unit that nobody knows.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    ByteSize::from_str(text.trim()).map(|size| size.as_u64()).map_err(|_| UnitError {
        text: text.into(),
        what: "size",
        example: "a number and a unit, such as `64MiB` or `512KiB`",
    })
}

/// A duration in the largest unit that keeps three digits: `1.25s`, `480us`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 120.0 => spaced(&humantime::format_duration(Duration::from_secs(s.round() as u64)).to_string()),
        s if s >= 1.0 => format!("{}s", three_digits(s)),
        s if s >= 1e-3 => format!("{}ms", three_digits(s * 1e3)),
        s => format!("{}us", three_digits(s * 1e6)),
    }
}

/// Units that are words stand apart from their numbers, and letters do not: `29 days 23h`.
fn spaced(text: &str) -> String {
    let part = |part: &str| {
        let (number, unit) = part.split_at(part.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(part.len()));
        if unit.len() > 1 { format!("{number} {unit}") } else { part.to_owned() }
    };
    text.split(' ').map(part).collect::<Vec<_>>().join(" ")
}

/// A size in binary units: `1.5 MiB`.
pub fn format_bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A count of something: `1 task`, `1,234 tasks`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", format_count(count), if count == 1 { one } else { many })
}

/// A count with thousands apart: `1,234,567`.
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits() {
        for (micros, text) in
            [(0, "0us"), (7, "7us"), (480, "480us"), (1_250, "1.25ms"), (40_000, "40ms"), (1_500_000, "1.5s")]
        {
            assert_eq!(format_duration(Duration::from_micros(micros)), text);
        }
        assert_eq!(format_duration(Duration::from_secs(600)), "10m");
    }

    #[test]
    fn units_that_are_words_stand_apart_and_read_back() {
        const DAY: u64 = 86_400;
        for (seconds, text) in [
            (DAY, "1 day"),
            (30 * DAY - 3_600, "29 days 23h"),
            (2 * DAY + 61, "2 days 1m 1s"),
            (7_200, "2h"),
            (400 * DAY, "1 year 1 month 4 days 7h 26m 24s"),
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!((format_duration(duration).as_str(), parse_duration(text)), (text, Ok(duration)));
        }
    }

    #[test]
    fn one_of_something_is_not_many() {
        let tasks = |count| counted(count, "task", "tasks");
        assert_eq!([tasks(0), tasks(1), tasks(1_200)], ["0 tasks", "1 task", "1,200 tasks"]);
    }

    #[test]
    fn counts_group_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(format_count(count), text);
        }
    }

    #[test]
    fn a_unit_is_required_for_durations_only() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        let error = parse_duration("30").expect_err("no unit").to_string();
        assert!(error.starts_with("`30` is not a duration\nhint: "), "{error}");
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("512"), Ok(512));
        assert!(parse_bytes("64 elephants").is_err());
    }
}
