//! Where a queued task stands: its lane, and its place in that.
//!
//! A *lane* is what waits in a queue for one handler, needs the same code, and has one key, or none. All of a lane may start
//! or none of it, so that whatever may not start is passed over in one step. A task's spot is a pure function of its record.

use std::borrow::Cow;

use sunaba_task::{Digest, FuelMode, HandlerName, Task, TaskSpec};

use crate::keys::{self, NEED_BYTES, Need};

/// What stands for a task's key: half of its digest. Two keys that share one share their limits, and nothing else.
pub(crate) type KeyDigest = [u8; 16];
/// Of a queue and a handler: the lane of this key, or the one without.
pub(crate) type LaneKey = Option<KeyDigest>;

/// Bytes of a place in a key.
const PLACE_BYTES: usize = 16;
/// Bytes of a code in a key.
const CODE_BYTES: usize = NEED_BYTES + 1;

/// The code that a task asks for. What its queue and its host make of the mode is the same for all that ask for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Code {
    pub(crate) need: Need,
    pub(crate) fuel: FuelMode,
}

impl Code {
    pub(crate) fn of(spec: &TaskSpec) -> Self {
        Self { need: Need::of(spec), fuel: spec.limits.fuel.mode() }
    }

    fn to_bytes(self) -> [u8; CODE_BYTES] {
        let mut bytes = [0; CODE_BYTES];
        bytes[..NEED_BYTES].copy_from_slice(&self.need.to_bytes());
        bytes[NEED_BYTES] = u8::from(self.fuel == FuelMode::Off);
        bytes
    }

    fn from_bytes(bytes: &[u8; CODE_BYTES]) -> Option<Self> {
        let (fuel, need) = bytes.split_last()?;
        let fuel = match fuel {
            0 => FuelMode::Exact,
            1 => FuelMode::Off,
            _ => return None,
        };
        Some(Self { need: Need::from_bytes(need.try_into().ok()?), fuel })
    }
}

/// Where a task stands in its lane, and among those of its queue: smaller is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Turned round, so that the highest rank is the smallest.
    turned: u64,
    sequence: u64,
}

impl Place {
    pub(crate) fn new(rank: i64, sequence: u64) -> Self {
        // Flipping the sign bit sorts signed numbers as unsigned ones; flipping all of the others turns the order round.
        Self { turned: rank.cast_unsigned() ^ (u64::MAX >> 1), sequence }
    }

    pub(crate) fn of(task: &Task) -> Self {
        // Whole steps since a fixed instant: a task that came a step earlier has risen by one more at any time.
        let steps = task.aging.map_or(0, |aging| aging_steps(task.submitted_at.unix_ms(), aging));
        Self::new(i64::from(task.spec.priority).saturating_sub(steps), task.sequence)
    }

    /// The priority, less the steps of aging before the submit.
    pub(crate) fn rank(self) -> i64 {
        (self.turned ^ (u64::MAX >> 1)).cast_signed()
    }

    pub(crate) fn sequence(self) -> u64 {
        self.sequence
    }

    /// The next possible place.
    pub(crate) fn next(self) -> Self {
        match self.sequence.checked_add(1) {
            Some(sequence) => Self { sequence, ..self },
            None => Self { turned: self.turned.saturating_add(1), sequence: 0 },
        }
    }
}

/// Steps of aging from the Unix epoch to an instant.
pub(crate) fn aging_steps(unix_ms: u64, aging: std::time::Duration) -> i64 {
    let step = aging.as_millis().max(1);
    i64::try_from(u128::from(unix_ms) / step).unwrap_or(i64::MAX)
}

/// The lane of a task, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot<'a> {
    pub(crate) queue: &'a str,
    pub(crate) handler: &'a HandlerName,
    pub(crate) code: Code,
    pub(crate) key: LaneKey,
    pub(crate) place: Place,
}

impl<'a> Spot<'a> {
    pub(crate) fn of(task: &'a Task) -> Self {
        let key = task.spec.key.as_deref().map(key_digest);
        let (queue, handler, code) = (&task.spec.queue, &task.spec.handler, Code::of(&task.spec));
        Self { queue, handler, code, key, place: Place::of(task) }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.lane();
        bytes.extend_from_slice(&self.place.turned.to_be_bytes());
        bytes.extend_from_slice(&self.place.sequence.to_be_bytes());
        bytes
    }

    /// Where the keys of its lane end.
    pub(crate) fn lane_end(self) -> Vec<u8> {
        let mut end = self.lane();
        end.extend_from_slice(&[0xff; PLACE_BYTES + 1]);
        end
    }

    fn lane(self) -> Vec<u8> {
        let HandlerName { package, handler } = self.handler;
        let (tag, key): (u8, &[u8]) = self.key.as_ref().map_or((0, &[]), |key| (1, key));
        let (queue, code) = (escaped(self.queue), self.code.to_bytes());
        keys::of(b'q', &[&queue, &[0], &escaped(package), b"/", &escaped(handler), &[0], &code, &[tag], key])
    }
}

/// A spot as its key has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadSpot {
    pub(crate) queue: String,
    pub(crate) handler: HandlerName,
    pub(crate) code: Code,
    pub(crate) key: LaneKey,
}

impl ReadSpot {
    pub(crate) fn spot(&self, place: Place) -> Spot<'_> {
        Spot { queue: &self.queue, handler: &self.handler, code: self.code, key: self.key, place }
    }
}

