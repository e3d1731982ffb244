//! The engine's settings: one engine with one instance pool for each shard and fuel mode.
//!
//! Source of the choices: measurements of a fresh store, instantiation, a call and the teardown for each setting. The
//! pool with the pagemap scan and 2 MiB kept resident costs a third of what the on-demand allocator does.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};
use sunaba_task::{FuelMode, MAX_MEMORY_BYTES};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy, WasmBacktraceDetails,
    WasmFeatures,
};

use crate::component::RULES;

/// What stays mapped of a memory and of a table between two attempts, when a pagemap scan resets it.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;
/// Slots that are reset by one system call, when the pagemap scan cannot be used.
const DECOMMIT_BATCH: usize = 64;
/// The stack that a guest may use.
const WASM_STACK_BYTES: usize = 1 << 20;
/// The stack of a fiber: the guest's and that of the host calls on top.
const FIBER_STACK_BYTES: usize = 2 << 20;
/// Frames in a backtrace.
const BACKTRACE_FRAMES: usize = 64;

/// Core instances of one component. A Rust component has 4, a Python component some 40.
const MAX_CORE_INSTANCES: u32 = 64;
/// Memories of one component.
const MAX_MEMORIES: u32 = 16;
/// Tables of one component.
const MAX_TABLES: u32 = 32;
/// Elements of one table.
const MAX_TABLE_ELEMENTS: usize = 100_000;
/// What the engine keeps for one instance, in bytes; large components have many functions.
const MAX_INSTANCE_BYTES: usize = 8 << 20;

/// How a pool resets what an attempt has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageReset {
    /// The kernel names the pages that were written, and only they are reset. The fastest way.
    PagemapScan,
    /// All pages are given back to the system. Used where memory may be swapped: wasmtime 48's scan looks only at
    /// present pages, so a swapped-out page could keep what another attempt wrote (wasmtime pull request 14357).
    Decommit,
}

impl PageReset {
    /// The way that is safe on this machine. Read once: swap that is turned on later needs a restart.
    pub fn of_this_machine() -> Self {
        static RESET: OnceLock<PageReset> = OnceLock::new();
        *RESET.get_or_init(|| {
            let swaps = fs::read_to_string("/proc/swaps");
            match swaps {
                Ok(swaps) if swaps.lines().count() <= 1 => Self::PagemapScan,
                _ => Self::Decommit,
            }
        })
    }
}

/// An engine whose pool holds `slots` attempts at a time.
pub(crate) fn engine(mode: FuelMode, slots: u32) -> wasmtime::Result<Engine> {
    let pool = pool(slots, PageReset::of_this_machine());
    Engine::new(config(mode).allocation_strategy(InstanceAllocationStrategy::Pooling(pool)))
}

/// An engine that compiles and runs nothing: it has no pool, and needs none of its address space.
pub(crate) fn compiling_engine(mode: FuelMode) -> wasmtime::Result<Engine> {
    Engine::new(&config(mode))
}

/// All that compiled code depends on: the engine's version, its settings, and what the processor can do, and all that
/// whether a component is taken depends on: our own version and rules. Code of another hash is not loaded.
pub(crate) fn engine_hash(engine: &Engine) -> [u8; 32] {
    hash_of(engine, env!("CARGO_PKG_VERSION"), RULES)
}

fn hash_of(engine: &Engine, version: &str, rules: u32) -> [u8; 32] {
    let mut hasher = Sha(Sha256::new());
    (version, rules).hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Nobody asks: the whole digest is taken.
        0
    }
}

/// What compiled code depends on, and so the same wherever it is compiled or run.
fn config(mode: FuelMode) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .consume_fuel(mode == FuelMode::Exact)
        .epoch_interruption(true)
        // The host polls no guest's futures; without this each store carries the machinery for it.
        .concurrency_support(false)
        .wasm_component_model(true)
        // The same bits on every machine, so that fuel and outputs can be compared.
        .cranelift_nan_canonicalization(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // Proposals that handlers do not need stay off.
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        // On by default, and without a setting of its own where the garbage collector is left out.
        .wasm_features(WasmFeatures::FUNCTION_REFERENCES, false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false);
    config
}

fn pool(slots: u32, reset: PageReset) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(slots)
        .total_stacks(slots)
        .total_core_instances(slots * MAX_CORE_INSTANCES)
        .total_memories(slots * MAX_MEMORIES)
        .total_tables(slots * MAX_TABLES)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_component_instance_size(MAX_INSTANCE_BYTES)
        .max_core_instance_size(MAX_INSTANCE_BYTES)
        .table_elements(MAX_TABLE_ELEMENTS)
        // Address space, not memory: what an attempt may really use is the meter's business.
        .max_memory_size(usize::try_from(MAX_MEMORY_BYTES).unwrap_or(usize::MAX))
        .max_unused_warm_slots(slots);
    match reset {
        PageReset::PagemapScan => pool
            .pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(KEEP_RESIDENT_BYTES),
        PageReset::Decommit => pool.pagemap_scan(Enabled::No).decommit_batch_size(DECOMMIT_BATCH),
    };
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_that_compiles_makes_what_a_shard_loads() {
        for mode in [FuelMode::Exact, FuelMode::Off] {
            let (compiling, running) = (compiling_engine(mode).expect("starts"), engine(mode, 1).expect("starts"));
            assert_eq!(engine_hash(&compiling), engine_hash(&running));
        }
        let [exact, off] =
            [FuelMode::Exact, FuelMode::Off].map(|mode| engine_hash(&compiling_engine(mode).expect("starts")));
        assert_ne!(exact, off);
    }

    #[test]
    fn code_that_was_taken_by_other_rules_or_another_version_is_not_believed() {
        let engine = compiling_engine(FuelMode::Exact).expect("starts");
        let now = engine_hash(&engine);
        assert_eq!(now, hash_of(&engine, env!("CARGO_PKG_VERSION"), RULES));
        assert_ne!(now, hash_of(&engine, env!("CARGO_PKG_VERSION"), RULES + 1));
        assert_ne!(now, hash_of(&engine, "0.0.0-other", RULES));
    }
}
