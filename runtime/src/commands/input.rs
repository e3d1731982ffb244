//! Where a command's input comes from.

use std::path::PathBuf;
use std::str::FromStr;

use super::{ReadError, read, read_all};
use crate::exit::{CommandError, Exit};

/// A larger input is refused.
const MAX_INPUT_BYTES: u64 = 16 << 20;

/// Where the input comes from.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl FromStr for Input {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match (text, text.strip_prefix('@')) {
            ("-", _) => Self::Stdin,
            (_, Some(path)) => Self::File(path.into()),
            (text, None) => Self::Text(text.into()),
        })
    }
}

impl Input {
    /// All of it.
    ///
    /// # Errors
    /// It cannot be read, or is too large for anything.
    pub(crate) fn read(self) -> Result<Vec<u8>, CommandError> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::File(path) => read(&path, MAX_INPUT_BYTES),
            Self::Stdin => {
                read_all(std::io::stdin().lock(), MAX_INPUT_BYTES, "standard input").map_err(|error| match error {
                    ReadError::Io(error) => {
                        CommandError::new(Exit::Error, format!("cannot read standard input: {error}"))
                    }
                    ReadError::TooLarge(error) => error,
                })
            }
        }
    }
}
