//! An executor that does what the seed says: every attempt of every task has a fate of its own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sunaba_runtime::task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Cause, Disposition, ExecuteError, Executor,
    Failure, Outcome, Receipt, Snooze, Stop, TaskId,
};

use super::book::{self, Book, Run};

/// A later attempt succeeds soon, so that every task comes to an end.
const LAST_FATE: u32 = 8;
/// What listens to its worker has ended so long after it was told to.
const MOMENT: Duration = Duration::from_millis(10);

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Succeed,
    Fail,
    FailForGood,
    AskForRetry,
    TimeOut,
    Snooze,
    HostFails,
    HostPanics,
    /// Succeeds, whatever it is told meanwhile.
    Deaf,
    /// The executor is closing.
    Closing,
}

fn fate(seed: u64, number: u32, attempt: u32) -> (Fate, Duration) {
    let mut hasher = DefaultHasher::new();
    (seed, number, attempt).hash(&mut hasher);
    let mut random = fastrand::Rng::with_seed(hasher.finish());
    let takes = match random.u32(..10) {
        0 => 0,
        1..7 => random.u64(..2_000),
        _ => random.u64(..20_000),
    };
    let fate = match random.u32(..20) {
        _ if attempt > LAST_FATE => Fate::Succeed,
        0..8 => Fate::Succeed,
        8..11 => Fate::Fail,
        11 => Fate::FailForGood,
        12 => Fate::AskForRetry,
        13 => Fate::TimeOut,
        14 => Fate::Snooze,
        15 => Fate::HostFails,
        16 => Fate::HostPanics,
        17 => Fate::Closing,
        _ => Fate::Deaf,
    };
    (fate, Duration::from_millis(takes))
}

/// The executor of one worker.
pub(super) struct Scripted {
    pub(super) seed: u64,
    pub(super) worker: String,
    pub(super) is_remote: bool,
    pub(super) book: Arc<Book>,
    pub(super) dead: Arc<AtomicBool>,
}

/// An attempt that runs, until it is dropped.
struct Running<'a> {
    book: &'a Book,
    dead: &'a AtomicBool,
    task: TaskId,
    attempt: u32,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.dead.load(Ordering::Relaxed) {
            self.book.ends(self.task, self.attempt);
        }
    }
}

impl Executor for Scripted {
    fn execute(
        &self,
        request: AttemptRequest,
        host: Arc<dyn AttemptHost>,
    ) -> BoxFuture<'_, Result<AttemptReport, ExecuteError>> {
        Box::pin(async move {
            let (task, attempt) = (request.context.task_id, request.context.attempt);
            let number = book::number(&request.context.attributes);
            let (fate, takes) = fate(self.seed, number, attempt);
            let listens = !matches!(fate, Fate::Deaf);
            if self.dead.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let late = self.book.begins(task, attempt, Run { listens, is_remote: self.is_remote });
            if !late.is_empty() {
                let book = Arc::clone(&self.book);
                tokio::spawn(async move {
                    tokio::time::sleep(MOMENT).await;
                    book.check_has_ended(task, &late);
                });
            }
            let _running = Running { book: &self.book, dead: &self.dead, task, attempt };
            let told = async { if listens { host.stopped().await } else { std::future::pending().await } };
            let result = tokio::select! {
                biased;
                cause = told => stop(cause),
                () = tokio::time::sleep(takes) => self.end(fate, number, attempt)?,
            };
            Ok(AttemptReport { result, receipt: Receipt::unmeasured(request.component), logs: Vec::new() })
        })
    }
}

impl Scripted {
    fn end(&self, fate: Fate, number: u32, attempt: u32) -> Result<AttemptResult, ExecuteError> {
        let failed = |disposition| {
            let (kind, message) = ("error".into(), "as it was written".into());
            Ok(AttemptResult::Failed(Failure { kind, message, detail: None, disposition }))
        };
        match fate {
            Fate::Succeed | Fate::Deaf => {
                Ok(AttemptResult::Returned(Outcome::Complete(book::result(number, attempt, &self.worker))))
            }
            Fate::Fail => failed(Disposition::ByPolicy),
            Fate::FailForGood => failed(Disposition::Fatal),
            Fate::AskForRetry => failed(Disposition::RetryAfter(Duration::from_secs(2))),
            Fate::TimeOut => Ok(stop(Cause::Timeout)),
            Fate::Snooze => {
                let snooze = Snooze { delay: Duration::from_secs(3), reason: String::new(), until_completed: false };
                Ok(AttemptResult::Returned(Outcome::Snooze(snooze)))
            }
            Fate::HostFails => Err(ExecuteError::Internal("as it was written".into())),
            Fate::Closing => Err(ExecuteError::Closed),
            // A panic that says nothing on standard error.
            Fate::HostPanics => std::panic::resume_unwind(Box::new("as it was written")),
        }
    }
}

fn stop(cause: Cause) -> AttemptResult {
    AttemptResult::Stopped(Stop { cause, message: "stopped".into(), backtrace: Vec::new() })
}
