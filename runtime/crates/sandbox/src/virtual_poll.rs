//! `wasi:io/poll` for a guest with a time of its own; the rules are those of its clock.
//!
//! A replay of recorded host answers would begin here: which of the pollables were ready, and in which poll, is the one thing
//! that such a guest learns from outside without asking for an answer.

use wasmtime::Result;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::bindings::wasi::io::poll;
use wasmtime_wasi_io::poll::DynPollable;

use crate::guest_clock::VirtualClock;

/// One of a guest's pollables, with its place in the list.
type Placed<T> = (u32, T);

/// Which of these are ready, once one is; in the order of the list.
pub(crate) async fn poll(
    table: &mut ResourceTable,
    clock: &mut VirtualClock,
    pollables: Vec<Resource<DynPollable>>,
) -> Result<Vec<u32>> {
    let (mut timers, mut others) = (Vec::<Placed<u64>>::new(), Vec::<Placed<u32>>::new());
    for (place, pollable) in (0_u32..).zip(&pollables) {
        match clock.timer(pollable.rep()) {
            Some(ends) => timers.push((place, ends)),
            None => others.push((place, pollable.rep())),
        }
    }
    if timers.is_empty() {
        return poll::Host::poll(table, pollables).await;
    }
    let mut ready = come(&timers, clock);
    if !others.is_empty() {
        let work = poll_others(table, &others);
        if ready.is_empty() {
            let earliest = timers.iter().map(|(_, ends)| *ends).min().expect("there is a timer");
            let patience = tokio::time::sleep(clock.missing(earliest));
            tokio::select! {
                biased;
                others = work => ready = others?,
                // Losing the others is fine: they are asked again at the next poll.
                () = patience => {}
            }
        } else {
            // What they wait for may need this thread.
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                others = work => ready.extend(others?),
                () = std::future::ready(()) => {}
            }
        }
    }
    if ready.is_empty() {
        let earliest = timers.iter().map(|(_, ends)| *ends).min().expect("there is a timer");
        clock.move_to(earliest);
        ready = come(&timers, clock);
    }
    ready.sort_unstable();
    Ok(ready)
}

/// Waits until this one is ready.
pub(crate) async fn block(
    table: &mut ResourceTable,
    clock: &mut VirtualClock,
    pollable: Resource<DynPollable>,
) -> Result<()> {
    match clock.timer(pollable.rep()) {
        Some(ends) => {
            clock.move_to(ends);
            Ok(())
        }
        None => poll::HostPollable::block(table, pollable).await,
    }
}

/// Whether a timer is ready, which is a look at the time; none if it is no timer.
pub(crate) fn timer_is_ready(clock: &mut VirtualClock, pollable: &Resource<DynPollable>) -> Option<bool> {
    let ends = clock.timer(pollable.rep())?;
    let ready = clock.has_come(ends);
    if !ready {
        clock.look();
    }
    Some(ready)
}

fn come(timers: &[Placed<u64>], clock: &VirtualClock) -> Vec<u32> {
    timers.iter().filter(|(_, ends)| clock.has_come(*ends)).map(|(place, _)| *place).collect()
}

async fn poll_others(table: &mut ResourceTable, others: &[Placed<u32>]) -> Result<Vec<u32>> {
    let handles = others.iter().map(|(_, handle)| Resource::new_borrow(*handle)).collect();
    let ready = poll::Host::poll(table, handles).await?;
    Ok(ready.into_iter().map(|index| others[index as usize].0).collect())
}

#[cfg(test)]
mod tests {
    use sunaba_task::{ClockAccess, Seed};
    use wasmtime_wasi_io::poll::{Pollable, subscribe};

    use super::*;
    use crate::clock::now;
    use crate::guest_clock::{GuestClock, Wait};

    struct Never;

    #[async_trait::async_trait]
    impl Pollable for Never {
        async fn ready(&mut self) {
            std::future::pending().await
        }
    }

    struct Always;

    #[async_trait::async_trait]
    impl Pollable for Always {
        async fn ready(&mut self) {}
    }

    /// A table with timers that end at these instants.
    struct Guest {
        table: ResourceTable,
        clock: GuestClock,
        timers: Vec<u32>,
    }

    impl Guest {
        fn new(ends: &[u64]) -> Self {
            let clock = GuestClock::new(now(), ClockAccess::Coarse, Some(Seed { random: 0, clock_ms: 0 }));
            let mut guest = Self { table: ResourceTable::new(), clock, timers: Vec::new() };
            for ends in ends {
                let handle = guest.other(Never);
                guest.clock.hold(handle, Wait::Virtual(*ends));
                guest.timers.push(handle);
            }
            guest
        }

        fn other(&mut self, pollable: impl Pollable) -> u32 {
            let pollable = self.table.push(pollable).expect("there is room");
            subscribe(&mut self.table, pollable).expect("there is room").rep()
        }

        fn poll(&mut self, handles: &[u32]) -> Vec<u32> {
            let handles = handles.iter().map(|handle| Resource::new_borrow(*handle)).collect();
            let clock = self.clock.own().expect("it has its own");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(poll(&mut self.table, clock, handles)).expect("it can be polled")
        }

        fn time(&mut self) -> u64 {
            self.clock.monotonic()
        }
    }

    #[test]
    fn the_earliest_timers_are_ready_and_time_is_at_their_end() {
        let hour = 3_600_000_000_000;
        let mut guest = Guest::new(&[2 * hour, hour, hour]);
        let timers = guest.timers.clone();
        assert_eq!(guest.poll(&timers), [1, 2]);
        assert_eq!(guest.time(), hour);
        assert_eq!(guest.poll(&timers[..1]), [0]);
        assert_eq!(guest.time(), 2 * hour);
        // All of them have come now, and time stands still.
        assert_eq!(guest.poll(&timers), [0, 1, 2]);
        assert!(guest.time() < 3 * hour);
    }

    #[test]
    fn what_is_ready_anyway_does_not_move_time() {
        let mut guest = Guest::new(&[1_000_000_000_000]);
        let always = guest.other(Always);
        let timer = guest.timers[0];
        assert_eq!(guest.poll(&[timer, always]), [1]);
        assert_eq!(guest.time(), 0);
    }

    #[test]
    fn a_timer_beside_what_comes_from_outside_takes_as_long_as_it_says() {
        let mut guest = Guest::new(&[20_000_000]);
        let never = guest.other(Never);
        let timer = guest.timers[0];
        let begun = now();
        assert_eq!(guest.poll(&[never, timer]), [1]);
        assert!(begun.elapsed().as_millis() >= 20);
        assert_eq!(guest.time(), 20_000_000);
    }

    #[test]
    fn a_past_timer_is_ready_with_all_else_that_is() {
        let mut guest = Guest::new(&[0]);
        let (always, never) = (guest.other(Always), guest.other(Never));
        let timer = guest.timers[0];
        assert_eq!(guest.poll(&[never, always, timer]), [1, 2]);
    }

    #[test]
    fn asking_a_timer_moves_time_until_it_is_ready() {
        let mut guest = Guest::new(&[3_000_000]);
        let timer = Resource::new_borrow(guest.timers[0]);
        let clock = guest.clock.own().expect("it has its own");
        let asked = std::iter::from_fn(|| timer_is_ready(clock, &timer)).take(5).collect::<Vec<_>>();
        assert_eq!(asked, [false, false, false, true, true]);
    }
}
