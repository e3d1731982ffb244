//! The one place where this crate reads a clock: a monotonic one, to measure and to stop attempts, and the machine's wall
//! clock, for guests that ask for it.

use std::time::{Duration, Instant, SystemTime};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a stop watch measures real time, whatever clock the store has")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Since the Unix epoch; zero on a machine whose clock is before it.
#[expect(clippy::disallowed_methods, reason = "a guest asks what the machine's clock shows, not the store's")]
pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
