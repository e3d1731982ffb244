//! Takes memory until there is no more.

use sunaba_sdk::prelude::*;

/// Never returns.
#[handler]
pub fn grow_memory() -> Result<(), TaskError> {
    let mut hoard = Vec::new();
    loop {
        // Written to, so that it is really there.
        hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

export!(grow_memory);
