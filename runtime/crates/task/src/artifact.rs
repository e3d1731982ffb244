//! Artifacts: files and links that attempts leave with their task, each under a name.
//!
//! A name is checked and is never a path: nothing on disk is called by it. What a file is called there is its digest.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::capture::is_captured_name;
use crate::{AskError, BoxFuture, Digest, Timestamp};

/// The longest name, in bytes.
pub const MAX_ARTIFACT_NAME_BYTES: usize = 255;
/// Artifacts of one task, by all of its attempts.
pub const MAX_ARTIFACTS: usize = 1_000;
/// The longest address of a link, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;
/// The longest media type, in bytes.
const MAX_MEDIA_TYPE_BYTES: usize = 128;

/// The name of an artifact, unique in its task: 1 to 255 bytes of visible characters, with spaces between them. It has no
/// separator of paths, so that whoever saves an artifact under its name stays in his directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ArtifactName(String);

impl ArtifactName {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is of the form that captured output has, under which no handler puts anything.
    pub fn is_reserved(&self) -> bool {
        is_captured_name(&self.0)
    }

    /// The same, for whoever is a handler.
    ///
    /// # Errors
    /// [`ArtifactError::Reserved`].
    pub fn unreserved(self) -> Result<Self, ArtifactError> {
        if self.is_reserved() { Err(ArtifactError::Reserved(self.0)) } else { Ok(self) }
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ArtifactName {
    type Err = ArtifactError;

    fn from_str(text: &str) -> Result<Self, ArtifactError> {
        if text.len() > MAX_ARTIFACT_NAME_BYTES {
            return Err(ArtifactError::LongName(text.len()));
        }
        let is_name = !text.is_empty() && !matches!(text, "." | "..") && text.trim() == text;
        if is_name && text.chars().all(is_name_char) {
            return Ok(Self(text.to_owned()));
        }
        Err(ArtifactError::Name(shown(text)))
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = ArtifactError;

    fn try_from(text: String) -> Result<Self, ArtifactError> {
        text.parse()
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> Self {
        name.0
    }
}

/// Whether a name may have it. What nobody sees, or what turns the text around it, would make two names look alike.
fn is_name_char(char: char) -> bool {
    let is_unseen = matches!(char,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}');
    let is_space = char.is_whitespace() && char != ' ';
    !(char.is_control() || is_space || is_unseen || matches!(char, '/' | '\\'))
}

/// The start of a text that somebody else wrote, so that it can stand in a message.
fn shown(text: &str) -> String {
    text.escape_debug().take(80).collect()
}

/// What an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactKind {
    /// A file that the store keeps, by its content.
    File {
        /// Its size.
        size_bytes: u64,
        /// Of its content.
        digest: Digest,
    },
    /// An address of something that is kept elsewhere.
    Url(String),
}

/// An artifact of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Unique in its task: who puts another under the same name replaces the one before.
    pub name: ArtifactName,
    /// Of the file, as its maker says; of a link, of what is there.
    pub media_type: String,
    /// A file or a link.
    pub kind: ArtifactKind,
    /// The attempt that has put it, from 1.
    pub attempt: u32,
    /// When it was put, by the store's clock.
    pub created_at: Timestamp,
}

impl Artifact {
    /// The size of a file in bytes; none of a link.
    pub fn size_bytes(&self) -> Option<u64> {
        match self.kind {
            ArtifactKind::File { size_bytes, .. } => Some(size_bytes),
            ArtifactKind::Url(_) => None,
        }
    }

    /// The digest of a file's content; none of a link.
    pub fn digest(&self) -> Option<Digest> {
        match self.kind {
            ArtifactKind::File { digest, .. } => Some(digest),
            ArtifactKind::Url(_) => None,
        }
    }
}

/// What cannot be an artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// Not a name.
    #[error(
        "`{0}` cannot name an artifact\nhint: a name has visible characters, with spaces between them at most; it \
         has no `/`, no `\\`, and is neither `.` nor `..`"
    )]
    Name(String),
    /// Too long for a name.
    #[error("the name of the artifact has {0} bytes: the limit is {MAX_ARTIFACT_NAME_BYTES} bytes")]
    LongName(usize),
    /// A name that only the host gives.
    #[error(
        "`{0}` is what captured output is called\nhint: name the artifact otherwise than `attempt-N.stdout` and `attempt-N.stderr`"
    )]
    Reserved(String),
    /// Not a media type.
    #[error("`{0}` is no media type\nhint: write TYPE/SUBTYPE without parameters, such as `text/html`")]
    MediaType(String),
    /// Not an address.
    #[error(
        "`{0}` cannot be linked\nhint: a link is an `http://` or `https://` address of visible ASCII, up to {MAX_URL_BYTES} bytes"
    )]
    Url(String),
}

