//! The slots: what is leased and waits for one, what runs in them, and who settles what has ended.
//!
//! A slot is a task of the runtime that runs one attempt after another while there are any, so that the next one begins without
//! that anybody is woken. What has not begun has no watch, holds no memory, and its time has not begun.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sunaba_store::{LeaseRequest, Leased, StoreError};
use sunaba_task::trace::{AttemptSeen, attempt_spans};
use sunaba_task::{AttemptHost, Executor, Observation, SessionId, State, TaskId};
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::held::{Held, Known};
use super::{Attempts, BEAT, Shared};
use crate::asks::Asks;
use crate::attempt;
use crate::decider::{self, Deciding};
use crate::session::{self, Over};
use crate::settle::{self, kept_bytes};
use crate::watch::Watch;

/// How long one request for work waits; the next follows at once.
const LEASE_WAIT: Duration = BEAT;
/// How long a slot may take to stop that is dropped: a guest that computes looks once in a tick.
const STOPS_TIME: Duration = Duration::from_millis(500);
/// What the host says of an attempt's lines, beyond what these have.
const MARKS_BYTES: u64 = 4 << 10;
/// Attempts that are settled in one call.
const MAX_SETTLED: usize = 256;
/// Calls that settle at the same time: while the store is at one, the next waits for its turn there, and others gather here.
const SETTLERS: usize = 2;
/// Attempts that have ended and are being settled, for each slot: their slots are free for others already.
pub(super) const SETTLING_PER_SLOT: usize = 256;
/// One with so many bytes of output and logs counts twice, and so on, up to [`MAX_SETTLING_WEIGHT`]: large ones are few.
const SETTLING_BYTES: usize = 4 << 10;
const MAX_SETTLING_WEIGHT: usize = 32;

pub(super) type Ended = settle::Ended<Known>;

/// What runs for a session. Dropped, all of it is stopped.
pub(super) struct Running {
    slots: JoinSet<()>,
    settlers: JoinSet<()>,
}

/// A lease that has no slot yet.
pub(super) struct Waiting {
    leased: Leased,
    since: Instant,
}

/// What is leased, and in use.
#[derive(Default)]
pub(super) struct Line {
    /// The oldest lease first.
    waiting: VecDeque<Waiting>,
    /// One more for each slot in use.
    busy: Arc<()>,
    /// To the settlers; none once all is said.
    ended: Option<mpsc::UnboundedSender<Ended>>,
}

impl Line {
    /// Slots in use.
    pub(super) fn busy(&self) -> usize {
        Arc::strong_count(&self.busy) - 1
    }
}

/// A slot in use, until it is dropped.
struct Slot {
    shared: Arc<Shared>,
    /// None once it is given back.
    busy: Option<Arc<()>>,
}

impl Slot {
    /// What is to run next; with nothing there the slot is free, for whoever looks from then on.
    fn next(&mut self) -> Option<Waiting> {
        let next = {
            // Before the attempts, as everywhere: whoever changes the number holds nothing else.
            let slots = *self.shared.slots.borrow();
            let mut attempts = self.shared.attempts();
            // One that was stopped and has not heard of it yet is no slot of the session that is there now.
            let is_ours = self.busy.as_ref().is_some_and(|busy| Arc::ptr_eq(busy, &attempts.line.busy));
            // One slot too many since somebody has set fewer is given up.
            let is_too_many = attempts.line.busy() > slots;
            let next = if is_ours && !is_too_many { attempts.line.waiting.pop_front() } else { None };
            match next {
                // Under the lock: whoever finds nothing to do is free for what comes.
                None => self.busy = None,
                Some(_) => attempts.ahead.begin(Instant::now()),
            }
            next
        };
        self.shared.room.notify_one();
        next
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.busy.take().is_some() {
            self.shared.room.notify_one();
        }
    }
}

/// What to ask the store for.
enum Wish {
    Lease {
        slots: usize,
        wait: Duration,
    },
    /// Give back what waits too long.
    GiveBack(Vec<Waiting>),
    /// Nothing, until there is room, or until then.
    Later(Option<Instant>),
}

