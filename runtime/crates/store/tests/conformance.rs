//! The embedded store conforms on both engines.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sunaba_store::conformance::Subject;
use sunaba_store::{EmbeddedStore, ManualClock, MemoryEngine, SledEngine, Store};
use sunaba_task::Timestamp;

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_ms(1_767_225_600_000))
}

mod memory {
    use super::*;

    struct Memory {
        clock: ManualClock,
        engine: MemoryEngine,
        store: Option<EmbeddedStore>,
    }

    impl Memory {
        fn new() -> Self {
            let mut new = Self { clock: clock(), engine: MemoryEngine::default(), store: None };
            new.open();
            new
        }

        fn open(&mut self) {
            let opened = EmbeddedStore::open(self.engine.clone(), Arc::new(self.clock.clone()));
            self.store = Some(opened.expect("memory opens"));
        }
    }

    impl Subject for Memory {
        fn store(&self) -> Arc<dyn Store> {
            Arc::new(self.store.clone().expect("it is open"))
        }

        fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }

        fn restart(&mut self) {
            // Nothing is done by the one before any more, when the next looks at what there is.
            self.store = None;
            self.open();
        }
    }

    sunaba_store::conformance_tests!(Memory::new());
}

mod sled {
    use super::*;

    /// A folder that goes with the test.
    struct Sled {
        clock: ManualClock,
        directory: PathBuf,
        store: Option<EmbeddedStore>,
    }

    impl Sled {
        fn new() -> Self {
            let directory = std::env::temp_dir().join(format!("sunaba-conformance-{:016x}", fastrand::u64(..)));
            let mut sled = Self { clock: clock(), directory, store: None };
            sled.restart();
            sled
        }
    }

    impl Subject for Sled {
        fn store(&self) -> Arc<dyn Store> {
            Arc::new(self.store.clone().expect("it is open"))
        }

        fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }

        fn restart(&mut self) {
            // The directory is held until the last handle is gone.
            self.store = None;
            let engine = SledEngine::open(&self.directory).expect("the directory is free");
            self.store = Some(EmbeddedStore::open(engine, Arc::new(self.clock.clone())).expect("it can be read"));
        }
    }

    impl Drop for Sled {
        fn drop(&mut self) {
            self.store = None;
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    sunaba_store::conformance_tests!(Sled::new());
}
