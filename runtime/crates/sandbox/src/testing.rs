//! What stands behind host functions, for tests that call them without a guest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sunaba_task::{AttemptHost, Cause, ClockAccess, Grants, Limits, Unattended};

use crate::book::Book;
use crate::clock::now;
use crate::guest_clock::GuestClock;
use crate::interrupt::{Halt, Interrupt};
use crate::sight::Sight;
use crate::state::{Means, Purpose, State, with_files};
use crate::wasi_random::Random;

/// An attempt's state with these limits, and a directory that it may write to as `/data`.
pub(crate) fn state(limits: &Limits, data: Option<&Path>) -> State {
    state_for(limits, data, Arc::new(Unattended))
}

/// The same, watched.
pub(crate) fn state_for(limits: &Limits, data: Option<&Path>, host: Arc<dyn AttemptHost>) -> State {
    let begun = now();
    let book = Book::new(limits, begun, Arc::clone(&host));
    let grant = |data: &Path| format!("{}::/data:rw", data.display()).parse().expect("a grant");
    let grants = Grants { dirs: data.map(grant).into_iter().collect(), ..Grants::default() };
    let files = data.map(|_| with_files(&grants, None, &book).expect("the directory is there"));
    let clock = GuestClock::new(begun, ClockAccess::Coarse, None);
    let means = Means { files, env: Vec::new(), clock, random: Random::new(limits, None) };
    let interrupt = Arc::new(Interrupt::new(begun, limits.timeout));
    State::new(Purpose::Run, limits, means, interrupt, Arc::new(Sight::new(begun, true)), book, host)
}

/// A folder that is gone with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sunaba-unit-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("it is not there yet");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Why a host function has ended the attempt.
pub(crate) fn cause(error: &wasmtime::Error) -> Option<Cause> {
    error.downcast_ref::<Halt>().map(|halt| halt.cause.clone())
}

/// Runs what waits for files.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
