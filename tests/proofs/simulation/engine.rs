//! An engine in memory that can fail, stall, and lose what no barrier has made durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sunaba_runtime::store::{Engine, EngineError, MemoryEngine, Pair, Writes};

use super::clock::pass_in_a_stall;
use super::journal::{Fault, Journal};

/// One in so many commits goes wrong, when faults are on.
const FAILS_ONE_IN: u32 = 150;
/// One in so many barriers is slow.
const STALLS_ONE_IN: u32 = 120;
const LONGEST_STALL_MS: u64 = 12_000;

/// Clones share the disk.
#[derive(Clone)]
pub(super) struct CrashyEngine {
    disk: Arc<Mutex<Disk>>,
    /// What the process sees.
    view: MemoryEngine,
    journal: Journal,
}

struct Disk {
    random: fastrand::Rng,
    /// What a crash leaves.
    durable: BTreeMap<Vec<u8>, Bytes>,
    /// Applied, and not durable yet; in order.
    pending: Vec<Writes>,
    faults: bool,
    /// From then on nothing works until the next crash.
    broken: bool,
}

impl CrashyEngine {
    pub(super) fn new(random: fastrand::Rng, journal: Journal) -> Self {
        let disk = Disk { random, durable: BTreeMap::new(), pending: Vec::new(), faults: true, broken: false };
        Self { disk: Arc::new(Mutex::new(disk)), view: MemoryEngine::default(), journal }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a process finds that starts after the one before has crashed: all that was durable, and perhaps the first of
    /// what was not.
    pub(super) fn after_crash(&self) -> Self {
        let mut disk = self.disk();
        let most = disk.pending.len();
        let kept = disk.random.usize(..=most);
        let pending = std::mem::take(&mut disk.pending);
        pending.iter().take(kept).for_each(|writes| disk.keep(writes));
        disk.broken = false;
        let all = disk.durable.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        let mut view = MemoryEngine::default();
        view.apply(&all).expect("memory does not fail");
        drop(disk);
        Self { disk: Arc::clone(&self.disk), view, journal: self.journal.clone() }
    }

    /// Nothing goes wrong from here on.
    pub(super) fn stop_faults(&self) {
        self.disk().faults = false;
    }
}

impl Disk {
    fn keep(&mut self, writes: &Writes) {
        for (key, value) in writes {
            match value {
                Some(value) => self.durable.insert(key.clone(), value.clone()),
                None => self.durable.remove(key),
            };
        }
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.faults && self.random.u32(..one_in) == 0
    }

    fn check(&self) -> Result<(), EngineError> {
        if self.broken { Err(EngineError::new("cannot use the disk", "it has failed")) } else { Ok(()) }
    }
}

impl Engine for CrashyEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.view.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        self.view.scan(from, to, reverse)
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        let mut disk = self.disk();
        disk.check()?;
        disk.pending.push(writes.clone());
        drop(disk);
        self.view.apply(writes)
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        let mut disk = self.disk();
        disk.check()?;
        if disk.chance(FAILS_ONE_IN) {
            disk.broken = true;
            if disk.random.bool() {
                self.journal.fired(Fault::CommitLost);
                return Err(EngineError::new("cannot sync", "the disk failed before"));
            }
            self.journal.fired(Fault::AnswerLost);
            let pending = std::mem::take(&mut disk.pending);
            pending.iter().for_each(|writes| disk.keep(writes));
            return Err(EngineError::new("cannot sync", "the disk failed after"));
        }
        if disk.chance(STALLS_ONE_IN) {
            let stall = Duration::from_millis(disk.random.u64(1..=LONGEST_STALL_MS));
            self.journal.fired(Fault::SlowBarrier);
            pass_in_a_stall(stall);
        }
        let pending = std::mem::take(&mut disk.pending);
        pending.iter().for_each(|writes| disk.keep(writes));
        Ok(())
    }
}
