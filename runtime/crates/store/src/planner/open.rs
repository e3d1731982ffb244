//! What a planner reads when a store is opened.

use sunaba_task::{Event, State, transition};

use super::{Batch, Planner, Turn};
use crate::codec;
use crate::keys;
use crate::{OpenError, StoreError};

/// The format of the keys.
const FORMAT: u64 = 2;

impl Planner {
    pub(super) fn read(&mut self, turn: &mut Turn<'_>) -> Result<(), OpenError> {
        match turn.txn.get(keys::FORMAT).map_err(OpenError::from)? {
            None => turn.txn.put(keys::FORMAT.to_vec(), codec::write(&FORMAT)),
            Some(stored) => {
                let found: u64 = codec::read(keys::FORMAT, &stored)?;
                if found > FORMAT {
                    return Err(OpenError::Newer { found, known: FORMAT });
                }
                if found < FORMAT {
                    return Err(OpenError::Older { found, known: FORMAT });
                }
            }
        }
        if let Some(stored) = turn.txn.get(keys::SEQUENCE).map_err(OpenError::from)? {
            // Whatever was reserved may have been used.
            self.next_sequence = codec::read(keys::SEQUENCE, &stored)?;
            self.reserved_sequences = self.next_sequence;
        }
        self.read_queues(turn)?;
        self.read_next_due(turn)?;
        self.read_next_expiry(turn)?;
        self.read_retention(turn)?;
        self.take_back_leases(turn)?;
        Ok(())
    }

    /// Finds the head of each queue, by a jump from queue to queue.
    fn read_queues(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'q');
        let mut from = first.to_vec();
        while let Some((key, _)) = turn.txn.first(&from, &end)? {
            match keys::queue_and_place(&key) {
                Some((queue, place)) => {
                    from = keys::queue_end(queue);
                    self.heads.insert(queue.to_owned(), place);
                }
                None => {
                    tracing::error!(?key, "a key of a queue cannot be read");
                    from = key.iter().copied().chain([0]).collect();
                }
            }
        }
        Ok(())
    }

    /// The process that had these leases is gone, or its engine could not have been opened.
    fn take_back_leases(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'l');
        let batches: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
        let mut lost = 0;
        for (key, stored) in batches {
            let batch: Batch = match codec::read(&key, &stored) {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, "leases cannot be read, so that every record is looked at");
                    lost += self.requeue(turn)?;
                    turn.txn.delete(key.to_vec());
                    continue;
                }
            };
            for entry in batch.entries {
                let Some(mut stored) = self.stored_by(turn, entry.task.as_bytes())? else { continue };
                match &stored.task.state {
                    State::Queued if stored.task.revision == entry.revision => {
                        stored.task = transition(&stored.task, Event::Leased(entry.lease), turn.now)
                            .map_err(|error| codec::damaged(&key, error.to_string()))?
                            .task;
                    }
                    // Somebody wanted it cancelled, so that its record had to be written while it ran.
                    State::Running(lease) if *lease == entry.lease => {}
                    // Settled before its batch was.
                    _ => continue,
                }
                self.change(turn, stored, Event::HostLost)?;
                lost += 1;
            }
            turn.txn.delete(key.to_vec());
        }
        if lost > 0 {
            tracing::warn!(tasks = lost, "tasks were running when the host before this one ended");
        }
        Ok(())
    }

    /// Puts every task that is queued by its record into its queue, where it may be already.
    fn requeue(&mut self, turn: &mut Turn<'_>) -> Result<usize, StoreError> {
        let (first, end) = keys::all(b't');
        let ids: Vec<_> = turn
            .txn
            .scan(&first, &end, false)
            .map(|pair| pair.map(|(key, _)| key.slice(1..)))
            .collect::<Result<_, _>>()?;
        let mut queued = 0;
        for id in ids {
            let Some(stored) = self.stored_by(turn, &id)? else { continue };
            match &stored.task.state {
                State::Queued => self.put(turn, &stored),
                State::Running(_) => {
                    self.change(turn, stored, Event::HostLost)?;
                }
                _ => continue,
            }
            queued += 1;
        }
        Ok(queued)
    }
}
