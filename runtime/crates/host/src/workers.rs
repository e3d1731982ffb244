//! The workers of a host, one for each group: supervised, and with as many slots as their operator wants or their backlog needs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;
use sunaba_store::{NAMES_PAGE, Queues, Store, StoreError};
use sunaba_task::{LimitCaps, TaskId};
use sunaba_worker::{Pressure, RunningAttempt, Slots, Supervised, Supervision, WorkerError, scaled};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::memory::free_memory;
use crate::runtime::Runtime;

/// A group within a range of slots is looked at so often.
const LOOK: Duration = Duration::from_secs(1);

/// A worker group as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerStatus {
    /// Its name.
    pub id: String,
    /// Where it takes tasks from.
    pub queues: Queues,
    /// Attempts at a time.
    pub slots: usize,
    /// What was asked for: a number, or a range.
    pub wanted: Slots,
    /// The most that can be asked for.
    pub most_slots: usize,
    /// Slots in use.
    pub busy: usize,
    /// Attempts that run or are being settled.
    pub running: usize,
    /// What its attempts at a time may hold.
    pub memory_bytes: Option<u64>,
    /// What each of them may use at most.
    pub limits: LimitCaps,
    /// How often it was started anew, and why.
    pub supervision: Supervision,
}

/// Why a group has not the slots that were asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SlotsRefusal {
    /// There is none of this name.
    #[error("there is no worker group `{id}`\nhint: there is {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        id: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// More than it was started for.
    #[error(
        "the worker group `{id}` was started for up to {most} slots, and not for {wanted}\nhint: start the host with a larger \
         `max-slots` of it"
    )]
    TooMany {
        /// The group.
        id: String,
        /// What was asked for.
        wanted: Slots,
        /// What it was started for.
        most: usize,
    },
    /// The store has failed, which logs what is changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A group, and its worker.
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) queues: Queues,
    pub(crate) most_slots: usize,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) limits: LimitCaps,
    pub(crate) worker: Arc<Supervised>,
    wanted: watch::Sender<Slots>,
    /// None once it is stopped.
    scaling: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(scaling) = &*self.scaling() {
            scaling.abort();
        }
    }
}

/// What a group is made of.
pub(crate) struct NewGroup {
    pub(crate) id: String,
    pub(crate) queues: Queues,
    pub(crate) slots: Slots,
    pub(crate) most_slots: usize,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) limits: LimitCaps,
}

impl Group {
    pub(crate) fn start(new: NewGroup, store: &Arc<dyn Store>, worker: Supervised) -> Self {
        let NewGroup { id, queues, slots, most_slots, memory_bytes, limits } = new;
        let (worker, wanted) = (Arc::new(worker), watch::Sender::new(slots));
        let scaling = scale(Arc::downgrade(&worker), Arc::clone(store), queues.clone(), wanted.subscribe());
        let scaling = Mutex::new(Some(tokio::spawn(scaling)));
        Self { id, queues, most_slots, memory_bytes, limits, worker, wanted, scaling }
    }

