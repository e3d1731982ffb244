//! Hands tasks out, and takes them back when a session ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sunaba_task::{
    Decision, Ending, Event, Lease, LeaseToken, Payload, Policy, SessionId, Settled, State, TaskId, Verdict, transition,
};

use super::jobs::Allowed;
use super::memory::{Memory, Room, too_large};
use super::starts::Pick;
use super::{Planner, Running, Session, Stored, Turn, body};
use crate::codec;
use crate::keys;
use crate::spot::Spot;
use crate::{Leased, MAX_LEASED, MAX_LEASED_BYTES, Queues, StoreError, Unready};

/// Tasks that expire in one call for work; more do in the next turn, which comes at once.
const MAX_ENDS: usize = 1_000;
/// Tasks that wait for a share of their job's budgets and are looked past in one call; the lane of one more is left out of it.
const MAX_ASIDE: usize = 64;

impl Planner {
    pub(crate) fn open_session(&mut self, turn: &Turn<'_>, worker: String, lease_time: Duration) -> SessionId {
        let id = SessionId::from_uuid(uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes()).into_uuid());
        let expires = turn.elapsed.saturating_add(lease_time);
        let session = Session {
            worker,
            lease_time,
            expires,
            tasks: BTreeSet::new(),
            cancelled: Vec::new(),
            unready: Unready::default(),
            memory: Memory::default(),
            caps: Arc::default(),
            queues: None,
        };
        self.sessions.insert(id, session);
        id
    }

    pub(super) fn renew(&mut self, turn: &Turn<'_>, id: SessionId) -> Result<(), StoreError> {
        let session = self.sessions.get_mut(&id).ok_or(StoreError::SessionLost)?;
        session.expires = turn.elapsed.saturating_add(session.lease_time);
        Ok(())
    }

    /// The store did not listen for so long, and could not be told by anybody that he lives.
    pub(crate) fn forgive(&mut self, stall: Duration) {
        for session in self.sessions.values_mut() {
            session.expires = session.expires.saturating_add(stall);
        }
    }

    pub(crate) fn close_session(&mut self, turn: &mut Turn<'_>, id: SessionId) -> Result<(), StoreError> {
        // Nobody has said how far they were.
        self.end_session(turn, id, &Event::HandedBack { begun: true })
    }

    pub(super) fn end_session(&mut self, turn: &mut Turn<'_>, id: SessionId, event: &Event) -> Result<(), StoreError> {
        let Some(session) = self.sessions.remove(&id) else { return Ok(()) };
        if *event == Event::HostLost {
            tracing::warn!(worker = session.worker, tasks = session.tasks.len(), "a worker's session has run out");
        }
        for task in session.tasks {
            if let Some(running) = self.stop_running(turn, task) {
                self.change(turn, running.stored, event.clone())?;
            }
        }
        self.refuse_parked(turn, id);
        Ok(())
    }

    /// Takes back a lease that nobody took.
    pub(crate) fn take_back(&mut self, turn: &mut Turn<'_>, token: &LeaseToken) -> Result<(), StoreError> {
        if self.has_lease(token)
            && let Some(running) = self.stop_running(turn, token.task)
        {
            self.change(turn, running.stored, Event::HandedBack { begun: false })?;
        }
        Ok(())
    }

    pub(super) fn has_lease(&self, token: &LeaseToken) -> bool {
        let running = self.running.get(&token.task);
        running.and_then(|running| running.stored.task.lease()).is_some_and(|lease| token.fits(lease))
    }

    /// Takes a task out of the running ones; gives what it was.
    pub(super) fn stop_running(&mut self, turn: &mut Turn<'_>, id: TaskId) -> Option<Running> {
        let running = self.running.remove(&id)?;
        self.lanes.stop(&running.stored.task.spec);
        self.give_back(&running.stored, running.reserved);
        if let Some(session) = running.stored.task.lease().and_then(|lease| self.sessions.get_mut(&lease.session)) {
            session.tasks.remove(&id);
            session.memory.release(running.runs.limits.host_bytes());
        }
        self.close_lease(turn, running.batch);
        Some(running)
    }

    /// Leases what is there, at most so many, to a session that is there.
    pub(super) fn lease_now(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        queues: &Queues,
        slots: usize,
    ) -> Result<Vec<Leased>, StoreError> {
        let Some(session) = self.sessions.get(&id) else { return Ok(Vec::new()) };
        let worker = session.worker.clone();
        let mut leased = Vec::new();
        let mut selection = self.lanes.select(queues, turn.now, turn.elapsed);
        let (mut bytes, mut ends) = (0, 0);
        let (mut aside, mut waiting) = (Vec::new(), BTreeSet::new());
        // Whoever cannot run is taken out, and another is in his place.
        while leased.len() < slots.min(MAX_LEASED)
            && bytes < MAX_LEASED_BYTES
            && let Some(pick) = self.lanes.next(&mut selection, &turn.txn)?
        {
            let task = pick.id;
            let Some(stored) = self.picked(turn, &pick)? else { continue };
            let session = self.sessions.get(&id);
            let mut runs = self.runs(&stored.task.spec, session);
            if session.is_some_and(|session| session.is_unready(&runs)) {
                // One look for all that needs this code for this handler in this queue, however much that is.
                self.lanes.pass_over(&mut selection, &pick);
                continue;
            }
            let going_on = self.unless_stopping(turn, stored)?;
            let going_on = going_on.map(|stored| self.unless_expired(turn, stored)).transpose()?.flatten();
            let Some(mut stored) = going_on else {
                ends += 1;
                if ends == MAX_ENDS {
                    break;
                }
                // What follows an end may be before all that there was.
                selection = self.lanes.select(queues, turn.now, turn.elapsed);
                continue;
            };
            let host_bytes = runs.limits.host_bytes();
            let hopeless = match self.room(id, &stored.task.spec, host_bytes) {
                Room::Yes => None,
                Room::Later => {
                    // What comes after it would take the room that it waits for.
                    self.lanes.put_back(&selection, &pick);
                    break;
                }
                Room::Elsewhere => {
                    self.lanes.pass_over(&mut selection, &pick);
                    continue;
                }
                Room::Never { most_bytes } => Some(too_large(host_bytes, most_bytes)),
            };
            // Whoever waits for the rest of its job's budget would wait for ever, if others of it went on taking shares.
            let job = stored.task.job.as_ref().filter(|link| !link.undoes).map(|link| link.job);
            let allowed = match job.is_some_and(|job| waiting.contains(&job)) {
                true => Allowed::Wait,
                false => self.allowed(turn, &stored, &mut runs)?,
            };
            let reserved = match allowed {
                Allowed::Run(reserved) => reserved,
                Allowed::Wait if aside.len() < MAX_ASIDE => {
                    self.lanes.set_aside(&mut selection, &pick);
                    aside.push(pick);
                    waiting.extend(job);
                    continue;
                }
                Allowed::Wait => {
                    self.lanes.pass_over(&mut selection, &pick);
                    continue;
                }
                Allowed::Nothing(stored) => {
                    self.unless_stopping(turn, *stored)?;
                    selection = self.lanes.select(queues, turn.now, turn.elapsed);
                    continue;
                }
            };
            let lease = Lease {
                sequence: self.sequence(turn),
                nonce: self.random.u64(..),
                session: id,
                worker: worker.clone(),
                started_at: turn.now,
                shares: reserved.shares(),
            };
            let change = transition(&stored.task, Event::Leased(lease.clone()), turn.now)
                .map_err(|error| codec::damaged(&keys::task(task), error.to_string()))?;
            let before = std::mem::replace(&mut stored.task, change.task);
            self.leave(turn, &before, &stored.task);
            self.tell(turn, Some(&before), &stored.task);
            self.count_moved(turn, Some(&before), &stored.task)?;
            let input = match (hopeless, self.input_of(turn, &stored)) {
                (None, Ok(input)) => Ok(input),
                (Some(problem), _) => Err(problem),
                (None, Err(StoreError::Damaged { problem, .. })) => Err(format!("its input is damaged: {problem}")),
                (None, Err(error)) => return Err(error),
            };
            let input = match input {
                Ok(input) => input,
                Err(problem) => {
                    self.bury(turn, stored, problem)?;
                    selection = self.lanes.select(queues, turn.now, turn.elapsed);
                    continue;
                }
            };
            let token = LeaseToken::of(task, &lease);
            bytes += input.bytes.len() as u64;
            let batch = self.note_lease(turn, task, change.expected_revision, &lease);
            leased.push(Leased { token, task: runs.of(&stored.task), input });
            self.lanes.start(&stored.task.spec, turn.elapsed);
            self.reserve(&stored, reserved);
            let waited = turn.now.since(before.since);
            self.running.insert(task, Running { stored, batch, runs, waited, reserved, artifacts: None });
            if let Some(session) = self.sessions.get_mut(&id) {
                session.tasks.insert(task);
                session.memory.lease(host_bytes);
            }
        }
        self.lanes.look_again(&aside);
        Ok(leased)
    }

    /// The record of a task that is next in its queue. A key that stands for no such task is taken out.
    fn picked(&mut self, turn: &mut Turn<'_>, pick: &Pick) -> Result<Option<Stored>, StoreError> {
        let is_there = |stored: &Stored| stored.task.state == State::Queued && Spot::of(&stored.task) == pick.spot();
        let stored = match self.fresh.take(pick.id) {
            Some(stored) => Some(stored),
            None => self.stored_by(turn, pick.id.as_bytes())?,
        };
        let stored = stored.filter(is_there);
        if stored.is_none() {
            tracing::error!(task = %pick.id, "a key in a queue stands for no task there");
            let spot = pick.spot();
            if turn.txn.get(&spot.to_bytes())?.is_some() {
                self.unfinished.remove_one(spot.code.need, Some(spot.handler));
            }
            self.unqueue(turn, &spot);
        }
        Ok(stored)
    }

    fn input_of(&self, turn: &Turn<'_>, stored: &Stored) -> Result<Payload, StoreError> {
        let task = &stored.task;
        body(turn, &keys::input(task.id), stored.input.as_ref(), &task.input.media_type)
    }

    /// Ends a task that nobody can run, in an attempt of its own that says why.
    fn bury(&mut self, turn: &mut Turn<'_>, stored: Stored, message: String) -> Result<(), StoreError> {
        tracing::error!(task = %stored.task.id, message, "a task is dead");
        let decision = Decision::uncharged(Verdict::GiveUp, Policy::Unrunnable, "no host can run it".into());
        let settled = Settled { ending: Ending::HostFailed { message }, decision, receipt: None, output: None };
        self.change(turn, stored, Event::Settled(Box::new(settled)))?;
        Ok(())
    }
}
