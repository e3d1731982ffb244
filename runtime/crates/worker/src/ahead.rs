//! How many tasks a worker leases beyond those that it has slots for.
//!
//! A lease and a settlement cost a barrier of the store, which tasks share that come together. Who asks for no more than there
//! are free slots has two tasks share it, and a slot stand idle for a round trip after each. So a worker holds as many leases more as
//! its slots use up meanwhile, by Little's law: slots / time of an attempt x time of a round trip. Of attempts that take longer than
//! that, it leases none ahead, so that nobody keeps work from another worker that is idle.

use std::time::Duration;

use tokio::time::Instant;

/// Leases ahead, for each slot, however short attempts are and however long the store takes.
pub(crate) const MAX_AHEAD_PER_SLOT: usize = 128;
/// What is used up while one answer is awaited is asked for while the one before is used up.
const TRIPS: f64 = 2.0;
/// Of each mean, what the last sample weighs.
const WEIGHT: f64 = 1.0 / 8.0;
/// What has waited longer for a slot is given back, so that another worker can have it.
const MIN_PATIENCE: Duration = Duration::from_millis(100);
const MAX_PATIENCE: Duration = Duration::from_secs(1);
/// Round trips after which that is so, between these.
const PATIENT_TRIPS: u32 = 4;

/// What was seen of round trips and attempts lately.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Seconds; none before the first.
    trip: Option<f64>,
    run: Option<f64>,
    begun: Option<Instant>,
}

fn mean(mean: Option<f64>, sample: Duration) -> Option<f64> {
    let sample = sample.as_secs_f64();
    Some(mean.map_or(sample, |mean| mean + (sample - mean) * WEIGHT))
}

impl Ahead {
    /// The store has answered what it had nothing to wait for.
    pub(crate) fn trip(&mut self, took: Duration) {
        self.trip = mean(self.trip, took);
    }

    /// A slot has begun an attempt.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.begun = Some(now);
    }

    /// An attempt has ended, and had its slot for so long.
    pub(crate) fn end(&mut self, took: Duration) {
        self.run = mean(self.run, took);
    }

    /// A round trip, as far as is known.
    pub(crate) fn round_trip(&self) -> Duration {
        self.trip.map_or(Duration::ZERO, Duration::from_secs_f64)
    }

    /// How many leases to hold ahead of so many slots.
    pub(crate) fn count(&self, slots: usize, now: Instant) -> usize {
        let (Some(trip), Some(run), Some(begun)) = (self.trip, self.run, self.begun) else { return 0 };
        // When no slot was free for longer than that, attempts are not as short as they were.
        let run = run.max(now.duration_since(begun).as_secs_f64());
        let most = slots.saturating_mul(MAX_AHEAD_PER_SLOT);
        if trip <= 0.0 {
            return 0;
        }
        // Of what takes no time there may be as many as there can be; a float that is too large is the largest number.
        ((slots as f64 * trip * TRIPS / run) as usize).min(most)
    }

    /// How long a task may wait for a slot.
    pub(crate) fn patience(&self) -> Duration {
        (self.round_trip() * PATIENT_TRIPS).clamp(MIN_PATIENCE, MAX_PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn seen(trip: Duration, run: Duration) -> (Ahead, Instant) {
        let (mut ahead, now) = (Ahead::default(), Instant::now());
        ahead.trip(trip);
        ahead.begin(now);
        ahead.end(run);
        (ahead, now)
    }

    #[test]
    fn nothing_is_leased_ahead_before_anything_is_known() {
        let (mut ahead, now) = (Ahead::default(), Instant::now());
        assert_eq!(ahead.count(8, now), 0);
        ahead.trip(MS);
        ahead.begin(now);
        assert_eq!(ahead.count(8, now), 0, "no attempt has ended");
    }

    #[test]
    fn as_many_are_leased_ahead_as_end_in_two_round_trips() {
        for (trip, run, slots, expected) in [
            (MS, MS / 10, 2, 40),
            (MS, MS, 1, 2),
            (MS, MS, 4, 8),
            (MS, MS * 3, 1, 0),
            (MS, Duration::from_secs(1), 64, 0),
            (MS, Duration::ZERO, 2, 2 * MAX_AHEAD_PER_SLOT),
            (Duration::ZERO, MS, 2, 0),
            (Duration::ZERO, Duration::ZERO, 2, 0),
        ] {
            let (ahead, now) = seen(trip, run);
            assert_eq!(ahead.count(slots, now), expected, "{trip:?} {run:?} {slots}");
        }
    }

    #[test]
    fn leases_ahead_obeyed() {
        let (ahead, now) = seen(MS * 64, MS);
        assert_eq!(ahead.count(3, now), 3 * MAX_AHEAD_PER_SLOT);
    }

    #[test]
    fn leases_ahead_violated() {
        let (ahead, now) = seen(MS * 65, MS);
        assert_eq!(ahead.count(3, now), 3 * MAX_AHEAD_PER_SLOT);
        assert_eq!(ahead.count(0, now), 0);
    }

    #[test]
    fn slots_that_all_are_long_in_use_lease_nothing_ahead() {
        let (mut ahead, now) = seen(MS, MS / 10);
        assert_eq!(ahead.count(2, now + MS), 4);
        assert_eq!(ahead.count(2, now + MS * 10), 0);
        ahead.begin(now + MS * 10);
        assert_eq!(ahead.count(2, now + MS * 10), 40);
    }

    #[test]
    fn long_attempts_change_the_mean_soon() {
        let (mut ahead, now) = seen(MS, MS / 10);
        ahead.end(MS * 100);
        assert_eq!(ahead.count(2, now), 0);
    }

    #[test]
    fn patience_is_some_round_trips_within_bounds() {
        for (trip, expected) in [(MS, MIN_PATIENCE), (MS * 50, MS * 200), (MS * 5_000, MAX_PATIENCE)] {
            assert_eq!(seen(trip, MS).0.patience(), expected);
        }
    }
}
