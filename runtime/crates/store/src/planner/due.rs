//! Tasks whose instant has come.

use sunaba_task::Event;

use super::{Planner, Turn};
use crate::{StoreError, keys};

/// Tasks that become due in one turn; more come in the next.
const MAX_DUE: usize = 1_000;

impl Planner {
    pub(super) fn promote_due(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        if self.next_due.is_none_or(|due| due > turn.now) {
            return Ok(());
        }
        let (first, _) = keys::all(b'd');
        let end = keys::due(turn.now, u64::MAX);
        let due: Vec<_> = turn.txn.scan(&first, &end, false).take(MAX_DUE).collect::<Result<_, _>>()?;
        for (key, value) in due {
            turn.txn.delete(key.to_vec());
            let due = keys::read_due(&value);
            let stored = due.as_ref().map(|due| self.stored_by(turn, due.id.as_bytes())).transpose()?.flatten();
            match stored {
                Some(stored) if stored.task.due_at().is_some() => {
                    self.change(turn, stored, Event::Due)?;
                }
                _ => {
                    tracing::error!(?key, "a key of a waiting task stands for none");
                    if let Some(due) = due {
                        self.lanes.remove_scheduled(due.queue);
                        self.unfinished.remove_one(due.need, due.handler.as_ref());
                    }
                }
            }
        }
        self.read_next_due(turn)
    }

    pub(super) fn read_next_due(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, _) = keys::all(b'd');
        self.next_due = turn.txn.first(&first, &keys::blocked(0))?.and_then(|(key, _)| keys::due_at(&key));
        Ok(())
    }
}
