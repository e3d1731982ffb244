//! What can be seen of an attempt from outside while it runs. It is written from the attempt's own thread at each host
//! call, each epoch tick and each growth of its memory, and read from any; nobody waits for anybody longer than a few
//! stores take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sunaba_task::{Live, LiveView};

use crate::clock::now;

/// Two samples of the fuel lie at least this far apart.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// A guest of which nothing was heard for so long has used no fuel meanwhile: one that computes is heard of at each tick.
const SILENCE: Duration = Duration::from_secs(1);

/// The view's other side.
pub(crate) struct Sight {
    begun: Instant,
    counts_fuel: bool,
    host_calls: AtomicU64,
    memory_bytes: AtomicU64,
    host_call: Mutex<Option<(&'static str, Instant)>>,
    fuel: Mutex<Samples>,
}

/// The fuel used, and when that was looked at.
struct Samples {
    last: (Instant, u64),
    newer: (Instant, u64),
    older: Option<(Instant, u64)>,
}

/// Nothing that runs under these locks can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sight {
    pub(crate) fn new(begun: Instant, counts_fuel: bool) -> Self {
        let fuel = Mutex::new(Samples { last: (begun, 0), newer: (begun, 0), older: None });
        let (host_calls, memory_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { begun, counts_fuel, host_calls, memory_bytes, host_call: Mutex::new(None), fuel }
    }

    pub(crate) fn enter(&self, name: &'static str, since: Instant, count: u64) {
        self.host_calls.store(count, Ordering::Relaxed);
        *lock(&self.host_call) = Some((name, since));
    }

    pub(crate) fn leave(&self) {
        *lock(&self.host_call) = None;
    }

    pub(crate) fn memory(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// So much fuel was used until now.
    pub(crate) fn fuel(&self, at: Instant, used: u64) {
        let mut samples = lock(&self.fuel);
        samples.last = (at, used);
        if at.saturating_duration_since(samples.newer.0) >= SAMPLE_INTERVAL {
            samples.older = Some(samples.newer);
            samples.newer = (at, used);
        }
    }

    fn view_at(&self, at: Instant) -> LiveView {
        let (fuel, fuel_per_second) = match (self.counts_fuel, lock(&self.fuel)) {
            (true, samples) => (Some(samples.last.1), samples.per_second(at)),
            (false, _) => (None, None),
        };
        let host_call = *lock(&self.host_call);
        LiveView {
            running: at.saturating_duration_since(self.begun),
            fuel,
            fuel_per_second,
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            host_calls: self.host_calls.load(Ordering::Relaxed),
            host_call: host_call.map(|(name, since)| (name.to_owned(), at.saturating_duration_since(since))),
        }
    }
}

impl Samples {
    fn per_second(&self, at: Instant) -> Option<u64> {
        let (since, before) = self.older?;
        let (last, used) = self.last;
        if at.saturating_duration_since(last) > SILENCE {
            return Some(0);
        }
        let span = last.saturating_duration_since(since).as_secs_f64();
        (span > 0.0).then(|| (used.saturating_sub(before) as f64 / span) as u64)
    }
}

impl Live for Sight {
    fn view(&self) -> LiveView {
        self.view_at(now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(begun: Instant, ms: u64) -> Instant {
        begun + Duration::from_millis(ms)
    }

    #[test]
    fn a_guest_that_computes_shows_how_fast() {
        let begun = now();
        let sight = Sight::new(begun, true);
        assert_eq!(sight.view_at(begun).fuel_per_second, None);
        // Ten milliseconds a tick, a thousand of fuel each.
        for tick in 1..=300 {
            sight.fuel(after(begun, tick * 10), tick * 1_000);
        }
        let view = sight.view_at(after(begun, 3_000));
        assert_eq!((view.fuel, view.fuel_per_second), (Some(300_000), Some(100_000)));
        assert_eq!(view.host_call, None);
    }

    #[test]
    fn a_guest_that_waits_shows_its_call_and_that_it_uses_nothing() {
        let begun = now();
        let sight = Sight::new(begun, true);
        for tick in 1..=100 {
            sight.fuel(after(begun, tick * 10), tick * 1_000);
        }
        sight.enter("wasi:io/poll.poll", after(begun, 1_000), 7);
        let view = sight.view_at(after(begun, 5_000));
        assert_eq!(view.host_call, Some(("wasi:io/poll.poll".into(), Duration::from_secs(4))));
        assert_eq!((view.fuel, view.fuel_per_second, view.host_calls), (Some(100_000), Some(0), 7));
        sight.leave();
        assert_eq!(sight.view_at(after(begun, 5_000)).host_call, None);
    }

    #[test]
    fn fuel_that_is_not_counted_is_not_shown() {
        let view = Sight::new(now(), false).view();
        assert_eq!((view.fuel, view.fuel_per_second), (None, None));
    }
}
