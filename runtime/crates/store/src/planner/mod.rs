//! Plans what requests change: over the engine as it stands, with what only has to live as long as the process in memory.
//!
//! Durable are records, indexes and leases. Of the sessions only memory knows: this process alone holds the engine, so
//! whatever was leased before it was opened has lost its host.
//!
//! A lease is durable as an entry beside the record (`l`), not in it: many are leased in one write, and a settled task
//! costs one write of its record. An entry stands for the event that made it, so that the running record is what
//! [`transition`] makes of the two; when the record has moved on, the entry is void.

mod ahead;
mod api_keys;
mod artifacts;
mod audit;
mod bodies;
mod bulk;
mod callbacks;
mod checkpoint;
mod complete;
mod control;
mod deciders;
mod due;
mod ends;
mod feed;
mod fresh;
mod groups;
mod holds;
mod jobs;
mod lanes;
mod lease;
mod leases;
mod memory;
mod notes;
mod observe;
mod open;
mod packages;
mod parking;
mod quarantine;
mod query;
mod rates;
mod ready;
mod rerun;
mod retention;
mod schedules;
mod secrets;
mod settle;
mod starts;
mod submit;
mod unique;
mod usage;
mod waiters;
mod webhooks;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sunaba_task::job::Reserved;
use sunaba_task::webhook::is_internal;
use sunaba_task::{
    ChangeSet, Clock, CompletionKey, Digest, Event, FeedEvent, LeaseToken, LimitCaps, Retention, SessionId, State,
    Task, TaskId, Timestamp, transition,
};
use tokio::sync::mpsc;

use crate::codec;
use crate::keys;
use crate::progress::Progress;
use crate::spot::Spot;
use crate::txn::Txn;
use crate::{Cancelled, Engine, OpenError, Queues, Runs, StoreError, Unready};

pub(crate) use artifacts::is_named;
use bodies::{body, inline_or_put};
pub(crate) use feed::Batch as EventBatch;
use feed::Feed;
use fresh::Fresh;
use jobs::Jobs;
pub(crate) use jobs::{Branch, Chore, Group, JobOwner, PreparedRetry};
use lanes::Lanes;
use leases::OpenBatch;
pub(crate) use leases::{Batch, Entry as LeaseEntry};
use memory::Memory;
use observe::Observer;
pub(crate) use open::check_format;
pub(crate) use packages::StoredVersion;
use packages::{Shelves, Unfinished};
use parking::Parking;
pub(crate) use parking::{Reply, answer};
pub(crate) use quarantine::SetAside;
use quarantine::Suspect;
use retention::Ended;
pub(crate) use retention::Noted;
use schedules::Schedules;
pub(crate) use submit::Owner;
pub(crate) use unique::Holder;
use usage::Sums;
pub(crate) use webhooks::Owed;
use webhooks::Webhooks;

/// Longer bodies have a key of their own, so that a record can be listed and changed without them.
const MAX_INLINE_BYTES: usize = 256;
/// The wall clock may jump, so the planner looks at it at least this often while something waits for an instant.
const MAX_SLEEP: Duration = Duration::from_secs(60);
/// How many sequences are taken at a time: one durable write for so many.
const SEQUENCES: u64 = 10_000;

/// Sends an answer, once the turn is durable.
pub(crate) type Answer = Box<dyn FnOnce() + Send>;

/// One turn of the commit thread.
pub(crate) struct Turn<'a> {
    pub(crate) txn: Txn<'a>,
    pub(crate) now: Timestamp,
    pub(crate) elapsed: Duration,
    pub(crate) answers: Vec<Answer>,
    /// What has happened, for the feed.
    told: Vec<FeedEvent>,
    /// The leases that were made.
    leases: Option<OpenBatch>,
    /// Files of artifacts that have lost a name.
    released: Vec<Digest>,
    /// What has ended, for the retention.
    ended: Ended,
    /// What reads have met that is damaged.
    suspects: RefCell<Vec<Suspect>>,
    /// The change that is being made, if it is to be written down.
    change: Option<audit::Change>,
    clock: &'a dyn Clock,
}