impl Attempts {
    /// `is_dry`: the last answer had less than was asked for.
    fn wish(&mut self, slots: usize, is_dry: bool) -> Wish {
        let (now, patience) = (Instant::now(), self.ahead.patience());
        let free = slots.saturating_sub(self.line.busy());
        let overdue = self.line.waiting.iter().take_while(|waiting| waiting.since + patience <= now).count();
        if free == 0 && overdue > 0 {
            return Wish::GiveBack(self.line.waiting.drain(..overdue).collect());
        }
        // Whoever waits for work wants it for slots that stand idle. What there is for others, he will see when he has that.
        let wanted = if is_dry { 0 } else { self.ahead.count(slots, now) };
        let room = wanted.saturating_sub(self.line.waiting.len());
        match free + room {
            0 => Wish::Later(self.line.waiting.front().map(|oldest| oldest.since + patience)),
            count if room > 0 => Wish::Lease { slots: count, wait: self.ahead.round_trip() },
            count => Wish::Lease { slots: count, wait: LEASE_WAIT },
        }
    }
}

impl Shared {
    /// Begins a session's work: nothing is known of the one before any more.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        let (ended, receiver) = mpsc::unbounded_channel();
        *self.attempts() = Attempts { line: Line { ended: Some(ended), ..Line::default() }, ..Attempts::default() };
        let receiver = Arc::new(Mutex::new(receiver));
        let mut settlers = JoinSet::new();
        for _ in 0..SETTLERS {
            settlers.spawn(Arc::clone(self).settle(Arc::clone(&receiver)));
        }
        Running { slots: JoinSet::new(), settlers }
    }

    /// Settles what has ended, until nobody can say any more that something has.
    async fn settle(self: Arc<Self>, ended: Arc<Mutex<mpsc::UnboundedReceiver<Ended>>>) {
        loop {
            let mut batch = Vec::new();
            if ended.lock().await.recv_many(&mut batch, MAX_SETTLED).await == 0 {
                return;
            }
            settle::settle(&self.deciding(), batch, |took| self.attempts().ahead.trip(took)).await;
        }
    }

    /// Leases tasks and has them run, for ever.
    pub(super) async fn lease(self: &Arc<Self>, session: SessionId, running: &mut Running) -> Over {
        // Before the first task: what cannot be run is not begun.
        let unready = self.unready.borrow().clone();
        if !unready.is_empty()
            && let Some(over) = self.set_unready(session, unready).await
        {
            return over;
        }
        let mut is_dry = true;
        loop {
            self.fill(running);
            self.beats.fetch_add(1, Ordering::Relaxed);
            if running.settlers.try_join_next().is_some() {
                // One has panicked: what has ended may wait for it for ever.
                tracing::error!("attempts are not settled any more; the session is given up");
                return Over::Lost;
            }
            let slots = *self.slots.borrow();
            let wish = self.attempts().wish(slots, is_dry);
            let (slots, wait) = match wish {
                Wish::Lease { slots, wait } => (slots, wait),
                Wish::GiveBack(waiting) => {
                    self.give_back(waiting);
                    continue;
                }
                Wish::Later(until) => {
                    self.room_until(until).await;
                    continue;
                }
            };
            match self.store.lease(LeaseRequest { session, queues: self.config.queues.clone(), slots, wait }).await {
                Ok(leased) => {
                    is_dry = leased.len() < slots;
                    self.take(leased);
                }
                Err(StoreError::SessionLost) => return Over::Lost,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "no tasks could be leased");
                    tokio::time::sleep(session::PAUSE).await;
                }
                Err(error) => return Over::Store(error),
            }
        }
    }

    /// Waits until a slot has been given back or taken, at most until then.
    async fn room_until(&self, until: Option<Instant>) {
        match until {
            // Who loses has waited long enough, or is told again.
            Some(until) => drop(tokio::time::timeout_at(until, self.room.notified()).await),
            None => drop(tokio::time::timeout(BEAT, self.room.notified()).await),
        }
    }

    /// Puts leases in line; what was cancelled while they were under way is never begun.
    fn take(self: &Arc<Self>, leased: Vec<Leased>) {
        let (since, mut cancelled) = (Instant::now(), Vec::new());
        {
            let mut attempts = self.attempts();
            for leased in leased {
                let is_cancelled = attempts.cancelled_early.remove(&leased.task.id).is_some();
                let waiting = Waiting { leased, since };
                if is_cancelled { cancelled.push(waiting) } else { attempts.line.waiting.push_back(waiting) }
            }
            // What is not known by now has ended meanwhile.
            attempts.cancelled_early.clear();
        }
        self.give_back(cancelled);
    }

    /// Has free slots begin what waits.
    fn fill(self: &Arc<Self>, running: &mut Running) {
        let busy: Vec<_> = {
            let slots = *self.slots.borrow();
            let attempts = self.attempts();
            let free = slots.saturating_sub(attempts.line.busy());
            let begin = free.min(attempts.line.waiting.len());
            // All of them under the lock: nobody is to count one more than there are.
            std::iter::repeat_n(Arc::clone(&attempts.line.busy), begin).collect()
        };
        for busy in busy {
            let slot = Slot { shared: Arc::clone(self), busy: Some(busy) };
            running.slots.spawn(beside(Arc::clone(&self.executor), Arc::clone(self).run_slot(slot)));
        }
        while let Some(ended) = running.slots.try_join_next() {
            // Host code that panics is caught where it runs; this is ours, and its lease is held until the session ends.
            if let Err(error) = ended {
                tracing::error!(%error, "an attempt was not settled");
            }
        }
    }

    /// Runs attempt after attempt.
    async fn run_slot(self: Arc<Self>, mut slot: Slot) {
        while let Some(waiting) = slot.next() {
            let ended = self.attempt(waiting).await;
            self.send(ended);
            // Short attempts wait for nothing: whatever else runs here has its turn now and then.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Runs what was leased; it may be settled when this returns.
    async fn attempt(self: &Arc<Self>, waiting: Waiting) -> Ended {
        let Waiting { mut leased, since } = waiting;
        let begun = Instant::now();
        let waited = begun.duration_since(since);
        // Its time begins here, and not when it was leased.
        if let State::Running(lease) = &mut leased.task.state {
            lease.started_at = lease.started_at.after(waited);
        }
        let started_at = attempt::started_at(&leased.task);
        let watch = self.watch(&leased, begun);
        let known = Known { shared: Arc::clone(self), task: leased.task.id, watch: Arc::clone(&watch) };
        let held = Held::new(self, leased.task.spec.limits.host_bytes());
        let (spans, host) = (self.config.spans.sink(), Arc::clone(&watch) as Arc<dyn AttemptHost>);
        let seen = attempt::execute(&*self.executor, &leased, host, spans.is_some()).await;
        let about = decider::about(&leased, &seen).map(Box::new);
        let seen = attempt::admit(&*self.admission, &leased.task, &*watch, begun, seen).await;
        watch.ended();
        if let Some(spans) = spans {
            let calls = watch.take_calls();
            let (ending, took) = (seen.ending(), begun.elapsed());
            let receipt = seen.report().map(|report| &report.receipt);
            let (task, ending) = (&leased.task, &ending);
            spans.take(attempt_spans(AttemptSeen { task, started_at, waited, took, ending, receipt, calls }));
        }
        drop(held);
        self.attempts().ahead.end(begun.elapsed());
        // Before the slot is given back: that bounds how many wait to be settled.
        let settling = self.settling(&seen).await;
        let Leased { token, task, .. } = leased;
        let _kept = (Some(known), settling);
        let mut ended = Ended { token, task, seen, started_at, begun, waited, about, ruling: None, _kept };
        ended.decide(&self.deciding()).await;
        ended
    }

    fn deciding(&self) -> Deciding<'_> {
        let is_traced = self.config.spans.sink().is_some();
        Deciding { store: &*self.store, executor: &*self.executor, admission: &*self.admission, is_traced }
    }

    async fn settling(&self, seen: &Observation) -> Option<OwnedSemaphorePermit> {
        let weight = 1 + (kept_bytes(seen) / SETTLING_BYTES).min(MAX_SETTLING_WEIGHT - 1);
        // There are more than that of them; the other error would be that nobody settles any more.
        Arc::clone(&self.settling).acquire_many_owned(u32::try_from(weight).unwrap_or(1)).await.ok()
    }

    fn watch(self: &Arc<Self>, leased: &Leased, begun: Instant) -> Arc<Watch> {
        let (task, token) = (&leased.task, leased.token);
        let limits = &task.spec.limits;
        // The host's own marks come on top, one line each.
        let said =
            limits.log_bytes.saturating_add(limits.stdout_bytes).saturating_add(limits.stderr_bytes) + MARKS_BYTES;
        let (store, admission) = (Arc::clone(&self.store), Arc::clone(&self.admission));
        let asks = Asks { store, admission, task: task.clone(), token };
        let watch = Watch::new(token, task.attempts_started, said, Arc::clone(&self.progressed)).asking(asks);
        let watch = watch.with_artifacts(&self.store, limits.artifact_bytes);
        let is_traced = self.config.spans.sink().is_some();
        let watch = Arc::new(if is_traced { watch.tracing(begun.into_std()) } else { watch });
        let cancelled = {
            let mut attempts = self.attempts();
            attempts.watches.insert(task.id, Arc::clone(&watch));
            attempts.cancelled_early.remove(&task.id)
        };
        if let Some(cancelled) = cancelled {
            self.cancel(cancelled);
        }
        watch
    }

    /// Has the settlers settle it. Not under the lock: what is not taken is dropped here, and looks at it.
    fn send(&self, ended: Ended) {
        let settlers = self.attempts().line.ended.clone();
        if let Some(settlers) = settlers {
            let _ = settlers.send(ended);
        }
    }

    /// Settles what has not begun, so that it waits in its queue again, or is cancelled.
    fn give_back(&self, waiting: Vec<Waiting>) {
        if !waiting.is_empty() {
            tracing::debug!(tasks = waiting.len(), "tasks are given back that had no slot");
        }
        for Waiting { leased: Leased { token, task, .. }, since } in waiting {
            let (started_at, waited) = (attempt::started_at(&task), Duration::ZERO);
            let seen = Observation::NotBegun;
            let (about, ruling, _kept) = (None, None, (None, None));
            self.send(Ended { token, task, seen, started_at, begun: since, waited, about, ruling, _kept });
        }
    }

    /// Gives a task back that waits for a slot; whether it does.
    pub(super) fn give_back_one(&self, task: TaskId) -> bool {
        let waiting = {
            let line = &mut self.attempts().line;
            let place = line.waiting.iter().position(|waiting| waiting.leased.task.id == task);
            place.and_then(|place| line.waiting.remove(place))
        };
        let waits = waiting.is_some();
        self.give_back(waiting.into_iter().collect());
        waits
    }

    /// Gives everything back that has not begun.
    pub(super) fn give_all_back(&self) {
        let waiting = std::mem::take(&mut self.attempts().line.waiting);
        self.give_back(waiting.into());
    }

    /// Forgets everything that has not begun: its leases are not ours any more.
    pub(super) fn forget_waiting(&self) {
        self.attempts().line.waiting.clear();
    }

    /// Waits until all has ended that runs, and is settled.
    pub(super) async fn join(&self, running: &mut Running) {
        while running.slots.join_next().await.is_some() {}
        // Nobody has more to say.
        self.attempts().line.ended = None;
        while running.settlers.join_next().await.is_some() {}
    }
}

