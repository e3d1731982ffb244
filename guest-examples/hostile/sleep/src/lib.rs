//! Waits in a host call for ever: neither fuel nor the epoch sees it.

use sunaba_sdk::prelude::*;

/// Never returns.
#[handler]
pub fn sleep() -> Result<(), TaskError> {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

export!(sleep);
