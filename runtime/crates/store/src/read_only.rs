//! What becomes of a store that has failed: it shows what is durable, for as long as anybody has it.
//!
//! The planner of the failed turn is gone, since it may know what the disk does not. Another one is made of what the engine
//! has, without the keys that were written since the last barrier.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::mpsc;

use crate::commit::Request;
use crate::engine::Rest;
use crate::planner::{Batch, Planner, SharedClock, Turn};
use crate::{Engine, EngineError, codec, keys};

/// A store that has failed.
pub(crate) struct ReadOnly {
    /// None: what is left cannot be read, and nothing is shown.
    view: Option<(Planner, Rest)>,
    /// Whether every setting is known.
    has_settings: bool,
    clock: SharedClock,
}

impl ReadOnly {
    /// What is left of this engine, of which nobody knows what these keys have.
    pub(crate) fn new(
        mut engine: Box<dyn Engine>,
        clock: SharedClock,
        error: EngineError,
        written: impl Iterator<Item = Vec<u8>>,
    ) -> Self {
        // What is wrong with the engine may keep it from being read, too.
        let view = catch_unwind(AssertUnwindSafe(|| {
            if let Err(error) = engine.revive() {
                tracing::error!(%error, "what is left of the store cannot be read");
                return None;
            }
            let unknown = unknown(&*engine, written);
            tracing::error!(keys = unknown.len(), "what was written last may be lost, and is not shown");
            let has_settings = !unknown.iter().any(|key| keys::is_setting(key));
            let mut rest = Rest::new(engine, error, unknown);
            let planner = Planner::view(&mut Turn::new(&rest, &*clock))
                .inspect_err(|error| tracing::error!(%error, "what is left of the store cannot be read"));
            rest.refuse_unknown();
            Some((planner.ok()?, rest, has_settings))
        }));
        match view.ok().flatten() {
            Some((planner, rest, has_settings)) => Self { view: Some((planner, rest)), has_settings, clock },
            None => Self { view: None, has_settings: false, clock },
        }
    }

    /// Serves what was gathered, and then all that comes until the last sender is gone.
    pub(crate) async fn serve(self, gathered: Vec<Request>, mut requests: mpsc::Receiver<Request>) {
        gathered.into_iter().for_each(|request| self.answer(request));
        while let Some(request) = requests.recv().await {
            self.answer(request);
        }
    }

    /// A request that is dropped tells its caller of the failure.
    fn answer(&self, request: Request) {
        let read = match request {
            Request::Change(_) | Request::Copy(_) => return,
            Request::Settings(_) if !self.has_settings => return,
            Request::Records(read) | Request::Settings(read) => read,
        };
        if let Some((planner, rest)) = &self.view {
            // A panic tells its own caller, and concerns nobody else.
            let _ = catch_unwind(AssertUnwindSafe(|| read(planner, &Turn::new(rest, &*self.clock))));
        }
    }
}

/// These keys, and the records of which nobody knows whether they run.
fn unknown(engine: &dyn Engine, written: impl Iterator<Item = Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let mut unknown = BTreeSet::new();
    for key in written {
        if key.first() == Some(&b'l')
            && let Ok(Some(stored)) = engine.get(&key)
            && let Ok(batch) = codec::read::<Batch>(&key, &stored)
        {
            unknown.extend(batch.entries.iter().map(|entry| keys::task(entry.task)));
        }
        unknown.insert(key);
    }
    unknown
}
