//! The one place where this crate reads a clock: a monotonic one, to measure and to stop attempts.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "a stop watch measures real time, whatever clock the store has")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