    fn scaling(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.scaling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> WorkerStatus {
        WorkerStatus {
            id: self.id.clone(),
            queues: self.queues.clone(),
            slots: self.worker.slots(),
            wanted: *self.wanted.borrow(),
            most_slots: self.most_slots,
            busy: self.worker.busy(),
            running: self.worker.running(),
            memory_bytes: self.memory_bytes,
            limits: self.limits.clone(),
            supervision: self.worker.supervision(),
        }
    }
}

/// Gives a worker the slots that are wanted of it, until it is gone.
async fn scale(worker: Weak<Supervised>, store: Arc<dyn Store>, queues: Queues, mut wanted: watch::Receiver<Slots>) {
    loop {
        let within = *wanted.borrow_and_update();
        let Some(worker) = worker.upgrade() else { return };
        let (slots, busy) = (worker.slots(), worker.busy());
        if within.is_fixed() {
            if slots != within.max {
                worker.set_slots(within.max);
            }
            drop(worker);
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        // While a slot is free, nothing waits for one.
        let backlog = if busy >= slots { backlog(&*store, &queues).await.unwrap_or(0) } else { 0 };
        let next = scaled(within, Pressure { slots, busy, backlog, free_memory: free_memory() });
        if next != slots {
            tracing::info!(worker = worker.name(), slots = next, before = slots, backlog, "the slots are scaled");
            worker.set_slots(next);
        }
        drop(worker);
        // Who loses: the pause, when something else is wanted.
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Tasks that wait for a slot, in these queues.
async fn backlog(store: &dyn Store, queues: &Queues) -> Result<u64, StoreError> {
    let mut sum = 0_u64;
    match queues {
        Queues::Only(names) => {
            for name in names {
                sum = sum.saturating_add(waiting(&store.queue(name.clone()).await?));
            }
        }
        Queues::All => {
            let mut after = None;
            loop {
                let page = store.queues(after).await?;
                sum = page.iter().map(waiting).fold(sum, u64::saturating_add);
                after = page.last().filter(|_| page.len() == NAMES_PAGE).map(|queue| queue.name.clone());
                if after.is_none() {
                    break;
                }
            }
        }
    }
    Ok(sum)
}

/// What more slots could run of a queue.
fn waiting(queue: &sunaba_store::QueueStatus) -> u64 {
    if queue.settings.paused {
        return 0;
    }
    let room = queue.settings.concurrency.map(|most| u64::from(most).saturating_sub(queue.running));
    queue.queued.min(room.unwrap_or(u64::MAX))
}

/// All groups of a host, at least one.
pub(crate) struct Workers(Vec<Group>);

impl Workers {
    pub(crate) fn new(groups: Vec<Group>) -> Self {
        Self(groups)
    }

    pub(crate) fn running(&self) -> usize {
        self.0.iter().map(|group| group.worker.running()).sum()
    }

    pub(crate) fn slots(&self) -> usize {
        self.0.iter().map(|group| group.worker.slots()).sum()
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        self.0.iter().map(|group| group.worker.held_bytes()).sum()
    }

    /// As [`Worker::in_host_calls`](sunaba_worker::Worker::in_host_calls), of all groups.
    pub(crate) fn in_host_calls(&self) -> Vec<(TaskId, String, Duration)> {
        self.0.iter().flat_map(|group| group.worker.in_host_calls()).collect()
    }

    pub(crate) fn live(&self, id: TaskId) -> Option<RunningAttempt> {
        self.0.iter().find_map(|group| group.worker.live(id))
    }

    /// Stops all at the same time.
    ///
    /// # Errors
    /// One had lost its store.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<(), WorkerError> {
        let mut stopping = JoinSet::new();
        for group in &self.0 {
            let worker = Arc::clone(&group.worker);
            stopping.spawn(async move { worker.stop(grace).await });
        }
        let mut done = Ok(());
        while let Some(stopped) = stopping.join_next().await {
            // One that panics while it stops has stopped.
            done = done.and(stopped.unwrap_or(Ok(())));
        }
        for group in &self.0 {
            let scaling = group.scaling().take();
            if let Some(scaling) = scaling {
                scaling.abort();
                let _ = scaling.await;
            }
        }
        done
    }

    pub(crate) fn force(&self) {
        self.0.iter().for_each(|group| group.worker.force());
    }

    /// Waits until all have ended.
    ///
    /// # Errors
    /// One has lost its store: at once, since the others will too.
    pub(crate) async fn ended(&self) -> Result<(), WorkerError> {
        let mut ending = JoinSet::new();
        for group in &self.0 {
            let worker = Arc::clone(&group.worker);
            ending.spawn(async move { worker.ended().await });
        }
        while let Some(ended) = ending.join_next().await {
            ended.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

impl Runtime {
    /// The worker groups as they are now, in the order in which they were declared.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.workers.0.iter().map(Group::status).collect()
    }

    /// Has a worker group run so many attempts at a time from now on, or as many as its backlog needs within a range; until the
    /// host ends. What runs beyond that ends by itself.
    ///
    /// # Errors
    /// [`SlotsRefusal`].
    pub async fn set_slots(&self, id: &str, slots: Slots) -> Result<WorkerStatus, SlotsRefusal> {
        let Some(group) = self.workers.0.iter().find(|group| group.id == id) else {
            let known = self.workers.0.iter().map(|group| format!("`{}`", group.id)).collect();
            return Err(SlotsRefusal::Unknown { id: id.chars().take(64).collect(), known });
        };
        if slots.max > group.most_slots {
            return Err(SlotsRefusal::TooMany { id: id.to_owned(), wanted: slots, most: group.most_slots });
        }
        // Before it is done: what nobody could log is not done.
        let (before, after) = (group.wanted.borrow().to_string(), slots.to_string());
        if before != after {
            self.store().log_change(json!({ "slots": before }), json!({ "slots": after })).await?;
        }
        // At once, for whoever looks at the answer; within a range from where it is.
        group.worker.set_slots(group.worker.slots().clamp(slots.min, slots.max));
        group.wanted.send_replace(slots);
        Ok(group.status())
    }
}
