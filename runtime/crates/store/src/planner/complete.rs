//! Completes tasks from outside, and makes the tokens that let others do so.
//!
//! What is given while a task does not wait for it is kept in the place of the output, which nobody is shown before the task
//! has succeeded: so it is there, and durable, when the attempt ends with a wait.

use bytes::Bytes;
use sunaba_task::{Completion, CompletionKey, CompletionToken, Digest, Event, PayloadInfo, Task, TaskId, transition};

use super::{Planner, Stored, Turn, inline_or_put};
use crate::access;
use crate::{CompleteError, NewCompletion, OpenError, StoreError, codec, keys};

impl Planner {
    /// Gives a task its output; `digest` is that of the output's body.
    pub(crate) fn complete(
        &mut self,
        turn: &mut Turn<'_>,
        id: TaskId,
        new: NewCompletion,
        digest: Digest,
    ) -> Result<Result<Task, CompleteError>, StoreError> {
        let mut stored = match self.stored(turn, id) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(Err(CompleteError::Unknown(id))),
            Err(StoreError::Damaged { problem, .. }) => return Ok(Err(CompleteError::Damaged { task: id, problem })),
            Err(error) => return Err(error),
        };
        let NewCompletion { output, by, with_token } = new;
        let info = PayloadInfo::of(&output);
        match refusal(&stored.task, &info, digest) {
            Refusal::None => {}
            Refusal::GivenBefore => return Ok(Ok(stored.task)),
            Refusal::For(error) => return Ok(Err(error)),
        }
        turn.txn.check_room()?;
        let completion = Completion { by, with_token, at: turn.now, output: info, digest, taken: false };
        let event = Event::Completed(Box::new(completion));
        stored.output = inline_or_put(turn, keys::output(id), &output.bytes);
        if self.running.contains_key(&id) {
            return self.keep_completion(turn, stored, event).map(Ok);
        }
        Ok(Ok(self.change(turn, stored, event)?.task))
    }

    /// Of a task that runs: its record is written, so that a crash does not forget what was acknowledged.
    fn keep_completion(&mut self, turn: &mut Turn<'_>, mut stored: Stored, event: Event) -> Result<Task, StoreError> {
        let id = stored.task.id;
        let task = transition(&stored.task, event, turn.now)
            .map_err(|error| codec::damaged(&keys::task(id), error.to_string()))?
            .task;
        let before = std::mem::replace(&mut stored.task, task.clone());
        turn.txn.put(keys::task(id), codec::write(&stored));
        if let Some(running) = self.running.get_mut(&id) {
            running.stored = stored;
        }
        self.tell(turn, Some(&before), &task);
        Ok(task)
    }

    /// What lets whoever has it complete this task.
    pub(crate) fn completion_token(&self, id: TaskId) -> CompletionToken {
        self.completion_key.token(id)
    }

    /// The key of all tokens, which is made once. A store whose key cannot be read gets another, and tokens that were given
    /// out before are worth nothing.
    pub(super) fn read_completion_key(&mut self, turn: &mut Turn<'_>) -> Result<(), OpenError> {
        let kept = match turn.txn.get(keys::COMPLETION_KEY).map_err(OpenError::from)? {
            Some(stored) => turn.read_or_set_aside::<CompletionKey>(keys::COMPLETION_KEY, &stored)?,
            None => None,
        };
        self.completion_key = match kept {
            Some(key) => key,
            None => {
                let key = new_key()?;
                turn.txn.put(keys::COMPLETION_KEY.to_vec(), codec::write(&key));
                key
            }
        };
        Ok(())
    }
}

/// Whether a task is given an output.
enum Refusal {
    /// It is.
    None,
    /// It has this very one already.
    GivenBefore,
    /// It is not.
    For(CompleteError),
}

fn refusal(task: &Task, output: &PayloadInfo, digest: Digest) -> Refusal {
    let (id, state, since) = (task.id, task.state.name(), task.since);
    let has_ended = state.is_terminal();
    if let Some(given) = task.completion.as_ref().filter(|given| given.taken || !has_ended) {
        let another = || CompleteError::Already { task: id, at: given.at, who: given.who() };
        return if given.is(output, digest) { Refusal::GivenBefore } else { Refusal::For(another()) };
    }
    match &task.cancel {
        _ if has_ended => Refusal::For(CompleteError::Ended { task: id, state, at: since }),
        // A cancel wins over every end, so that nothing would come of it.
        Some(cancel) => Refusal::For(CompleteError::Cancelling { task: id, at: cancel.at }),
        None if task.can_be_completed() || task.keeps_completion() => Refusal::None,
        None => Refusal::For(CompleteError::NotWaiting { task: id, state, since }),
    }
}

/// A task has ended otherwise than with what was given: of that, the record's word is enough.
pub(super) fn drop_untaken(turn: &mut Turn<'_>, stored: &mut Stored) {
    let is_untaken = stored.task.completion.as_ref().is_some_and(|given| !given.taken);
    if is_untaken && stored.task.output.is_none() {
        turn.txn.delete(keys::output(stored.task.id));
        stored.output = None;
    }
}

/// Makes sure that a task that waits to be completed is found by that; it is not any more after [`leave_awaiting`].
pub(super) fn index_awaiting(turn: &mut Turn<'_>, task: &Task) {
    if task.awaits.is_some() {
        turn.txn.put(keys::among(keys::awaiting(), task.id), Bytes::new());
    }
}

/// A task that has waited to be completed does not any more.
pub(super) fn leave_awaiting(turn: &mut Turn<'_>, before: &Task, after: &Task) {
    if before.awaits.is_some() && after.awaits.is_none() {
        turn.txn.delete(keys::among(keys::awaiting(), before.id));
    }
}

/// A key that nobody can guess.
fn new_key() -> Result<CompletionKey, OpenError> {
    let unreadable = |error| OpenError::Unreadable(format!("there are no random numbers for a key: {error}"));
    access::random().map(CompletionKey::new).map_err(unreadable)
}
