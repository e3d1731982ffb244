//! What deciders ask of a situation most.

use crate::{AttemptRecord, Observation, Situation};

impl AttemptRecord {
    /// The kind of its failure, or the cause for which it was stopped; none if it did not fail.
    pub fn failure_kind(&self) -> Option<&str> {
        match &self.observation {
            Observation::Returned(Ok(_)) => None,
            Observation::Returned(Err(failure)) => Some(&failure.kind),
            Observation::Stopped(stop) => Some(&stop.cause),
        }
    }

    /// What the failure said; empty if it did not fail.
    pub fn message(&self) -> &str {
        match &self.observation {
            Observation::Returned(Ok(_)) => "",
            Observation::Returned(Err(failure)) => &failure.message,
            Observation::Stopped(stop) => &stop.message,
        }
    }
}

impl Situation {
    /// The attempt under decision.
    pub fn last(&self) -> Option<&AttemptRecord> {
        self.attempts.last()
    }

    /// The kind of the failure under decision, or the cause for which the attempt was stopped; none if it did not fail.
    pub fn failure_kind(&self) -> Option<&str> {
        self.last().and_then(AttemptRecord::failure_kind)
    }

    /// How many attempts in a row have ended as the last one did: with this kind or cause, and with the same words.
    pub fn same_in_a_row(&self) -> usize {
        let Some(last) = self.last() else { return 0 };
        let is_same = |attempt: &&AttemptRecord| {
            attempt.failure_kind() == last.failure_kind() && attempt.message() == last.message()
        };
        self.attempts.iter().rev().take_while(is_same).count()
    }

    /// What is left of the budget of this name; none where there is no such budget.
    pub fn left(&self, budget: &str) -> Option<u64> {
        self.budgets.iter().find(|known| known.name == budget).map(|known| known.left)
    }
}
