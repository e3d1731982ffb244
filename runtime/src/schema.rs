//! JSON Schemas of handlers. They come from guests, so they are bounded: in size and depth, with no reference to
//! anything outside themselves, and with patterns that match in linear time.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// A longer schema is refused.
const MAX_BYTES: usize = 64 << 10;
/// A deeper schema is refused.
const MAX_DEPTH: usize = 64;
/// How many violations a message tells.
const SHOWN_VIOLATIONS: usize = 3;

/// A schema to check payloads by.
#[derive(Debug)]
pub struct Schema(Validator);

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Over 64 KiB.
    #[error("the schema has {bytes} bytes; the limit is {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Over 64 levels.
    #[error("the schema is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not JSON.
    #[error("the schema is not JSON: {0}")]
    Json(String),
    /// Not a JSON Schema, or one that refers to something outside itself.
    #[error("the schema is not usable: {0}")]
    Schema(String),
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// It is over a bound, or no JSON Schema.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
        if text.len() > MAX_BYTES {
            return Err(SchemaError::TooLarge { bytes: text.len() });
        }
        let value: Value = serde_json::from_str(text).map_err(|error| SchemaError::Json(error.to_string()))?;
        if depth(&value) > MAX_DEPTH {
            return Err(SchemaError::TooDeep);
        }
        jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&value)
            .map(Self)
            .map_err(|error| SchemaError::Schema(error.to_string()))
    }

    /// What in a value does not match, with the place; none when it does.
    pub fn violations(&self, value: &Value) -> Option<String> {
        let mut violations = self.0.iter_errors(value).map(|error| {
            let place = error.instance_path().to_string();
            if place.is_empty() { error.to_string() } else { format!("at `{place}`: {error}") }
        });
        let mut shown: Vec<String> = violations.by_ref().take(SHOWN_VIOLATIONS).collect();
        if violations.next().is_some() {
            shown.push("and more".into());
        }
        (!shown.is_empty()).then(|| shown.join("; "))
    }
}

/// How deeply a value is nested. The parser has bounded it, so recursion is safe.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person() -> Schema {
        let text = r#"{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}"#;
        Schema::compile(text).expect("valid")
    }

    #[test]
    fn violations_name_their_place() {
        assert_eq!(person().violations(&json!({"name": "Ada"})), None);
        let wrong = person().violations(&json!({"name": 5})).expect("not a string");
        assert_eq!(wrong, "at `/name`: 5 is not of type \"string\"");
        let missing = person().violations(&json!({})).expect("no name");
        assert_eq!(missing, "\"name\" is a required property");
    }

    #[test]
    fn schema_bounds_violated() {
        let large = format!(r#"{{"description":"{}"}}"#, "x".repeat(MAX_BYTES));
        assert!(matches!(Schema::compile(&large), Err(SchemaError::TooLarge { .. })));
        let deep = format!("{}true{}", r#"{"not":"#.repeat(MAX_DEPTH + 1), "}".repeat(MAX_DEPTH + 1));
        assert_eq!(Schema::compile(&deep).err(), Some(SchemaError::TooDeep));
        assert!(matches!(Schema::compile("{"), Err(SchemaError::Json(_))));
        assert!(matches!(Schema::compile(r#"{"type":"thing"}"#), Err(SchemaError::Schema(_))));
    }

    #[test]
    fn schema_bounds_obeyed() {
        let deep = format!("{}true{}", r#"{"not":"#.repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH));
        assert!(Schema::compile(&deep).is_ok());
    }

    #[test]
    fn references_outside_are_refused() {
        for target in ["http://127.0.0.1:1/s.json", "file:///etc/passwd"] {
            let text = json!({ "$ref": target }).to_string();
            assert!(matches!(Schema::compile(&text), Err(SchemaError::Schema(_))), "{target}");
        }
    }

    #[test]
    fn patterns_that_backtrack_are_refused() {
        let text = r#"{"pattern":"(a)\\1"}"#;
        assert!(matches!(Schema::compile(text), Err(SchemaError::Schema(_))));
    }
}
