//! Barriers on a thread of their own, so that a turn is planned while the one before becomes durable.
//!
//! There is one at a time, and its answers are given by that thread as soon as it is over: whoever waits for them does not wait for
//! what is planned meanwhile, too.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

use crate::EngineError;
use crate::engine::Barrier;
use crate::planner::Answer;

/// The thread, once there was something for it to do.
#[derive(Default)]
pub(crate) struct Beside {
    jobs: Option<mpsc::Sender<Job>>,
}

/// A turn whose writes are applied, and not known to be durable.
pub(crate) struct Flight {
    /// What it has written.
    pub(crate) keys: Vec<Vec<u8>>,
    /// By the store's clock.
    pub(crate) begun: Duration,
    over: Arc<Over>,
}

/// What has come of a barrier, once it is over.
#[derive(Default)]
struct Over {
    done: Mutex<Option<Result<(), EngineError>>>,
    blocked: Condvar,
    waiting: Notify,
}

struct Job {
    barrier: Barrier,
    answers: Vec<Answer>,
    failure: Arc<OnceLock<EngineError>>,
    over: Teller,
}

/// Tells what has come of a barrier, if only that nobody knows.
struct Teller(Arc<Over>);

thread_local! {
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the thread of some store's barriers.
pub(crate) fn is_here() -> bool {
    IS_HERE.get()
}

impl Beside {
    /// Makes a turn durable and then gives its answers; after a failure, which is noted first, it drops them.
    pub(crate) fn begin(
        &mut self,
        barrier: Barrier,
        answers: Vec<Answer>,
        (keys, begun): (Vec<Vec<u8>>, Duration),
        failure: Arc<OnceLock<EngineError>>,
    ) -> Flight {
        let over = Arc::<Over>::default();
        let job = Job { barrier, answers, failure, over: Teller(Arc::clone(&over)) };
        let refused = match self.jobs() {
            Some(jobs) => jobs.send(job).err().map(|mpsc::SendError(job)| job),
            None => Some(job),
        };
        // There is no thread to be had: here, then.
        refused.into_iter().for_each(Job::run);
        Flight { keys, begun, over }
    }

    fn jobs(&mut self) -> Option<&mpsc::Sender<Job>> {
        if self.jobs.is_none() {
            let (sender, jobs) = mpsc::channel::<Job>();
            let run = move || {
                IS_HERE.set(true);
                jobs.into_iter().for_each(Job::run);
            };
            thread::Builder::new().name("sunaba-barrier".into()).spawn(run).ok()?;
            self.jobs = Some(sender);
        }
        self.jobs.as_ref()
    }
}

impl Flight {
    /// Waits until it is over, and holds up the thread meanwhile.
    ///
    /// # Errors
    /// The engine failed.
    pub(crate) fn land(&self) -> Result<(), EngineError> {
        let done = self.over.done.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.over.blocked.wait_while(done, |done| done.is_none()).unwrap_or_else(PoisonError::into_inner);
        done.clone().unwrap_or(Ok(()))
    }

    /// Waits until it is over.
    pub(crate) async fn landed(&self) {
        while !self.is_over() {
            self.over.waiting.notified().await;
        }
    }

    /// Whether [`land`](Self::land) has nothing to wait for.
    pub(crate) fn is_over(&self) -> bool {
        self.over.done.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Over {
    fn tell(&self, done: Result<(), EngineError>) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        self.blocked.notify_one();
        self.waiting.notify_one();
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let is_told = self.0.done.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !is_told {
            self.0.tell(Err(EngineError::new("cannot sync", "the thread for it has ended")));
        }
    }
}

impl Job {
    fn run(self) {
        let Self { barrier, answers, failure, over } = self;
        // With it goes what it has of the engine, which may be opened anew.
        let done = catch_unwind(AssertUnwindSafe(barrier))
            .unwrap_or_else(|panic| Err(EngineError::new("a barrier panicked", sunaba_task::panic_text(&*panic))));
        if let Err(error) = &done {
            let _ = failure.set(error.clone());
        }
        let is_durable = done.is_ok();
        // Before the answers: one of them may drop the store, which waits for the commit thread, which waits for this.
        over.0.tell(done);
        if is_durable {
            for answer in answers {
                // Of somebody who is woken by it, and nobody else's concern.
                if catch_unwind(AssertUnwindSafe(answer)).is_err() {
                    tracing::error!("whoever was told of a change panicked");
                }
            }
        }
    }
}
