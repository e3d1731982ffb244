//! Computes for ever and never calls the host: only fuel or the epoch can stop it.

use sunaba_sdk::prelude::*;

/// Never returns.
#[handler]
pub fn spin() -> Result<(), TaskError> {
    let mut x = 0_u64;
    loop {
        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

export!(spin);
