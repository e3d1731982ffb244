//! Work to order: so many steps of computing, so many bytes of memory written to, and the instant at which it began. It is
//! what benchmarks measure a host with.

use std::time::{SystemTime, UNIX_EPOCH};

use sunaba_sdk::prelude::*;

/// A page of memory, as the machine has them.
const PAGE: usize = 4096;

#[data]
pub struct Order {
    /// Steps of a generator of random numbers, each a nanosecond or two.
    steps: Option<u64>,
    /// Bytes to be written to, a page at a time; up to 8 MiB.
    dirty_bytes: Option<u32>,
}

#[data]
pub struct Done {
    /// When it began, by the wall clock; microseconds since the Unix epoch.
    began_us: u64,
    /// What has come of it, so that nobody leaves it out.
    sum: u64,
}

/// Computes, writes to memory, and says when it began.
#[handler(clock = "fine", timeout = "30s", memory = "16MiB")]
#[expect(clippy::disallowed_methods, reason = "to say when it began is what it is for")]
pub fn toil(order: Order) -> Result<Done, TaskError> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let bytes = order.dirty_bytes.unwrap_or(0) as usize;
    if bytes > 8 << 20 {
        return Err(TaskError::fatal(format!("{bytes} bytes; the limit is 8 MiB")).with_kind("too-much"));
    }
    let sum = compute(order.steps.unwrap_or(0)) ^ dirty(bytes);
    Ok(Done { began_us: u64::try_from(began.as_micros()).unwrap_or(u64::MAX), sum: sum >> 32 })
}

/// So many steps, each of which needs the one before.
fn compute(steps: u64) -> u64 {
    (0..steps).fold(0x9E37_79B9_7F4A_7C15, |mut state: u64, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^ (state << 17)
    })
}

/// Writes to each page of so much memory.
fn dirty(bytes: usize) -> u64 {
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(PAGE) {
        page[0] = 1;
    }
    std::hint::black_box(&memory).iter().step_by(PAGE).map(|byte| u64::from(*byte)).sum()
}

export!(toil);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_written_to() {
        assert_eq!(dirty(3 * PAGE + 1), 4);
        assert_eq!(dirty(0), 0);
    }

    #[test]
    fn too_many_bytes_are_refused() {
        let order = |bytes| Order { steps: None, dirty_bytes: Some(bytes) };
        assert!(toil(order(8 << 20)).is_ok());
        assert!(toil(order((8 << 20) + 1)).is_err());
    }
}
