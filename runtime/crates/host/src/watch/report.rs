//! What a host has done, period by period, with its figures. Pure.

use std::time::Duration;

use sunaba_task::Timestamp;

use super::history::{Figures, History, Hour};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// By which periods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Every {
    /// The last day as a whole.
    #[default]
    Last,
    /// The last seven days, each for itself.
    Day,
    /// The last eight weeks, each for itself.
    Week,
}

/// Some time, and what was done in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Period {
    /// Its hours begin here or later,
    pub from: Timestamp,
    /// and before this.
    pub to: Timestamp,
    /// What was done.
    pub sum: Hour,
    /// The figures that follow.
    pub figures: Figures,
}

/// Periods, the last first.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Each ends where the one before it begins.
    pub periods: Vec<Period>,
}

pub(super) fn report(history: &History, now: Timestamp, every: Every) -> Report {
    let (count, length) = match every {
        Every::Last => (1, DAY),
        Every::Day => (7, DAY),
        Every::Week => (8, DAY * 7),
    };
    let before = |by: Duration| Timestamp::from_unix_ms(now.unix_ms().saturating_sub(ms(by)));
    let period = |number: u32| {
        let (from, to) = (before(length * (number + 1)), before(length * number));
        let sum = history.sum(from, to);
        Period { from, to, sum, figures: Figures::of(&sum) }
    };
    Report { periods: (0..count).map(period).collect() }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_follow_each_other_and_miss_no_hour() {
        let hour = Duration::from_secs(3_600);
        let start = Timestamp::from_unix_ms(1_767_225_600_123);
        let mut history = History::read(start, start, &[]);
        for number in 1..=24 * 56_u32 {
            let counted = Hour { succeeded: number.into(), ..Hour::default() };
            history.look(None, start.after(hour * number), counted, true);
        }
        let now = start.after(hour * (24 * 56));
        for (every, count, each) in [(Every::Last, 1, 24), (Every::Day, 7, 24), (Every::Week, 8, 24 * 7)] {
            let found: Vec<_> =
                report(&history, now, every).periods.iter().map(|period| period.sum.succeeded).collect();
            assert_eq!(found, vec![each; count], "{every:?}");
        }
    }
}
