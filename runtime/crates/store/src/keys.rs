//! Every key of the store: a letter for what it is, then big-endian numbers, so that keys sort as they are to be scanned.
//!
//! | key | value |
//! |---|---|
//! | `f` | the format of the store |
//! | `s` | the sequence that no task or lease has had yet |
//! | `h` | how the last host opened the store |
//! | `t` id | the record of a task, with small bodies |
//! | `i` id, `o` id | an input, an output that is not small |
//! | `a` id number | what is kept of an attempt besides its record |
//! | `q` queue 0 handler 0 key rank sequence | the id of a queued task: by its lane, then as [`Place`](crate::spot::Place) has it |
//! | `d` instant sequence | the id of a task that waits for an instant, and its queue |
//! | `x` instant sequence | the id of a task that expires unless it has begun by then |
//! | `l` sequence | the tasks that were leased together |
//! | `v` sequence | events that were told together, from this one on |
//! | `k` digest | the task that has this idempotency key, and the digest of its body |
//! | `u` digest | the task that holds this unique key |
//! | `b` id | the callbacks of a task that has some |
//! | `e` instant sequence | tasks of which something is to be deleted then |
//! | `g` digest id | that the task has the tag of this digest |
//! | `z` state id | that the task ended in this state, and not well |
//! | `Q` queue | what an operator has set for a queue |
//! | `H` handler | what an operator has set for a handler |
//! | `r` | how long what has ended is kept |
//! | `p` package | a package |
//! | `c` digest | a component |
//! | `y` key | a damaged value that was taken out of its place |

use bytes::Bytes;
use sunaba_task::{Digest, HandlerName, StateName, TaskId, Timestamp};

pub(crate) const FORMAT: &[u8] = b"f";
pub(crate) const SEQUENCE: &[u8] = b"s";
pub(crate) const OPENED: &[u8] = b"h";
pub(crate) const RETENTION: &[u8] = b"r";

/// Whether a key is of a setting, of which a planner that is open has a copy.
pub(crate) fn is_setting(key: &[u8]) -> bool {
    // Of a queue, of a handler, and of the retention.
    matches!(key.first(), Some(b'Q' | b'H' | b'r'))
}

/// One end of a kind of keys and the other.
pub(crate) fn all(kind: u8) -> ([u8; 1], [u8; 1]) {
    ([kind], [kind + 1])
}

pub(crate) fn of(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub(crate) fn task(id: TaskId) -> Vec<u8> {
    of(b't', &[id.as_bytes()])
}

pub(crate) fn input(id: TaskId) -> Vec<u8> {
    of(b'i', &[id.as_bytes()])
}

pub(crate) fn output(id: TaskId) -> Vec<u8> {
    of(b'o', &[id.as_bytes()])
}

pub(crate) fn attempt(id: TaskId, number: u32) -> Vec<u8> {
    of(b'a', &[id.as_bytes(), &number.to_be_bytes()])
}

pub(crate) fn leases(sequence: u64) -> Vec<u8> {
    of(b'l', &[&sequence.to_be_bytes()])
}

pub(crate) fn events(first: u64) -> Vec<u8> {
    of(b'v', &[&first.to_be_bytes()])
}

/// The sequence of a key of [`events`].
pub(crate) fn first_event(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(1..)?.try_into().ok()?))
}

pub(crate) fn idempotency(key: &str) -> Vec<u8> {
    of(b'k', &[Digest::of(key.as_bytes()).as_bytes()])
}

pub(crate) fn unique(key: &str) -> Vec<u8> {
    of(b'u', &[Digest::of(key.as_bytes()).as_bytes()])
}

pub(crate) fn callbacks(id: TaskId) -> Vec<u8> {
    of(b'b', &[id.as_bytes()])
}

/// All tasks with a tag; their ids follow. Tags may be long, and keys may not.
pub(crate) fn with_tag(tag: &str) -> Vec<u8> {
    of(b'g', &[Digest::of(tag.as_bytes()).as_bytes()])
}

/// All tasks that ended in this state; their ids follow. None: such tasks have no such keys.
pub(crate) fn in_state(state: StateName) -> Option<Vec<u8>> {
    let letter = match state {
        StateName::Dead => b'd',
        StateName::Cancelled => b'c',
        StateName::Expired => b'x',
        _ => return None,
    };
    Some(of(b'z', &[&[letter]]))
}

/// The key of a task among those that begin so.
pub(crate) fn among(mut prefix: Vec<u8>, id: TaskId) -> Vec<u8> {
    prefix.extend_from_slice(id.as_bytes());
    prefix
}

/// The task of a key that ends with its id.
pub(crate) fn id_of(key: &[u8]) -> Option<TaskId> {
    key.last_chunk().copied().map(TaskId::from_bytes)
}

/// No id of a task that was submitted at this instant or later is smaller, and no earlier one's is larger: ids begin with the
/// 48 bits of that instant.
pub(crate) fn first_id(at: Timestamp) -> TaskId {
    TaskId::from_bytes((u128::from(at.unix_ms()) << 80).to_be_bytes())
}

pub(crate) fn package(name: &str) -> Vec<u8> {
    of(b'p', &[name.as_bytes()])
}

pub(crate) fn component(digest: Digest) -> Vec<u8> {
    of(b'c', &[digest.as_bytes()])
}

/// Where a damaged value is kept.
pub(crate) fn set_aside(key: &[u8]) -> Vec<u8> {
    of(b'y', &[key])
}

pub(crate) fn due(at: Timestamp, sequence: u64) -> Vec<u8> {
    of(b'd', &[&at.unix_ms().to_be_bytes(), &sequence.to_be_bytes()])
}

pub(crate) fn expiry(at: Timestamp, sequence: u64) -> Vec<u8> {
    of(b'x', &[&at.unix_ms().to_be_bytes(), &sequence.to_be_bytes()])
}

pub(crate) fn ended(at: Timestamp, sequence: u64) -> Vec<u8> {
    of(b'e', &[&at.unix_ms().to_be_bytes(), &sequence.to_be_bytes()])
}

/// The instant of a key of [`due`], of [`expiry`] or of [`ended`].
pub(crate) fn due_at(key: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_unix_ms(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}

/// What a key of [`due`] has: the task, and its queue, so that queues can be counted without their records.
pub(crate) fn due_value(id: TaskId, queue: &str) -> Bytes {
    [id.as_bytes(), queue.as_bytes()].concat().into()
}

/// The task's id and its queue.
pub(crate) fn due_id_and_queue(value: &[u8]) -> Option<(&[u8], &str)> {
    let (id, queue) = value.split_at_checked(16)?;
    Some((id, str::from_utf8(queue).ok()?))
}

pub(crate) fn queue_settings(queue: &str) -> Vec<u8> {
    of(b'Q', &[queue.as_bytes()])
}

pub(crate) fn handler_control(handler: &HandlerName) -> Vec<u8> {
    of(b'H', &[handler.to_string().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_keys_sort_by_instant() {
        let at = Timestamp::from_unix_ms;
        assert!(due(at(1), 9) < due(at(256), 1));
        assert_eq!(due_at(&due(at(77), 1)), Some(at(77)));
    }

    #[test]
    fn due_value_reads_back() {
        let id = TaskId::from_bytes([7; 16]);
        assert_eq!(due_id_and_queue(&due_value(id, "mail")), Some((id.as_bytes().as_slice(), "mail")));
        assert_eq!(due_id_and_queue(b"short"), None);
    }
}
