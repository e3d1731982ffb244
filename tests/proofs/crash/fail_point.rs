//! An engine that fails at a chosen moment: where the system's calls cannot be tampered with, and for the suite.
//!
//! What was applied reaches the disk with the next barrier and no earlier, so that a process that is gone has lost all for
//! which there was none, as after a power cut.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use bytes::Bytes;
use sunaba_runtime::store::{BlobPlace, Engine, EngineError, Pair, SledEngine, Writes};

/// Where, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailPoint {
    /// The process is gone when so many steps were taken: before and after each batch and each barrier is one.
    AbortAt(u64),
    /// The barrier of this number fails, counted from 1.
    BarrierFails(u64),
}

impl fmt::Display for FailPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AbortAt(step) => write!(f, "abort:{step}"),
            Self::BarrierFails(barrier) => write!(f, "barrier:{barrier}"),
        }
    }
}

impl FromStr for FailPoint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            Some(("abort", step)) => step.parse().map(Self::AbortAt).map_err(|_| ()),
            Some(("barrier", barrier)) => barrier.parse().map(Self::BarrierFails).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

pub(super) struct Failing {
    inner: SledEngine,
    /// Applied, and not on the disk.
    pending: Writes,
    point: FailPoint,
    steps: u64,
    barriers: u64,
}

impl Failing {
    pub(super) fn new(inner: SledEngine, point: FailPoint) -> Self {
        Self { inner, pending: Writes::default(), point, steps: 0, barriers: 0 }
    }

    fn step(&mut self) {
        self.steps += 1;
        if self.point == FailPoint::AbortAt(self.steps) {
            std::process::abort();
        }
    }
}

impl Engine for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.pending.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.inner.get(key),
        }
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        let scan = self.inner.scan(from, to, reverse);
        if self.pending.is_empty() {
            return scan;
        }
        // Nobody reads between an apply and its barrier who does not ask for it, so that this may take its time.
        let mut pairs: BTreeMap<Bytes, Result<Pair, EngineError>> = BTreeMap::new();
        for pair in scan {
            match pair {
                Ok((key, value)) => drop(pairs.insert(key.clone(), Ok((key, value)))),
                Err(error) => return Box::new(std::iter::once(Err(error))),
            }
        }
        for (key, value) in self.pending.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))) {
            let key = Bytes::copy_from_slice(key);
            match value {
                Some(value) => drop(pairs.insert(key.clone(), Ok((key, value.clone())))),
                None => drop(pairs.remove(&key)),
            }
        }
        let pairs = pairs.into_values();
        if reverse { Box::new(pairs.rev()) } else { Box::new(pairs) }
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        self.step();
        self.pending.extend(writes.clone());
        self.step();
        Ok(())
    }

    fn blobs(&self) -> BlobPlace {
        self.inner.blobs()
    }

    fn free_bytes(&self) -> Option<u64> {
        self.inner.free_bytes()
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        self.step();
        self.barriers += 1;
        if self.point == FailPoint::BarrierFails(self.barriers) {
            return Err(EngineError::new("cannot sync", "as it was wanted"));
        }
        self.inner.apply(&std::mem::take(&mut self.pending))?;
        self.inner.barrier()?;
        self.step();
        Ok(())
    }
}
