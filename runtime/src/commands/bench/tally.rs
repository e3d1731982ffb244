//! What a load test has counted: requests, tasks, errors by their codes, and how long answers took, in bounded memory.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Steps within a power of two: what is told of a latency is right to three in a hundred.
const PARTS: u64 = 32;
const PART_BITS: u32 = PARTS.trailing_zeros();
/// A longer latency, of 38 hours, counts as one of these.
const LONGEST_MICROS: u64 = (1 << 37) - 1;
/// Codes that are told apart: whoever answers makes them.
const MAX_CODES: usize = 32;
/// What further ones are counted as.
const OTHER: &str = "other";

/// Latencies, counted by their logarithm.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    counts: Vec<u64>,
    count: u64,
    shortest: Duration,
    longest: Duration,
}

impl Default for Spread {
    fn default() -> Self {
        let counts = vec![0; place(LONGEST_MICROS) + 1];
        Self { counts, count: 0, shortest: Duration::MAX, longest: Duration::ZERO }
    }
}

/// Where a latency is counted: up to 32 us by themselves, beyond that 32 places for each power of two.
fn place(micros: u64) -> usize {
    let power = micros.max(1).ilog2();
    let place = match power.checked_sub(PART_BITS) {
        None | Some(0) => micros,
        Some(shift) => u64::from(shift) * PARTS + (micros >> shift),
    };
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The longest latency that is counted there.
fn longest_at(place: usize) -> Duration {
    let place = place as u64;
    match (place / PARTS).checked_sub(1) {
        None | Some(0) => Duration::from_micros(place),
        Some(shift) => Duration::from_micros(((place - shift * PARTS + 1) << shift) - 1),
    }
}

impl Spread {
    pub(super) fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).min(LONGEST_MICROS);
        self.counts[place(micros)] += 1;
        self.count += 1;
        self.shortest = self.shortest.min(latency);
        self.longest = self.longest.max(latency);
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.count += other.count;
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
    }

    /// The latency that so many of a hundred do not pass.
    fn percentile(&self, percent: u64) -> Duration {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return longest_at(place).clamp(self.shortest, self.longest);
            }
        }
        self.longest
    }

    /// What is told of them; none where there are none.
    pub(super) fn told(&self) -> Option<Latency> {
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        (self.count > 0).then(|| Latency {
            min: ms(self.shortest),
            p50: ms(self.percentile(50)),
            p99: ms(self.percentile(99)),
            max: ms(self.longest),
        })
    }
}

/// How long something took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) min: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What one client has seen, or all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Submits that were answered, whatever the answer.
    pub(super) requests: u64,
    /// Submits that were not, when the test ended.
    pub(super) unanswered: u64,
    /// Tasks that were taken on.
    pub(super) tasks: u64,
    /// Of these, those that were seen to succeed.
    pub(super) succeeded: u64,
    /// Those that were seen to end otherwise.
    pub(super) not_succeeded: u64,
    /// What went wrong, by its code.
    pub(super) errors: BTreeMap<String, u64>,
    /// From when a submit was due to its answer, where that was a good one.
    pub(super) answers: Spread,
    /// From when a submit was due to the end of its task.
    pub(super) ends: Spread,
}

impl Tally {
    /// Counts something that went wrong.
    pub(super) fn error(&mut self, code: &str, count: u64) {
        let is_known = self.errors.contains_key(code) || self.errors.len() < MAX_CODES;
        *self.errors.entry(if is_known { code } else { OTHER }.to_owned()).or_default() += count;
    }

    /// Counts what another has counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.unanswered += other.unanswered;
        self.tasks += other.tasks;
        self.succeeded += other.succeeded;
        self.not_succeeded += other.not_succeeded;
        other.errors.iter().for_each(|(code, count)| self.error(code, *count));
        self.answers.merge(&other.answers);
        self.ends.merge(&other.ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_counted_where_it_belongs() {
        for micros in (0..5_000).chain([1 << 20, (1 << 20) + 12_345, LONGEST_MICROS]) {
            let told = longest_at(place(micros)).as_micros();
            let micros = u128::from(micros);
            assert!(micros <= told && told <= micros + micros / 32, "{micros} is told as {told}");
            assert!(place(told as u64 + 1) == place(micros as u64) + 1 || micros as u64 == LONGEST_MICROS);
        }
    }

    #[test]
    fn percentiles_lie_between_the_shortest_and_the_longest() {
        let mut spread = Spread::default();
        assert_eq!(spread.told(), None);
        spread.add(Duration::from_micros(1_500));
        assert_eq!(spread.told(), Some(Latency { min: 1.5, p50: 1.5, p99: 1.5, max: 1.5 }));
        let mut others = Spread::default();
        (1..=999).for_each(|ms| others.add(Duration::from_millis(ms)));
        spread.merge(&others);
        let told = spread.told().expect("there are some");
        assert_eq!((told.min, told.max), (1.0, 999.0));
        assert!((499.0..=516.0).contains(&told.p50) && (989.0..=999.0).contains(&told.p99), "{told:?}");
    }

    #[test]
    fn codes_that_are_told_apart_violated() {
        let mut tally = Tally::default();
        (0..MAX_CODES + 10).for_each(|number| tally.error(&format!("code-{number}"), 2));
        assert_eq!((tally.errors.len(), tally.errors[OTHER]), (MAX_CODES + 1, 20));
        let mut all = Tally::default();
        all.merge(&tally);
        assert_eq!(all.errors, tally.errors);
    }
}
