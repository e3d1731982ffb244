//! Writes down who has changed what, in the turn of the change, and forgets the oldest of it.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sunaba_task::{AuditEntry, NewAudit};

use super::{Planner, Turn};
use crate::{AuditPage, AuditQuery, MAX_AUDIT_ENTRIES, MAX_AUDIT_PAGE, StoreError, codec, keys};

/// Entries that one more lets go at most: after a number of them was lowered there are more than one too many.
const MAX_DROPPED: u64 = 4;

/// Which entries there are.
pub(super) struct Ledger {
    /// None is older.
    oldest: u64,
    /// That of the next entry.
    next: u64,
    /// How many are kept.
    most: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { oldest: 1, next: 1, most: MAX_AUDIT_ENTRIES }
    }
}

/// A change that is being made.
pub(crate) struct Change {
    by: Arc<NewAudit>,
    /// How much had been done in the turn when it began. None: it is logged whatever is done here.
    done: Option<(u64, usize)>,
    states: (Option<Value>, Option<Value>),
}

fn key(sequence: u64) -> Vec<u8> {
    keys::of(b'L', &[&sequence.to_be_bytes()])
}

/// The number of an entry's key.
fn number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

/// Settings as they are written down.
pub(super) fn json(settings: &impl Serialize) -> Option<Value> {
    serde_json::to_value(settings).ok()
}

impl Turn<'_> {
    /// From here on, what is done is done by this one.
    pub(crate) fn begin_change(&mut self, by: Option<Arc<NewAudit>>) {
        let done = Some(self.done());
        self.change = by.map(|by| Change { by, done, states: (None, None) });
    }

    /// How what is changed stood before, and how it stands now. Both are shown: no secret may be in them. They are asked for
    /// only when somebody writes them down.
    pub(super) fn note_change(&mut self, states: impl FnOnce() -> (Option<Value>, Option<Value>)) {
        if let Some(change) = &mut self.change {
            change.states = states();
        }
    }

    /// The change is of what is not kept here.
    pub(crate) fn change_is_elsewhere(&mut self, before: Value, after: Value) {
        if let Some(change) = &mut self.change {
            (change.done, change.states) = (None, (Some(before), Some(after)));
        }
    }

    /// Whose change it is when nobody has said so: the program's that has the store.
    pub(super) fn change_of_program(&mut self, what: &str) {
        let done = Some(self.done());
        let by = || Arc::new(NewAudit::by("program", what, ""));
        self.change.get_or_insert_with(|| Change { by: by(), done, states: (None, None) });
    }

    /// Of what a change is, where the caller could not know.
    pub(super) fn change_is_of(&mut self, of: &str) {
        if let Some(change) = self.change.as_mut().filter(|change| change.by.of.is_empty()) {
            change.by = Arc::new(NewAudit { of: of.to_owned(), ..(*change.by).clone() });
        }
    }

    fn done(&self) -> (u64, usize) {
        (self.txn.changes(), self.told.len())
    }
}

impl Planner {
    /// Writes down the change that was begun, if anything was changed.
    pub(crate) fn end_change(&mut self, turn: &mut Turn<'_>, is_done: bool) {
        let Some(Change { by, done, states: (before, after) }) = turn.change.take() else { return };
        if !is_done || done == Some(turn.done()) {
            return;
        }
        self.log(turn, &by, before.as_ref(), after.as_ref());
    }

    /// Writes down a change that nobody has asked for.
    pub(super) fn log_by_program(&mut self, turn: &mut Turn<'_>, what: &str, of: &str, before: &Value, after: &Value) {
        self.log(turn, &NewAudit::by("program", what, of), Some(before), Some(after));
    }

    fn log(&mut self, turn: &mut Turn<'_>, by: &NewAudit, before: Option<&Value>, after: Option<&Value>) {
        let entry = by.entry(self.ledger.next, turn.now, before, after);
        turn.txn.put(key(entry.sequence), codec::write(&entry));
        self.ledger.next += 1;
        let many = (self.ledger.next - self.ledger.oldest).saturating_sub(self.ledger.most);
        for _ in 0..many.min(MAX_DROPPED) {
            turn.txn.delete(key(self.ledger.oldest));
            self.ledger.oldest += 1;
        }
    }

    pub(super) fn read_ledger(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'L');
        let at = |reverse| -> Result<Option<u64>, StoreError> {
            let pair: Option<(Bytes, Bytes)> = turn.txn.scan(&first, &end, reverse).next().transpose()?;
            Ok(pair.and_then(|(key, _)| number(&key)))
        };
        if let (Some(oldest), Some(newest)) = (at(false)?, at(true)?) {
            (self.ledger.oldest, self.ledger.next) = (oldest, newest + 1);
        }
        Ok(())
    }

    pub(crate) fn audit_log(&self, turn: &Turn<'_>, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let limit = query.limit.clamp(1, MAX_AUDIT_PAGE);
        let (first, end) = (key(0), key(query.before.unwrap_or(u64::MAX)));
        let (mut entries, mut last) = (Vec::new(), None);
        let mut scan = turn.txn.scan(&first, &end, true);
        for pair in scan.by_ref().take(limit) {
            let (key, stored) = pair?;
            last = number(&key);
            entries.extend(turn.read_or_suspect::<AuditEntry>(&key, &stored));
        }
        let next = if scan.next().transpose()?.is_some() { last } else { None };
        Ok(AuditPage { entries, next })
    }
}

#[cfg(test)]
mod tests {
    use sunaba_task::{QueueChange, Timestamp};
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Engine as _, ManualClock, MemoryEngine};

    fn pause(planner: &mut Planner, engine: &mut MemoryEngine, clock: &ManualClock, paused: bool) {
        let mut turn = Turn::new(engine, clock);
        turn.begin_change(Some(Arc::new(NewAudit::by("ada", "queue.set", "mail"))));
        planner.set_queue(&mut turn, "mail", &[QueueChange::Paused(paused)]).expect("it may be paused");
        planner.end_change(&mut turn, true);
        planner.finish(&mut turn).expect("memory does not fail");
        let writes = turn.txn.into_writes();
        engine.apply(&writes).expect("memory does not fail");
    }

    fn numbers(planner: &Planner, engine: &MemoryEngine, clock: &ManualClock) -> Vec<u64> {
        let turn = Turn::new(engine, clock);
        let page = planner.audit_log(&turn, &AuditQuery { before: None, limit: 100 }).expect("memory does not fail");
        page.entries.iter().map(|entry| entry.sequence).collect()
    }

    fn open(engine: &MemoryEngine, clock: &ManualClock) -> Planner {
        let (unwanted, _) = mpsc::unbounded_channel();
        let mut planner =
            Planner::open(&mut Turn::new(engine, clock), unwanted, fastrand::Rng::with_seed(1)).expect("open");
        planner.ledger.most = 3;
        planner
    }

    #[test]
    fn newest_entries_are_kept_and_numbers_go_on_after_a_restart() {
        let (mut engine, clock) = (MemoryEngine::default(), ManualClock::at(Timestamp::from_unix_ms(1)));
        let mut planner = open(&engine, &clock);
        for number in 0..5 {
            pause(&mut planner, &mut engine, &clock, number % 2 == 0);
        }
        assert_eq!(numbers(&planner, &engine, &clock), [5, 4, 3]);
        let mut planner = open(&engine, &clock);
        pause(&mut planner, &mut engine, &clock, false);
        assert_eq!(numbers(&planner, &engine, &clock), [6, 5, 4]);
    }
}
