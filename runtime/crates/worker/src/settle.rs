//! The end of attempts: what follows is decided, and their leases are closed, many in one call.

use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{SettleError, Settlement, StoreError};
use sunaba_task::trace::TaskTrace;
use sunaba_task::{
    AttemptDetail, AttemptReport, AttemptResult, LeaseToken, Observation, Outcome, Payload, Receipt, Task, Timestamp,
    decide,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::field::display;

use crate::decider::{About, Deciding, Ruling};

/// A store that is busy is asked again after this long, and then after longer, as long as the session lives.
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// An attempt that has ended, or was never begun.
pub(crate) struct Ended<K> {
    pub(crate) token: LeaseToken,
    /// The record as it was decided about.
    pub(crate) task: Task,
    pub(crate) seen: Observation,
    /// When it began by the store's clock, and by ours.
    pub(crate) started_at: Timestamp,
    pub(crate) begun: Instant,
    /// How long it had waited for its slot.
    pub(crate) waited: Duration,
    /// What its decider is told. None: the built-in rules decide.
    pub(crate) about: Option<Box<About>>,
    /// What its decider has said, until the record moves: it is not asked anew because the store is busy.
    pub(crate) ruling: Option<Box<Ruling>>,
    /// Kept until it is settled, or dropped.
    pub(crate) _kept: (Option<K>, Option<OwnedSemaphorePermit>),
}

impl<K> Ended<K> {
    /// Has its decider asked, if it has one and nothing is decided yet. Before the settlers have it: they have others to settle.
    pub(crate) async fn decide(&mut self, deciding: &Deciding<'_>) {
        if let Some(about) = self.about.as_ref().filter(|_| self.ruling.is_none()) {
            let ruling = deciding.rule(about, &self.task, &self.seen, self.now()).await;
            self.ruling = Some(Box::new(ruling));
        }
    }

    /// By the store's clock, as far as a worker can know it: from the beginning on, it counts itself.
    fn now(&self) -> Timestamp {
        self.started_at.after(self.begun.elapsed())
    }
}

/// Decides what follows, and settles; again while records move or the store is busy. `told` hears how long the store took. Whoever
/// runs this ends it when the session is over: until then the leases are ours, and nobody else will end them.
pub(crate) async fn settle<K>(deciding: &Deciding<'_>, ended: Vec<Ended<K>>, told: impl Fn(Duration)) {
    let mut left = vec![ended];
    // One call after another, each of which may be made again.
    while let Some(batch) = left.pop() {
        if let Some(others) = settle_batch(deciding, batch, &told).await {
            left.extend(others.into_iter().map(|one| vec![one]));
        }
    }
}

/// Settles all of them in one call, as often as it takes; those of which it is not known whose fault it is that this fails.
async fn settle_batch<K>(
    deciding: &Deciding<'_>,
    mut left: Vec<Ended<K>>,
    told: &impl Fn(Duration),
) -> Option<Vec<Ended<K>>> {
    let mut pause = PAUSE;
    while !left.is_empty() {
        for ended in &mut left {
            ended.decide(deciding).await;
        }
        let asked = Instant::now();
        match deciding.store.settle(left.iter().map(settlement).collect()).await {
            Ok(answers) => {
                told(asked.elapsed());
                let answered = left.into_iter().zip(answers);
                left = answered.filter_map(|(ended, answer)| unsettled(deciding, ended, answer)).collect();
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(attempts = left.len(), %error, "ends of attempts are not recorded yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            // A record that is damaged, say: of the others nothing is wrong.
            Err(StoreError::Damaged { .. }) if left.len() > 1 => return Some(left),
            Err(error) => {
                let task = left.first().map(|ended| ended.task.id.to_string());
                tracing::error!(task, attempts = left.len(), %error, "ends of attempts could not be recorded");
                return None;
            }
        }
    }
    None
}

/// What is to be settled again, by what the store has answered.
fn unsettled<K>(deciding: &Deciding<'_>, ended: Ended<K>, answer: Result<Task, SettleError>) -> Option<Ended<K>> {
    match (answer, ended.seen) {
        (Ok(task), _) => {
            let (id, state, attempt) = (task.id, task.state.name(), task.attempts_started);
            // Without a collector there is no span of that name, and no reason to make one up for each line.
            let place = || deciding.is_traced.then(|| display(TaskTrace::of(&task).of_attempt(attempt)));
            tracing::info!(task = %id, traceparent = place(), handler = %task.spec.handler, attempt, %state, "settled");
            None
        }
        (Err(SettleError::Stale(moved)), seen) => Some(Ended { task: *moved, seen, ruling: None, ..ended }),
        (Err(SettleError::Plan(refused)), seen)
            if ended.ruling.as_ref().is_some_and(|ruling| ruling.plan.is_some()) =>
        {
            let mut about = ended.about;
            about.iter_mut().for_each(|about| about.refuse_plan(&refused.to_string()));
            Some(Ended { seen, about, ruling: None, ..ended })
        }
        (Err(SettleError::Plan(refused)), Observation::Decomposed { report, .. }) => {
            let seen = Observation::PlanRefused { report, reason: refused.to_string() };
            Some(Ended { seen, ..ended })
        }
        (Err(error), _) => {
            tracing::warn!(task = %ended.task.id, %error, "an attempt's end was not recorded");
            None
        }
    }
}

fn settlement<K>(ended: &Ended<K>) -> Settlement {
    let Ended { token, task, seen, .. } = ended;
    let report = seen.report();
    let ruling = ended.ruling.as_ref();
    let plan = match (ruling.and_then(|ruling| ruling.plan.as_ref()), seen) {
        (Some(plan), _) | (None, Observation::Decomposed { plan, .. }) => Some(Arc::clone(plan)),
        (None, _) => None,
    };
    let mut detail = report.map(detail).unwrap_or_default();
    detail.decider = ruling.and_then(|ruling| ruling.record.clone());
    Settlement {
        token: *token,
        revision: task.revision,
        ending: seen.ending(),
        decision: ruling.map_or_else(|| decide(task, seen, ended.now()), |ruling| ruling.decision.clone()),
        receipt: report.map(|report| Receipt { queue_wait: Some(ended.waited), ..report.receipt.clone() }),
        output: report.and_then(|report| output(report)).cloned(),
        detail,
        plan,
    }
}

fn output(report: &AttemptReport) -> Option<&Payload> {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => Some(output),
        _ => None,
    }
}

/// About how much an attempt has given that is kept until it is settled, in bytes.
pub(crate) fn kept_bytes(seen: &Observation) -> usize {
    match seen {
        Observation::Reported(report) => {
            let said: usize = report.logs.iter().map(|entry| entry.message.len()).sum();
            output(report).map_or(0, |output| output.bytes.len()).saturating_add(said)
        }
        // Nobody counts what a plan takes: it may be large.
        Observation::Decomposed { .. } => usize::MAX,
        _ => 0,
    }
}

fn detail(report: &AttemptReport) -> AttemptDetail {
    let (failure_detail, backtrace) = match &report.result {
        AttemptResult::Failed(failure) => (failure.detail.clone(), Vec::new()),
        AttemptResult::Stopped(stop) => (None, stop.backtrace.clone()),
        AttemptResult::Returned(_) => (None, Vec::new()),
    };
    AttemptDetail { failure_detail, backtrace, logs: report.logs.clone(), decider: None }
}
