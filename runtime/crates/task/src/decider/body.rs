//! A body in a situation: whole, or left out of what is kept, with what tells it from any other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Digest, Payload};

/// Bytes with their media type, as a situation has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub enum Body {
    /// All of it.
    Whole(Payload),
    /// It was left out of what is kept.
    Omitted {
        /// An IANA media type, without parameters.
        media_type: String,
        /// How long it was.
        size_bytes: u64,
        /// What tells it from any other.
        digest: Digest,
    },
}

impl Body {
    /// Its length, whether or not it is here.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Whole(payload) => payload.bytes.len() as u64,
            Self::Omitted { size_bytes, .. } => *size_bytes,
        }
    }

    /// Leaves it out if it is longer than that.
    pub(super) fn omit_over(&mut self, most_bytes: usize) {
        if let Self::Whole(payload) = self
            && payload.bytes.len() > most_bytes
        {
            let digest = Digest::of(&payload.bytes);
            let media_type = std::mem::take(&mut payload.media_type);
            *self = Self::Omitted { media_type, size_bytes: payload.bytes.len() as u64, digest };
        }
    }
}

impl From<Payload> for Body {
    fn from(payload: Payload) -> Self {
        Self::Whole(payload)
    }
}

/// As it is written: text where it is text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    omitted: Option<Omitted>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Omitted {
    size_bytes: u64,
    digest: Digest,
}

impl From<Body> for Wire {
    fn from(body: Body) -> Self {
        let (media_type, bytes) = match body {
            Body::Whole(Payload { media_type, bytes }) => (media_type, bytes),
            Body::Omitted { media_type, size_bytes, digest } => {
                return Self { media_type, text: None, hex: None, omitted: Some(Omitted { size_bytes, digest }) };
            }
        };
        let (text, hex) = match std::str::from_utf8(&bytes) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())),
        };
        Self { media_type, text, hex, omitted: None }
    }
}

impl TryFrom<Wire> for Body {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, &'static str> {
        let Wire { media_type, text, hex, omitted } = wire;
        let bytes = match (text, hex, omitted) {
            (Some(text), None, None) => Bytes::from(text),
            (None, Some(hex), None) => from_hex(&hex).ok_or("`hex` of a body is pairs of hexadecimal digits")?.into(),
            (None, None, Some(Omitted { size_bytes, digest })) => {
                return Ok(Self::Omitted { media_type, size_bytes, digest });
            }
            _ => return Err("a body has one of `text`, `hex` and `omitted`"),
        };
        Ok(Self::Whole(Payload { media_type, bytes }))
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2);
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_reads_back_whatever_its_bytes_are() {
        for bytes in [&b""[..], b"{}", b"\xff\x00"] {
            let body = Body::from(Payload::new("a/b", bytes.to_vec()));
            let json = serde_json::to_string(&body).expect("it has a JSON form");
            assert_eq!(serde_json::from_str::<Body>(&json).expect("our own"), body, "{json}");
        }
        for wrong in [
            r#"{"media_type":"a/b"}"#,
            r#"{"media_type":"a/b","hex":"f"}"#,
            r#"{"media_type":"a/b","hex":"zz"}"#,
            r#"{"media_type":"a/b","text":"","hex":""}"#,
        ] {
            assert!(serde_json::from_str::<Body>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_out_keeps_its_length_and_digest() {
        let mut body = Body::from(Payload::json("12345"));
        body.omit_over(5);
        assert!(matches!(body, Body::Whole(_)));
        body.omit_over(4);
        let Body::Omitted { size_bytes, digest, .. } = &body else { panic!("it is over") };
        assert_eq!((*size_bytes, *digest), (5, Digest::of(b"12345")));
        let json = serde_json::to_string(&body).expect("it has a JSON form");
        assert_eq!(serde_json::from_str::<Body>(&json).expect("our own"), body);
    }
}
