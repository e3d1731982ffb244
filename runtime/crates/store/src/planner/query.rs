//! Shows what is there.

use std::collections::BTreeSet;

use bytes::Bytes;
use sunaba_task::webhook::is_internal;
use sunaba_task::{AttemptDetail, Payload, StateName, Task, TaskId};

use super::{Planner, Stored, Turn, body};
use crate::codec;
use crate::keys;
use crate::{MAX_PAGE, StoreError, TaskPage, TaskQuery};

/// Records that one query looks at, and their bytes that it gives. The commit thread does it, and has others to serve.
const MAX_LOOKS: usize = 500;
const MAX_BYTES: u64 = 4 << 20;

impl Planner {
    pub(crate) fn task(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.stored(turn, id)?.map(|stored| stored.task))
    }

    pub(crate) fn input(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Payload>, StoreError> {
        let Some(Stored { task, input, .. }) = self.stored(turn, id)? else { return Ok(None) };
        body(turn, &keys::input(id), input.as_ref(), &task.input.media_type).map(Some)
    }

    pub(crate) fn output(&self, turn: &Turn<'_>, id: TaskId) -> Result<Option<Payload>, StoreError> {
        let Some(Stored { task, output, output_until, .. }) = self.stored(turn, id)? else { return Ok(None) };
        let Some(info) = task.output else { return Ok(None) };
        if output_until.is_none_or(|until| until <= turn.now) {
            return Ok(None);
        }
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
        self.page(turn, query, |task| query.matches(task).then_some(0))
    }

    /// The newest tasks that are wanted, of those that a query may ask for. `wanted` gives what a task weighs besides its
    /// record, in bytes; none when it is not wanted.
    pub(super) fn page(
        &self,
        turn: &Turn<'_>,
        query: &TaskQuery,
        wanted: impl Fn(&Task) -> Option<u64>,
    ) -> Result<TaskPage, StoreError> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let mut page = TaskPage::default();
        let mut bytes = 0_u64;
        for (looks, candidate) in self.candidates(turn, query)?.enumerate() {
            let (id, value) = candidate?;
            let key = Bytes::from(keys::task(id));
            // An index has ids alone.
            let value = value.map_or_else(|| turn.txn.get(&key), |value| Ok(Some(value)))?;
            if let Some(value) = value
                && let Some(task) = self.shown(turn, id, &key, &value)
                && let Some(weight) = wanted(&task)
            {
                bytes = bytes.saturating_add(value.len() as u64).saturating_add(weight);
                page.tasks.push(task);
            }
            if page.tasks.len() == limit || looks + 1 == MAX_LOOKS || bytes >= MAX_BYTES {
                page.next = Some(id);
                break;
            }
        }
        Ok(page)
    }

    /// What a query may ask for, newest first: from an index if there is one for it, else the whole history. With a task comes
    /// its record, if it was at hand.
    fn candidates<'t>(
        &self,
        turn: &'t Turn<'_>,
        query: &TaskQuery,
    ) -> Result<Box<dyn Iterator<Item = Candidate> + 't>, StoreError> {
        let ids = Ids::of(query);
        if ids.first >= ids.end {
            return Ok(Box::new(std::iter::empty()));
        }
        let Some(prefixes) = indexes(query) else {
            let (first, end) = ids.among(b"t");
            let found = turn.txn.scan(&first, &end, true);
            return Ok(Box::new(found.filter_map(|pair| match pair {
                Ok((key, value)) => keys::id_of(&key).map(|id| Ok((id, Some(value)))),
                Err(error) => Some(Err(error)),
            })));
        };
        let mut found = Vec::new();
        for prefix in prefixes {
            let (first, end) = ids.among(&prefix);
            for pair in turn.txn.scan(&first, &end, true).take(MAX_LOOKS) {
                found.extend(keys::id_of(&pair?.0));
            }
        }
        if query.tag.is_none() && query.states.contains(&StateName::Running) {
            found.extend(self.running.keys().filter(|id| ids.contain(**id)));
        }
        found.sort_unstable_by(|left, right| right.cmp(left));
        found.truncate(MAX_LOOKS);
        Ok(Box::new(found.into_iter().map(|id| Ok((id, None)))))
    }

    /// A record of a list: what runs is not as its key has it, and what is damaged is left out.
    fn shown(&self, turn: &Turn<'_>, id: TaskId, key: &Bytes, value: &Bytes) -> Option<Task> {
        match self.running.get(&id) {
            Some(running) => Some(running.stored.task.clone()),
            None => turn.read_or_suspect(key, value).map(|stored: Stored| stored.task),
        }
    }
}

/// A task to be looked at, and its record as it is stored.
type Candidate = Result<(TaskId, Option<Bytes>), StoreError>;

/// The keys of the indexes in which everything stands that a query can ask for, or that runs; none when there are none.
fn indexes(query: &TaskQuery) -> Option<Vec<Vec<u8>>> {
    if let Some(tag) = &query.tag {
        return Some(vec![keys::with_tag(tag)]);
    }
    if query.awaiting_completion {
        return Some(vec![keys::awaiting()]);
    }
    // What is the host's own is in none of the indexes of states.
    if query.states.is_empty() || query.queue.as_deref().is_some_and(is_internal) {
        return None;
    }
    let indexed = query.states.iter().filter(|state| **state != StateName::Running);
    let indexed: BTreeSet<_> = indexed.map(|state| keys::in_state(*state)).collect::<Option<_>>()?;
    Some(indexed.into_iter().collect())
}

/// The ids that a query can ask for.
struct Ids {
    first: TaskId,
    /// Not this one any more.
    end: TaskId,
}

impl Ids {
    fn of(query: &TaskQuery) -> Self {
        // No instant makes an id as large as the largest.
        let last = TaskId::from_bytes([u8::MAX; 16]);
        let until = query.until.map_or(last, keys::first_id);
        Self {
            first: query.from.map_or(TaskId::from_bytes([0; 16]), keys::first_id),
            end: query.before.map_or(until, |before| before.min(until)),
        }
    }

    /// The ends of their keys among those that begin so.
    fn among(&self, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (keys::among(prefix.to_vec(), self.first), keys::among(prefix.to_vec(), self.end))
    }

    fn contain(&self, id: TaskId) -> bool {
        self.first <= id && id < self.end
    }
}
