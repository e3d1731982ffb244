//! Computes, or takes memory, in ways that look like honest work.

use sunaba_sdk::prelude::*;

/// Matches `(a*)*b` against `aaa...` the slow way: twice as long for each letter.
#[handler]
pub fn backtrack() -> Result<bool, TaskError> {
    fn matches(text: &[u8]) -> bool {
        (1..=text.len()).any(|taken| matches(&text[taken..])) || text.first() == Some(&b'b')
    }
    Ok(matches(std::hint::black_box(&[b'a'; 60])))
}

/// Calls itself until the stack is full, and the host at every level: the host's calls are on the same stack.
#[handler]
pub fn call_deeper(ctx: &Context) -> Result<u64, TaskError> {
    fn deeper(ctx: &Context, depth: u64) -> u64 {
        if ctx.is_cancelled() { 0 } else { deeper(ctx, depth + 1).wrapping_add(std::hint::black_box(depth)) }
    }
    Ok(deeper(ctx, 0))
}

/// Writes to every page of 96 MiB and returns: all of it is within the limit, and must be given back.
#[handler]
pub fn fill_to_the_limit() -> Result<usize, TaskError> {
    let mut hoard = vec![0_u8; 96 << 20];
    for page in hoard.chunks_mut(4096) {
        page[0] = 1;
    }
    Ok(std::hint::black_box(&hoard).iter().filter(|byte| **byte == 1).count())
}

/// Takes and frees pieces of growing size, so that none fits where one was: most of the memory is holes.
#[handler]
pub fn riddle() -> Result<(), TaskError> {
    let mut kept = Vec::new();
    for round in 1_usize.. {
        kept.push(std::hint::black_box(vec![1_u8; 1000]));
        drop(std::hint::black_box(vec![1_u8; round * 4096]));
    }
    Ok(())
}

export!(backtrack, call_deeper, fill_to_the_limit, riddle);
