//! Which keys may have a value that does not stand at its key, but in pieces or in a file: those have more to be removed when
//! they are written again. Nearly all have not, and to look at each before it is written would cost as much as half of the write.
//!
//! It may say so of a key that has none, and never misses one that has.

use std::fmt;

/// Bits for a kind of keys; 128 KiB once one of them has had a long value.
const BITS: usize = 1 << 20;

/// By the first byte of a key, which is its kind.
pub(super) struct Long {
    kinds: Vec<Kind>,
}

#[derive(Clone)]
enum Kind {
    /// None has.
    None,
    /// Only some whose bits are set, by a hash of the key.
    Some(Box<[u64]>),
    /// Any may have: there were some when the store was opened.
    Any,
}

impl Long {
    pub(super) fn new() -> Self {
        Self { kinds: vec![Kind::None; 256] }
    }

    /// Any key of this key's kind may have a long value.
    pub(super) fn note_kind(&mut self, key: &[u8]) {
        self.kinds[kind(key)] = Kind::Any;
    }

    /// This key gets a long value.
    pub(super) fn note(&mut self, key: &[u8]) {
        let kind = &mut self.kinds[kind(key)];
        if matches!(kind, Kind::None) {
            *kind = Kind::Some(vec![0; BITS / 64].into());
        }
        if let Kind::Some(bits) = kind {
            let (word, bit) = place(key);
            bits[word] |= bit;
        }
    }

    /// Whether this key may have a long value.
    pub(super) fn may_be(&self, key: &[u8]) -> bool {
        match &self.kinds[kind(key)] {
            Kind::None => false,
            Kind::Some(bits) => {
                let (word, bit) = place(key);
                bits[word] & bit != 0
            }
            Kind::Any => true,
        }
    }
}

impl fmt::Debug for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Long").finish_non_exhaustive()
    }
}

fn kind(key: &[u8]) -> usize {
    usize::from(key.first().copied().unwrap_or(0))
}

fn place(key: &[u8]) -> (usize, u64) {
    let hash = crc32fast::hash(key) as usize % BITS;
    (hash / 64, 1 << (hash % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_missed_and_others_are_hardly_ever_taken_for_long() {
        let mut long = Long::new();
        let key = |number: u32| [b"t".as_slice(), &number.to_be_bytes()].concat();
        assert!(!long.may_be(&key(0)));
        (0..1_000).for_each(|number| long.note(&key(number)));
        assert!((0..1_000).all(|number| long.may_be(&key(number))));
        assert!((1_000..101_000).filter(|number| long.may_be(&key(*number))).count() < 1_000);
        long.note_kind(b"t");
        long.note(&key(0));
        assert!((0..10_000).all(|number| long.may_be(&key(number))) && !long.may_be(b"q"));
    }
}
