//! A handler as its component describes it.

use serde::{Deserialize, Serialize};

use crate::HandlerSettings;

/// The longest name of a handler, a queue or an error kind, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Whether a text can name a handler, a queue or an error kind: lower-case letters, digits and `-`, which does not come
/// first.
pub fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && !text.starts_with('-') && text.len() <= MAX_NAME_BYTES && text.chars().all(allowed)
}

/// One handler of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerInfo {
    /// Unique in the component.
    pub name: String,
    /// What it does, in Markdown. May be empty.
    pub doc: String,
    /// JSON Schema of the input; none means any bytes.
    pub input_schema: Option<String>,
    /// JSON Schema of the output; none means any bytes.
    pub output_schema: Option<String>,
    /// Default options of its tasks.
    pub settings: HandlerSettings,
}
