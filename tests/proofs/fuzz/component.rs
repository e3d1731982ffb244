//! Any bytes as a component: accepted or refused with a reason of its own, and what is refused is not kept. It is
//! about the refusals.

use sunaba_runtime::sandbox::LoadError;
use sunaba_runtime::task::{Digest, FuelMode};

use super::Bench;

/// What takes long to compile proves nothing more.
const MAX_BYTES: usize = 64 << 10;

pub(super) fn load(bench: &Bench, bytes: &[u8]) -> Result<u64, String> {
    if bytes.len() > MAX_BYTES {
        return Ok(0);
    }
    let loaded = bench.runtime.block_on(bench.sandbox.load(bytes.to_vec(), FuelMode::Exact));
    match loaded {
        Ok(info) if info.digest == Digest::of(bytes) && !info.handlers.is_empty() => Ok(0),
        Ok(info) => Err(format!("it was accepted as something else: {info:?}")),
        Err(LoadError::Internal(problem)) => Err(format!("the sandbox failed: {problem}")),
        Err(_) if bench.sandbox.is_loaded(Digest::of(bytes), FuelMode::Exact) => Err("it was refused, and kept".into()),
        Err(_) => Ok(1),
    }
}
