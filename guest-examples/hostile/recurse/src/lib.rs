//! Calls itself until the stack is full.

use sunaba_sdk::prelude::*;

/// Never returns.
#[handler]
pub fn recurse(input: u64) -> Result<u64, TaskError> {
    Ok(deeper(input))
}

#[inline(never)]
fn deeper(depth: u64) -> u64 {
    // The compiler must neither see that this never ends nor make a loop of it.
    if std::hint::black_box(depth) == u64::MAX { 0 } else { deeper(depth + 1).wrapping_add(depth) }
}

export!(recurse);
