//! Instants as the store's clock tells them, and the clock itself.

use std::fmt;
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
    fn later_is_never_early() {
        let start = Timestamp::from_unix_ms(5);
        assert_eq!(start.after(Duration::from_micros(1)).unix_ms(), 6);
        assert_eq!(start.after(Duration::MAX), Timestamp::from_unix_ms(u64::MAX));
        assert_eq!(start.since(start.after(Duration::from_secs(1))), Duration::ZERO);
    }
}
