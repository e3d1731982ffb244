//! Leases as they are written: those that a turn has made, to whomever, under one key, with what they share written once.
//!
//! A key for each worker that asked would cost a task a write and a removal of its own, where each worker asks for one.

use serde::{Deserialize, Serialize};
use sunaba_task::job::Shares;
use sunaba_task::{Lease, SessionId, TaskId, Timestamp};

use super::{Planner, Turn};
use crate::{codec, keys};

/// Leases of one key; of more a turn begins another. The key stays until the last of them is closed, so that one attempt that
/// takes long keeps no more than these.
const MAX_ENTRIES: usize = 64;

/// The leases that were made together.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    started_at: Timestamp,
    /// Who has them: the sessions and the names of their workers.
    sessions: Vec<(SessionId, String)>,
    pub(crate) entries: Vec<Entry>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) task: TaskId,
    /// What the record had before.
    pub(crate) revision: u64,
    sequence: u64,
    nonce: [u8; 8],
    /// Which of the batch's sessions.
    session: usize,
    shares: Shares,
}

/// The batch that a turn adds its leases to.
pub(super) struct OpenBatch {
    number: u64,
    batch: Batch,
}

impl Batch {
    /// The lease of one of its entries; none when its session is missing, which the checksum rules out.
    pub(crate) fn lease(&self, entry: &Entry) -> Option<Lease> {
        let (session, worker) = self.sessions.get(entry.session)?.clone();
        let (sequence, nonce) = (entry.sequence, u64::from_be_bytes(entry.nonce));
        Some(Lease { sequence, nonce, session, worker, started_at: self.started_at, shares: entry.shares })
    }

    fn add(&mut self, task: TaskId, revision: u64, lease: &Lease) {
        // One session's leases are made one after the other.
        if self.sessions.last().is_none_or(|(session, _)| *session != lease.session) {
            self.sessions.push((lease.session, lease.worker.clone()));
        }
        let (nonce, session) = (lease.nonce.to_be_bytes(), self.sessions.len() - 1);
        self.entries.push(Entry { task, revision, sequence: lease.sequence, nonce, session, shares: lease.shares });
    }
}

impl Planner {
    /// Notes a lease that was made in this turn; gives the number of its batch.
    pub(super) fn note_lease(&mut self, turn: &mut Turn<'_>, task: TaskId, revision: u64, lease: &Lease) -> u64 {
        if turn.leases.as_ref().is_some_and(|open| open.batch.entries.len() == MAX_ENTRIES) {
            self.write_leases(turn);
        }
        let mut open = turn.leases.take().unwrap_or_else(|| {
            let batch = Batch { started_at: turn.now, sessions: Vec::new(), entries: Vec::new() };
            OpenBatch { number: self.sequence(turn), batch }
        });
        open.batch.add(task, revision, lease);
        let number = open.number;
        turn.leases = Some(open);
        *self.batches.entry(number).or_default() += 1;
        number
    }

    /// A lease of this batch is closed.
    pub(super) fn close_lease(&mut self, turn: &mut Turn<'_>, batch: u64) {
        if let Some(left) = self.batches.get_mut(&batch) {
            *left -= 1;
            if *left == 0 {
                self.batches.remove(&batch);
                turn.txn.delete(keys::leases(batch));
            }
        }
    }

    /// Writes the leases that the turn has made, but for those of a batch of which all are closed already.
    pub(super) fn write_leases(&mut self, turn: &mut Turn<'_>) {
        if let Some(open) = turn.leases.take()
            && self.batches.contains_key(&open.number)
        {
            turn.txn.put(keys::leases(open.number), codec::write(&open.batch));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_gives_back_its_own_lease() {
        let at = Timestamp::from_unix_ms(7);
        let mut batch = Batch { started_at: at, sessions: Vec::new(), entries: Vec::new() };
        let lease = |number: u8| Lease {
            sequence: u64::from(number),
            nonce: u64::MAX - u64::from(number),
            session: SessionId::from_uuid(uuid::Uuid::from_bytes([number / 2; 16])),
            worker: format!("w{}", number / 2),
            started_at: at,
            shares: Shares { fuel: number == 1, artifact_bytes: number == 2 },
        };
        (0..5).for_each(|number| batch.add(TaskId::from_bytes([number; 16]), 3, &lease(number)));
        let written = codec::write(&batch);
        let read: Batch = codec::read(b"l", &written).expect("it is whole");
        let leases: Vec<_> = read.entries.iter().filter_map(|entry| read.lease(entry)).collect();
        assert_eq!(leases, (0..5).map(lease).collect::<Vec<_>>());
        assert_eq!(read.sessions.len(), 3);
    }
}
