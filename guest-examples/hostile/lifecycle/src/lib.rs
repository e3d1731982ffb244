//! Abuses what a task can ask for between its attempts.

use sunaba_sdk::prelude::*;

/// Fails at once and wants to be tried again at once.
#[handler]
pub fn fail_again() -> Result<(), TaskError> {
    Err(TaskError::retry_after(Duration::ZERO, "again"))
}

/// Wants to be run again at once, for ever: a snooze charges nothing.
#[handler]
pub fn snooze_again() -> Result<Outcome<()>, TaskError> {
    Ok(Outcome::Snooze(Duration::ZERO.into()))
}

/// Waits so long that its lease must be renewed, and returns.
#[handler]
pub fn outlast_lease() -> Result<(), TaskError> {
    std::thread::sleep(Duration::from_millis(2_500));
    Ok(())
}

export!(fail_again, snooze_again, outlast_lease);