impl<'a> Turn<'a> {
    /// Says in the log how far something long is; `what` follows the number.
    fn progress(&self, what: &'static str) -> Progress<'a> {
        Progress::new(self.clock, what)
    }

    pub(crate) fn new(engine: &'a dyn Engine, clock: &'a dyn Clock) -> Self {
        Self {
            txn: Txn::new(engine),
            now: clock.now(),
            elapsed: clock.elapsed(),
            answers: Vec::new(),
            told: Vec::new(),
            leases: None,
            released: Vec::new(),
            ended: Ended::default(),
            suspects: RefCell::default(),
            change: None,
            clock,
        }
    }
}

/// A record and the small bodies that are stored with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) task: Task,
    pub(crate) input: Option<Bytes>,
    pub(crate) output: Option<Bytes>,
    /// Until then the output can be had. None: there is none.
    pub(crate) output_until: Option<Timestamp>,
    /// From then on all of it is deleted. None: it has not ended, or is kept until somebody deletes it or runs it again.
    pub(crate) record_until: Option<Timestamp>,
    /// Whether there is a checkpoint of it, so that one that has none costs nothing at its end.
    pub(crate) has_checkpoint: bool,
}

/// A task that runs.
struct Running {
    stored: Stored,
    /// The leases that were made together with its own.
    batch: u64,
    /// What its attempt was leased with.
    runs: Runs,
    /// How long it had waited when it was leased.
    waited: Duration,
    /// What of its job's budgets it may spend.
    reserved: Reserved,
    /// How many artifacts the task has; none before somebody had to know.
    artifacts: Option<usize>,
}

struct Session {
    worker: String,
    lease_time: Duration,
    /// By the clock's `elapsed`.
    expires: Duration,
    tasks: BTreeSet<TaskId>,
    /// To be told to the worker.
    cancelled: Vec<Cancelled>,
    /// What its host cannot run just now.
    unready: Unready,
    memory: Memory,
    /// What its host lets an attempt use.
    caps: Arc<LimitCaps>,
    /// What it takes tasks from, by the last time it asked for some.
    queues: Option<Queues>,
}

pub(crate) struct Planner {
    random: fastrand::Rng,
    next_sequence: u64,
    /// The first that is given in this turn; of none before the first turn.
    first_sequence: u64,
    /// Sequences below are taken.
    reserved_sequences: u64,
    /// Who waits and who runs, as far as it decides who is started next.
    lanes: Lanes,
    /// The packages and their versions.
    shelves: Shelves,
    /// What tasks need that have not ended.
    unfinished: Unfinished,
    /// What attempts have used.
    sums: Sums,
    /// What was seen since the store was opened.
    observer: Observer,
    /// Nothing is due before.
    next_due: Option<Timestamp>,
    /// Nothing expires before.
    next_expiry: Option<Timestamp>,
    /// Nothing that has ended is to be deleted before.
    next_purge: Option<Timestamp>,
    retention: Retention,
    completion_key: CompletionKey,
    ledger: audit::Ledger,
    feed: Feed,
    jobs: Jobs,
    schedules: Schedules,
    webhooks: Webhooks,
    /// In an order that a simulation can repeat.
    sessions: BTreeMap<SessionId, Session>,
    running: HashMap<TaskId, Running>,
    fresh: Fresh,
    /// How many leases that were made together are not closed.
    batches: HashMap<u64, usize>,
    parking: Parking,
    /// To be set aside with the next change.
    suspects: Vec<Suspect>,
    /// Where leases go that nobody takes.
    unwanted: mpsc::UnboundedSender<LeaseToken>,
}

impl Planner {
    /// Reads what is there, and takes back the leases of the process before.
    pub(crate) fn open(
        turn: &mut Turn<'_>,
        unwanted: mpsc::UnboundedSender<LeaseToken>,
        random: fastrand::Rng,
    ) -> Result<Self, OpenError> {
        let mut planner = Self::new(unwanted, random);
        planner.read(turn)?;
        planner.take_back_leases(turn)?;
        Ok(planner)
    }

    /// A planner that shows what is there, and changes nothing: what runs goes on running. Whatever the turn has written is
    /// to be thrown away.
    pub(crate) fn view(turn: &mut Turn<'_>) -> Result<Self, OpenError> {
        let (unwanted, _) = mpsc::unbounded_channel();
        let mut planner = Self::new(unwanted, fastrand::Rng::with_seed(0));
        planner.read(turn)?;
        planner.read_running(turn)?;
        Ok(planner)
    }

