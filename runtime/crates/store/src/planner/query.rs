//! Shows what is there.

use bytes::Bytes;
use sunaba_task::{AttemptDetail, Payload, Task, TaskId};

use super::{Planner, Stored, Turn, body};
use crate::codec;
use crate::keys;
use crate::{MAX_PAGE, StoreError, TaskPage, TaskQuery};

/// Records that one query looks at, and their bytes that it gives. The commit thread does it, and has others to serve.
const MAX_LOOKS: usize = 500;
const MAX_BYTES: usize = 4 << 20;

impl Planner {
    pub(crate) fn task(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.stored(turn, id)?.map(|stored| stored.task))
    }

    pub(crate) fn input(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Payload>, StoreError> {
        let Some(Stored { task, input, .. }) = self.stored(turn, id)? else { return Ok(None) };
        body(turn, &keys::input(id), input.as_ref(), &task.input.media_type).map(Some)
    }

    pub(crate) fn output(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Payload>, StoreError> {
        let Some(Stored { task, output, .. }) = self.stored(turn, id)? else { return Ok(None) };
        let Some(info) = task.output else { return Ok(None) };
        body(turn, &keys::output(id), output.as_ref(), &info.media_type).map(Some)
    }

    pub(crate) fn attempt_detail(
        &self,
        turn: &Turn<'_>,
        id: TaskId,
        number: u32,
    ) -> Result<Option<AttemptDetail>, StoreError> {
        let key = keys::attempt(id, number);
        turn.txn.get(&key)?.map(|stored| codec::read(&key, &stored)).transpose()
    }

    pub(crate) fn tasks(&self, turn: &Turn<'_>, query: &TaskQuery) -> Result<TaskPage, StoreError> {
        let (first, end) = keys::all(b't');
        let end = query.before.map_or_else(|| end.to_vec(), keys::task);
        let limit = query.limit.clamp(1, MAX_PAGE);
        let mut page = TaskPage::default();
        let mut bytes = 0;
        for (looks, pair) in turn.txn.scan(&first, &end, true).enumerate() {
            let (key, value) = pair?;
            let id = key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok()).map(TaskId::from_bytes);
            let Some(id) = id else { continue };
            if let Some(task) = self.shown(turn, id, &key, &value)
                && query.matches(&task)
            {
                bytes += value.len();
                page.tasks.push(task);
            }
            if page.tasks.len() == limit || looks + 1 == MAX_LOOKS || bytes >= MAX_BYTES {
                page.next = Some(id);
                break;
            }
        }
        Ok(page)
    }

    /// A record of a list: what runs is not as its key has it, and what is damaged is left out.
    fn shown(&self, turn: &Turn<'_>, id: TaskId, key: &Bytes, value: &Bytes) -> Option<Task> {
        match self.running.get(&id) {
            Some(running) => Some(running.stored.task.clone()),
            None => turn.read_or_suspect(key, value).map(|stored: Stored| stored.task),
        }
    }
}
