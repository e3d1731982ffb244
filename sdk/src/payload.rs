//! Bytes with a media type, as they cross the boundary to the host.

/// The media type of JSON, which every typed handler reads and writes.
pub(crate) const JSON: &str = "application/json";
/// The media type of [`Bytes`] that name none.
const OCTETS: &str = "application/octet-stream";

/// A body and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// An IANA media type, without parameters.
    pub media_type: String,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Payload {
    /// A JSON body.
    pub fn json(bytes: impl Into<Vec<u8>>) -> Self {
        Self { media_type: JSON.into(), bytes: bytes.into() }
    }
}

/// Any bytes, as the input or output of a handler that wants no JSON: an image in, a thumbnail out.
///
/// ```
/// # use sunaba_sdk::prelude::*;
/// /// Turns text upside down.
/// #[handler]
/// fn reverse(input: Bytes) -> Result<Bytes, TaskError> {
///     Ok(Bytes::new("text/plain", input.into_vec().into_iter().rev().collect()))
/// }
/// # fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes(Payload);

impl Bytes {
    /// Bytes of this media type.
    pub fn new(media_type: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self(Payload { media_type: media_type.into(), bytes })
    }

    /// What the bytes are, as an IANA media type.
    pub fn media_type(&self) -> &str {
        &self.0.media_type
    }

    /// The bytes alone.
    pub fn into_vec(self) -> Vec<u8> {
        self.0.bytes
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(OCTETS, bytes)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        Self(payload)
    }
}
