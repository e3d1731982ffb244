//! What the child answers: a head of fixed length, and then the code, or in words why there is none.

use std::io::{self, Read};

/// The protocol and its version.
const MAGIC: &[u8; 8] = b"sunabac1";
/// Bytes of the head.
pub(super) const HEAD_BYTES: usize = 8 + 1 + 32 + 8;
/// A longer explanation is cut.
pub(super) const MAX_REASON_BYTES: u64 = 4 << 10;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// The code follows.
    Compiled = 0,
    /// The component is not acceptable; the reason follows.
    Refused = 1,
    /// The child could not do its part; the reason follows.
    Failed = 2,
    /// The code is larger than it may be; nothing follows.
    TooLarge = 3,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: Status,
    /// Of the engine that has compiled it.
    pub(super) engine: [u8; 32],
    /// How many bytes follow.
    pub(super) length: u64,
}

impl Head {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [&MAGIC[..], &[self.status as u8], &self.engine, &self.length.to_le_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let ([status], rest) = rest.split_first_chunk::<1>()?;
        let (engine, rest) = rest.split_first_chunk::<32>()?;
        let statuses = [Status::Compiled, Status::Refused, Status::Failed, Status::TooLarge];
        let status = statuses.into_iter().find(|one| *one as u8 == *status)?;
        (magic == MAGIC).then_some(Self { status, engine: *engine, length: u64::from_le_bytes(rest.try_into().ok()?) })
    }
}

/// An answer that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A whole answer and nothing more.
    Whole(Head, Vec<u8>),
    /// It ended too early, goes on too long, or is none.
    Broken,
    /// More bytes than there may be.
    TooLarge,
}

/// Reads an answer. The code may have so many bytes.
///
/// # Errors
/// The system does not let us.
pub(super) fn read(mut from: impl Read, artifact_bytes: u64) -> io::Result<Answer> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    from.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let Some(head) = head.first_chunk().and_then(Head::from_bytes) else { return Ok(Answer::Broken) };
    let limit = if head.status == Status::Compiled { artifact_bytes } else { MAX_REASON_BYTES };
    if head.length > limit {
        return Ok(if head.status == Status::Compiled { Answer::TooLarge } else { Answer::Broken });
    }
    let mut body = Vec::new();
    // One byte more than was announced shows that there is more.
    from.take(head.length + 1).read_to_end(&mut body)?;
    Ok(if body.len() as u64 == head.length { Answer::Whole(head, body) } else { Answer::Broken })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head { status: Status::Compiled, engine: [7; 32], length: 3 };

    fn answer() -> Vec<u8> {
        [HEAD.to_bytes(), b"abc".to_vec()].concat()
    }

    #[test]
    fn answer_reads_back() {
        assert_eq!(read(&answer()[..], 3).expect("in memory"), Answer::Whole(HEAD, b"abc".to_vec()));
    }

    #[test]
    fn every_cut_and_every_flip_of_the_head_is_noticed() {
        let whole = answer();
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length], 3).expect("in memory"), Answer::Broken, "{length}");
        }
        assert_eq!(read(&[&whole[..], b"d"].concat()[..], 9).expect("in memory"), Answer::Broken);
        for place in (0..9).chain(41..HEAD_BYTES) {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x10;
            assert!(!matches!(read(&flipped[..], 3).expect("in memory"), Answer::Whole(..)), "{place}");
        }
    }

    #[test]
    fn answer_that_is_too_long_is_not_read() {
        assert_eq!(read(&answer()[..], 2).expect("in memory"), Answer::TooLarge);
        let reason = Head { status: Status::Refused, length: MAX_REASON_BYTES + 1, ..HEAD };
        assert_eq!(read(&reason.to_bytes()[..], u64::MAX).expect("in memory"), Answer::Broken);
    }
}
