//! Who may do what from outside: scopes, and keys that have some of them, in some queues, for some time.
//!
//! Of a key only the digest is kept. Its text has 256 random bits, so that nobody finds it by trying, and a digest that is fast
//! to make is as good as a slow one.

mod audit;
mod key;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use audit::{
    AuditEntry, MAX_AUDIT_OF_BYTES, MAX_AUDIT_STATE_BYTES, MAX_AUDIT_WHAT_BYTES, MAX_AUDIT_WHO_BYTES, NewAudit,
};
pub use key::{
    ApiKey, ApiKeyError, KEY_PREFIX, KeyId, KeyIdError, KeyStanding, KeyText, MAX_KEY_LIFE, MAX_KEY_NAME_BYTES,
    MAX_KEY_QUEUES, NewApiKey,
};

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Submit tasks and jobs.
    Submit,
    /// See what there is: tasks, their inputs and outputs, jobs, queues, handlers.
    Read,
    /// Change what becomes of what there is: cancel, run again, delete, pause, limit, complete.
    Operate,
    /// Change what runs: deploy components, and go back to older ones.
    Deploy,
    /// Everything, secrets and keys too.
    Admin,
}

/// Which scopes one has in it, itself among them. Whoever changes something sees what it was; whoever submits need not see what
/// others have.
const INCLUDED: [(Scope, &[Scope]); 5] = [
    (Scope::Submit, &[Scope::Submit]),
    (Scope::Read, &[Scope::Read]),
    (Scope::Operate, &[Scope::Operate, Scope::Read]),
    (Scope::Deploy, &[Scope::Deploy, Scope::Read]),
    (Scope::Admin, &[Scope::Submit, Scope::Read, Scope::Operate, Scope::Deploy, Scope::Admin]),
];

impl Scope {
    /// Every one, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Submit, Self::Read, Self::Operate, Self::Deploy, Self::Admin];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }

    /// Whether who has this may do what asks for the other.
    pub fn includes(self, other: Self) -> bool {
        INCLUDED.iter().any(|(scope, included)| *scope == self && included.contains(&other))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope\nhint: there are `submit`, `read`, `operate`, `deploy` and `admin`")]
pub struct ScopeError(String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let found = Self::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| ScopeError(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_includes_what_the_table_says_and_nothing_else() {
        use Scope::{Admin, Deploy, Operate, Read, Submit};
        for (has, may) in [
            (Submit, vec![Submit]),
            (Read, vec![Read]),
            (Operate, vec![Read, Operate]),
            (Deploy, vec![Read, Deploy]),
            (Admin, Scope::ALL.to_vec()),
        ] {
            let included: Vec<_> = Scope::ALL.into_iter().filter(|other| has.includes(*other)).collect();
            assert_eq!(included, may, "{has}");
        }
    }

    #[test]
    fn scopes_read_back() {
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert_eq!("root".parse::<Scope>(), Err(ScopeError("root".into())));
    }
}
