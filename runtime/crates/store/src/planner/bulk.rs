//! Does the same to many tasks: what a query asks for, page by page.

use sunaba_task::{Task, TaskId};

use super::{Planner, Turn};
use crate::{BulkAction, BulkPage, DeleteError, StoreError, TaskQuery};

impl Planner {
    pub(crate) fn run_now(&mut self, _turn: &mut Turn<'_>, _ids: &[TaskId]) -> Result<Vec<Option<Task>>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(crate) fn delete(
        &mut self,
        _turn: &mut Turn<'_>,
        _ids: &[TaskId],
    ) -> Result<Vec<Result<(), DeleteError>>, StoreError> {
        Err(StoreError::Closed)
    }

    pub(crate) fn bulk(
        &mut self,
        _turn: &mut Turn<'_>,
        _action: &BulkAction,
        _query: &TaskQuery,
    ) -> Result<BulkPage, StoreError> {
        Err(StoreError::Closed)
    }
}
