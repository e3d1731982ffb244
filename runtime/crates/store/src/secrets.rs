//! Secrets that the store keeps: what is shown of them, which is never their text, and what they may be.

use serde::{Deserialize, Serialize};
use sunaba_task::{HttpGrant, MAX_SECRET_BYTES, MIN_SECRET_BYTES, SecretText, Timestamp, format_bytes, is_secret_name};

/// Secrets of one store.
pub const MAX_STORED_SECRETS: usize = 1_000;

/// A secret to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// See [`is_secret_name`].
    pub name: String,
    /// The only place that it is sent to.
    pub host: HttpGrant,
    /// What nobody sees.
    pub text: SecretText,
}

/// What is shown of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// The only place that it is sent to.
    pub host: HttpGrant,
    /// When it was set first.
    pub created_at: Timestamp,
    /// When it was set last.
    pub changed_at: Timestamp,
}

/// A secret as it is kept. The directory is its only protection.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredSecret {
    pub(crate) host: HttpGrant,
    pub(crate) created_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    pub(crate) text: SecretText,
}

/// Why a secret is not kept. Says nothing of its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Not a secret's name.
    #[error("`{0}` cannot name a secret\nhint: a secret has up to 64 capitals, digits and `_`, such as `API_KEY`")]
    Name(String),
    /// There is nothing to keep.
    #[error("the secret `{0}` is empty\nhint: to take it away, remove it")]
    Empty(String),
    /// Not one host.
    #[error(
        "the secret `{name}` cannot be for `{host}`\nhint: name the one host that it is sent to, such as `https://api.example.com`"
    )]
    Host {
        /// Its name.
        name: String,
        /// What stood there.
        host: String,
    },
    /// Too short to be told from other text.
    #[error(
        "the secret `{name}` has {}; the least is {}\nhint: a shorter text cannot be told from other text, so it could not be \
         kept from the handler", format_bytes(*.size_bytes), format_bytes(MIN_SECRET_BYTES as u64)
    )]
    TooShort {
        /// Its name.
        name: String,
        /// How long it is.
        size_bytes: u64,
    },
    /// Too long to be used.
    #[error("the secret `{name}` has {}; the limit is {}", format_bytes(*.size_bytes), format_bytes(MAX_SECRET_BYTES as u64))]
    TooLong {
        /// Its name.
        name: String,
        /// How long it is.
        size_bytes: u64,
    },
    /// No header can have it.
    #[error(
        "the secret `{0}` has characters that no header of a request can have\nhint: it has no control characters, and no end \
         of a line"
    )]
    Characters(String),
    /// There is no room for another.
    #[error("there are {MAX_STORED_SECRETS} secrets, and no more are kept\nhint: remove one that is not used")]
    TooMany,
}

impl NewSecret {
    /// Whether it can be kept and used.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn check(&self) -> Result<(), SecretError> {
        let (name, text) = (&self.name, self.text.reveal());
        if !is_secret_name(name) {
            return Err(SecretError::Name(name.chars().take(80).collect()));
        }
        if self.host.host.starts_with('*') || !self.host.addresses.is_empty() {
            return Err(SecretError::Host { name: name.clone(), host: self.host.to_string() });
        }
        if text.is_empty() {
            return Err(SecretError::Empty(name.clone()));
        }
        if text.len() < MIN_SECRET_BYTES {
            return Err(SecretError::TooShort { name: name.clone(), size_bytes: text.len() as u64 });
        }
        if text.len() > MAX_SECRET_BYTES {
            return Err(SecretError::TooLong { name: name.clone(), size_bytes: text.len() as u64 });
        }
        if text.chars().any(char::is_control) {
            return Err(SecretError::Characters(name.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str) -> Result<(), SecretError> {
        let host = "https://api.example.com".parse().expect("a grant");
        NewSecret { name: name.into(), host, text: SecretText::new(text) }.check()
    }

    #[test]
    fn length_of_a_secret_obeyed() {
        assert_eq!(check("API_KEY", &"x".repeat(MAX_SECRET_BYTES)), Ok(()));
        assert_eq!(check("API_KEY", &"x".repeat(MIN_SECRET_BYTES)), Ok(()));
    }

    #[test]
    fn length_of_a_secret_violated() {
        let long = check("API_KEY", &"x".repeat(MAX_SECRET_BYTES + 1)).expect_err("it is too long");
        assert_eq!(long, SecretError::TooLong { name: "API_KEY".into(), size_bytes: 8193 });
        assert_eq!(check("API_KEY", ""), Err(SecretError::Empty("API_KEY".into())));
        let short = check("API_KEY", &"x".repeat(MIN_SECRET_BYTES - 1)).expect_err("it is too short");
        assert_eq!(short, SecretError::TooShort { name: "API_KEY".into(), size_bytes: 7 });
    }

    #[test]
    fn secret_is_for_one_host_alone() {
        for host in ["https://*.example.com", "https://intranet@10.0.0.0/8"] {
            let secret = NewSecret {
                name: "API_KEY".into(),
                host: host.parse().expect("a grant"),
                text: SecretText::new("long enough"),
            };
            assert!(matches!(secret.check(), Err(SecretError::Host { .. })), "{host}");
        }
    }

    #[test]
    fn refusals_say_nothing_of_the_text() {
        for (name, text) in [("bad", "hunter2"), ("API_KEY", "hunter2\n"), ("API_KEY", &"hunter2".repeat(2_000))] {
            let error = check(name, text).expect_err("it is refused");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
