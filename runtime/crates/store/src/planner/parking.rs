//! Callers that wait: for work, for news of their session, for the end of a task. Each is woken, or answered when its
//! time is up.

use std::collections::BTreeMap;
use std::time::Duration;

use sunaba_task::{LeaseToken, SessionId, Task, TaskId};
use tokio::sync::{mpsc, oneshot};

use super::waiters::Waiters;
use super::{Answer, Planner, Turn};
use crate::{Cancelled, EngineError, LeaseRequest, Leased, StoreError};

/// Callers that may wait for the end of a task at a time. Workers may always wait.
const MAX_WAITERS: usize = 10_000;

/// Where an answer goes. If the commit thread panics over it, that is the answer.
pub(crate) struct Reply<T> {
    sender: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T> Reply<T> {
    pub(crate) fn new(sender: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { sender: Some(sender) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Whoever asked may have gone.
    pub(crate) fn send(mut self, value: Result<T, StoreError>) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(value);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take().filter(|_| std::thread::panicking()) {
            let _ = sender.send(Err(StoreError::Failed(EngineError::new("the commit thread panicked", "see the log"))));
        }
    }
}

/// Leases on their way to a worker. If it does not take them, they are given back.
pub(crate) struct Granted {
    leased: Vec<Leased>,
    unwanted: mpsc::UnboundedSender<LeaseToken>,
}

impl Granted {
    /// The worker has them.
    pub(crate) fn take(mut self) -> Vec<Leased> {
        std::mem::take(&mut self.leased)
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        for leased in &self.leased {
            // Without a commit thread there is nobody to give it back to.
            let _ = self.unwanted.send(leased.token);
        }
    }
}

/// A worker that waits for work.
struct Worker {
    deadline: Duration,
    request: LeaseRequest,
    reply: Reply<Granted>,
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Parking {
    /// In the order in which they came.
    workers: Vec<Worker>,
    /// Renewals, by their sessions.
    renewals: BTreeMap<SessionId, (Duration, Reply<Vec<Cancelled>>)>,
    /// Callers that wait for the end of a task.
    waiters: Waiters<TaskId, Reply<Option<Task>>>,
}

impl Parking {
    pub(super) fn first_deadline(&self) -> Option<Duration> {
        let workers = self.workers.iter().map(|worker| worker.deadline);
        let renewals = self.renewals.values().map(|(deadline, _)| *deadline);
        workers.chain(renewals).chain(self.waiters.first_deadline()).min()
    }
}

/// An answer, to be sent when the turn is durable.
pub(crate) fn answer<T: Send + 'static>(reply: Reply<T>, value: Result<T, StoreError>) -> Answer {
    Box::new(move || reply.send(value))
}

impl Planner {
    pub(crate) fn park_lease(&mut self, turn: &mut Turn<'_>, request: LeaseRequest, reply: Reply<Granted>) {
        let Some(session) = self.sessions.get_mut(&request.session) else {
            turn.answers.push(answer(reply, Err(StoreError::SessionLost)));
            return;
        };
        session.queues = Some(request.queues.clone());
        let deadline = turn.elapsed.saturating_add(request.wait);
        // Served with all others at the end of the turn.
        self.parking.workers.push(Worker { deadline, request, reply });
    }

    pub(crate) fn park_renew(
        &mut self,
        turn: &mut Turn<'_>,
        id: SessionId,
        wait: Duration,
        reply: Reply<Vec<Cancelled>>,
    ) {
        match self.renew(turn, id) {
            Ok(()) => {
                let parked = (turn.elapsed.saturating_add(wait), reply);
                // A session has one worker: if it asks again, it does not wait for the first answer any more.
                self.parking.renewals.insert(id, parked);
            }
            Err(error) => turn.answers.push(answer(reply, Err(error))),
        }
    }

    pub(crate) fn park_wait(&mut self, turn: &mut Turn<'_>, id: TaskId, wait: Duration, reply: Reply<Option<Task>>) {
        let task = match self.task(turn, id) {
            Ok(Some(task)) if !task.state.is_terminal() => task,
            ended => return turn.answers.push(answer(reply, ended)),
        };
        if self.parking.waiters.len() >= MAX_WAITERS {
            self.parking.waiters.forget(Reply::is_closed);
        }
        if self.parking.waiters.len() >= MAX_WAITERS {
            return turn.answers.push(answer(reply, Err(StoreError::Busy { waiting: MAX_WAITERS })));
        }
        let deadline = turn.elapsed.saturating_add(wait);
        self.parking.waiters.add(task.id, deadline, reply);
    }

    pub(super) fn answer_waiters(&mut self, turn: &mut Turn<'_>, task: &Task) {
        for reply in self.parking.waiters.take(task.id) {
            turn.answers.push(answer(reply, Ok(Some(task.clone()))));
        }
    }

    /// The session has ended, so nobody of it waits any more.
    pub(super) fn refuse_parked(&mut self, turn: &mut Turn<'_>, session: SessionId) {
        for worker in self.parking.workers.extract_if(.., |worker| worker.request.session == session) {
            turn.answers.push(answer(worker.reply, Err(StoreError::SessionLost)));
        }
        if let Some((_, reply)) = self.parking.renewals.remove(&session) {
            turn.answers.push(answer(reply, Err(StoreError::SessionLost)));
        }
    }

    /// Whoever waits for work gets it, whoever waits for news gets them, and whose time is up gets what there is. Comes
    /// last in a turn.
    pub(crate) fn serve_parked(&mut self, turn: &mut Turn<'_>) -> Result<(), StoreError> {
        // First, so that whoever sends them gets them in this turn.
        self.deliver_told(turn)?;
        self.webhooks.is_owed = false;
        for worker in std::mem::take(&mut self.parking.workers) {
            if worker.reply.is_closed() {
                continue;
            }
            let LeaseRequest { session, queues, slots, .. } = &worker.request;
            let leased = self.lease_now(turn, *session, queues, *slots)?;
            if leased.is_empty() && worker.deadline > turn.elapsed {
                self.parking.workers.push(worker);
            } else {
                let granted = Granted { leased, unwanted: self.unwanted.clone() };
                turn.answers.push(answer(worker.reply, Ok(granted)));
            }
        }
        let sessions = &mut self.sessions;
        let has_news = |id: &SessionId| sessions.get(id).is_some_and(|session| !session.cancelled.is_empty());
        let told = self
            .parking
            .renewals
            .extract_if(.., |id, (deadline, reply)| reply.is_closed() || has_news(id) || *deadline <= turn.elapsed);
        for (id, (_, reply)) in told.collect::<Vec<_>>() {
            // News for nobody wait for the next renewal.
            if let Some(session) = sessions.get_mut(&id).filter(|_| !reply.is_closed()) {
                turn.answers.push(answer(reply, Ok(std::mem::take(&mut session.cancelled))));
            }
        }
        for (id, reply) in self.parking.waiters.take_due(turn.elapsed) {
            let task = self.task(turn, id);
            turn.answers.push(answer(reply, task));
        }
        self.answer_late_for_jobs(turn);
        Ok(())
    }
}
