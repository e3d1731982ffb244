//! How values are written: a format version, a checksum, and the value in postcard.

use std::cell::RefCell;

use bytes::Bytes;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// The format of every record. A change of a record's fields makes a new one, and this one must still be read.
const VERSION: u8 = 1;
/// The version and the checksum.
const HEAD: usize = 5;
/// A longer buffer is not kept for the next value.
const MAX_SCRATCH_BYTES: usize = 64 << 10;

/// A value with its head.
pub(crate) fn write(value: &impl Serialize) -> Bytes {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        scratch.resize(HEAD, 0);
        // Records hold maps of nothing and lengths of everything, so that postcard has no reason to refuse.
        postcard::serialize_with_flavor(value, Buffer(scratch)).expect("a record can be written");
        seal(scratch);
        let sealed = Bytes::copy_from_slice(scratch);
        if scratch.capacity() > MAX_SCRATCH_BYTES {
            *scratch = Vec::new();
        }
        sealed
    })
}

thread_local! {
    /// Where values are written: one that is made where it stays would have to grow several times.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// For postcard. Its own writer to a vector takes every byte for itself.
struct Buffer<'b>(&'b mut Vec<u8>);

impl Flavor for Buffer<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// What a value takes without its head.
pub(crate) fn size_bytes(value: &impl Serialize) -> usize {
    postcard::experimental::serialized_size(value).expect("a record can be written")
}

/// Bytes with their head.
pub(crate) fn write_bytes(bytes: &[u8]) -> Bytes {
    let mut value = Vec::with_capacity(HEAD + bytes.len());
    value.resize(HEAD, 0);
    value.extend_from_slice(bytes);
    seal(&mut value);
    value.into()
}

fn seal(value: &mut [u8]) {
    let checksum = crc32fast::hash(&value[HEAD..]);
    value[0] = VERSION;
    value[1..HEAD].copy_from_slice(&checksum.to_be_bytes());
}

/// The value of this key.
pub(crate) fn read<T: DeserializeOwned>(key: &[u8], stored: &Bytes) -> Result<T, StoreError> {
    let body = read_bytes(key, stored)?;
    postcard::from_bytes(&body).map_err(|error| damaged(key, error.to_string()))
}

/// The bytes of this key.
pub(crate) fn read_bytes(key: &[u8], stored: &Bytes) -> Result<Bytes, StoreError> {
    let Some((&version, rest)) = stored.split_first().filter(|_| stored.len() >= HEAD) else {
        return Err(damaged(key, "it is too short".into()));
    };
    if version != VERSION {
        return Err(damaged(key, format!("it has format {version}, and this host knows {VERSION}")));
    }
    let (checksum, body) = rest.split_at(HEAD - 1);
    if crc32fast::hash(body).to_be_bytes() != checksum {
        return Err(damaged(key, "its checksum is wrong".into()));
    }
    Ok(stored.slice(HEAD..))
}

pub(crate) fn damaged(key: &[u8], problem: String) -> StoreError {
    StoreError::Damaged { key: key.iter().map(|byte| format!("{byte:02x}")).collect(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_reads_back() {
        let stored = write(&("text", 7_u64));
        assert_eq!(read::<(String, u64)>(b"k", &stored).expect("whole"), ("text".into(), 7));
        assert_eq!(read_bytes(b"k", &write_bytes(b"raw")).expect("whole"), "raw");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let stored = write(&("text", 7_u64));
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = read::<(String, u64)>(b"k", &damaged.into());
            assert!(matches!(read, Err(StoreError::Damaged { .. })), "bit {bit}");
        }
        assert!(read_bytes(b"k", &Bytes::from("abc")).is_err());
    }
}
