//! Instants as the store's clock tells them, and the clock itself.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::BoxFuture;

/// The last millisecond of the year 9999: later instants have no text form.
const LAST_MS: u64 = 253_402_300_799_999;

/// An instant: milliseconds since the Unix epoch, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant so many milliseconds after the epoch; the year 9999 is the last.
    pub fn from_unix_ms(unix_ms: u64) -> Self {
        Self(unix_ms.min(LAST_MS))
    }

    #[cfg(test)]
    pub(crate) const fn from_const(unix_ms: u64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the epoch.
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// This much later; whole milliseconds, rounded up so that nothing is ever early.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let ms = u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        Self::from_unix_ms(self.0.saturating_add(ms))
    }

    /// The time since an earlier instant; zero when that one is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(self.0)).fmt(f)
    }
}

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an instant\nhint: write it by RFC 3339, such as `2026-01-31T12:00:00Z` or `2026-01-31T14:00:00+02:00`, from \
     1970 to 9999"
)]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let error = || TimestampError(text.chars().take(64).collect());
        let (local, offset_minutes) = match text.as_bytes() {
            [.., b'Z' | b'z'] => (text.get(..text.len() - 1), 0),
            _ => {
                let at = text.len().checked_sub(6).ok_or_else(error)?;
                (text.get(..at), offset(text.get(at..).ok_or_else(error)?).ok_or_else(error)?)
            }
        };
        let local = local.filter(|local| local.contains('T')).ok_or_else(error)?;
        let instant = humantime::parse_rfc3339(&format!("{local}Z")).map_err(|_| error())?;
        let local_ms = instant.duration_since(UNIX_EPOCH).map_err(|_| error())?.as_millis();
        let unix_ms = i64::try_from(local_ms).map_err(|_| error())? - offset_minutes * 60_000;
        u64::try_from(unix_ms).ok().filter(|ms| *ms <= LAST_MS).map(Self).ok_or_else(error)
    }
}

/// The minutes of `+02:00` or `-05:30`.
fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, below: i64| -> Option<i64> {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| is_number && *number < below)
    };
    Some(sign * (number(hours, 24)? * 60 + number(minutes, 60)?))
}

/// What a store goes by. Each store has exactly one.
pub trait Clock: Send + Sync + 'static {
    /// The time of day: for records, and for tasks that wait for an instant. May jump.
    fn now(&self) -> Timestamp;

    /// Since some fixed moment: for leases and waits. Never jumps.
    fn elapsed(&self) -> Duration;

    /// Resolves when `elapsed` has grown by this much.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_rfc_3339() {
        assert_eq!(Timestamp::from_unix_ms(1_767_225_600_007).to_string(), "2026-01-01T00:00:00.007Z");
        assert_eq!(Timestamp::from_unix_ms(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn text_form_reads_back_and_offsets_count() {
        for text in ["2026-01-01T00:00:00.007Z", "9999-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"] {
            assert_eq!(text.parse::<Timestamp>().map(|at| at.to_string()), Ok(text.to_owned()));
        }
        let noon: Timestamp = "2026-01-31T12:00:00Z".parse().expect("an instant");
        for text in ["2026-01-31T14:00:00+02:00", "2026-01-31T06:30:00.000-05:30"] {
            assert_eq!(text.parse(), Ok(noon), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "Z",
            "tomorrow",
            "2026-01-31",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00:00",
            "2026-02-30T12:00:00Z",
            "2026-01-31T12:00:00+2:00",
            "2026-01-31T12:00:00+24:00",
            "2026-01-31T12:00:00+\u{e9}1:0",
            "10000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn later_is_never_early() {
        let start = Timestamp::from_unix_ms(5);
        assert_eq!(start.after(Duration::from_micros(1)).unix_ms(), 6);
        assert_eq!(start.after(Duration::MAX), Timestamp::from_unix_ms(u64::MAX));
        assert_eq!(start.since(start.after(Duration::from_secs(1))), Duration::ZERO);
    }
}
