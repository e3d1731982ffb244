//! An engine that fails at a chosen moment: where the system's calls cannot be tampered with, and for the suite.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use sunaba_runtime::store::{Engine, EngineError, Pair, SledEngine, Writes};

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
    point: FailPoint,
    steps: u64,
    barriers: u64,
}

impl Failing {
    pub(super) fn new(inner: SledEngine, point: FailPoint) -> Self {
        Self { inner, point, steps: 0, barriers: 0 }
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
        self.inner.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.inner.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        self.step();
        self.inner.apply(writes)?;
        self.step();
        Ok(())
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
        self.inner.barrier()?;
        self.step();
        Ok(())
    }
}
