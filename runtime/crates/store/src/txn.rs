//! What one turn of the commit thread reads and writes: the engine as it is, with the turn's own writes over it.

use std::cell::RefCell;

use bytes::Bytes;

use crate::StoreError;
use crate::engine::{Engine, EngineError, Pair, Writes};

/// With less room on the disk, nothing new is taken on: what is there needs some to come to its end, and to be opened again.
const FLOOR_BYTES: u64 = 64 << 20;

/// Reads see the writes of the same turn.
pub(crate) struct Txn<'a> {
    engine: &'a dyn Engine,
    writes: Writes,
    /// All that was written, whether or not it was written again.
    written_bytes: usize,
    /// Keys that were written or deleted, whether or not they were before.
    changes: u64,
    /// The engine's first error. Whoever met it may have left half of what he had to do.
    failure: RefCell<Option<EngineError>>,
}

impl<'a> Txn<'a> {
    pub(crate) fn new(engine: &'a dyn Engine) -> Self {
        Self { engine, writes: Writes::new(), written_bytes: 0, changes: 0, failure: RefCell::default() }
    }

    pub(crate) fn into_writes(self) -> Writes {
        self.writes
    }

    /// Keys that were written.
    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Bytes that were written.
    pub(crate) fn written_bytes(&self) -> usize {
        self.written_bytes
    }

    /// How often a key was written or deleted: more by now, and something was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The first error of the engine, if there was one.
    pub(crate) fn failure(&self) -> Option<EngineError> {
        self.failure.borrow().clone()
    }

    fn failed(&self, error: EngineError) -> StoreError {
        self.failure.borrow_mut().get_or_insert_with(|| error.clone());
        error.into()
    }

    /// Whether there is room to take more on. What was taken on goes on below the floor: it has to end somehow.
    pub(crate) fn check_room(&self) -> Result<(), StoreError> {
        match self.engine.free_bytes() {
            Some(free_bytes) if free_bytes < FLOOR_BYTES => {
                Err(StoreError::NoRoom { free_bytes, floor_bytes: FLOOR_BYTES })
            }
            _ => Ok(()),
        }
    }

    /// What the disk has left, if it is known, and what must be left for anything new.
    pub(crate) fn room(&self) -> (Option<u64>, u64) {
        (self.engine.free_bytes(), FLOOR_BYTES)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.engine.get(key).map_err(|error| self.failed(error)),
        }
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.written_bytes += key.len() + value.len();
        self.changes += 1;
        self.writes.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.changes += 1;
        self.writes.insert(key, None);
    }

    /// Deletes what was put in this turn under a key that was never there before: so that nothing is written at all.
    pub(crate) fn take_back(&mut self, key: &[u8]) {
        self.writes.remove(key);
    }

    /// The keys from `from` up to but without `to`, in order or in reverse.
    pub(crate) fn scan<'t>(
        &'t self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> impl Iterator<Item = Result<Pair, StoreError>> + 't {
        let range = if from < to { self.writes.range(from.to_vec()..to.to_vec()) } else { Default::default() };
        let own = |(key, value): (&'t Vec<u8>, &'t Option<Bytes>)| (key.as_slice(), value.as_ref());
        let written: Box<dyn Iterator<Item = (&'t [u8], Option<&'t Bytes>)>> =
            if reverse { Box::new(range.rev().map(own)) } else { Box::new(range.map(own)) };
        let mut written = written.peekable();
        let stored = self.engine.scan(from, to, reverse);
        let mut stored = stored.map(|pair| pair.map_err(|error| self.failed(error))).peekable();
        // A merge of two sorted sequences, in which what was written hides what is stored.
        std::iter::from_fn(move || {
            loop {
                let (key, value) = match (stored.peek(), written.peek()) {
                    (Some(Err(_)), _) | (Some(Ok(_)), None) => return stored.next(),
                    (Some(Ok((key, _))), Some((own, _)))
                        if *own != key.as_ref() && (*own > key.as_ref()) != reverse =>
                    {
                        return stored.next();
                    }
                    (_, None) => return None,
                    (hidden, Some((own, _))) => {
                        if matches!(hidden, Some(Ok((key, _))) if key.as_ref() == *own) {
                            stored.next();
                        }
                        written.next()?
                    }
                };
                if let Some(value) = value {
                    return Some(Ok((Bytes::copy_from_slice(key), value.clone())));
                }
            }
        })
    }

    /// The first of a range.
    pub(crate) fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StoreError> {
        self.scan(from, to, false).next().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MemoryEngine;

    fn keys(txn: &Txn<'_>, from: &str, to: &str, reverse: bool) -> String {
        let pairs = txn.scan(from.as_bytes(), to.as_bytes(), reverse);
        pairs.map(|pair| String::from_utf8_lossy(&pair.expect("memory does not fail").0).into_owned()).collect()
    }

    /// Of its pairs the second cannot be read.
    struct Broken;

    impl Engine for Broken {
        fn get(&self, _: &[u8]) -> Result<Option<Bytes>, EngineError> {
            Ok(None)
        }

        fn scan<'a>(&'a self, _: &[u8], _: &[u8], _: bool) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
            let first = (Bytes::from("a"), Bytes::from("1"));
            Box::new([Ok(first), Err(EngineError::new("cannot scan", "the disk is gone"))].into_iter())
        }

        fn apply(&mut self, _: &Writes) -> Result<(), EngineError> {
            Ok(())
        }

        fn barrier(&mut self) -> Result<(), EngineError> {
            Ok(())
        }
    }

    #[test]
    fn scan_that_fails_is_a_failure_of_the_turn_whatever_was_written() {
        for written in [None, Some("0"), Some("z")] {
            let mut txn = Txn::new(&Broken);
            written.into_iter().for_each(|key| txn.put(key.into(), Bytes::from("2")));
            assert!(txn.scan(b"0", b"~", false).any(|pair| pair.is_err()));
            assert!(txn.failure().is_some(), "{written:?}");
        }
    }

    #[test]
    fn scan_merges_what_is_stored_with_what_is_written() {
        let mut engine = MemoryEngine::default();
        let stored = "bdfh".chars().map(|key| (key.to_string().into_bytes(), Some(Bytes::from("old"))));
        engine.apply(&stored.collect()).expect("memory does not fail");
        let mut txn = Txn::new(&engine);
        for key in ["a", "d", "e", "z"] {
            txn.put(key.into(), Bytes::from("new"));
        }
        txn.delete("f".into());
        txn.delete("y".into());
        assert_eq!(keys(&txn, "a", "z", false), "abdeh");
        assert_eq!(keys(&txn, "a", "z", true), "hedba");
        assert_eq!(keys(&txn, "c", "e", false), "d");
        assert_eq!(keys(&txn, "e", "c", false), "");
        assert_eq!(txn.get(b"d").expect("memory does not fail"), Some(Bytes::from("new")));
        assert_eq!(txn.get(b"f").expect("memory does not fail"), None);
        assert_eq!(txn.first(b"f", b"z").expect("memory does not fail").map(|(key, _)| key), Some(Bytes::from("h")));
    }
}
