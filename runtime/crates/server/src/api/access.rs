//! Keys and the log of changes, as they go over the wire. The text of a key goes out once, when it is made.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sunaba_task::{ApiKey, AuditEntry, KeyStanding, Scope, Timestamp};

/// A key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// Whose it is, or what it is for; one line of up to 64 bytes.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The queues to which it is bound. Null: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// How long it is good. Null: until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
}

/// A key that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreatedKey {
    /// Its text, which is shown this once.
    pub key: String,
    /// What is shown of it.
    #[serde(flatten)]
    pub view: KeyView,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey").field("view", &self.view).finish_non_exhaustive()
    }
}

/// What is shown of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyView {
    /// What it is called where its text must not be shown.
    pub id: String,
    /// Whose it is, or what it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The queues to which it is bound. Null: none.
    pub queues: Option<Vec<String>>,
    /// Whether it is good.
    pub standing: KeyStanding,
    /// When it was made.
    pub created_at: String,
    /// When its time is over.
    pub expires_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// When it was used last, to some minutes.
    pub last_used_at: Option<String>,
}

/// Some keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeysView {
    /// The oldest first.
    pub keys: Vec<KeyView>,
    /// `after` of the next page.
    pub next: Option<String>,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditView {
    /// Its number.
    pub sequence: u64,
    /// When.
    pub at: String,
    /// Who.
    pub who: String,
    /// By which request.
    pub request_id: Option<String>,
    /// What, as `queue.set`.
    pub what: String,
    /// Of what: a name or an id. Empty: there is but one.
    pub of: String,
    /// How it stood before. A text, if it was too long to be kept as it is.
    pub before: Option<Value>,
    /// How it stood after.
    pub after: Option<Value>,
}

/// Some changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditsView {
    /// The newest first.
    pub entries: Vec<AuditView>,
    /// `before` of the next page.
    pub next: Option<String>,
}

/// Which page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PageQuestion {
    /// Of keys: those after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of changes: those before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How many at most; 50 unless said otherwise, and at most 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl KeyView {
    /// What is shown of a key at this instant.
    pub fn new(key: &ApiKey, now: Timestamp) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            queues: key.queues.clone(),
            standing: key.standing(now),
            created_at: key.created_at.to_string(),
            expires_at: text(key.expires_at),
            revoked_at: text(key.revoked_at),
            last_used_at: text(key.last_used_at),
        }
    }
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let state = |text: Option<String>| text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
        Self {
            sequence: entry.sequence,
            at: entry.at.to_string(),
            who: entry.who,
            request_id: entry.request,
            what: entry.what,
            of: entry.of,
            before: state(entry.before),
            after: state(entry.after),
        }
    }
}
