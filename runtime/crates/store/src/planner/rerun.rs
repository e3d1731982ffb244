//! Makes a task over again.

use sunaba_task::{NewTask, Origin, Task};

use super::callbacks::{callbacks, without_key};
use super::{Planner, Stored, Turn, body};
use crate::codec;
use crate::keys;
use crate::{Rerun, RerunError, StoreError};

impl Planner {
    pub(crate) fn rerun(
        &mut self,
        turn: &mut Turn<'_>,
        requests: Vec<Rerun>,
    ) -> Result<Vec<Result<Task, RerunError>>, StoreError> {
        turn.txn.check_room()?;
        requests.into_iter().map(|request| self.rerun_one(turn, request)).collect()
    }

    /// A new task with what this one was submitted with, but for its keys, its delay and its expiry, which are the submit's,
    /// and with the component that its package has now.
    pub(super) fn rerun_one(
        &mut self,
        turn: &mut Turn<'_>,
        request: Rerun,
    ) -> Result<Result<Task, RerunError>, StoreError> {
        let id = request.task;
        let (mut old, new) = match self.again(turn, request) {
            Ok(Ok(both)) => both,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(StoreError::Damaged { problem, .. }) => return Ok(Err(RerunError::Damaged { task: id, problem })),
            Err(error) => return Err(error),
        };
        let task = self.take_on(turn, &new, Some(Origin::Rerun(id)))?;
        self.keep_rerun(turn, &mut old);
        // Where it stands does not change, only what is known of it.
        old.task.successor = Some(task.id);
        old.task.revision += 1;
        turn.txn.put(keys::task(id), codec::write(&old));
        Ok(Ok(task))
    }

    /// A task as it stands, and what is to be made of it. Changes nothing.
    fn again(&self, turn: &Turn<'_>, request: Rerun) -> Result<Result<(Stored, NewTask), RerunError>, StoreError> {
        let Some(stored) = self.stored(turn, request.task)? else { return Ok(Err(RerunError::Unknown(request.task))) };
        let task = &stored.task;
        if !task.state.is_terminal() {
            return Ok(Err(RerunError::NotEnded { task: task.id, state: task.state.name() }));
        }
        if let Some(successor) = task.successor.filter(|_| request.once) {
            return Ok(Err(RerunError::Already { task: task.id, successor }));
        }
        let mut spec = without_key(&task.spec);
        // Whatever it failed over may be mended by now. What no package has is of the host's own program.
        if let Some(package) = self.package(turn, &spec.handler.package)? {
            if package.handler(&spec.handler.handler).is_none() {
                return Ok(Err(RerunError::NoHandler { task: task.id, handler: spec.handler }));
            }
            let is_checked = match request.checked {
                Some(component) => component == package.component,
                None => request.input.is_none() && self.takes_the_same(turn, &spec, &package),
            };
            if !is_checked {
                let active = Box::new(package);
                return Ok(Err(RerunError::Unchecked { task: task.id, handler: spec.handler, active }));
            }
            spec.component = package.component;
        }
        let input = match request.input {
            Some(input) => input,
            None => body(turn, &keys::input(task.id), stored.input.as_ref(), &task.input.media_type)?,
        };
        let mut new = NewTask::new(spec, input);
        if task.callbacks > 0 {
            new.callbacks = callbacks(turn, task.id)?;
        }
        Ok(Ok((stored, new)))
    }
}
