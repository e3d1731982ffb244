//! `package/handler`: the name by which tasks ask for a handler.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::is_name;

/// A handler and the package that it is deployed in, written `package/handler`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HandlerName {
    /// The deployed package; a name as [`is_name`] has it.
    pub package: String,
    /// One of its handlers; a name as [`is_name`] has it.
    pub handler: String,
}

/// A text that names no handler of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not name a handler\nhint: write PACKAGE/HANDLER, each of up to 64 lower-case letters, digits and `-`, such as \
     `words/word-count`"
)]
pub struct HandlerNameError(String);

impl FromStr for HandlerName {
    type Err = HandlerNameError;

    fn from_str(text: &str) -> Result<Self, HandlerNameError> {
        match text.split_once('/') {
            Some((package, handler)) if is_name(package) && is_name(handler) => {
                Ok(Self { package: package.into(), handler: handler.into() })
            }
            _ => Err(HandlerNameError(text.into())),
        }
    }
}

impl fmt::Display for HandlerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.package, self.handler)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back() {
        let name: HandlerName = "words/word-count".parse().expect("a name");
        assert_eq!((name.package.as_str(), name.handler.as_str()), ("words", "word-count"));
        assert_eq!(name.to_string(), "words/word-count");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "words", "/x", "x/", "a/b/c", "Words/x", "a b/c"] {
            assert!(text.parse::<HandlerName>().is_err(), "{text}");
        }
    }
}
