//! Does the same to many tasks: what a query asks for, page by page.

use serde_json::json;
use sunaba_task::{Event, State, Task, TaskId};

use super::{Planner, Turn};
use crate::{BulkAction, BulkPage, Rerun, StoreError, TaskQuery};

impl Planner {
    pub(crate) fn run_now(&mut self, turn: &mut Turn<'_>, ids: &[TaskId]) -> Result<Vec<Option<Task>>, StoreError> {
        // All are read before one is changed: a record that is damaged keeps the others as they are.
        ids.iter().try_for_each(|id| self.stored(turn, *id).map(drop))?;
        ids.iter().map(|id| self.run_one_now(turn, *id)).collect()
    }

    fn run_one_now(&mut self, turn: &mut Turn<'_>, id: TaskId) -> Result<Option<Task>, StoreError> {
        match self.stored(turn, id)? {
            Some(stored) if stored.task.due_at().is_some() => Ok(Some(self.change(turn, stored, Event::Due)?.task)),
            other => Ok(other.map(|stored| stored.task)),
        }
    }

    pub(crate) fn bulk(
        &mut self,
        turn: &mut Turn<'_>,
        action: &BulkAction,
        query: &TaskQuery,
    ) -> Result<BulkPage, StoreError> {
        if *action == BulkAction::Rerun {
            turn.txn.check_room()?;
        }
        let page = self.page(turn, query, |task| {
            let fits = query.matches(task) && can(action, task);
            // What is copied counts, too.
            fits.then(|| if *action == BulkAction::Rerun { task.input.size_bytes } else { 0 })
        })?;
        let (mut done, mut unchecked) = (Vec::with_capacity(page.tasks.len()), Vec::new());
        for task in page.tasks {
            let was_done = match action {
                BulkAction::Cancel(wish) => self.cancel_one(turn, task.id, wish)?.is_some(),
                BulkAction::RunNow => self.run_one_now(turn, task.id)?.is_some(),
                BulkAction::Rerun => {
                    let made =
                        self.rerun_one(turn, Rerun { task: task.id, input: None, checked: None, once: false })?;
                    unchecked.extend(made.is_err().then_some(task.id));
                    made.is_ok()
                }
                BulkAction::Delete => match self.stored_by(turn, task.id.as_bytes())? {
                    Some(stored) => self.forget(turn, &stored).map(|()| true)?,
                    None => false,
                },
            };
            if was_done {
                done.push(task.id);
            }
        }
        // Of so many tasks their number is enough: what became of each is in its record.
        turn.note_change(|| (None, Some(json!({ "tasks": done.len() }))));
        Ok(BulkPage { done, unchecked, next: page.next })
    }
}

/// Whether it can be done to a task that stands so.
fn can(action: &BulkAction, task: &Task) -> bool {
    let has_ended = task.state.is_terminal();
    match action {
        BulkAction::Cancel(_) => !has_ended && task.cancel.is_none(),
        BulkAction::RunNow => task.due_at().is_some(),
        BulkAction::Rerun => has_ended && task.state != State::Succeeded && task.successor.is_none(),
        BulkAction::Delete => has_ended,
    }
}
