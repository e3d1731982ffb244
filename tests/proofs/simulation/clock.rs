//! The clock of a simulation: tokio's paused time, and a wall clock that the simulation sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use sunaba_runtime::task::{BoxFuture, Clock, Timestamp};
use tokio::time::Instant;

/// What the wall clock shows at the beginning.
const START_MS: i64 = 1_767_225_600_000;

/// Clones are the same clock.
#[derive(Debug, Clone)]
pub(super) struct SimulatedClock {
    started: Instant,
    /// How far the wall clock was moved, in milliseconds.
    moved_ms: Arc<AtomicI64>,
}

impl SimulatedClock {
    /// Must be made on a runtime with paused time.
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), moved_ms: Arc::default() }
    }

    /// Moves the wall clock to so far from where it would be.
    pub(super) fn set_moved_ms(&self, moved_ms: i64) {
        self.moved_ms.store(moved_ms, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = START_MS.saturating_add(passed).saturating_add(self.moved_ms.load(Ordering::Relaxed));
        Timestamp::from_unix_ms(now.unsigned_abs())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Time passes, and nobody can do anything meanwhile: a process that the system has stopped, or a disk that hangs.
pub(super) fn pass_in_a_stall(by: Duration) {
    // It moves the time when it is first polled; after that it only lets others have their turn, which is not wanted here.
    let mut passing = std::pin::pin!(tokio::time::advance(by));
    let _ = passing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}
