//! How fast things are started: rates, and shares between queues. Pure: time comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use sunaba_task::Rate;

/// What is remembered of the starts in a rate's time.
const MAX_MARKS: usize = 64;

/// The starts of late, as far as a rate looks back.
///
/// In *any* span of the rate's time there are at most so many starts; a bucket that fills up again would let twice as many
/// through. Up to [`MAX_MARKS`] starts are remembered each; of a faster rate those of a 64th of its time are as one, which
/// counts as late as its last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Oldest first.
    marks: VecDeque<Mark>,
}

#[derive(Debug)]
struct Mark {
    first: Duration,
    last: Duration,
    count: u64,
}

impl Recent {
    /// How long until the next may start; none when it may now.
    pub(super) fn left(&self, rate: Rate, now: Duration) -> Option<Duration> {
        let mut starts = 0;
        for mark in self.marks.iter().rev() {
            let passes = mark.last.saturating_add(rate.per);
            starts += mark.count;
            if passes <= now {
                return None;
            }
            if starts >= u64::from(rate.count) {
                return Some(passes.saturating_sub(now));
            }
        }
        None
    }

    /// Something is started.
    pub(super) fn push(&mut self, rate: Rate, now: Duration) {
        self.forget(rate, now);
        let is_fast = rate.count as usize > MAX_MARKS;
        let is_full = self.marks.len() >= MAX_MARKS;
        let near = rate.per / MAX_MARKS as u32;
        match self.marks.back_mut() {
            Some(mark) if is_full || mark.last == now || (is_fast && now.saturating_sub(mark.first) < near) => {
                mark.last = now;
                mark.count += 1;
            }
            _ => self.marks.push_back(Mark { first: now, last: now, count: 1 }),
        }
    }

    /// Forgets what the rate does not look back to; gives when the next can be forgotten.
    pub(super) fn forget(&mut self, rate: Rate, now: Duration) -> Option<Duration> {
        while self.marks.front().is_some_and(|mark| mark.last.saturating_add(rate.per) <= now) {
            self.marks.pop_front();
        }
        self.marks.front().map(|mark| mark.last.saturating_add(rate.per))
    }

    pub(super) fn clear(&mut self) {
        self.marks.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

/// What one start moves a class of weight 1 on.
const STRIDE: u64 = 1 << 20;

/// Where a class stands: it has had so much of its share. Whoever has had least is next.
///
/// Source: stride scheduling, Waldspurger and Weihl, MIT/LCS/TM-528, 1995.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pass(u64);

impl Pass {
    /// Where a class stands that has work: what it did not take while it had none is nobody's. `now` is where the class stood
    /// that was served last.
    #[must_use]
    pub(super) fn with_work(self, now: Self) -> Self {
        self.max(now)
    }

    /// Where it stands after a start.
    #[must_use]
    pub(super) fn after_start(self, weight: u32) -> Self {
        Self(self.0.saturating_add(STRIDE / u64::from(weight.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// When starts are made of a rate that is always used up, in milliseconds, looking each millisecond.
    fn starts(rate: &str, until_ms: u64) -> Vec<u64> {
        let rate: Rate = rate.parse().expect("a rate");
        let mut recent = Recent::default();
        let mut starts = Vec::new();
        for ms in 0..until_ms {
            let now = Duration::from_millis(ms);
            while recent.left(rate, now).is_none() {
                recent.push(rate, now);
                starts.push(ms);
            }
            assert!(recent.marks.len() <= MAX_MARKS + 1);
        }
        starts
    }

    #[test]
    fn no_span_has_more_starts_than_the_rate() {
        for (rate, count, per_ms) in
            [("1/1s", 1, 1_000), ("3/100ms", 3, 100), ("64/1s", 64, 1_000), ("1000/1s", 1_000, 1_000)]
        {
            let starts = starts(rate, 3_500);
            assert!(starts.len() >= count * 3_500 / per_ms, "{rate}: {}", starts.len());
            assert!(starts.windows(count + 1).all(|span| span[count] - span[0] >= per_ms as u64), "{rate}");
        }
    }

    #[test]
    fn fast_rate_that_is_spread_out_stays_within_its_bound() {
        let rate: Rate = "1000/1s".parse().expect("a rate");
        let mut recent = Recent::default();
        let mut starts = Vec::new();
        for ms in 0..5_000 {
            let now = Duration::from_millis(ms);
            if recent.left(rate, now).is_none() {
                recent.push(rate, now);
                starts.push(ms);
            }
            assert!(recent.marks.len() <= MAX_MARKS + 1);
        }
        assert!(starts.windows(1_001).all(|span| span[1_000] - span[0] >= 1_000));
        assert!(starts.len() >= 4_800, "{}", starts.len());
    }

    #[test]
    fn what_is_left_is_when_the_next_may_start() {
        let rate: Rate = "2/10s".parse().expect("a rate");
        let mut recent = Recent::default();
        recent.push(rate, SECOND);
        assert_eq!(recent.left(rate, SECOND * 2), None);
        recent.push(rate, SECOND * 3);
        assert_eq!(recent.left(rate, SECOND * 4), Some(SECOND * 7));
        assert_eq!(recent.left(rate, SECOND * 11), None);
        // A lower rate counts what was started under the higher one.
        let lower: Rate = "1/10s".parse().expect("a rate");
        assert_eq!(recent.left(lower, SECOND * 11), Some(SECOND * 2));
        assert_eq!(recent.forget(rate, SECOND * 11), Some(SECOND * 13));
        assert_eq!(recent.forget(rate, SECOND * 13), None);
    }

    /// Who is served, of classes with these weights and works from these turns on.
    fn served(classes: &[(u32, usize)], turns: usize) -> Vec<usize> {
        let mut passes = vec![Pass::default(); classes.len()];
        let mut now = Pass::default();
        let mut served = Vec::new();
        for turn in 0..turns {
            let working = (0..classes.len()).filter(|class| classes[*class].1 <= turn);
            let (pass, class) = working.map(|class| (passes[class].with_work(now), class)).min().expect("one has work");
            now = pass;
            passes[class] = pass.after_start(classes[class].0);
            served.push(class);
        }
        served
    }

    fn count(served: &[usize], class: usize) -> usize {
        served.iter().filter(|one| **one == class).count()
    }

    #[test]
    fn starts_are_shared_by_weight() {
        let served = served(&[(1, 0), (3, 0), (6, 0)], 1_000);
        assert_eq!([0, 1, 2].map(|class| count(&served, class).div_euclid(10)), [10, 30, 60]);
        assert!(served.chunks(20).all(|part| count(part, 0) >= 1 && count(part, 1) >= 5), "and evenly");
    }

    #[test]
    fn class_without_work_saves_nothing_up() {
        let served = served(&[(1, 0), (1, 500)], 520);
        assert!(served[..500].iter().all(|class| *class == 0));
        assert_eq!((count(&served[500..], 0), count(&served[500..], 1)), (10, 10));
    }
}
