//! Secrets: what is shown of them, and what comes in. A text goes in and never out.

use serde::{Deserialize, Serialize};
use sunaba_store::SecretInfo;
use sunaba_task::SecretText;

/// What is shown of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretView {
    /// Its name.
    pub name: String,
    /// The only place that it is sent to.
    pub host: String,
    /// When it was set first.
    pub created_at: String,
    /// When it was set last.
    pub changed_at: String,
}

/// Every secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretsView {
    /// By name.
    pub secrets: Vec<SecretView>,
}

/// A secret to be kept.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSecret {
    /// The only place that it is sent to, as `https://api.example.com`.
    pub host: String,
    /// What nobody sees.
    pub text: SecretText,
}

/// That a secret is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemovedSecret {
    /// Its name.
    pub removed: String,
}

impl From<SecretInfo> for SecretView {
    fn from(secret: SecretInfo) -> Self {
        Self {
            name: secret.name,
            host: secret.host.to_string(),
            created_at: secret.created_at.to_string(),
            changed_at: secret.changed_at.to_string(),
        }
    }
}