/// The lane and the place of a key of a queued task, apart.
pub(crate) fn split(key: &[u8]) -> Option<(&[u8], Place)> {
    let (lane, place) = key.split_at_checked(key.len().checked_sub(PLACE_BYTES)?)?;
    let (turned, sequence) = place.split_at_checked(8)?;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
    Some((lane, Place { turned: number(turned)?, sequence: number(sequence)? }))
}

/// Reads what is before the place.
pub(crate) fn read_lane(lane: &[u8]) -> Option<ReadSpot> {
    let mut parts = lane.get(1..)?.splitn(3, |byte| *byte == 0);
    let (queue, handler) = (unescaped(parts.next()?)?, unescaped(parts.next()?)?);
    let (package, handler) = handler.split_once('/')?;
    let handler = HandlerName { package: package.into(), handler: handler.into() };
    let (code, key) = parts.next()?.split_first_chunk()?;
    let code = Code::from_bytes(code)?;
    let key = match key.split_first()? {
        (0, []) => None,
        (1, digest) => Some(digest.try_into().ok()?),
        _ => return None,
    };
    Some(ReadSpot { queue, handler, code, key })
}

/// The ends of the keys of a queue.
pub(crate) fn of_queue(queue: &str) -> (Vec<u8>, Vec<u8>) {
    let name = escaped(queue);
    (keys::of(b'q', &[&name, &[0]]), keys::of(b'q', &[&name, &[1]]))
}

/// What stands for a key.
pub(crate) fn key_digest(key: &str) -> KeyDigest {
    *Digest::of(key.as_bytes()).as_bytes().first_chunk().expect("a digest has 32 bytes")
}

/// A name without a 0, which ends it. Admission takes no such names; a store's caller may.
fn escaped(name: &str) -> Cow<'_, [u8]> {
    if name.bytes().all(|byte| byte > 1) {
        return Cow::Borrowed(name.as_bytes());
    }
    let bytes = name.bytes().flat_map(|byte| match byte {
        0 | 1 => [Some(1), Some(byte + 1)],
        _ => [Some(byte), None],
    });
    Cow::Owned(bytes.flatten().collect())
}

fn unescaped(bytes: &[u8]) -> Option<String> {
    let mut name = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter();
    while let Some(byte) = bytes.next() {
        name.push(if *byte == 1 { bytes.next()?.checked_sub(1)? } else { *byte });
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Code = Code { need: Need::Active, fuel: FuelMode::Exact };

    fn handler() -> HandlerName {
        "words/word-count".parse().expect("a name")
    }

    #[test]
    fn higher_ranks_come_first_and_then_the_oldest() {
        let handler = handler();
        let place = |(rank, sequence)| Place::new(rank, sequence);
        let spot = |at| Spot { queue: "q", handler: &handler, code: CODE, key: None, place: place(at) };
        let mut places =
            [(0, 2), (i64::MIN, 1), (0, 1), (5, 9), (i64::MAX, 3), (-1, 4)].map(|at| (spot(at).to_bytes(), at));
        places.sort();
        assert_eq!(places.map(|(_, at)| at), [(i64::MAX, 3), (5, 9), (0, 1), (0, 2), (-1, 4), (i64::MIN, 1)]);
        assert_eq!(Place::new(-7, 3).rank(), -7);
        assert!(Place::new(3, u64::MAX).next() < Place::new(2, 1) && Place::new(3, 4).next() == Place::new(3, 5));
    }

    #[test]
    fn lanes_do_not_mix() {
        let handler = handler();
        let of = |code, queue, key| Spot { queue, handler: &handler, code, key, place: Place::new(3, 4) };
        let spot = |queue, key| of(CODE, queue, key);
        let component = Need::component(Digest::of(b"component"));
        let codes = [(Need::Active, FuelMode::Off), (component, FuelMode::Exact), (component, FuelMode::Off)];
        for code in codes.map(|(need, fuel)| Code { need, fuel }) {
            let (bytes, key) = (of(code, "mail", Some([0; 16])).to_bytes(), Some([0; 16]));
            let read = read_lane(split(&bytes).expect("it is whole").0).expect("a lane");
            assert_eq!(read, ReadSpot { queue: "mail".into(), handler: handler.clone(), code, key });
            assert!(!(spot("mail", key).to_bytes()..spot("mail", key).lane_end()).contains(&bytes));
        }
        for (queue, key) in [("mail", None), ("mail", Some([0; 16])), ("mail", Some([0xff; 16])), ("a\0b\u{1}", None)] {
            let spot = spot(queue, key);
            let bytes = spot.to_bytes();
            let (lane, place) = split(&bytes).expect("it is whole");
            assert_eq!(place, spot.place);
            assert_eq!(
                read_lane(lane),
                Some(ReadSpot { queue: queue.into(), handler: handler.clone(), code: CODE, key })
            );
            assert!(bytes < spot.lane_end());
        }
        assert!(spot("mail", None).lane_end() < spot("mail", Some([0; 16])).to_bytes());
        assert!(spot("mail", Some([0xff; 16])).lane_end() < spot("mail-2", None).to_bytes());
        assert_eq!((split(b"q").map(drop), read_lane(b"q"), read_lane(b"qmail\0a/b\0\x02")), (None, None, None));
    }

    #[test]
    fn aging_orders_by_when_the_priorities_will_meet() {
        let second = std::time::Duration::from_secs(1);
        let place =
            |priority: i64, submitted_ms| Place::new(priority - aging_steps(submitted_ms, second), submitted_ms);
        assert!(place(0, 10_000) < place(5, 16_000), "it has risen by six meanwhile");
        assert!(place(5, 14_000) < place(0, 10_000), "it has risen by four meanwhile");
    }
}
