//! Callers that wait: for work, for news of their session, for the end of a task. Each is woken, or answered when its
//! time is up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sunaba_task::{SessionId, Task, TaskId};
use tokio::sync::oneshot;

use super::{Answer, Planner, Turn};
use crate::{LeaseRequest, Leased, StoreError};

/// Callers that may wait at a time.
const MAX_PARKED: usize = 10_000;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Spot {
    Lease(LeaseRequest, Reply<Vec<Leased>>),
    Renew(SessionId, Reply<Vec<TaskId>>),
    Wait(TaskId, Reply<Option<Task>>),
}

/// Who waits, in the order in which they came.
#[derive(Default)]
pub(super) struct Parking {
    next: u64,
    spots: BTreeMap<u64, (Duration, Spot)>,
    deadlines: BTreeSet<(Duration, u64)>,
    /// The ones that wait for work.
    leases: BTreeSet<u64>,
    by_task: HashMap<TaskId, Vec<u64>>,
    by_session: HashMap<SessionId, u64>,
}

impl Parking {
    pub(super) fn first_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn is_full(&self) -> bool {
        self.spots.len() >= MAX_PARKED
    }

    fn park(&mut self, deadline: Duration, spot: Spot) {
        let number = self.next;
        self.next += 1;
        match &spot {
            Spot::Lease(..) => {
                self.leases.insert(number);
            }
            Spot::Renew(session, _) => {
                self.by_session.insert(*session, number);
            }
            Spot::Wait(task, _) => self.by_task.entry(*task).or_default().push(number),
        }
        self.deadlines.insert((deadline, number));
        self.spots.insert(number, (deadline, spot));
    }

    fn leave(&mut self, number: u64) -> Option<Spot> {
        let (deadline, spot) = self.spots.remove(&number)?;
        self.deadlines.remove(&(deadline, number));
        match &spot {
            Spot::Lease(..) => {
                self.leases.remove(&number);
            }
            Spot::Renew(session, _) => {
                self.by_session.remove(session);
            }
            Spot::Wait(task, _) => {
                if let Some(numbers) = self.by_task.get_mut(task) {
                    numbers.retain(|other| *other != number);
                    if numbers.is_empty() {
                        self.by_task.remove(task);
                    }
                }
            }
        }
        Some(spot)
    }
}

/// An answer that takes nothing back.
pub(crate) fn answer<T: Send + 'static>(reply: Reply<T>, value: Result<T, StoreError>) -> Answer {
    Box::new(move || {
        // Whoever asked may have gone.
        let _ = reply.send(value);
        Vec::new()
    })
}

/// Leases that nobody takes are given back.
fn answer_lease(reply: Reply<Vec<Leased>>, leased: Vec<Leased>) -> Answer {
    Box::new(move || match reply.send(Ok(leased)) {
        Err(Ok(leased)) => leased.iter().map(|leased| leased.token).collect(),
        _ => Vec::new(),
    })
}

impl Planner {
    pub(crate) fn park_lease(&mut self, turn: &mut Turn<'_>, request: LeaseRequest, reply: Reply<Vec<Leased>>) {
        let refusal = match () {
            () if !self.sessions.contains_key(&request.session) => Some(StoreError::SessionLost),
            () => self.busy(),
        };
        match refusal {
            Some(error) => turn.answers.push(answer(reply, Err(error))),
            // Served with all others at the end of the turn.
            None => self.parking.park(turn.elapsed.saturating_add(request.wait), Spot::Lease(request, reply)),
        }
    }

    pub(crate) fn park_renew(&mut self, turn: &mut Turn<'_>, id: SessionId, wait: Duration, reply: Reply<Vec<TaskId>>) {
        let news = self.renew(turn, id).and_then(|news| self.busy().map_or(Ok(news), Err));
        match news {
            Ok(news) if news.is_empty() => {
                self.parking.park(turn.elapsed.saturating_add(wait), Spot::Renew(id, reply));
            }
            news => turn.answers.push(answer(reply, news)),
        }
    }

    pub(crate) fn park_wait(&mut self, turn: &mut Turn<'_>, id: TaskId, wait: Duration, reply: Reply<Option<Task>>) {
        match self.task(turn, id) {
            Ok(Some(task)) if !task.state.is_terminal() => match self.busy() {
                Some(error) => turn.answers.push(answer(reply, Err(error))),
                None => self.parking.park(turn.elapsed.saturating_add(wait), Spot::Wait(id, reply)),
            },
            ended => turn.answers.push(answer(reply, ended)),
        }
    }

    fn busy(&self) -> Option<StoreError> {
        self.parking.is_full().then_some(StoreError::Busy { waiting: MAX_PARKED })
    }

    pub(super) fn answer_waiters(&mut self, turn: &mut Turn<'_>, task: &Task) {
        for number in self.parking.by_task.get(&task.id).cloned().unwrap_or_default() {
            if let Some(Spot::Wait(_, reply)) = self.parking.leave(number) {
                turn.answers.push(answer(reply, Ok(Some(task.clone()))));
            }
        }
    }

    /// The session has ended, so nobody of it waits any more.
    pub(super) fn refuse_parked(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        let of_session = |spot: &Spot| match spot {
            Spot::Lease(request, _) => request.session == session,
            Spot::Renew(id, _) => *id == session,
            Spot::Wait(..) => false,
        };
        let numbers: Vec<_> =
            self.parking.spots.iter().filter(|(_, (_, spot))| of_session(spot)).map(|(number, _)| *number).collect();
        for number in numbers {
            match self.parking.leave(number) {
                Some(Spot::Lease(_, reply)) => turn.answers.push(answer(reply, Err(StoreError::SessionLost))),
                Some(Spot::Renew(_, reply)) => turn.answers.push(answer(reply, Err(StoreError::SessionLost))),
                _ => {}
            }
        }
    }

    /// Whoever waits for work gets it, whoever waits for news gets them, and whose time is up gets what there is. Comes
    /// last in a turn.
    pub(crate) fn serve_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        for number in self.parking.leases.iter().copied().collect::<Vec<_>>() {
            if self.heads.is_empty() {
                break;
            }
            let Some((_, Spot::Lease(request, reply))) = self.parking.spots.get(&number) else { continue };
            if reply.is_closed() {
                self.parking.leave(number);
                continue;
            }
            let LeaseRequest { session, queues, slots, .. } = request.clone();
            let leased = self.lease_now(turn, session, &queues, slots)?;
            if leased.is_empty() {
                continue;
            }
            if let Some(Spot::Lease(_, reply)) = self.parking.leave(number) {
                turn.answers.push(answer_lease(reply, leased));
            }
        }
        let told: Vec<_> = self.parking.by_session.iter().map(|(session, number)| (*session, *number)).collect();
        for (id, number) in told {
            let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.cancelled.is_empty()) else {
                continue;
            };
            let news = std::mem::take(&mut session.cancelled);
            if let Some(Spot::Renew(_, reply)) = self.parking.leave(number) {
                turn.answers.push(answer(reply, Ok(news)));
            }
        }
        while let Some((deadline, number)) = self.parking.deadlines.first().copied()
            && deadline <= turn.elapsed
        {
            match self.parking.leave(number) {
                Some(Spot::Lease(_, reply)) => turn.answers.push(answer(reply, Ok(Vec::new()))),
                Some(Spot::Renew(_, reply)) => turn.answers.push(answer(reply, Ok(Vec::new()))),
                Some(Spot::Wait(id, reply)) => {
                    let task = self.task(turn, id);
                    turn.answers.push(answer(reply, task));
                }
                None => break,
            }
        }
        Ok(())
    }
}
