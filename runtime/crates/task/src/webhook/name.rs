//! The name of a webhook.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::is_name;

/// What a webhook is called: a name as [`is_name`] has it, unique in its store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookName(String);

impl WebhookName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that names no webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a webhook\nhint: a name has up to 64 lower-case letters, digits and `-`, which does not come first, such as \
     `billing`"
)]
pub struct WebhookNameError(String);

impl FromStr for WebhookName {
    type Err = WebhookNameError;

    fn from_str(text: &str) -> Result<Self, WebhookNameError> {
        if is_name(text) { Ok(Self(text.into())) } else { Err(WebhookNameError(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for WebhookName {
    type Error = WebhookNameError;

    fn try_from(text: String) -> Result<Self, WebhookNameError> {
        text.parse()
    }
}

impl From<WebhookName> for String {
    fn from(name: WebhookName) -> Self {
        name.0
    }
}

impl fmt::Display for WebhookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_webhooks_are_short_and_plain() {
        for text in ["billing", "7", &"a".repeat(64)] {
            assert_eq!(text.parse::<WebhookName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "-a", "Billing", "a/b", "a b", &"a".repeat(65)] {
            assert!(text.parse::<WebhookName>().is_err(), "{text}");
        }
    }
}
