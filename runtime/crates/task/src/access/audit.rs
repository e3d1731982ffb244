//! What is written down of a change: who has made it, what it was, and how things stood before and after. No secret is in it:
//! whoever notes how things stood names what may be seen.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// The longest name of who has made a change.
pub const MAX_AUDIT_WHO_BYTES: usize = 128;
/// The longest name of a change.
pub const MAX_AUDIT_WHAT_BYTES: usize = 64;
/// The longest name of what was changed.
pub const MAX_AUDIT_OF_BYTES: usize = 256;
/// How much is kept of how things stood before, and as much of how after.
pub const MAX_AUDIT_STATE_BYTES: usize = 4 << 10;

/// What follows a text that was cut.
const CUT: &str = "...";

/// A change that somebody is about to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// Who: a key by its id and name, or how else somebody came to it.
    pub who: String,
    /// The request by which it is made, if it came by one.
    pub request: Option<String>,
    /// What, as `queue.set`.
    pub what: String,
    /// Of what: a queue's name, a task's id. Empty: there is but one.
    pub of: String,
}

impl NewAudit {
    /// A change by this one.
    pub fn by(who: impl Into<String>, what: impl Into<String>, of: impl Into<String>) -> Self {
        Self { who: who.into(), request: None, what: what.into(), of: of.into() }
    }

    /// The entry for it.
    pub fn entry(&self, sequence: u64, at: Timestamp, before: Option<&Value>, after: Option<&Value>) -> AuditEntry {
        let state = |state: Option<&Value>| state.map(|state| cut(&state.to_string(), MAX_AUDIT_STATE_BYTES));
        AuditEntry {
            sequence,
            at,
            who: cut(&self.who, MAX_AUDIT_WHO_BYTES),
            request: self.request.as_deref().map(|request| cut(request, MAX_AUDIT_WHO_BYTES)),
            what: cut(&self.what, MAX_AUDIT_WHAT_BYTES),
            of: cut(&self.of, MAX_AUDIT_OF_BYTES),
            before: state(before),
            after: state(after),
        }
    }
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number; later ones have larger numbers.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// By which request.
    pub request: Option<String>,
    /// What, as `queue.set`.
    pub what: String,
    /// Of what.
    pub of: String,
    /// How it stood before, as JSON, which was cut if it was long. None: it was not there, or nothing is kept of it.
    pub before: Option<String>,
    /// How it stood after; as before.
    pub after: Option<String>,
}

/// A text of at most so many bytes.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most - CUT.len());
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn size_of_an_entry_obeyed() {
        let state = json!("x".repeat(MAX_AUDIT_STATE_BYTES - 2));
        let new = NewAudit::by("w".repeat(MAX_AUDIT_WHO_BYTES), "queue.set", "o".repeat(MAX_AUDIT_OF_BYTES));
        let entry = new.entry(1, Timestamp::from_unix_ms(7), Some(&state), None);
        assert_eq!((entry.who, entry.of), (new.who, new.of));
        assert_eq!((entry.before, entry.after), (Some(state.to_string()), None));
    }

    #[test]
    fn size_of_an_entry_violated() {
        let state = json!("\u{e9}".repeat(MAX_AUDIT_STATE_BYTES));
        let mut new = NewAudit::by("w".repeat(1_000), "x".repeat(1_000), "o".repeat(1_000));
        new.request = Some("r".repeat(1_000));
        let entry = new.entry(1, Timestamp::from_unix_ms(7), Some(&state), Some(&state));
        let lengths = [&entry.who, &entry.what, &entry.of].map(String::len);
        assert_eq!(lengths, [MAX_AUDIT_WHO_BYTES, MAX_AUDIT_WHAT_BYTES, MAX_AUDIT_OF_BYTES]);
        for text in [entry.before, entry.after, entry.request].into_iter().flatten() {
            assert!(text.len() <= MAX_AUDIT_STATE_BYTES && text.ends_with(CUT), "{text}");
        }
    }
}
