//! How many tasks that have not ended are decided about by which component, so that its code is kept for them.
//!
//! A key for each such component, written in the turn in which a task comes or ends: what decides is not in the places of
//! queues, from which all else that is needed is counted at an open, and most tasks have none. A task whose record is lost
//! stays counted: a component that is kept too long is no harm.

use sunaba_task::TaskSpec;

use super::{Planner, Turn};
use crate::keys::{self, Need};
use crate::{StoreError, codec};

impl Planner {
    pub(super) fn read_deciders(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'I');
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, stored) = pair?;
            match (keys::read_decides(&key), codec::read::<u64>(&key, &stored)) {
                (Some(need), Ok(count)) => self.unfinished.decided_by(need, count),
                (_, Err(error)) => tracing::error!(%error, "how many tasks need a decider cannot be read"),
                (None, _) => tracing::error!(?key, "a count of tasks that need a decider has no component"),
            }
        }
        Ok(())
    }

    /// A task has come that is decided about by something.
    pub(super) fn needs_decider(&mut self, turn: &mut Turn<'_>, spec: &TaskSpec) {
        self.count_decider(turn, spec, |count| count.saturating_add(1));
    }

    /// It has ended.
    pub(super) fn needs_no_decider(&mut self, turn: &mut Turn<'_>, spec: &TaskSpec) {
        self.count_decider(turn, spec, |count| count.saturating_sub(1));
    }

    fn count_decider(&mut self, turn: &mut Turn<'_>, spec: &TaskSpec, change: impl FnOnce(u64) -> u64) {
        let Some(decider) = &spec.decider else { return };
        let need = Need::component(decider.component);
        let count = change(self.unfinished.decided(need));
        self.unfinished.decided_by(need, count);
        let key = keys::decides(need);
        if count == 0 {
            turn.txn.delete(key);
        } else {
            turn.txn.put(key, codec::write(&count));
        }
    }
}
