//! How much memory the attempts of a session may hold together, and what becomes of a task for which there is no room.

use sunaba_task::{Digest, FuelMode, Limits, SessionId, Task, TaskSpec, format_bytes};

use super::Planner;
use crate::{Hold, StoreError};

/// Whether a session has room for one more attempt.
pub(super) enum Room {
    /// It has.
    Yes,
    /// It will have, when some of what runs has ended.
    Later,
    /// It never will, and another session may.
    Elsewhere,
    /// No session will.
    Never {
        /// The most that any of them may hold.
        most_bytes: u64,
    },
}

/// What a session's attempts hold, and may.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) limit_bytes: Option<u64>,
    pub(super) held_bytes: u64,
}

impl Memory {
    fn can_ever_hold(&self, bytes: u64) -> bool {
        self.limit_bytes.is_none_or(|limit| bytes <= limit)
    }

    fn has_room_for(&self, bytes: u64) -> bool {
        self.limit_bytes.is_none_or(|limit| self.held_bytes.saturating_add(bytes) <= limit)
    }
}

impl Planner {
    pub(crate) fn limit_session(&mut self, id: SessionId, memory_bytes: Option<u64>) -> Result<(), StoreError> {
        self.sessions.get_mut(&id).ok_or(StoreError::SessionLost)?.memory.limit_bytes = memory_bytes;
        Ok(())
    }

    /// A task as its next attempt has it: with what its package has now if it follows, and with no more than its queue allows
    /// now. The record keeps what was asked for.
    pub(super) fn effective(&self, task: &Task) -> Task {
        let mut task = task.clone();
        task.spec.component = self.effective_component(&task.spec);
        task.spec.limits = self.effective_limits(&task.spec);
        task
    }

    /// The code that an attempt of it would run now.
    pub(super) fn runs(&self, spec: &TaskSpec) -> (Digest, FuelMode) {
        (self.effective_component(spec), self.effective_limits(spec).fuel.mode())
    }

    fn effective_component(&self, spec: &TaskSpec) -> Digest {
        let active = spec.follows.then(|| self.shelves.active(&spec.handler.package)).flatten();
        active.map_or(spec.component, |active| active.component)
    }

    pub(super) fn effective_limits(&self, spec: &TaskSpec) -> Limits {
        let limits = spec.limits.clone();
        match self.lanes.queue(&spec.queue) {
            Some(queue) => limits.at_most(&queue.settings.limits),
            None => limits,
        }
    }

    /// Whether a session that is there can run what holds so much.
    pub(super) fn room(&self, session: SessionId, bytes: u64) -> Room {
        let Some(own) = self.sessions.get(&session).map(|session| &session.memory) else { return Room::Later };
        if own.has_room_for(bytes) {
            return Room::Yes;
        }
        if own.can_ever_hold(bytes) {
            return Room::Later;
        }
        if self.sessions.values().any(|session| session.memory.can_ever_hold(bytes)) {
            return Room::Elsewhere;
        }
        let most = self.sessions.values().filter_map(|session| session.memory.limit_bytes).max();
        Room::Never { most_bytes: most.unwrap_or(0) }
    }

    /// That no session has room for a task, if that is so.
    pub(super) fn memory_hold(&self, spec: &TaskSpec) -> Option<Hold> {
        let needs_bytes = self.effective_limits(spec).host_bytes();
        if self.sessions.values().any(|session| session.memory.has_room_for(needs_bytes)) {
            return None;
        }
        // Of the sessions that have too little room, the one that has most.
        let free = |memory: &Memory| Some(memory.limit_bytes?.saturating_sub(memory.held_bytes));
        let most = self.sessions.values().map(|session| &session.memory).max_by_key(|memory| free(memory))?;
        Some(Hold::Memory { needs_bytes, free_bytes: free(most)?, limit_bytes: most.limit_bytes? })
    }
}

/// Why a task is dead that no session can hold.
pub(super) fn too_large(needs_bytes: u64, most_bytes: u64) -> String {
    format!(
        "its attempt may hold {} of memory, and no worker may hold more than {} for all that it runs",
        format_bytes(needs_bytes),
        format_bytes(most_bytes)
    )
}
