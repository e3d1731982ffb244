//! `wasi:clocks` on the attempt's own clocks. What time is told is decided elsewhere; here are the calls and their timers.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::clock::now;
use crate::guest_clock::{GuestClock, Wait};
use crate::state::State;

pub(crate) struct Clocks<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) clock: &'a mut GuestClock,
    pub(crate) host_calls: &'a mut u64,
}

struct HasClocks;

impl HasData for HasClocks {
    type Data<'a> = Clocks<'a>;
}

/// Adds `wasi:clocks`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    monotonic_clock::add_to_linker::<State, HasClocks>(linker, State::clocks)?;
    wall_clock::add_to_linker::<State, HasClocks>(linker, State::clocks)
}

impl Clocks<'_> {
    /// Every call comes through here.
    fn enter(&mut self, _function: &'static str) {
        *self.host_calls += 1;
    }

    fn timer(&mut self, wait: Wait) -> Result<Resource<DynPollable>> {
        let timer = match wait {
            Wait::Until(Some(end)) if end <= now() => Timer::Past { yielded: false },
            Wait::Until(Some(end)) => Timer::At(end.into()),
            // Nobody waits for the timers of a guest with a time of its own; see `virtual_poll`.
            Wait::Until(None) | Wait::Virtual(_) => Timer::Never,
        };
        let timer = self.table.push(timer)?;
        let pollable = subscribe(self.table, timer)?;
        self.clock.hold(pollable.rep(), wait);
        Ok(pollable)
    }
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> Result<u64> {
        self.enter("wasi:clocks/monotonic-clock.now");
        Ok(self.clock.monotonic())
    }

    fn resolution(&mut self) -> Result<u64> {
        self.enter("wasi:clocks/monotonic-clock.resolution");
        Ok(self.clock.resolution())
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.enter("wasi:clocks/monotonic-clock.subscribe-instant");
        let wait = self.clock.wait_until(when);
        self.timer(wait)
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        self.enter("wasi:clocks/monotonic-clock.subscribe-duration");
        let wait = self.clock.wait_for(duration);
        self.timer(wait)
    }
}

impl wall_clock::Host for Clocks<'_> {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        self.enter("wasi:clocks/wall-clock.now");
        let wall = self.clock.wall();
        Ok(wall_clock::Datetime { seconds: wall.as_secs(), nanoseconds: wall.subsec_nanos() })
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        self.enter("wasi:clocks/wall-clock.resolution");
        let nanoseconds = u32::try_from(self.clock.resolution()).expect("a step is below a second");
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds })
    }
}

/// What a timer waits for.
enum Timer {
    Past { yielded: bool },
    At(tokio::time::Instant),
    Never,
}

#[async_trait::async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        match self {
            Self::Past { yielded: true } => {}
            // Once: a guest that polls in a loop, with a timer of no length, must let what it polls for happen.
            Self::Past { yielded } => {
                *yielded = true;
                tokio::task::yield_now().await;
            }
            Self::At(end) => tokio::time::sleep_until(*end).await,
            Self::Never => std::future::pending().await,
        }
    }
}
