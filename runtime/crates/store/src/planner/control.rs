//! What an operator sets for queues and handlers, and how they stand.

use sunaba_task::{HandlerChange, HandlerName, QueueChange, TaskId};

use super::{Planner, Turn};
use crate::{HandlerStatus, QueueStatus, Standing, StoreError};

impl Planner {
    pub(crate) fn queues(&self, _turn: &Turn<'_>) -> Result<Vec<QueueStatus>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(crate) fn set_queue(
        &mut self,
        _turn: &mut Turn<'_>,
        _queue: &str,
        _changes: &[QueueChange],
    ) -> Result<QueueStatus, StoreError> {
        Err(StoreError::Closed)
    }

    pub(crate) fn handlers(&self, _turn: &Turn<'_>) -> Result<Vec<HandlerStatus>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(crate) fn set_handler(
        &mut self,
        _turn: &mut Turn<'_>,
        _handler: &HandlerName,
        _changes: &[HandlerChange],
    ) -> Result<HandlerStatus, StoreError> {
        Err(StoreError::Closed)
    }

    pub(crate) fn standing(&self, _turn: &Turn<'_>, _id: TaskId) -> Result<Standing, StoreError> {
        Err(StoreError::Closed)
    }
}
