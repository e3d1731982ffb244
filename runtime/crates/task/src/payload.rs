//! Bytes with their media type: what goes into a handler and what comes out.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The media type of JSON.
pub const JSON: &str = "application/json";
/// The media type of bytes about which nothing is said.
pub const OCTETS: &str = "application/octet-stream";

/// A body and its media type. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// An IANA media type, without parameters.
    pub media_type: String,
    /// The body.
    pub bytes: Bytes,
}

impl Payload {
    /// A body of this media type.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { media_type: media_type.into(), bytes: bytes.into() }
    }

    /// A JSON body. Whether it is JSON is not checked.
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self::new(JSON, bytes)
    }

    /// Whether a text can be a media type: `type/subtype`, without parameters, at most 128 bytes of visible ASCII.
    pub fn is_media_type(text: &str) -> bool {
        let is_token = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        text.len() <= 128 && text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
    }

    /// Whether the media type says JSON.
    pub fn is_json(&self) -> bool {
        self.media_type == JSON
    }
}