/// Has a slot run where its executor runs attempts, if there is such a place, and here otherwise; whoever drops this stops it.
async fn beside(executor: Arc<dyn Executor>, slot: impl Future<Output = ()> + Send + 'static) {
    let (kept, dropped) = oneshot::channel::<Infallible>();
    let (end, ended) = oneshot::channel();
    let (held, gone) = std::sync::mpsc::channel::<Infallible>();
    let slot = async move {
        // Dropped last, when nothing of the slot is there any more.
        let _held = held;
        // Who loses: an attempt that nobody will settle.
        tokio::select! {
            biased;
            _ = dropped => {}
            () = slot => {}
        }
        let _ = end.send(());
    };
    let stops = Stops { kept: Some(kept), gone };
    match executor.spawn(Box::pin(slot)) {
        Ok(()) => {
            if ended.await.is_err() {
                tracing::error!("a slot panicked, or went with its executor; its attempt was not settled");
            }
        }
        Err(slot) => {
            slot.await;
        }
    }
    drop(stops);
}

/// A slot that runs elsewhere, and stops when this is dropped.
struct Stops {
    kept: Option<oneshot::Sender<Infallible>>,
    gone: std::sync::mpsc::Receiver<Infallible>,
}

impl Drop for Stops {
    /// Waits for it a little: whoever drops a host may open its store again at once.
    fn drop(&mut self) {
        self.kept = None;
        let _ = self.gone.recv_timeout(STOPS_TIME);
    }
}

impl Running {
    /// Drops what runs.
    pub(super) async fn shutdown(&mut self) {
        self.slots.shutdown().await;
        self.settlers.shutdown().await;
    }
}
