//! What a planner reads when a store is opened.

use std::time::Duration;

use bytes::Bytes;
use sunaba_task::job::Reserved;
use sunaba_task::{Event, HandlerName, Lease, State, TaskId, transition};

use super::leases::Entry;
use super::{Batch, Planner, Running, SEQUENCES, Stored, Turn};
use crate::codec;
use crate::keys;
use crate::spot::{self, Place, ReadSpot, Spot};
use crate::{OpenError, Pair, StoreError};

/// The format of the keys.
const FORMAT: u64 = 7;

/// Whether this version can read a store of this format.
pub(crate) fn check_format(stored: &Bytes) -> Result<(), OpenError> {
    match codec::read::<u64>(keys::FORMAT, stored)? {
        found if found > FORMAT => Err(OpenError::Newer { found, known: FORMAT }),
        found if found < FORMAT => Err(OpenError::Older { found, known: FORMAT }),
        _ => Ok(()),
    }
}

impl Planner {
    pub(super) fn read(&mut self, turn: &mut Turn<'_>) -> Result<(), OpenError> {
        match turn.txn.get(keys::FORMAT).map_err(OpenError::from)? {
            None => turn.txn.put(keys::FORMAT.to_vec(), codec::write(&FORMAT)),
            Some(stored) => check_format(&stored)?,
        }
        let sequence = match turn.txn.get(keys::SEQUENCE).map_err(OpenError::from)? {
            Some(stored) => turn.read_or_set_aside(keys::SEQUENCE, &stored)?,
            None => None,
        };
        // Whatever was reserved may have been used.
        self.next_sequence = match sequence {
            Some(reserved) => reserved,
            None => self.greatest_sequence(turn)? + SEQUENCES,
        };
        self.reserved_sequences = self.next_sequence;
        self.read_settings(turn)?;
        self.read_completion_key(turn)?;
        self.read_ledger(turn)?;
        self.read_packages(turn)?;
        self.read_usage(turn)?;
        self.read_queues(turn)?;
        self.read_next_due(turn)?;
        self.read_feed(turn)?;
        self.read_dead(turn)?;
        self.read_next_expiry(turn)?;
        self.read_retention(turn)?;
        self.read_chores(turn)?;
        self.read_next_deadline(turn)?;
        self.read_schedules(turn)?;
        self.read_webhooks(turn)?;
        self.begin_looks(turn);
        Ok(())
    }

    /// What an operator has set. What cannot be read is as if it had not been set.
    fn read_settings(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let name = |key: &[u8]| String::from_utf8_lossy(&key[1..]).into_owned();
        for (key, stored) in read_all(turn, b'Q')? {
            match codec::read(&key, &stored) {
                Ok(settings) => self.lanes.set(&name(&key), settings, turn.elapsed),
                Err(error) => tracing::error!(%error, "the settings of a queue cannot be read"),
            }
        }
        for (key, stored) in read_all(turn, b'H')? {
            match (codec::read(&key, &stored), name(&key).parse::<HandlerName>()) {
                (Ok(control), Ok(name)) => self.lanes.handlers.entry(name).or_default().control = control,
                (Err(error), _) => tracing::error!(%error, "the settings of a handler cannot be read"),
                (_, Err(error)) => tracing::error!(%error, "a handler with settings has no name"),
            }
        }
        Ok(())
    }

