//! What a simulation writes down: every event in its order, the faults that fired, and what was found wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::SimulatedClock;
use sunaba_runtime::task::Clock as _;

/// Lines that are kept for whoever looks for a mistake; all are in the digest.
const MAX_LINES: usize = 20_000;

/// What can go wrong in a simulated world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The process ends between two instructions.
    ProcessCrash,
    /// The disk fails before a commit is durable.
    CommitLost,
    /// The disk fails after it is, and before anybody is told.
    AnswerLost,
    /// A barrier takes seconds.
    SlowBarrier,
    /// A worker is gone without a word.
    WorkerKilled,
    /// A worker is stopped in good order.
    WorkerStopped,
    /// A worker hears nothing from the store until its leases have run out.
    WorkerCutOff,
    /// The wall clock is moved by an hour.
    ClockJump,
    /// Somebody cancels a task.
    Cancel,
    /// Somebody stops a queue for a while.
    Pause,
    /// Somebody has a task run again.
    Rerun,
    /// A unique key is another's.
    Taken,
    /// A task was not started in time.
    Expiry,
    /// A task follows another's end.
    Callback,
    /// Somebody cancels a job.
    JobCancel,
    /// Somebody has a job made over again.
    JobRetry,
    /// A task returns a plan.
    Decompose,
    /// A task that runs asks for a child.
    Child,
    /// What has succeeded is undone.
    Undo,
    /// A job has spent a budget.
    BudgetSpent,
    /// A call reaches the store twice.
    Doubled,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 21] = [
        Self::ProcessCrash,
        Self::CommitLost,
        Self::AnswerLost,
        Self::SlowBarrier,
        Self::WorkerKilled,
        Self::WorkerStopped,
        Self::WorkerCutOff,
        Self::ClockJump,
        Self::Cancel,
        Self::Pause,
        Self::Rerun,
        Self::Taken,
        Self::Expiry,
        Self::Callback,
        Self::JobCancel,
        Self::JobRetry,
        Self::Decompose,
        Self::Child,
        Self::Undo,
        Self::BudgetSpent,
        Self::Doubled,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProcessCrash => "process crashes",
            Self::CommitLost => "commit fails and is lost",
            Self::AnswerLost => "commit fails and is kept",
            Self::SlowBarrier => "barrier takes seconds",
            Self::WorkerKilled => "worker is killed",
            Self::WorkerStopped => "worker is stopped",
            Self::WorkerCutOff => "worker is cut off past its lease",
            Self::ClockJump => "clock jumps by an hour",
            Self::Cancel => "task is cancelled",
            Self::Pause => "queue is paused",
            Self::Rerun => "task is run again",
            Self::Taken => "unique key is taken",
            Self::Expiry => "task expires",
            Self::Callback => "callback follows",
            Self::JobCancel => "job is cancelled",
            Self::JobRetry => "job is made over again",
            Self::Decompose => "task returns a plan",
            Self::Child => "task asks for a child",
            Self::Undo => "what has succeeded is undone",
            Self::BudgetSpent => "budget of a job is spent",
            Self::Doubled => "call reaches the store twice",
        })
    }
}

/// Clones write into the same one.
#[derive(Clone)]
pub(super) struct Journal {
    clock: SimulatedClock,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    digest: DefaultHasher,
    lines: Vec<String>,
    problems: Vec<String>,
    fired: BTreeMap<Fault, u64>,
    acknowledged: u64,
    longest_recovery: Duration,
}

/// What is left of a journal at the end.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) digest: u64,
    pub(super) lines: Vec<String>,
    pub(super) problems: Vec<String>,
    pub(super) fired: BTreeMap<Fault, u64>,
    pub(super) acknowledged: u64,
    pub(super) longest_recovery: Duration,
}

impl Journal {
    pub(super) fn new(clock: SimulatedClock) -> Self {
        Self { clock, inner: Arc::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened.
    pub(super) fn write(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>9.3} {what}", self.clock.elapsed().as_secs_f64());
        let mut inner = self.inner();
        line.hash(&mut inner.digest);
        if inner.lines.len() < MAX_LINES {
            inner.lines.push(line);
        }
    }

    pub(super) fn fired(&self, fault: Fault) {
        *self.inner().fired.entry(fault).or_default() += 1;
        self.write(format_args!("FAULT {fault}"));
    }

    /// How often a fault has fired.
    pub(super) fn times(&self, fault: Fault) -> u64 {
        self.inner().fired.get(&fault).copied().unwrap_or_default()
    }

    pub(super) fn problem(&self, what: fmt::Arguments<'_>) {
        self.write(format_args!("WRONG {what}"));
        self.inner().problems.push(what.to_string());
    }

    pub(super) fn acknowledged(&self, operations: usize) {
        self.inner().acknowledged += operations as u64;
    }

    /// A task was taken back so long after its host was lost.
    pub(super) fn recovered(&self, after: Duration) {
        let mut inner = self.inner();
        inner.longest_recovery = inner.longest_recovery.max(after);
    }

    pub(super) fn finish(&self) -> Written {
        let mut inner = self.inner();
        let Inner { digest, lines, problems, fired, acknowledged, longest_recovery } = std::mem::take(&mut *inner);
        Written { digest: digest.finish(), lines, problems, fired, acknowledged, longest_recovery }
    }
}