/// Checks the media type of an artifact: TYPE/SUBTYPE, without parameters, since it becomes a header.
///
/// # Errors
/// [`ArtifactError::MediaType`].
pub fn check_media_type(text: &str) -> Result<(), ArtifactError> {
    // Source: RFC 6838, section 4.2.
    let is_part = |part: &str| {
        let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        part.starts_with(|first: char| first.is_ascii_alphanumeric()) && part.bytes().all(is_char)
    };
    match text.split_once('/') {
        Some((kind, subtype)) if text.len() <= MAX_MEDIA_TYPE_BYTES && is_part(kind) && is_part(subtype) => Ok(()),
        _ => Err(ArtifactError::MediaType(shown(text))),
    }
}

/// Checks the address of a link. Others than these would run in a page that shows them.
///
/// # Errors
/// [`ArtifactError::Url`].
pub fn check_url(text: &str) -> Result<(), ArtifactError> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let has_host =
        host.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['));
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    if has_host && is_plain && text.len() <= MAX_URL_BYTES { Ok(()) } else { Err(ArtifactError::Url(shown(text))) }
}

/// A file that an attempt is writing. Dropped before it is finished, it leaves nothing behind.
pub trait ArtifactSink: Send {
    /// Adds bytes at its end. After an error it cannot be finished.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), AskError>>;

    /// Makes it an artifact of the attempt's task; it is durable when this resolves.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Artifact, AskError>>;
}

/// A file that an attempt is reading.
pub trait ArtifactSource: Send {
    /// What is read.
    fn artifact(&self) -> &Artifact;

    /// The next bytes, at most so many; none at its end.
    fn read(&mut self, max_bytes: usize) -> BoxFuture<'_, Result<Bytes, AskError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_obeyed() {
        for name in ["a", "report.html", "contact sheet (2).png", "Übersicht.pdf", ".hidden", "...", &"x".repeat(255)]
        {
            assert_eq!(name.parse::<ArtifactName>().expect("a name").as_str(), name);
        }
    }

    #[test]
    fn names_violated() {
        let unseen = ["a\0b", "a\nb", "a\u{202E}b", "a\u{200B}", "\u{FEFF}a", "a\tb", "a\u{2028}b", "\u{1b}[2J"];
        let paths = ["../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..", ".", "/", "C:\\x"];
        for name in unseen.into_iter().chain(paths).chain(["", " a", "a ", " "]) {
            assert!(matches!(name.parse::<ArtifactName>(), Err(ArtifactError::Name(_))), "{name:?}");
        }
        let long = "x".repeat(256).parse::<ArtifactName>();
        assert_eq!(long, Err(ArtifactError::LongName(256)));
    }

    #[test]
    fn refused_name_cannot_move_the_cursor_of_who_reads_the_message() {
        let error = "\u{1b}[2J\u{202E}".parse::<ArtifactName>().expect_err("it is no name").to_string();
        assert!(
            error.chars().all(|char| !char.is_control() || char == '\n') && !error.contains('\u{202E}'),
            "{error:?}"
        );
    }

    #[test]
    fn media_types_obeyed_and_violated() {
        for media_type in ["text/html", "image/svg+xml", "application/vnd.ms-excel", "application/octet-stream"] {
            assert_eq!(check_media_type(media_type), Ok(()));
        }
        for text in ["", "text", "text/", "/html", "text/html; charset=utf-8", "a/b/c", "text/ht ml", "te\r\nxt/html"] {
            assert!(check_media_type(text).is_err(), "{text:?}");
        }
        assert!(check_media_type(&format!("text/{}", "x".repeat(123))).is_ok());
        assert!(check_media_type(&format!("text/{}", "x".repeat(124))).is_err());
    }

    #[test]
    fn links_obeyed_and_violated() {
        for url in ["http://example.org", "https://example.org/a?b=c#d", "https://[2001:db8::1]/x"] {
            assert_eq!(check_url(url), Ok(()));
        }
        for url in
            ["", "javascript:alert(1)", "file:///etc/passwd", "//example.org", "http://", "http:// x", "http://a\r\nb"]
        {
            assert!(check_url(url).is_err(), "{url:?}");
        }
        let prefix = "https://example.org/";
        assert!(check_url(&(prefix.to_owned() + &"x".repeat(MAX_URL_BYTES - prefix.len()))).is_ok());
        assert!(check_url(&(prefix.to_owned() + &"x".repeat(MAX_URL_BYTES - prefix.len() + 1))).is_err());
    }
}
