//! An executor that does what the seed says: every attempt of every task has a fate of its own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sunaba_runtime::task::job::{NewPlan, Node};
use sunaba_runtime::task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, BoxFuture, Cause, Child, Disposition, ExecuteError,
    Executor, Failure, Fuel, Outcome, Payload, Plan, Receipt, Snooze, Stop, Task, TaskId,
};
use sunaba_runtime::worker::{Admission, NotAdmitted};

use super::book::{self, Book, Run};
use super::journal::Fault;
use super::shapes;

/// A later attempt succeeds soon, so that every task comes to an end.
const LAST_FATE: u32 = 8;
/// What an attempt uses at most that may use as much as it likes.
const FUEL: u64 = 20;
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
    /// Returns a plan.
    Decompose,
    /// Asks for children while it runs, and succeeds.
    Children,
    /// Uses all of the fuel that it may use.
    OutOfFuel,
}

/// What an attempt is.
struct Played {
    fate: Fate,
    takes: Duration,
    /// How much of the fuel that it may use, in 0..=100.
    uses_percent: u64,
}

fn played(seed: u64, number: u32, attempt: u32) -> Played {
    let mut hasher = DefaultHasher::new();
    (seed, number, attempt).hash(&mut hasher);
    let mut random = fastrand::Rng::with_seed(hasher.finish());
    let takes = match random.u32(..10) {
        0 => 0,
        1..7 => random.u64(..2_000),
        _ => random.u64(..20_000),
    };
    let fate = match random.u32(..26) {
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
        18..20 => Fate::Deaf,
        20..23 => Fate::Decompose,
        23..25 => Fate::Children,
        _ => Fate::OutOfFuel,
    };
    Played { fate, takes: Duration::from_millis(takes), uses_percent: random.u64(..=100) }
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
            let attributes = &request.context.attributes;
            let number = shapes::number(attributes);
            let Played { mut fate, takes, uses_percent } = played(self.seed, number, attempt);
            if matches!(fate, Fate::Decompose | Fate::Children) && !shapes::may_decompose(attributes) {
                fate = Fate::Succeed;
            }
            let limit = match request.limits.fuel {
                Fuel::Exact { limit } => limit,
                Fuel::Off => None,
            };
            if matches!(fate, Fate::OutOfFuel) && limit.is_none() {
                fate = Fate::Fail;
            }
            let uses_percent = if matches!(fate, Fate::OutOfFuel) { 100 } else { uses_percent };
            let used = limit.unwrap_or(FUEL) * uses_percent / 100;
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
                ended = self.play(fate, takes, &*host, number, attempt) => ended?,
            };
            let receipt = Receipt { fuel: Some(used), ..Receipt::unmeasured(request.component) };
            Ok(AttemptReport { result, receipt, logs: Vec::new() })
        })
    }
}

/// What tasks want of children is what the shapes of the world say.
impl Admission for Scripted {
    fn plan<'a>(&'a self, parent: &'a Task, _: Plan) -> BoxFuture<'a, Result<NewPlan, NotAdmitted>> {
        Box::pin(async { Ok(self.book.jobs.shapes.plan(parent, parent.attempts_started)) })
    }

    fn child<'a>(&'a self, parent: &'a Task, child: Child) -> BoxFuture<'a, Result<Node, NotAdmitted>> {
        Box::pin(async move { Ok(self.book.jobs.shapes.child(parent, &child.name)) })
    }
}

impl Scripted {
    async fn play(
        &self,
        fate: Fate,
        takes: Duration,
        host: &dyn AttemptHost,
        number: u32,
        attempt: u32,
    ) -> Result<AttemptResult, ExecuteError> {
        tokio::time::sleep(takes / 2).await;
        if matches!(fate, Fate::Children) {
            for name in shapes::names_of_children() {
                let (handler, input) = (String::new(), Payload::json("0"));
                let child = Child { name, handler, input, after: Vec::new(), settings: Vec::new() };
                // Its job may be stopping, or have spent its budgets.
                if host.submit_child(child).await.is_ok() {
                    self.book.fired(Fault::Child);
                }
            }
        }
        tokio::time::sleep(takes / 2).await;
        self.end(fate, number, attempt)
    }

    fn end(&self, fate: Fate, number: u32, attempt: u32) -> Result<AttemptResult, ExecuteError> {
        let failed = |disposition| {
            let (kind, message) = ("error".into(), "as it was written".into());
            Ok(AttemptResult::Failed(Failure { kind, message, detail: None, disposition }))
        };
        match fate {
            Fate::Succeed | Fate::Deaf | Fate::Children => {
                Ok(AttemptResult::Returned(Outcome::Complete(book::result(number, attempt, &self.worker))))
            }
            Fate::Fail => failed(Disposition::ByPolicy),
            Fate::FailForGood => failed(Disposition::Fatal),
            Fate::AskForRetry => failed(Disposition::RetryAfter(Duration::from_secs(2))),
            Fate::Decompose => {
                self.book.fired(Fault::Decompose);
                // Who admits it knows what is in it.
                let plan = Plan { children: Vec::new(), join: None, settings: Vec::new() };
                Ok(AttemptResult::Returned(Outcome::Decompose(plan)))
            }
            Fate::OutOfFuel => Ok(stop(Cause::Fuel)),
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
