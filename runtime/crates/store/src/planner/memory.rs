//! How much memory the attempts of a session may hold together, and what becomes of a task for which there is no room.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use sunaba_task::{SessionId, TaskSpec, format_bytes};

use super::Planner;
use crate::Hold;

/// Whether a session has room for one more attempt.
pub(super) enum Room {
    /// It has.
    Yes,
    /// It will have, when some of what runs has ended.
    Later,
    /// It never will, and another session that can run the task will.
    Elsewhere,
    /// No session that can run the task ever will.
    Never {
        /// The most that any of them may hold.
        most_bytes: u64,
    },
}

/// What a session's attempts hold, and may. Of what is leased no more than `slots` run at a time, whichever these are: so that the
/// largest ones count, and what waits in the worker beside as large ones takes no room.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) limit_bytes: Option<u64>,
    pub(super) slots: Option<usize>,
    /// How many leases there are of each size.
    leases: BTreeMap<u64, usize>,
}

impl Memory {
    fn can_ever_hold(&self, bytes: u64) -> bool {
        self.limit_bytes.is_none_or(|limit| bytes <= limit)
    }

    fn has_room_for(&self, bytes: u64) -> bool {
        self.limit_bytes.is_none_or(|limit| self.beside_bytes().saturating_add(bytes) <= limit)
    }

    /// What those may hold together that can run beside one more.
    fn beside_bytes(&self) -> u64 {
        let (mut left, mut sum) = (self.slots.map_or(usize::MAX, |slots| slots.saturating_sub(1)), 0_u64);
        // Nearly all are of a few sizes.
        for (bytes, count) in self.leases.iter().rev() {
            let counted = left.min(*count);
            sum = sum.saturating_add(bytes.saturating_mul(counted as u64));
            left -= counted;
            if left == 0 {
                break;
            }
        }
        sum
    }

    pub(super) fn lease(&mut self, bytes: u64) {
        *self.leases.entry(bytes).or_default() += 1;
    }

    pub(super) fn release(&mut self, bytes: u64) {
        if let Some(count) = self.leases.get_mut(&bytes) {
            *count -= 1;
            if *count == 0 {
                self.leases.remove(&bytes);
            }
        }
    }
}

impl Planner {
    /// Whether a session that is there can run a task that holds so much in it.
    pub(super) fn room(&self, session: SessionId, spec: &TaskSpec, bytes: u64) -> Room {
        let Some(own) = self.sessions.get(&session).map(|session| &session.memory) else { return Room::Later };
        if own.has_room_for(bytes) {
            return Room::Yes;
        }
        if own.can_ever_hold(bytes) {
            return Room::Later;
        }
        // Not of any session: one that takes nothing from this queue will never come to it. One that cannot compile the code
        // may, after a deploy or another start.
        let holds =
            |session: &super::Session| session.memory.can_ever_hold(self.runs(spec, Some(session)).limits.host_bytes());
        if self.serving(&spec.queue).any(holds) {
            return Room::Elsewhere;
        }
        let most = self.serving(&spec.queue).filter_map(|session| session.memory.limit_bytes).max();
        Room::Never { most_bytes: most.unwrap_or(0) }
    }

    /// That no session that can run a task has room for it, if that is so.
    pub(super) fn memory_hold(&self, spec: &TaskSpec) -> Option<Hold> {
        let mut closest = None;
        for (session, limits) in self.able(spec) {
            let (memory, needs_bytes) = (&session.memory, limits.host_bytes());
            if memory.has_room_for(needs_bytes) {
                return None;
            }
            let limit_bytes = memory.limit_bytes?;
            let free_bytes = limit_bytes.saturating_sub(memory.beside_bytes());
            // Of those that will have room one day, the one that lacks least.
            let rank = (memory.can_ever_hold(needs_bytes), Reverse(needs_bytes.saturating_sub(free_bytes)));
            if closest.as_ref().is_none_or(|(best, _)| rank > *best) {
                closest = Some((rank, Hold::Memory { needs_bytes, free_bytes, limit_bytes }));
            }
        }
        closest.map(|(_, hold)| hold)
    }
}

/// Why a task is dead that no session can hold.
pub(super) fn too_large(needs_bytes: u64, most_bytes: u64) -> String {
    format!(
        "its attempt may hold {} of memory, and no worker that could run it may hold more than {} for all that it runs",
        format_bytes(needs_bytes),
        format_bytes(most_bytes)
    )
}