    fn new(unwanted: mpsc::UnboundedSender<LeaseToken>, random: fastrand::Rng) -> Self {
        Self {
            random,
            next_sequence: 0,
            first_sequence: u64::MAX,
            reserved_sequences: 0,
            lanes: Lanes::default(),
            shelves: Shelves::default(),
            unfinished: Unfinished::default(),
            sums: Sums::default(),
            observer: Observer::default(),
            next_due: None,
            next_expiry: None,
            next_purge: None,
            retention: Retention::default(),
            // Another is read or made before anybody asks.
            completion_key: CompletionKey::new([0; 32]),
            ledger: audit::Ledger::default(),
            feed: Feed::default(),
            jobs: Jobs::default(),
            schedules: Schedules::default(),
            webhooks: Webhooks::default(),
            sessions: BTreeMap::new(),
            running: HashMap::new(),
            fresh: Fresh::default(),
            batches: HashMap::new(),
            parking: Parking::default(),
            suspects: Vec::new(),
            unwanted,
        }
    }

    /// What happened by itself until now: tasks became due, sessions ran out. Comes first in a turn, so that nobody can
    /// use a lease whose time is up.
    pub(crate) fn pass_time(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        self.lanes.pass_time(turn.elapsed);
        self.promote_due(turn)?;
        self.expire(turn)?;
        self.stop_late_jobs(turn)?;
        self.look_for_stuck(turn)?;
        self.purge(turn)?;
        let lost: Vec<_> =
            self.sessions.iter().filter(|(_, session)| session.expires <= turn.elapsed).map(|(id, _)| *id).collect();
        for session in lost {
            self.end_session(turn, session, &Event::HostLost)?;
        }
        // After all that ends: a tick may wait for that.
        self.fire_schedules(turn)?;
        // Before what happens in this turn is told.
        self.deliver_owed(turn)
    }

    /// What is written once for all of a turn. Comes last in it.
    pub(crate) fn finish(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        self.write_leases(turn);
        self.write_jobs(turn)?;
        // What was told since workers were served; what is made of it is served in the next turn.
        self.deliver_told(turn)?;
        self.write_webhooks(turn);
        self.write_ended(turn);
        self.write_usage(turn);
        self.write_feed(turn)?;
        self.first_sequence = self.next_sequence;
        Ok(())
    }

    /// How long nothing happens by itself.
    pub(crate) fn until_next(&self, now: Timestamp, elapsed: Duration) -> Duration {
        let has_owed = self.webhooks.is_owed || self.owes_deliveries();
        if self.has_chores() || self.is_looking() || has_owed || self.has_schedules_ahead(now) {
            return Duration::ZERO;
        }
        let expiry = self.sessions.values().map(|session| session.expires).min();
        let jobs = self.jobs.waiters.first_deadline();
        let (look, parked) = (self.jobs.next_look, self.parking.first_deadline());
        let deadlines = [expiry, jobs, look, parked, self.feed.first_deadline(), self.lanes.next_wake()];
        let by_elapsed = deadlines.into_iter().flatten().min();
        let (jobs, schedules) = (self.jobs.next_deadline, self.schedules.first());
        let instants = [self.next_due, self.next_expiry, self.next_purge, jobs, schedules];
        let by_now = instants.into_iter().flatten().min();
        let by_now = by_now.map(|due| due.since(now).min(MAX_SLEEP));
        let by_age = self.feed.until_trim(now).map(|wait| wait.min(MAX_SLEEP));
        let waits = [by_elapsed.map(|at| at.saturating_sub(elapsed)), by_now, by_age];
        // However long that is: whether a job is stuck is looked at now and then.
        waits.into_iter().flatten().fold(MAX_SLEEP, Duration::min)
    }

