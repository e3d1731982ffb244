//! What is left of an engine that has failed: all but the keys of which nobody knows what is durable.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Engine, EngineError, Pair, Writes};

/// An engine that has failed. It writes nothing any more.
pub(crate) struct Rest {
    engine: Box<dyn Engine>,
    error: EngineError,
    /// Written since the last barrier that succeeded.
    unknown: BTreeSet<Vec<u8>>,
    /// Whether a key that is not known counts as one that is not there.
    is_lenient: bool,
}

impl Rest {
    /// What is left. It begins lenient, for whoever reads what can be kept in memory: see [`Rest::refuse_unknown`].
    pub(crate) fn new(engine: Box<dyn Engine>, error: EngineError, unknown: BTreeSet<Vec<u8>>) -> Self {
        Self { engine, error, unknown, is_lenient: true }
    }

    /// From now on, whoever asks for a key that is not known is told so.
    pub(crate) fn refuse_unknown(&mut self) {
        self.is_lenient = false;
    }
}

impl Engine for Rest {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.unknown.contains(key) {
            false => self.engine.get(key),
            true if self.is_lenient => Ok(None),
            true => Err(self.error.clone()),
        }
    }

    /// What is not known is left out: one key of a list must not hide all of the others.
    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
        reverse: bool,
    ) -> Box<dyn Iterator<Item = Result<Pair, EngineError>> + 'a> {
        let is_known = |pair: &Result<Pair, EngineError>| {
            pair.as_ref().map_or(true, |(key, _)| !self.unknown.contains(key.as_ref()))
        };
        Box::new(self.engine.scan(from, to, reverse).filter(is_known))
    }

    fn apply(&mut self, _: &Writes) -> Result<(), EngineError> {
        Err(self.error.clone())
    }

    fn barrier(&mut self) -> Result<(), EngineError> {
        Err(self.error.clone())
    }
}
