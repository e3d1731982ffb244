//! The event feed: what happened to tasks, in the order of the commits.

use sunaba_task::{LeaseToken, Progress, Task};

use super::{Planner, Reply, Turn, answer};
use crate::{EventPage, EventQuery, StoreError};

/// The feed, as far as it is in memory.
#[derive(Default)]
pub(super) struct Feed {}

/// Something to be told at the end of the turn.
pub(super) struct Told {}

impl Planner {
    /// Notes what happened when a record became another.
    pub(super) fn tell(&mut self, _turn: &mut Turn<'_>, _before: Option<&Task>, _after: &Task) {}

    /// Writes what happened in the turn, and answers whoever waited for it.
    pub(super) fn write_feed(&mut self, _turn: &mut Turn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    pub(crate) fn progress(
        &mut self,
        _turn: &mut Turn<'_>,
        _reports: Vec<(LeaseToken, Progress)>,
    ) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// The events that there are.
    pub(crate) fn events(&self, _turn: &Turn<'_>, _query: &EventQuery) -> Result<EventPage, StoreError> {
        Err(StoreError::Closed)
    }

    pub(crate) fn park_events(&mut self, turn: &mut Turn<'_>, _query: EventQuery, reply: Reply<EventPage>) {
        turn.answers.push(answer(reply, Err(StoreError::Closed)));
    }
}