    /// Applies an event to a record that does not run, or has just ceased to: the record, its place in the indexes, and all
    /// that follows.
    fn change(&mut self, turn: &mut Turn<'_>, mut stored: Stored, event: Event) -> Result<Stored, StoreError> {
        let ChangeSet { task, .. } = transition(&stored.task, event, turn.now)
            .map_err(|error| codec::damaged(&keys::task(stored.task.id), error.to_string()))?;
        let before = std::mem::replace(&mut stored.task, task);
        self.leave(turn, &before, &stored.task);
        let is_internal = is_internal(&stored.task.spec.queue);
        if is_internal {
            self.delivery_moved(turn, &before, &stored.task);
        }
        if !before.is_unstarted() {
            self.watch_expiry(turn, &stored.task);
        }
        if let (State::Running(_), Some(attempt)) = (&before.state, stored.task.attempts.last()) {
            if !is_internal {
                self.sum(&stored.task.spec, attempt);
                self.observer.attempt(&stored.task, attempt);
            }
            self.count_used(turn, &stored.task)?;
        }
        self.count_moved(turn, Some(&before), &stored.task)?;
        // Before what follows it, which is told too.
        self.tell(turn, Some(&before), &stored.task);
        if stored.task.waits_for_children() {
            self.has_to_wait(turn, &stored.task)?;
        }
        if stored.task.state.is_terminal() {
            self.unfinished.remove(&stored.task.spec);
            self.needs_no_decider(turn, &stored.task.spec);
            complete::drop_untaken(turn, &mut stored);
            if !is_internal {
                self.observe_end(turn, &stored.task)?;
            }
            self.end(turn, &mut stored)?;
        }
        self.put(turn, &mut stored);
        Ok(stored)
    }

    /// Takes a record out of the indexes in which it was.
    fn leave(&mut self, turn: &mut Turn<'_>, before: &Task, after: &Task) {
        match &before.state {
            State::Blocked(_) => turn.txn.delete(keys::blocked(before.sequence)),
            State::Scheduled { until } | State::RetryScheduled { until } => {
                turn.txn.delete(keys::due(*until, before.sequence));
                self.lanes.remove_scheduled(&before.spec.queue);
            }
            State::Queued => self.unqueue(turn, &Spot::of(before)),
            _ => {}
        }
        complete::leave_awaiting(turn, before, after);
        if before.is_unstarted()
            && !after.is_unstarted()
            && let Some(at) = before.expires_at
        {
            turn.txn.delete(keys::expiry(at, before.sequence));
        }
        // What the record forgets is forgotten, however the attempt ended that took its place.
        if let (Some(oldest), Some(kept)) = (before.attempts.first(), after.attempts.first())
            && oldest.number != kept.number
        {
            turn.txn.delete(keys::attempt(before.id, oldest.number));
        }
    }

    /// Takes a task's place in its queue.
    fn unqueue(&mut self, turn: &mut Turn<'_>, spot: &Spot<'_>) {
        match spot.place.sequence() < self.first_sequence {
            true => turn.txn.delete(spot.to_bytes()),
            // It has come in this very turn.
            false => turn.txn.take_back(&spot.to_bytes()),
        }
        self.lanes.remove(spot);
    }

    /// Writes a record that is in no index, and its place in the indexes; gives the bytes of the record.
    fn put(&mut self, turn: &mut Turn<'_>, stored: &mut Stored) -> usize {
        if stored.task.state == State::Queued {
            // All that waits in a queue ages alike, or some of it would starve.
            stored.task.aging = self.lanes.queue(&stored.task.spec.queue).and_then(|queue| queue.settings.aging);
        }
        let task = &stored.task;
        self.fresh.take(task.id);
        let record = codec::write(stored);
        let bytes = record.len();
        turn.txn.put(keys::task(task.id), record);
        complete::index_awaiting(turn, task);
        match &task.state {
            // Among those that wait for an instant, so that what it needs is known without its record.
            State::Blocked(_) => turn.txn.put(keys::blocked(task.sequence), keys::due_value(task)),
            State::Scheduled { until } | State::RetryScheduled { until } => {
                turn.txn.put(keys::due(*until, task.sequence), keys::due_value(task));
                self.lanes.add_scheduled(&task.spec.queue);
                self.next_due = Some(self.next_due.map_or(*until, |due| due.min(*until)));
            }
            State::Queued => {
                let spot = Spot::of(task);
                turn.txn.put(spot.to_bytes(), keys::queued_value(task));
                self.lanes.add(&spot, task.id);
            }
            State::Running(_) => {}
            State::Succeeded | State::Dead | State::Cancelled | State::Expired => self.answer_waiters(turn, task),
        }
        bytes
    }

    /// The next number of the store's count.
    fn sequence(&mut self, turn: &mut Turn<'_>) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if sequence >= self.reserved_sequences {
            self.reserved_sequences = sequence + SEQUENCES;
            turn.txn.put(keys::SEQUENCE.to_vec(), codec::write(&self.reserved_sequences));
        }
        sequence
    }
}

/// Shared with the commit thread's callers: the clock by which durations count.
pub(crate) type SharedClock = Arc<dyn Clock>;
