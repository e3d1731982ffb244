//! Panics.

use sunaba_sdk::prelude::*;

/// Never returns.
#[handler]
pub fn panic() -> Result<(), TaskError> {
    panic!("on purpose");
}

export!(panic);
