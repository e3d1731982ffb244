//! Closes leases, and cancels.

use sunaba_task::{
    Breaker, CancelRequest, Event, PayloadInfo, Policy, Receipt, Settled, Task, TaskId, Verdict, transition,
};

use super::{Planner, Turn, inline_or_put};
use crate::children::PreparedSettlement;
use crate::codec;
use crate::keys;
use crate::{CancelWish, Cancelled, SettleError, Settlement, StoreError};

impl Planner {
    pub(crate) fn settle(
        &mut self,
        turn: &mut Turn<'_>,
        settlements: Vec<Result<PreparedSettlement, SettleError>>,
    ) -> Result<Vec<Result<Task, SettleError>>, StoreError> {
        let settle = |prepared| match prepared {
            Ok(prepared) => self.settle_one(turn, prepared),
            Err(error) => Ok(Err(error)),
        };
        settlements.into_iter().map(settle).collect()
    }

    fn settle_one(
        &mut self,
        turn: &mut Turn<'_>,
        PreparedSettlement { settlement, plan }: PreparedSettlement,
    ) -> Result<Result<Task, SettleError>, StoreError> {
        let Settlement { token, revision, ending, decision, receipt, output, detail, .. } = settlement;
        let id = token.task;
        if !self.has_lease(&token) {
            return Ok(Err(SettleError::LeaseLost));
        }
        let Some(running) = self.running.get(&id) else { return Ok(Err(SettleError::LeaseLost)) };
        let task = &running.stored.task;
        if task.revision != revision {
            return Ok(Err(SettleError::Stale(Box::new(task.clone()))));
        }
        let number = task.attempts_started;
        let plan = (decision.verdict == Verdict::Decompose).then(|| (plan.unwrap_or_default(), task.clone()));
        if let Some((plan, task)) = &plan
            && let Err(refused) = self.check_plan(turn, task, plan)?
        {
            return Ok(Err(SettleError::Plan(refused)));
        }
        let Some(running) = self.stop_running(turn, id) else { return Ok(Err(SettleError::LeaseLost)) };
        let (waited, hit) = (running.waited, running.reserved.hit(&ending, decision.verdict));
        let mut stored = running.stored;
        let receipt = receipt.map(|receipt| Receipt { queue_wait: receipt.queue_wait.or(Some(waited)), ..receipt });
        if let Some(failed) = Breaker::looks_at(&ending, &decision) {
            self.lanes.attempted(&stored.task.spec.handler, failed, turn.elapsed);
        }
        // Only a task that succeeds has an output; one that was completed has that which was given.
        let is_its = decision.verdict == Verdict::Succeed && decision.policy != Policy::Completed;
        let output = output.filter(|_| is_its);
        if let Some(output) = &output {
            if stored.task.completion.is_some() {
                turn.txn.delete(keys::output(id));
            }
            stored.output = inline_or_put(turn, keys::output(id), &output.bytes);
        }
        if !detail.is_empty() {
            turn.txn.put(keys::attempt(id, number), codec::write(&detail));
        }
        if let Some((plan, _)) = plan {
            self.begin_plan(turn, &mut stored, plan)?;
        }
        let output = output.as_ref().map(PayloadInfo::of);
        let settled = Settled { ending, decision, receipt, output };
        let stored = self.change(turn, stored, Event::Settled(Box::new(settled)))?;
        self.end_if_hit(turn, &stored.task, hit)?;
        Ok(Ok(stored.task))
    }

    pub(crate) fn cancel(
        &mut self,
        turn: &mut Turn<'_>,
        ids: &[TaskId],
        wish: &CancelWish,
    ) -> Result<Vec<Option<Task>>, StoreError> {
        // All are read before one is changed: a record that is damaged keeps the others as they are.
        ids.iter().try_for_each(|id| self.stored(turn, *id).map(drop))?;
        ids.iter().map(|id| self.cancel_one(turn, *id, wish)).collect()
    }

    pub(super) fn cancel_one(
        &mut self,
        turn: &mut Turn<'_>,
        id: TaskId,
        wish: &CancelWish,
    ) -> Result<Option<Task>, StoreError> {
        let request = CancelRequest { at: turn.now, reason: wish.reason.clone(), grace: wish.grace };
        if let Some(running) = self.running.get_mut(&id) {
            if running.stored.task.cancel.is_some() {
                return Ok(Some(running.stored.task.clone()));
            }
            let task = transition(&running.stored.task, Event::CancelRequested(request), turn.now)
                .map_err(|error| codec::damaged(&keys::task(id), error.to_string()))?
                .task;
            let before = std::mem::replace(&mut running.stored.task, task.clone());
            // A crash before the attempt ends must not forget that it was cancelled.
            turn.txn.put(keys::task(id), codec::write(&running.stored));
            if let Some(session) = task.lease().and_then(|lease| self.sessions.get_mut(&lease.session)) {
                session.cancelled.push(Cancelled { task: id, grace: wish.grace });
            }
            self.tell(turn, Some(&before), &task);
            self.stop_children(turn, &task)?;
            return Ok(Some(task));
        }
        match self.stored(turn, id)? {
            // Again is no change of what was asked first.
            Some(stored) if stored.task.waits_for_children() && stored.task.cancel.is_some() => Ok(Some(stored.task)),
            Some(stored) if !stored.task.state.is_terminal() => {
                Ok(Some(self.change(turn, stored, Event::CancelRequested(request))?.task))
            }
            other => Ok(other.map(|stored| stored.task)),
        }
    }
}
