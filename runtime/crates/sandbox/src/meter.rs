//! Counts the memory of a whole `wasmtime::Store` and stops the guest that wants more than its limit.
//!
//! wasmtime's own `StoreLimits` looks at each memory alone, so that a hundred memories of 64 MiB pass a limit of
//! 64 MiB; this meter keeps the sum of all memories and tables. Growth beyond the limit ends the attempt instead of
//! failing softly: a guest that ignores the failure would otherwise run on, and most abort anyway, with a worse cause.

use sunaba_task::{Cause, Limit, Limits, format_bytes};
use wasmtime::ResourceLimiter;

use crate::interrupt::Halt;

/// What one element of a table costs the host.
const TABLE_ELEMENT_BYTES: u64 = size_of::<usize>() as u64;

#[derive(Debug)]
pub(crate) struct Meter {
    limit_bytes: u64,
    bytes: u64,
    peak_bytes: u64,
    instances: usize,
    tables: usize,
    /// What the last growth added, and the peak before it: to be taken back if the system then has not got it.
    last: (u64, u64),
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let (instances, tables) = (limits.instances as usize, limits.tables as usize);
        Self { limit_bytes: limits.memory_bytes, bytes: 0, peak_bytes: 0, instances, tables, last: (0, 0) }
    }

    /// The limit of core instances or tables that this error of an instantiation is about.
    ///
    /// The engine counts both for us, and tells by a text alone when there are too many; a test holds it to that text.
    pub(crate) fn count_over_limit(&self, error: &wasmtime::Error) -> Option<Halt> {
        let text = error.root_cause().to_string();
        let what = text.strip_prefix("resource limit exceeded: ")?;
        let (limit, most, things) = match what.split_once(' ')?.0 {
            "instance" => (Limit::Instances, self.instances, "core instances"),
            "table" => (Limit::Tables, self.tables, "tables"),
            _ => return None,
        };
        Some(Halt { cause: Cause::Limit(limit), message: format!("has more than {most} {things}: the limit") })
    }

    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    fn grow(&mut self, current: u64, desired: u64) -> Result<(), Halt> {
        let wanted = self.bytes.saturating_sub(current).saturating_add(desired);
        if wanted > self.limit_bytes {
            let message = format!(
                "wanted {} of memory in all: the limit is {}",
                format_bytes(wanted),
                format_bytes(self.limit_bytes)
            );
            return Err(Halt { cause: Cause::Memory, message });
        }
        self.last = (self.bytes, self.peak_bytes);
        self.bytes = wanted;
        self.peak_bytes = self.peak_bytes.max(wanted);
        Ok(())
    }
}

impl ResourceLimiter for Meter {
    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // What the memory's own maximum forbids fails softly, as the guest expects, whatever our limit is.
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.last = (self.bytes, self.peak_bytes);
            return Ok(false);
        }
        self.grow(current as u64, desired as u64).map_err(wasmtime::Error::new)?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        (self.bytes, self.peak_bytes) = self.last;
        Ok(())
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        (self.bytes, self.peak_bytes) = self.last;
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.last = (self.bytes, self.peak_bytes);
            return Ok(false);
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        self.grow(bytes(current), bytes(desired)).map_err(wasmtime::Error::new)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn meter(memory_bytes: u64) -> Meter {
        Meter::new(&Limits { memory_bytes, ..Limits::default() })
    }

    #[test]
    fn sum_over_memories_and_tables_obeyed() {
        let mut meter = meter(4 << 20);
        assert!(meter.memory_growing(0, MIB, None).expect("1 of 4"));
        assert!(meter.memory_growing(0, MIB, None).expect("2 of 4"));
        assert!(meter.memory_growing(MIB, 2 * MIB, None).expect("3 of 4"));
        assert!(meter.table_growing(0, MIB / 8, None).expect("4 of 4"));
        assert_eq!(meter.peak_bytes(), 4 << 20);
    }

    #[test]
    fn sum_over_memories_and_tables_violated() {
        let mut meter = meter(4 << 20);
        for _ in 0..4 {
            meter.memory_growing(0, MIB, None).expect("up to 4 of 4");
        }
        let error = meter.table_growing(0, 1, None).expect_err("one element over");
        assert_eq!(error.downcast_ref::<Halt>().map(|halt| halt.cause.clone()), Some(Cause::Memory));
        assert_eq!(meter.peak_bytes(), 4 << 20);
    }

    #[test]
    fn growth_that_failed_is_taken_back() {
        let mut meter = meter(4 << 20);
        meter.memory_growing(0, MIB, None).expect("1 of 4");
        meter.memory_growing(MIB, 4 * MIB, None).expect("4 of 4");
        meter.memory_grow_failed(wasmtime::Error::msg("the system has not got it")).expect("taken back");
        assert_eq!(meter.peak_bytes(), 1 << 20);
        meter.memory_growing(MIB, 4 * MIB, None).expect("4 of 4 again");
    }

    #[test]
    fn growth_that_the_memory_itself_forbids_is_not_counted() {
        let mut meter = meter(4 << 20);
        assert!(!meter.memory_growing(MIB, 2 * MIB, Some(MIB)).expect("fails softly"));
        assert_eq!(meter.peak_bytes(), 0);
    }
}
