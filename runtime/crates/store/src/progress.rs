//! Says how far something long is, in the log, once a second. Hosts show what is said here even when they show no more
//! than warnings.

use std::time::Duration;

use sunaba_task::{Clock, format_count};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(1);
/// The clock is looked at once in so many.
const LOOK: u64 = 1_024;

/// Counts what was done.
pub(crate) struct Progress<'c> {
    clock: &'c dyn Clock,
    what: &'static str,
    count: u64,
    told_at: Duration,
}

/// Says that something long begins.
pub(crate) fn tell(what: impl std::fmt::Display) {
    tracing::info!("{what}");
}

impl<'c> Progress<'c> {
    /// `what` follows the number: "waiting tasks counted".
    pub(crate) fn new(clock: &'c dyn Clock, what: &'static str) -> Self {
        Self { clock, what, count: 0, told_at: clock.elapsed() }
    }

    /// One more.
    pub(crate) fn add(&mut self) {
        self.count += 1;
        if self.count.is_multiple_of(LOOK) && self.is_due() {
            tracing::info!("{} {} so far", format_count(self.count), self.what);
        }
    }

    fn is_due(&mut self) -> bool {
        let now = self.clock.elapsed();
        let is_due = now.saturating_sub(self.told_at) >= EVERY;
        if is_due {
            self.told_at = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use sunaba_task::Timestamp;

    #[test]
    fn line_is_due_once_a_second() {
        let clock = ManualClock::at(Timestamp::from_unix_ms(0));
        let mut progress = Progress::new(&clock, "tasks counted");
        assert!(!progress.is_due());
        for _ in 0..3 {
            clock.advance(Duration::from_millis(999));
            assert!(!progress.is_due());
            clock.advance(Duration::from_millis(1));
            assert!(progress.is_due() && !progress.is_due());
        }
    }
}
