//! Records of tasks that have just come and will start soon, as they were written: so that they need not be read again.
//!
//! Whatever changes a record that waits goes through [`Planner::put`](super::Planner::put), which takes it out.

use std::collections::HashMap;

use sunaba_task::TaskId;

use super::Stored;

/// As many records are kept; with more to come, nobody has started those.
const MAX_RECORDS: usize = 256;
/// No record is kept that is longer as it is written.
const MAX_BYTES: usize = 2 << 10;
/// Where more wait, they will not start soon.
pub(super) const MAX_QUEUED: u64 = 256;

#[derive(Default)]
pub(super) struct Fresh(HashMap<TaskId, Stored>);

impl Fresh {
    /// A record that was written with so many bytes.
    pub(super) fn keep(&mut self, stored: &Stored, bytes: usize) {
        if bytes > MAX_BYTES {
            return;
        }
        if self.0.len() >= MAX_RECORDS {
            self.0.clear();
        }
        self.0.insert(stored.task.id, stored.clone());
    }

    pub(super) fn take(&mut self, id: TaskId) -> Option<Stored> {
        if self.0.is_empty() { None } else { self.0.remove(&id) }
    }
}
