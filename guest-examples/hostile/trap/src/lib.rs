//! Reads where there is no memory.

use sunaba_sdk::prelude::*;

/// Never returns.
#[handler]
pub fn trap() -> Result<u8, TaskError> {
    let beyond = std::hint::black_box(0xffff_fff0_usize) as *const u8;
    // SAFETY: none. In a sandbox this can hurt nobody but itself, which is what it is here to show.
    Ok(unsafe { beyond.read_volatile() })
}

export!(trap);
