//! Which sessions can run what: by the queues that they serve, by the code that they have, and by what they let an attempt
//! use. And what a task is told that none of them can run now.

use std::sync::Arc;

use sunaba_task::{Digest, HandlerName, Limits, SessionId, TaskSpec};

use super::groups::Queue;
use super::{Planner, Session};
use crate::keys::Need;
use crate::spot::Code;
use crate::{Hold, Readiness, Runs, SessionLimits, Stalled, StoreError, Unready};

/// What is told of a queue's tasks whose code is not ready: so many kinds at most.
const MAX_STALLED: usize = 20;

impl Session {
    /// Whether it takes tasks from a queue. One that has not asked for any yet may.
    fn serves(&self, queue: &str) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contain(queue))
    }

    pub(super) fn is_unready(&self, runs: &Runs) -> bool {
        self.readiness(runs).is_some()
    }

    fn readiness(&self, Runs { component, limits }: &Runs) -> Option<&Readiness> {
        self.unready.get(&(*component, limits.fuel.mode()))
    }
}

impl Planner {
    /// What the session's host cannot run from now on. Whoever waits for work is served by that at the end of the turn.
    pub(crate) fn set_unready(&mut self, id: SessionId, unready: Unready) -> Result<(), StoreError> {
        self.sessions.get_mut(&id).ok_or(StoreError::SessionLost)?.unready = unready;
        Ok(())
    }

    pub(crate) fn limit_session(&mut self, id: SessionId, limits: SessionLimits) -> Result<(), StoreError> {
        let session = self.sessions.get_mut(&id).ok_or(StoreError::SessionLost)?;
        session.memory.limit_bytes = limits.memory_bytes;
        session.memory.slots = limits.slots;
        session.caps = Arc::new(limits.attempt);
        Ok(())
    }

    /// What the next attempt of a task runs and may use: what its package has now if it follows, and no more than its queue
    /// and the session's host allow now. The record keeps what was asked for. Nothing else decides this.
    pub(super) fn runs(&self, spec: &TaskSpec, session: Option<&Session>) -> Runs {
        let mut limits = Limits::clone(&spec.limits);
        if let Some(queue) = self.lanes.queue(&spec.queue) {
            limits = limits.at_most(&queue.settings.limits);
        }
        if let Some(session) = session {
            limits = limits.at_most(&session.caps);
        }
        let active = spec.follows.then(|| self.shelves.active(&spec.handler.package)).flatten();
        Runs { component: active.map_or(spec.component, |active| active.component), limits }
    }

    pub(super) fn serving(&self, queue: &str) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(move |session| session.serves(queue))
    }

    /// The sessions that can run a task, or will be able to, and what it may use there; memory apart.
    pub(super) fn able(&self, spec: &TaskSpec) -> impl Iterator<Item = (&Session, Limits)> {
        self.serving(&spec.queue).filter_map(|session| {
            let runs = self.runs(spec, Some(session));
            let never = matches!(session.readiness(&runs), Some(Readiness::Failed(_)));
            (!never).then_some((session, runs.limits))
        })
    }

    /// Why no session starts a queued task, whatever else holds it.
    pub(super) fn session_holds(&self, spec: &TaskSpec) -> impl Iterator<Item = Hold> {
        let nobody = self.serving(&spec.queue).next().is_none().then_some(Hold::NoWorker);
        let unready = self.code_hold(&spec.queue, |session| {
            let runs = self.runs(spec, Some(session));
            Some((runs.component, session.readiness(&runs)?))
        });
        [nobody, unready, self.memory_hold(spec)].into_iter().flatten()
    }

    /// That no session that serves a queue has some code ready. `unready` says of a session why it has not.
    fn code_hold<'s>(
        &'s self,
        queue: &str,
        unready: impl Fn(&'s Session) -> Option<(Digest, &'s Readiness)>,
    ) -> Option<Hold> {
        let mut found = None;
        for session in self.serving(queue) {
            let (component, readiness) = unready(session)?;
            // Where it is being compiled there is hope.
            if found.is_none() || matches!(readiness, Readiness::Compiling(_)) {
                found = Some((component, readiness.clone()));
            }
        }
        found.map(|(component, readiness)| match readiness {
            Readiness::Compiling(problem) => Hold::Compiling { component, problem },
            Readiness::Failed(problem) => Hold::Uncompilable { component, problem },
        })
    }

    /// The tasks of a queue whose code no session has ready, by their handlers and that code.
    pub(super) fn stalled(&self, name: &str, queue: &Queue) -> Vec<Stalled> {
        if self.serving(name).any(|session| session.unready.is_empty()) {
            return Vec::new();
        }
        let stalled = queue.groups().filter_map(|(handler, code, group)| {
            let hold = self.code_hold(name, |session| self.unready_code(session, queue, handler, code))?;
            Some(Stalled { handler: HandlerName::clone(handler), queued: group.queued, hold })
        });
        stalled.take(MAX_STALLED).collect()
    }

    /// As [`runs`](Self::runs) has it, without a record.
    fn unready_code<'s>(
        &'s self,
        session: &'s Session,
        queue: &Queue,
        handler: &HandlerName,
        Code { need, fuel }: Code,
    ) -> Option<(Digest, &'s Readiness)> {
        let fuel = session.caps.fuel_mode(queue.settings.limits.fuel_mode(fuel));
        let active = self.shelves.active(&handler.package).map(|active| active.component);
        let is_its = |component: Digest| match need {
            Need::Active => active == Some(component),
            Need::Component(_) => need == Need::component(component),
        };
        let mut unready = session.unready.iter().filter(|((_, mode), _)| *mode == fuel);
        unready.find(|((component, _), _)| is_its(*component)).map(|((component, _), why)| (*component, why))
    }
}
