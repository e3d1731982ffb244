//! What follows when a task ends: its callbacks, and until when what is left of it is kept.

use sunaba_task::Retention;

use super::{Planner, Stored, Turn};
use crate::StoreError;

/// What has ended in a turn, by when it is to be deleted.
#[derive(Default)]
pub(super) struct Ended {}

impl Planner {
    /// A task has ended; its record is not written yet.
    pub(super) fn end(&mut self, _turn: &mut Turn<'_>, _stored: &mut Stored) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends what was not started in time.
    pub(super) fn expire(&mut self, _turn: &mut Turn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Deletes what need not be kept any more.
    pub(super) fn purge(&mut self, _turn: &mut Turn<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    pub(super) fn write_ended(&mut self, _turn: &mut Turn<'_>) {}

    pub(crate) fn retention(&self) -> Retention {
        self.retention.clone()
    }

    pub(crate) fn set_retention(&mut self, _turn: &mut Turn<'_>, _retention: Retention) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
}
