//! What time a guest is told: the machine's, in steps that are too coarse to listen to its neighbours, or a time of its own.
//!
//! The rules of a deterministic attempt's own time:
//!
//! - The wall clock starts at the seed's instant, the monotonic clock at 0, and they move together. Nothing of the machine's
//!   clocks is in them.
//! - Every look at the time shows it and then moves it on by one step, so that a guest that waits in a loop comes to its end.
//!   `host.remaining`, and asking a timer whether it is ready, are looks.
//! - A guest that waits for timers alone does not wait: time moves to the end of the earliest of them, and every timer
//!   whose end has come is ready. Time never moves back.
//! - What comes from outside (a response, a file) is waited for in real time, and the guest's time stands still meanwhile; a
//!   timer that it waits for beside that takes as long as it says, and then moves time to its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sunaba_task::{ClockAccess, Seed};

use crate::clock::{now, unix_now};

/// The step of a coarse clock, in nanoseconds.
const COARSE_STEP: u64 = 1_000_000;
/// The step of a fine clock that is not the machine's, in nanoseconds.
const FINE_VIRTUAL_STEP: u64 = 1_000;

/// The clocks of one attempt. Instants of its monotonic clock are nanoseconds since the attempt began.
pub(crate) enum GuestClock {
    Machine(MachineClock),
    Virtual(VirtualClock),
}

/// The machine's clocks, rounded down to steps.
pub(crate) struct MachineClock {
    begun: Instant,
    step: u64,
}

/// Time that moves because the guest looks at it or waits.
pub(crate) struct VirtualClock {
    started_ms: u64,
    elapsed: u64,
    step: u64,
    /// When the timers that the guest holds end, by the number of their handle.
    timers: BTreeMap<u32, u64>,
}

/// What a timer has to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For this instant of the machine's. None: it is too far away to ever come.
    Until(Option<Instant>),
    /// For the guest's own time to reach this.
    Virtual(u64),
}

impl GuestClock {
    pub(crate) fn new(begun: Instant, access: ClockAccess, seed: Option<Seed>) -> Self {
        match (seed, access) {
            (Some(seed), access) => Self::Virtual(VirtualClock {
                started_ms: seed.clock_ms,
                elapsed: 0,
                step: if access == ClockAccess::Fine { FINE_VIRTUAL_STEP } else { COARSE_STEP },
                timers: BTreeMap::new(),
            }),
            (None, ClockAccess::Coarse) => Self::Machine(MachineClock { begun, step: COARSE_STEP }),
            (None, ClockAccess::Fine) => Self::Machine(MachineClock { begun, step: 1 }),
        }
    }

    /// How exact the clocks are.
    pub(crate) fn resolution(&self) -> u64 {
        match self {
            Self::Machine(clock) => clock.step,
            Self::Virtual(clock) => clock.step,
        }
    }

    /// A look at the monotonic clock.
    pub(crate) fn monotonic(&mut self) -> u64 {
        match self {
            Self::Machine(clock) => clock.shown(now()),
            Self::Virtual(clock) => clock.look(),
        }
    }

    /// A look at the wall clock: since the Unix epoch.
    pub(crate) fn wall(&mut self) -> Duration {
        match self {
            Self::Machine(clock) => {
                let wall = unix_now();
                wall - Duration::from_nanos(u64::from(wall.subsec_nanos()) % clock.step)
            }
            Self::Virtual(clock) => {
                let elapsed = clock.look();
                Duration::from_millis(clock.started_ms).saturating_add(Duration::from_nanos(elapsed))
            }
        }
    }

    /// A look at what is left of `timeout`, until `deadline`.
    pub(crate) fn remaining(&mut self, timeout: Duration, deadline: Instant) -> Duration {
        match self {
            Self::Machine(_) => deadline.saturating_duration_since(now()),
            Self::Virtual(clock) => timeout.saturating_sub(Duration::from_nanos(clock.look())),
        }
    }

    /// What a timer that ends at this instant of the monotonic clock has to wait for.
    pub(crate) fn wait_until(&self, ends: u64) -> Wait {
        match self {
            // Until the clock that the guest sees shows it, so that it does not wake up too early and wait again.
            Self::Machine(clock) => Wait::Until(clock.when(ends)),
            Self::Virtual(_) => Wait::Virtual(ends),
        }
    }

    /// What a timer that ends after so long has to wait for.
    pub(crate) fn wait_for(&self, nanoseconds: u64) -> Wait {
        match self {
            // Not rounded up to a step: a guest that waits for nothing wants to look, not to wait.
            Self::Machine(_) if nanoseconds == 0 => Wait::Until(Some(now())),
            Self::Machine(clock) => {
                let elapsed = clock.elapsed(now());
                Wait::Until(elapsed.checked_add(nanoseconds).and_then(|ends| clock.when(ends)))
            }
            Self::Virtual(clock) => Wait::Virtual(clock.elapsed.saturating_add(nanoseconds)),
        }
    }

    /// Remembers a timer by the number of its handle.
    pub(crate) fn hold(&mut self, handle: u32, wait: Wait) {
        if let (Self::Virtual(clock), Wait::Virtual(ends)) = (self, wait) {
            clock.timers.insert(handle, ends);
        }
    }

