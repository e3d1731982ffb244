//! Bodies: in the record of their task when they are small, and under keys of their own otherwise.

use bytes::Bytes;
use sunaba_task::Payload;

use super::{MAX_INLINE_BYTES, Turn};
use crate::{StoreError, codec};

/// What is left of a body for its record; a long one gets a key of its own.
pub(super) fn inline_or_put(turn: &mut Turn<'_>, key: Vec<u8>, body: &Bytes) -> Option<Bytes> {
    if body.len() <= MAX_INLINE_BYTES {
        return Some(body.clone());
    }
    turn.txn.put(key, codec::write_bytes(body));
    None
}

/// A body, from its record or from its own key.
pub(super) fn body(
    turn: &Turn<'_>,
    key: &[u8],
    inline: Option<&Bytes>,
    media_type: &str,
) -> Result<Payload, StoreError> {
    let bytes = match inline {
        Some(bytes) => bytes.clone(),
        None => {
            let stored = turn.txn.get(key)?.ok_or_else(|| codec::damaged(key, "it is not there".into()))?;
            codec::read_bytes(key, &stored)?
        }
    };
    Ok(Payload::new(media_type, bytes))
}