    /// Finds the head of each lane and counts what waits, in one pass over the keys and without the records.
    fn read_queues(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'q');
        let mut lane: Option<Counted> = None;
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, value) = pair?;
            let Some(id) = keys::read_queued(&value) else {
                tracing::error!(?key, "a key of a queue stands for no task");
                continue;
            };
            let is_of = |lane: &Counted| spot::split(&key).is_some_and(|(found, _)| *found == *lane.lane);
            match &mut lane {
                Some(lane) if is_of(lane) => lane.count += 1,
                _ => {
                    self.add_counted(lane.take());
                    lane = Counted::new(&key, id);
                }
            }
            if lane.is_none() {
                tracing::error!(?key, "a key of a queue cannot be read");
            }
        }
        self.add_counted(lane);
        let (first, end) = keys::all(b'd');
        for pair in turn.txn.scan(&first, &end, false) {
            let (key, value) = pair?;
            if let Some(due) = keys::read_due(&value) {
                // Those that wait for others have no time.
                if !keys::is_blocked(&key) {
                    self.lanes.add_scheduled(due.queue);
                }
                match due.handler {
                    Some(handler) => self.unfinished.add_many(due.need, &handler, 1),
                    None => self.unfinished.add_pinned(due.need),
                }
            }
        }
        Ok(())
    }

    fn add_counted(&mut self, counted: Option<Counted>) {
        if let Some(Counted { read, place, id, count, .. }) = counted {
            self.unfinished.add_many(read.code.need, &read.handler, count);
            self.lanes.add_many(&read.spot(place), id, count);
        }
    }

    /// The greatest count that a record has. Two tasks with the same would take each other's place.
    fn greatest_sequence(&self, turn: &mut Turn<'_>) -> Result<u64, StoreError> {
        let (mut greatest, mut progress) = (0, turn.progress("records read, to find the greatest sequence"));
        for kind in [b't', b'l'] {
            let (first, end) = keys::all(kind);
            for pair in turn.txn.scan(&first, &end, false) {
                let (key, stored) = pair?;
                progress.add();
                let sequence = match kind {
                    b't' => codec::read::<Stored>(&key, &stored).ok().map(|stored| stored.task.sequence),
                    _ => key.get(1..).and_then(|key| key.try_into().ok()).map(u64::from_be_bytes),
                };
                greatest = greatest.max(sequence.unwrap_or(0));
            }
        }
        Ok(greatest)
    }

    /// Remembers what runs, for a planner that only shows what is there.
    pub(super) fn read_running(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'l');
        let batches: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
        for (key, stored) in batches {
            let Ok(batch) = codec::read::<Batch>(&key, &stored) else { continue };
            for entry in &batch.entries {
                let task = entry.task;
                if let Some(stored) = self.leased(turn, entry, batch.lease(entry))? {
                    self.lanes.start(&stored.task.spec, turn.elapsed);
                    let runs = self.runs(&stored.task.spec, None);
                    let waited = Duration::ZERO;
                    self.running.insert(
                        task,
                        Running { stored, batch: 0, runs, waited, reserved: Reserved::default(), artifacts: None },
                    );
                }
            }
        }
        Ok(())
    }

    /// The running record for which an entry stands; none when the entry is void.
    fn leased(
        &mut self,
        turn: &mut Turn<'_>,
        entry: &Entry,
        lease: Option<Lease>,
    ) -> Result<Option<Stored>, StoreError> {
        let (Some(mut stored), Some(own)) = (self.stored_by(turn, entry.task.as_bytes())?, lease) else {
            return Ok(None);
        };
        match &stored.task.state {
            State::Queued if stored.task.revision == entry.revision => {
                stored.task = transition(&stored.task, Event::Leased(own), turn.now)
                    .map_err(|error| codec::damaged(&keys::task(entry.task), error.to_string()))?
                    .task;
                Ok(Some(stored))
            }
            // Somebody wanted it cancelled, so that its record had to be written while it ran.
            State::Running(lease) if *lease == own => Ok(Some(stored)),
            // Settled before its batch was.
            _ => Ok(None),
        }
    }

    /// The process that had these leases is gone, or its engine could not have been opened.
    pub(super) fn take_back_leases(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        let (first, end) = keys::all(b'l');
        let batches: Vec<_> = turn.txn.scan(&first, &end, false).collect::<Result<_, _>>()?;
        let (mut lost, mut is_damaged, mut progress) = (0, false, turn.progress("leases taken back"));
        for (key, stored) in batches {
            let Some(batch) = turn.read_or_set_aside::<Batch>(&key, &stored)? else {
                is_damaged = true;
                continue;
            };
            for entry in &batch.entries {
                let Some(stored) = self.leased(turn, entry, batch.lease(entry))? else { continue };
                self.unfinished.add(&stored.task.spec);
                self.change(turn, stored, Event::HostLost)?;
                progress.add();
                lost += 1;
            }
            turn.txn.delete(key.to_vec());
        }
        // After all others, whose tasks would be taken for those of the leases that cannot be read.
        if is_damaged {
            tracing::error!("leases cannot be read, so that every record is looked at");
            lost += self.requeue(turn)?;
        }
        if lost > 0 {
            tracing::warn!(tasks = lost, "tasks were running when the host before this one ended");
        }
        Ok(())
    }

    /// Puts every task that is queued by its record into its queue, unless it is there.
    fn requeue(&mut self, turn: &mut Turn<'_>) -> Result<usize, StoreError> {
        let (first, end) = keys::all(b't');
        let ids: Vec<_> = turn
            .txn
            .scan(&first, &end, false)
            .map(|pair| pair.map(|(key, _)| key.slice(1..)))
            .collect::<Result<_, _>>()?;
        let (mut queued, mut progress) = (0, turn.progress("records read, to find what was running"));
        for id in ids {
            progress.add();
            let Some(mut stored) = self.stored_by(turn, &id)? else { continue };
            match &stored.task.state {
                State::Queued if turn.txn.get(&Spot::of(&stored.task).to_bytes())?.is_some() => continue,
                State::Queued => {
                    self.unfinished.add(&stored.task.spec);
                    self.watch_expiry(turn, &stored.task);
                    self.put(turn, &mut stored);
                }
                State::Running(_) => {
                    self.unfinished.add(&stored.task.spec);
                    self.change(turn, stored, Event::HostLost)?;
                }
                _ => continue,
            }
            queued += 1;
        }
        Ok(queued)
    }
}

/// A lane while it is counted.
struct Counted {
    lane: Bytes,
    read: ReadSpot,
    place: Place,
    id: TaskId,
    count: u64,
}

impl Counted {
    fn new(key: &Bytes, id: TaskId) -> Option<Self> {
        let (lane, place) = spot::split(key)?;
        let (lane, read) = (key.slice(..lane.len()), spot::read_lane(lane)?);
        Some(Self { lane, read, place, id, count: 1 })
    }
}

/// Every pair of a kind of which there are few.
fn read_all(turn: &Turn<'_>, kind: u8) -> Result<Vec<Pair>, StoreError> {
    let (first, end) = keys::all(kind);
    turn.txn.scan(&first, &end, false).collect()
}
