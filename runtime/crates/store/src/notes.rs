//! What hosts note down for themselves, by name: the store keeps it, and does not look into it.

use bytes::Bytes;
use sunaba_task::format_bytes;

/// Notes of one store.
pub const MAX_NOTES: usize = 2_000;
/// The longest note.
pub const MAX_NOTE_BYTES: usize = 64 * 1_024;
/// The longest name: keys are short.
const MAX_NAME_BYTES: usize = 96;

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Lower-case letters, digits, `-`, and `/` between what belongs together.
    pub name: String,
    /// What it says. Empty: it is not there.
    pub text: Bytes,
}

/// Why a note is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a note's name.
    #[error("`{0}` cannot name a note\nhint: a note has up to 96 lower-case letters, digits, `-` and `/`")]
    Name(String),
    /// Too long.
    #[error("the note `{name}` has {}; the limit is {}", format_bytes(*.size_bytes), format_bytes(MAX_NOTE_BYTES as u64))]
    TooLong {
        /// Its name.
        name: String,
        /// How long it is.
        size_bytes: u64,
    },
    /// There is no room for another.
    #[error("there are {MAX_NOTES} notes, and no more are kept")]
    TooMany,
}

impl Note {
    /// Whether it can be kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), NoteError> {
        let is_of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'/');
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || !self.name.bytes().all(is_of_a_name) {
            return Err(NoteError::Name(self.name.chars().take(MAX_NAME_BYTES).collect()));
        }
        if self.text.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { name: self.name.clone(), size_bytes: self.text.len() as u64 });
        }
        Ok(())
    }
}
