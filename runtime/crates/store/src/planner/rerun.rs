//! Makes a task over again.

use sunaba_task::Task;

use super::{Planner, Turn};
use crate::{Rerun, RerunError, StoreError};

impl Planner {
    pub(crate) fn rerun(
        &mut self,
        _turn: &mut Turn<'_>,
        _requests: Vec<Rerun>,
    ) -> Result<Vec<Result<Task, RerunError>>, StoreError> {
        Err(StoreError::Closed)
    }
}
