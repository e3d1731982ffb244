//! Secrets: what a handler may use without seeing it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::HttpGrant;

/// The longest secret.
pub const MAX_SECRET_BYTES: usize = 8 << 10;
/// A shorter one could not be told from other text, and so not be kept from the handler.
pub const MIN_SECRET_BYTES: usize = 8;
/// Secrets of one attempt.
pub const MAX_SECRETS: usize = 32;

/// Whether a text can name a secret: an environment variable's name, in capitals.
pub fn is_secret_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    !text.is_empty() && text.len() <= 64 && text.chars().all(allowed) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// A text that nobody sees: neither in a log nor in an error.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// This text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be used and not to be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A secret for one attempt. It travels to the executor and is kept nowhere.
///
/// The guest has an environment variable of its name that holds a placeholder. Where the placeholder stands in a header of a
/// request to `host`, the text is put in its place; where the text comes back, the placeholder is put in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// See [`is_secret_name`].
    pub name: String,
    /// What nobody sees.
    pub text: SecretText,
    /// The only place that it is sent to.
    pub host: HttpGrant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_never_shown() {
        let secret = Secret {
            name: "API_KEY".into(),
            text: SecretText::new("hunter2"),
            host: "https://api.example.com".parse().expect("a grant"),
        };
        assert!(!format!("{secret:?} {secret:#?}").contains("hunter2"));
        assert_eq!(secret.text.reveal(), "hunter2");
    }

    #[test]
    fn names_are_those_of_variables() {
        assert!(is_secret_name("API_KEY") && is_secret_name("_K2"));
        for name in ["", "api", "2K", "A-B", "A B", &"A".repeat(65)] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
