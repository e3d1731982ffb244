//! What a host has done in each of the last minutes: counts, and how long tasks waited and attempts ran. In memory alone, and of
//! bounded size; what is kept over restarts is [`super::history`]. Pure: what was observed comes in as an argument.

use std::collections::VecDeque;
use std::time::Duration;

use sunaba_store::{Counts, Observations, Spread, TIMES};
use sunaba_task::Timestamp;

/// Minutes that are kept.
pub const MINUTES: usize = 360;
const MINUTE_MS: u64 = 60_000;
/// A store that was opened no longer ago was opened for this host: what it has counted by the first look is news.
const NEW: Duration = Duration::from_secs(60);

/// What was done in a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minute {
    /// When it began.
    pub at: Timestamp,
    /// Tasks that were taken on.
    pub submitted: u64,
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that ended as dead, or were not started in time.
    pub lost: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// How long tasks had waited for their attempts.
    pub wait: Share,
    /// How long attempts took.
    pub run: Share,
}

/// How times are spread over the buckets that end at [`TIMES`], and one above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share([u64; TIMES.len() + 1]);

impl Share {
    const NONE: Self = Self([0; TIMES.len() + 1]);

    fn add_spread(&mut self, spread: &Spread) {
        for (sum, (_, count)) in self.0.iter_mut().zip(spread.buckets()) {
            *sum += count;
        }
    }

    /// Adds what another has.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    fn since(&self, before: &Self) -> Self {
        let mut rest = self.clone();
        for (sum, before) in rest.0.iter_mut().zip(before.0) {
            *sum = sum.saturating_sub(before);
        }
        rest
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time that so many of a thousand do not exceed, as far as buckets tell: between the ends of the one that it is in, as
    /// if its values were spread evenly. What is above the last end is as that. None: there is nothing.
    pub fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (count * per_mille.min(1_000)).div_ceil(1_000).max(1);
        let (mut below, mut start) = (0, 0);
        for (end, in_it) in TIMES.iter().copied().zip(self.0) {
            if below + in_it >= rank {
                let part = u128::from(end - start) * u128::from(rank - below) / u128::from(in_it);
                return Some(Duration::from_micros(start + u64::try_from(part).unwrap_or(0)));
            }
            (below, start) = (below + in_it, end);
        }
        Some(Duration::from_micros(start))
    }
}

/// What was counted since the store was opened.
#[derive(Debug, Clone)]
struct Sum {
    submitted: u64,
    succeeded: u64,
    lost: u64,
    failed: u64,
    wait: Share,
    run: Share,
}

impl Sum {
    const NONE: Self = Self { submitted: 0, succeeded: 0, lost: 0, failed: 0, wait: Share::NONE, run: Share::NONE };

    fn of<'a>(counts: impl Iterator<Item = &'a Counts>) -> Self {
        counts.fold(Self::NONE, |mut sum, counts| {
            sum.submitted += counts.submitted;
            sum.succeeded += counts.succeeded;
            sum.lost += counts.dead + counts.expired;
            sum.failed += counts.failed();
            sum.wait.add_spread(&counts.wait_us);
            sum.run.add_spread(&counts.run_us);
            sum
        })
    }
}

/// The last minutes.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// The oldest first.
    minutes: VecDeque<Minute>,
    before: Option<Sum>,
}

impl Pulse {
    /// Takes in what is counted now: what is new of it is of this minute.
    pub(super) fn look(&mut self, seen: &Observations) {
        let sum = Sum::of(seen.series.iter().map(|series| &series.counts));
        let before = self.before.replace(sum.clone());
        let before = match before {
            Some(before) => before,
            None if seen.now.since(seen.since) <= NEW => Sum::NONE,
            None => return,
        };
        let more = |now: u64, before: u64| now.saturating_sub(before);
        let minute = Minute {
            at: Timestamp::from_unix_ms(seen.now.unix_ms() / MINUTE_MS * MINUTE_MS),
            submitted: more(sum.submitted, before.submitted),
            succeeded: more(sum.succeeded, before.succeeded),
            lost: more(sum.lost, before.lost),
            failed: more(sum.failed, before.failed),
            wait: sum.wait.since(&before.wait),
            run: sum.run.since(&before.run),
        };
        if minute.is_empty() {
            return;
        }
        match self.minutes.back_mut().filter(|last| last.at == minute.at) {
            Some(last) => last.add(&minute),
            None => {
                if self.minutes.len() == MINUTES {
                    self.minutes.pop_front();
                }
                self.minutes.push_back(minute);
            }
        }
    }

