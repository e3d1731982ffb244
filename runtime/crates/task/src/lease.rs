//! Leases: the expiring right to run one attempt, and the token that fences whoever has lost it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::job::Shares;
use crate::{TaskId, Timestamp};

/// A worker's session with a store. All of its leases live as long as it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(Uuid);

impl SessionId {
    /// The session with this id.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to run one attempt of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The store's count of leases.
    pub sequence: u64,
    /// What nobody can guess: a store that was restored from a backup counts the same leases again.
    pub nonce: u64,
    /// Whose it is.
    pub session: SessionId,
    /// The name of that worker.
    pub worker: String,
    /// When it began. The attempt begins when its worker has a slot for it, which may be a moment later; the attempt's record
    /// says when that was.
    pub started_at: Timestamp,
    /// Of which budgets of its job the attempt has a share. Set by the store.
    pub shares: Shares,
}

/// Proof of a lease, handed to the worker and asked back at settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseToken {
    /// The task.
    pub task: TaskId,
    /// As in [`Lease`].
    pub sequence: u64,
    /// As in [`Lease`].
    pub nonce: u64,
}

impl LeaseToken {
    /// The token of a task's lease.
    pub fn of(task: TaskId, lease: &Lease) -> Self {
        Self { task, sequence: lease.sequence, nonce: lease.nonce }
    }

    /// Whether it is the token of this lease.
    pub fn fits(&self, lease: &Lease) -> bool {
        self.sequence == lease.sequence && self.nonce == lease.nonce
    }
}