    /// Forgets a handle, if it was a timer's.
    pub(crate) fn drop(&mut self, handle: u32) {
        if let Self::Virtual(clock) = self {
            clock.timers.remove(&handle);
        }
    }

    /// The guest's own time, in a deterministic attempt.
    pub(crate) fn own(&mut self) -> Option<&mut VirtualClock> {
        match self {
            Self::Machine(_) => None,
            Self::Virtual(clock) => Some(clock),
        }
    }
}

impl MachineClock {
    fn elapsed(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_nanos()).unwrap_or(u64::MAX)
    }

    fn shown(&self, at: Instant) -> u64 {
        let elapsed = self.elapsed(at);
        elapsed - elapsed % self.step
    }

    /// From when on the clock shows this instant or a later one.
    fn when(&self, shown: u64) -> Option<Instant> {
        let elapsed = shown.checked_next_multiple_of(self.step)?;
        self.begun.checked_add(Duration::from_nanos(elapsed))
    }
}

impl VirtualClock {
    /// Shows the time, and moves it on.
    pub(crate) fn look(&mut self) -> u64 {
        let shown = self.elapsed;
        self.elapsed = shown.saturating_add(self.step);
        shown
    }

    /// When the timer of this handle ends; none if it is no timer.
    pub(crate) fn timer(&self, handle: u32) -> Option<u64> {
        self.timers.get(&handle).copied()
    }

    /// Whether a timer's end has come.
    pub(crate) fn has_come(&self, ends: u64) -> bool {
        ends <= self.elapsed
    }

    /// What is missing to a timer's end.
    pub(crate) fn missing(&self, ends: u64) -> Duration {
        Duration::from_nanos(ends.saturating_sub(self.elapsed))
    }

    /// Moves time on to this instant, never back.
    pub(crate) fn move_to(&mut self, instant: u64) {
        self.elapsed = self.elapsed.max(instant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn own(access: ClockAccess) -> GuestClock {
        GuestClock::new(now(), access, Some(Seed { random: 1, clock_ms: 86_400_000 }))
    }

    #[test]
    fn own_time_starts_at_the_seed_and_moves_by_looking() {
        let mut clock = own(ClockAccess::Coarse);
        assert_eq!(clock.monotonic(), 0);
        assert_eq!(clock.monotonic(), MS);
        assert_eq!(clock.wall(), Duration::from_millis(86_400_002));
        let second = Duration::from_secs(1);
        assert_eq!(clock.remaining(second, now()), Duration::from_millis(997));
        assert_eq!(clock.monotonic(), 4 * MS);
        let mut fine = own(ClockAccess::Fine);
        assert_eq!([fine.monotonic(), fine.monotonic()], [0, 1_000]);
    }

    #[test]
    fn own_time_never_moves_back_and_never_overflows() {
        let mut clock = own(ClockAccess::Coarse);
        clock.own().expect("virtual").move_to(50 * MS);
        clock.own().expect("virtual").move_to(10 * MS);
        assert_eq!(clock.monotonic(), 50 * MS);
        clock.own().expect("virtual").move_to(u64::MAX);
        assert_eq!([clock.monotonic(), clock.monotonic()], [u64::MAX; 2]);
        assert_eq!(clock.wait_for(1), Wait::Virtual(u64::MAX));
        assert_eq!(clock.remaining(Duration::from_secs(1), now()), Duration::ZERO);
    }

    #[test]
    fn timers_are_known_while_they_are_held() {
        let mut clock = own(ClockAccess::Coarse);
        let wait = clock.wait_for(7 * MS);
        clock.hold(3, wait);
        assert_eq!(clock.own().expect("virtual").timer(3), Some(7 * MS));
        clock.drop(3);
        assert_eq!(clock.own().expect("virtual").timer(3), None);
    }

    #[test]
    fn coarse_clock_shows_whole_steps_only() {
        let begun = now();
        let clock = MachineClock { begun, step: COARSE_STEP };
        let at = |ns| begun + Duration::from_nanos(ns);
        assert_eq!(clock.shown(at(MS - 1)), 0);
        assert_eq!(clock.shown(at(MS)), MS);
        assert_eq!(clock.shown(at(7 * MS + 999_999)), 7 * MS);
        let mut clock = GuestClock::Machine(clock);
        assert_eq!(clock.resolution(), MS);
        assert_eq!(u64::from(clock.wall().subsec_nanos()) % MS, 0);
    }

    #[test]
    fn fine_clock_shows_what_the_machine_does() {
        let begun = now();
        let clock = MachineClock { begun, step: 1 };
        assert_eq!(clock.shown(begun + Duration::from_nanos(1_234_567)), 1_234_567);
        assert_eq!(GuestClock::new(begun, ClockAccess::Fine, None).resolution(), 1);
    }

    #[test]
    fn a_timer_ends_when_the_guests_clock_shows_its_end() {
        let begun = now();
        let clock = GuestClock::new(begun, ClockAccess::Coarse, None);
        assert_eq!(clock.wait_until(MS + 1), Wait::Until(Some(begun + Duration::from_millis(2))));
        assert_eq!(clock.wait_until(2 * MS), Wait::Until(Some(begun + Duration::from_millis(2))));
        assert_eq!(clock.wait_until(u64::MAX), Wait::Until(None));
        assert_eq!(clock.wait_for(u64::MAX), Wait::Until(None));
    }
}
