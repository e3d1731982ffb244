//! An engine that forgets: for tests, and for queues that need not survive their process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Engine, EngineError, Pair, Writes};
use crate::BlobPlace;

/// How many pairs a scan copies at a time.
const CHUNK: usize = 64;

/// A sorted map. Clones share it, so that a store on a clone finds what the one before it has left.
#[derive(Debug, Clone)]
pub struct MemoryEngine {
    map: Arc<Mutex<BTreeMap<Bytes, Bytes>>>,
    blobs: BlobPlace,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self { map: Arc::default(), blobs: BlobPlace::temporary() }
    }
}

impl MemoryEngine {
    fn map(&self) -> MutexGuard<'_, BTreeMap<Bytes, Bytes>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next pairs in a range, at most a chunk.
    fn chunk(&self, from: &[u8], to: &[u8], reverse: bool) -> Vec<Pair> {
        if from >= to {
            return Vec::new();
        }
        let map = self.map();
        let range = map.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
        let own = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        if reverse { range.rev().take(CHUNK).map(own).collect() } else { range.take(CHUNK).map(own).collect() }
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.map().get(key).cloned())
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        let (mut from, mut to) = (from.to_vec(), to.to_vec());
        let chunks = std::iter::from_fn(move || {
            let chunk = self.chunk(&from, &to, reverse);
            let (last, _) = chunk.last()?;
            if reverse {
                to = last.to_vec();
            } else {
                // The next possible key after the last one.
                from = last.iter().copied().chain([0]).collect();
            }
            Some(chunk)
        });
        Box::new(chunks.flatten().map(Ok))
    }

    fn apply(&mut self, writes: &Writes) -> Result<(), EngineError> {
        let mut map = self.map();
        for (key, value) in writes {
            match value {
                Some(value) => map.insert(Bytes::copy_from_slice(key), value.clone()),
                None => map.remove(key.as_slice()),
            };
        }
        Ok(())
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn blobs(&self) -> BlobPlace {
        self.blobs.clone()
    }
}
