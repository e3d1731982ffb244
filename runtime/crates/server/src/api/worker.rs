//! The worker groups of a host.

use serde::{Deserialize, Serialize};
#[cfg(feature = "serve")]
use sunaba_host::WorkerStatus;
use sunaba_store::Queues;
use sunaba_task::LimitCaps;

/// A worker group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkerView {
    /// Its name.
    pub id: String,
    /// Where it takes tasks from. Null: from all queues.
    pub queues: Option<Vec<String>>,
    /// Attempts at a time.
    pub slots: usize,
    /// What was asked for: a number, or a range, such as `1..8`, within which it has as many as its backlog needs.
    pub wanted: String,
    /// The most that can be asked for while the host runs.
    pub most_slots: usize,
    /// Slots in use.
    pub busy: usize,
    /// Attempts that run or are being settled.
    pub running: usize,
    /// What its attempts at a time may hold of the machine's memory. Null: no matter how much.
    pub memory_bytes: Option<u64>,
    /// What each of its attempts may use at most, as `timeout=30s,memory=67108864`.
    pub limits: LimitCaps,
    /// How often it was started anew, because its loop panicked or hung.
    pub restarts: u32,
    /// Why the last time.
    pub restart_reason: Option<String>,
}

/// The worker groups, in the order in which they were declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkersView {
    /// All of them.
    pub workers: Vec<WorkerView>,
}

/// A change of a worker group, until the host ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetWorker {
    /// Attempts at a time: a number as a text, or a range, such as `1..8`.
    pub slots: String,
}

#[cfg(feature = "serve")]
impl From<WorkerStatus> for WorkerView {
    fn from(worker: WorkerStatus) -> Self {
        Self {
            id: worker.id,
            queues: match worker.queues {
                Queues::All => None,
                Queues::Only(queues) => Some(queues),
            },
            slots: worker.slots,
            wanted: worker.wanted.to_string(),
            most_slots: worker.most_slots,
            busy: worker.busy,
            running: worker.running,
            memory_bytes: worker.memory_bytes,
            limits: worker.limits,
            restarts: worker.supervision.restarts,
            restart_reason: worker.supervision.reason,
        }
    }
}