    pub(super) fn minutes(&self) -> Vec<Minute> {
        self.minutes.iter().cloned().collect()
    }
}

impl Minute {
    fn is_empty(&self) -> bool {
        self.submitted + self.succeeded + self.lost + self.failed + self.wait.count() + self.run.count() == 0
    }

    fn add(&mut self, more: &Self) {
        self.submitted += more.submitted;
        self.succeeded += more.succeeded;
        self.lost += more.lost;
        self.failed += more.failed;
        self.wait.add(&more.wait);
        self.run.add(&more.run);
    }
}

#[cfg(test)]
mod tests {
    use sunaba_store::Series;

    use super::*;

    fn seen(at_ms: u64, since_ms: u64, counts: Counts) -> Observations {
        let series = vec![Series { queue: "mail".into(), handler: "words/count".into(), counts }];
        Observations {
            elapsed: Duration::ZERO,
            failed_webhooks: Vec::new(),
            webhooks: Vec::new(),
            now: Timestamp::from_unix_ms(at_ms),
            since: Timestamp::from_unix_ms(since_ms),
            series,
            totals: sunaba_store::Totals::default(),
            workers: 0,
            quietest: None,
            dead: 0,
            free_bytes: None,
            floor_bytes: 0,
            troubles: Vec::new(),
            next: 0,
            missed: 0,
        }
    }

    fn counted(succeeded: u64, waits_us: &[u64]) -> Counts {
        let mut counts = Counts { succeeded, ..Counts::default() };
        waits_us.iter().for_each(|wait| counts.wait_us.add(*wait));
        counts
    }

    #[test]
    fn minutes_have_what_two_looks_differ_by() {
        let mut pulse = Pulse::default();
        pulse.look(&seen(60_000, 50_000, counted(2, &[500])));
        pulse.look(&seen(70_000, 50_000, counted(5, &[500, 500])));
        pulse.look(&seen(80_000, 50_000, counted(5, &[500, 500])));
        pulse.look(&seen(125_000, 50_000, counted(6, &[500, 500, 500])));
        let told = pulse.minutes();
        let told: Vec<_> =
            told.iter().map(|minute| (minute.at.unix_ms(), minute.succeeded, minute.wait.count())).collect();
        assert_eq!(told, [(60_000, 5, 2), (120_000, 1, 1)]);
    }

    #[test]
    fn what_a_store_has_counted_long_before_is_no_news() {
        let mut pulse = Pulse::default();
        pulse.look(&seen(600_000, 0, counted(1_000, &[])));
        assert!(pulse.minutes().is_empty());
        pulse.look(&seen(610_000, 0, counted(1_001, &[])));
        assert_eq!(pulse.minutes()[0].succeeded, 1);
    }

    #[test]
    fn minutes_kept_obeyed_and_violated() {
        let mut pulse = Pulse::default();
        for minute in 1..=MINUTES as u64 + 1 {
            pulse.look(&seen(minute * MINUTE_MS, MINUTE_MS, counted(minute, &[])));
            assert_eq!(pulse.minutes.len(), (minute as usize).min(MINUTES));
        }
        assert_eq!(pulse.minutes[0].at.unix_ms(), 2 * MINUTE_MS);
    }

    #[test]
    fn quantiles_are_within_their_buckets() {
        let mut share = Share::NONE;
        assert_eq!(share.quantile(500), None);
        let mut spread = Spread::new(TIMES);
        (0..100).for_each(|_| spread.add(700));
        share.add_spread(&spread);
        assert_eq!(share.quantile(500), Some(Duration::from_micros(500)));
        assert_eq!(share.quantile(1_000), Some(Duration::from_micros(1_000)));
        let mut slow = Spread::new(TIMES);
        (0..100).for_each(|_| slow.add(u64::MAX));
        share.add_spread(&slow);
        assert_eq!(share.quantile(990), Some(Duration::from_secs(1_800)));
        assert!(share.quantile(500) <= Some(Duration::from_micros(1_000)));
    }
}
