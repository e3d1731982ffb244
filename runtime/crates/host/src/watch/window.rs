//! How many attempts of each handler have failed lately: what the counts of now and of a while ago differ by.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sunaba_store::Series;

use super::sample::FailureSample;

/// Looks that are remembered: those of the longest window are further apart than the others.
const MAX_LOOKS: usize = 64;

/// By handler: attempts that ended by themselves or failed, and those that failed.
type Counts = BTreeMap<String, (u64, u64)>;

/// What was counted at some instants of the clock that never jumps, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    looks: VecDeque<(Duration, Counts)>,
}

impl Window {
    /// Takes in what is counted now, by the clock that never jumps; what of it is of this window. What came before the first look is of none.
    pub(super) fn look(&mut self, now: Duration, series: &[Series], window: Duration) -> Vec<FailureSample> {
        let mut counts = Counts::new();
        for series in series {
            let (attempts, failed) = counts.entry(series.handler.clone()).or_default();
            *attempts += series.counts.judged();
            *failed += series.counts.failed();
        }
        // One that is just at the edge is what the window begins with.
        while self.looks.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= window) {
            self.looks.pop_front();
        }
        let before = self.looks.front().map(|(_, counts)| counts);
        let of_before = |handler: &String| before.and_then(|before| before.get(handler)).copied().unwrap_or_default();
        let lately = |(handler, (attempts, failed)): (&String, &(u64, u64))| {
            let (attempts_before, failed_before) = of_before(handler);
            FailureSample {
                handler: handler.clone(),
                attempts: attempts.saturating_sub(attempts_before),
                failed: failed.saturating_sub(failed_before),
            }
        };
        let failures = counts.iter().map(lately).filter(|failures| failures.attempts > 0).collect();
        let is_next = |(at, _): &(Duration, Counts)| now.saturating_sub(*at) >= window / MAX_LOOKS as u32;
        if self.looks.back().is_none_or(is_next) {
            if self.looks.len() == MAX_LOOKS * 2 {
                self.looks.pop_front();
            }
            self.looks.push_back((now, counts));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use sunaba_store::{Counts as Counted, ENDS};

    use super::*;

    fn series(completed: u64, failed: u64) -> Vec<Series> {
        let mut counts = Counted::default();
        let place = |word| ENDS.iter().position(|(outcome, _)| *outcome == word).expect("an end");
        (counts.ends[place("completed")], counts.ends[place("failed")]) = (completed, failed);
        vec![Series { queue: "q".into(), handler: "p/h".into(), counts }]
    }

    #[test]
    fn failures_are_those_of_the_window_and_no_older_ones() {
        let mut window = Window::default();
        let minute = |minute: u64| Duration::from_secs(minute * 60);
        let mut look = |at, completed, failed| {
            let found = window.look(minute(at), &series(completed, failed), Duration::from_secs(300));
            found.first().map(|failures| (failures.attempts, failures.failed))
        };
        // The first look is at what has happened since the store was opened.
        assert_eq!(look(0, 3, 1), Some((4, 1)));
        assert_eq!(look(1, 3, 11), Some((10, 10)));
        assert_eq!(look(4, 13, 11), Some((20, 10)));
        assert_eq!(look(5, 13, 11), Some((20, 10)));
        assert_eq!(look(6, 13, 11), Some((10, 0)), "those that failed are older");
        assert_eq!(look(9, 13, 11), None);
    }

    #[test]
    fn looks_are_bounded() {
        let mut window = Window::default();
        for second in 0..100_000 {
            window.look(Duration::from_secs(second), &series(1, 1), Duration::from_secs(3_600));
        }
        assert!(window.looks.len() <= MAX_LOOKS * 2, "{}", window.looks.len());
    }
}
