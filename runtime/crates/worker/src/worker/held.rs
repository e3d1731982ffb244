//! What is given back when an attempt has ended, however it has.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sunaba_task::TaskId;

use super::Shared;
use crate::watch::Watch;

/// What an attempt may hold, until it has ended or was dropped.
pub(super) struct Held {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Held {
    pub(super) fn new(shared: &Arc<Shared>, bytes: u64) -> Self {
        shared.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An attempt is known until it is settled, or dropped.
pub(super) struct Known {
    pub(super) shared: Arc<Shared>,
    pub(super) task: TaskId,
    pub(super) watch: Arc<Watch>,
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut attempts = self.shared.attempts();
        // Its next attempt may be here already.
        if attempts.watches.get(&self.task).is_some_and(|known| Arc::ptr_eq(known, &self.watch)) {
            attempts.watches.remove(&self.task);
        }
    }
}
