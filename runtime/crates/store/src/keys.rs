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
//! | `q` queue 0 priority sequence | the id of a queued task; the highest priority first |
//! | `d` instant sequence | the id of a task that waits for an instant |
//! | `x` instant sequence | the id of a task that expires unless it has begun by then |
//! | `l` sequence | the tasks that were leased together |
//! | `k` digest | the task that has this idempotency key, and the digest of its body |
//! | `p` package | a package |
//! | `c` digest | a component |
//! | `y` key | a damaged value that was taken out of its place |

use sunaba_task::{Digest, TaskId, Timestamp};

pub(crate) const FORMAT: &[u8] = b"f";
pub(crate) const SEQUENCE: &[u8] = b"s";
pub(crate) const OPENED: &[u8] = b"h";

/// Whether a key is of a setting, of which a planner that is open has a copy.
pub(crate) fn is_setting(key: &[u8]) -> bool {
    // Of a queue, of a handler, and of the retention.
    matches!(key.first(), Some(b'Q' | b'H' | b'r'))
}

/// One end of a kind of keys and the other.
pub(crate) fn all(kind: u8) -> ([u8; 1], [u8; 1]) {
    ([kind], [kind + 1])
}

fn of(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
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

pub(crate) fn idempotency(key: &str) -> Vec<u8> {
    of(b'k', &[Digest::of(key.as_bytes()).as_bytes()])
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

/// The instant of a key of [`due`] or of [`expiry`].
pub(crate) fn due_at(key: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::from_unix_ms(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}

/// Where a task stands in its queue: smaller is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Turned round, so that the highest priority is the smallest.
    rank: u32,
    pub(crate) sequence: u64,
}

impl Place {
    pub(crate) fn new(priority: i32, sequence: u64) -> Self {
        // Flipping the sign bit sorts signed numbers as unsigned ones; flipping all of the others turns the order round.
        Self { rank: priority.cast_unsigned() ^ 0x7fff_ffff, sequence }
    }
}

pub(crate) fn queued(queue: &str, place: Place) -> Vec<u8> {
    // A queue's name has no 0, so that no queue's keys lie among another's.
    of(b'q', &[queue.as_bytes(), &[0], &place.rank.to_be_bytes(), &place.sequence.to_be_bytes()])
}

/// The end of a queue's keys.
pub(crate) fn queue_end(queue: &str) -> Vec<u8> {
    of(b'q', &[queue.as_bytes(), &[1]])
}

/// The queue and place of a key of [`queued`].
pub(crate) fn queue_and_place(key: &[u8]) -> Option<(&str, Place)> {
    let (queue, place) = key.get(1..)?.split_at_checked(key.len().checked_sub(14)?)?;
    let (rank, sequence) = place.get(1..)?.split_at_checked(4)?;
    let place = Place {
        rank: u32::from_be_bytes(rank.try_into().ok()?),
        sequence: u64::from_be_bytes(sequence.try_into().ok()?),
    };
    Some((str::from_utf8(queue).ok()?, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_priorities_come_first_and_then_the_oldest() {
        let mut places: Vec<_> = [(0, 2), (i32::MIN, 1), (0, 1), (5, 9), (i32::MAX, 3), (-1, 4)]
            .map(|(priority, sequence)| (queued("q", Place::new(priority, sequence)), priority, sequence))
            .into();
        places.sort();
        let order: Vec<_> = places.iter().map(|(_, priority, sequence)| (*priority, *sequence)).collect();
        assert_eq!(order, [(i32::MAX, 3), (5, 9), (0, 1), (0, 2), (-1, 4), (i32::MIN, 1)]);
    }

    #[test]
    fn queues_do_not_mix() {
        let place = Place::new(3, 4);
        let key = queued("mail", place);
        assert_eq!(queue_and_place(&key), Some(("mail", place)));
        assert!(key < queue_end("mail") && queue_end("mail") < queued("mail-2", Place::new(i32::MAX, 0)));
        assert_eq!(queue_and_place(b"q"), None);
    }

    #[test]
    fn due_keys_sort_by_instant() {
        let at = Timestamp::from_unix_ms;
        assert!(due(at(1), 9) < due(at(256), 1));
        assert_eq!(due_at(&due(at(77), 1)), Some(at(77)));
    }
}
