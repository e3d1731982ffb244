//! JSON Schemas of handlers. They come from guests, so they are bounded: in size and depth, with no reference to
//! anything outside themselves, and with patterns that match in linear time.

mod shape;
mod work;

pub(crate) use work::MAX_WORK;

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// A longer schema is refused.
const MAX_BYTES: usize = 64 << 10;
/// A deeper schema is refused.
const MAX_DEPTH: usize = 64;
/// How large a schema may be once its references are written out: validation may visit all of that.
const MAX_EXPANDED: usize = 50_000;
/// A longer message about a violation is cut: it may show a part of the input.
const MAX_MESSAGE_BYTES: usize = 400;

/// What a compiled pattern may take, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// A schema to check payloads by.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// As it was read, to find out what a check would take.
    source: Value,
}

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
    /// Over 50,000 parts once its references are written out.
    #[error("the schema has more than {MAX_EXPANDED} parts once its references are written out")]
    TooManyReferences,
    /// A keyword that gives a part of the schema a name, or follows one.
    #[error(
        "the schema has the keyword `{0}`\nhint: refer to parts of it by their places, as in `\"$ref\": \"#/$defs/item\"`"
    )]
    Keyword(String),
    /// A reference to something outside itself, or by a name.
    #[error(
        "the schema refers to `{0}`\nhint: refer to parts of it by their places, as in `\"$ref\": \"#/$defs/item\"`"
    )]
    Reference(String),
    /// Over 32 patterns.
    #[error("the schema has {patterns} patterns; the limit is {}", shape::MAX_PATTERNS)]
    TooManyPatterns {
        /// How many.
        patterns: usize,
    },
    /// A part of it refers to itself, with nothing of an input between.
    #[error("the schema refers to itself without end")]
    Endless,
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
        shape::check(&value)?;
        if Expansion::of(&value) > MAX_EXPANDED {
            return Err(SchemaError::TooManyReferences);
        }
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        let validator = jsonschema::options()
            .with_pattern_options(patterns)
            // A format is a hint for people, as the later drafts say; one of them compiles patterns of the input.
            .should_validate_formats(false)
            .build(&value)
            .map_err(|error| SchemaError::Schema(error.to_string()))?;
        // What is endless for the smallest of all inputs is so for every one.
        if !work::is_bearable(&value, &Value::Null) {
            return Err(SchemaError::Endless);
        }
        Ok(Self { validator, source: value })
    }

    /// What checking a value takes; none when that is more than this.
    pub(crate) fn steps(&self, value: &Value, most: u64) -> Option<u64> {
        Some(work::of(&self.source, value, most)).filter(|steps| *steps <= most)
    }

    /// The first thing in a value that does not match, with its place; none when all does.
    pub fn violation(&self, value: &Value) -> Option<String> {
        if !work::is_bearable(&self.source, value) {
            return Some(format!("checking it takes more than {} steps", work::MAX_WORK));
        }
        let error = self.validator.validate(value).err()?;
        // What an error shows of the input is as long as the input.
        let small = serde_json::to_vec(error.instance()).is_ok_and(|bytes| bytes.len() <= MAX_MESSAGE_BYTES / 2);
        let mut message = if small { error.to_string() } else { error.masked().to_string() };
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        let place = error.instance_path().to_string();
        Some(if place.is_empty() { message } else { format!("at `{place}`: {message}") })
    }
}

/// How large a schema is once its local references are written out. Recursion counts once: how often it is followed
/// depends on the input, whose depth is bounded.
struct Expansion<'a> {
    root: &'a Value,
    known: HashMap<&'a str, usize>,
}

impl<'a> Expansion<'a> {
    fn of(root: &'a Value) -> usize {
        Self { root, known: HashMap::new() }.size(root)
    }

    fn size(&mut self, value: &'a Value) -> usize {
        match value {
            Value::Array(items) => items.iter().fold(1, |sum: usize, item| sum.saturating_add(self.size(item))),
            Value::Object(members) => members.iter().fold(1, |sum: usize, (key, member)| {
                let size = match (key.as_str(), member.as_str()) {
                    ("$ref" | "$dynamicRef", Some(target)) => self.size_of(target),
                    _ => self.size(member),
                };
                sum.saturating_add(size)
            }),
            _ => 1,
        }
    }

    fn size_of(&mut self, target: &'a str) -> usize {
        if let Some(size) = self.known.get(target) {
            return *size;
        }
        // Until it is known, a reference back to it counts once.
        self.known.insert(target, 1);
        let size = match work::target_of(self.root, target) {
            Some(value) => self.size(value),
            None => 1,
        };
        self.known.insert(target, size);
        size
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
        assert_eq!(person().violation(&json!({"name": "Ada"})), None);
        let wrong = person().violation(&json!({"name": 5})).expect("not a string");
        assert_eq!(wrong, "at `/name`: 5 is not of type \"string\"");
        let missing = person().violation(&json!({})).expect("no name");
        assert_eq!(missing, "\"name\" is a required property");
    }

    #[test]
    fn violation_is_short_however_long_the_input() {
        let long = json!({"name": vec![1; 100_000]});
        let shown = person().violation(&long).expect("not a string");
        assert!(shown.len() < 500 && shown.starts_with("at `/name`: "), "{shown}");
    }

    #[test]
    fn references_that_double_are_refused() {
        let chain = |length: usize| {
            let link =
                |n: usize| json!({"allOf": [{"$ref": format!("#/$defs/d{n}")}, {"$ref": format!("#/$defs/d{n}")}]});
            let mut defs: serde_json::Map<_, _> = (0..length).map(|n| (format!("d{n}"), link(n + 1))).collect();
            defs.insert(format!("d{length}"), json!({"type": "string"}));
            json!({"$defs": defs, "$ref": "#/$defs/d0"}).to_string()
        };
        assert!(Schema::compile(&chain(5)).is_ok());
        assert_eq!(Schema::compile(&chain(40)).err(), Some(SchemaError::TooManyReferences));
        let tree = r##"{"$defs":{"t":{"properties":{"l":{"$ref":"#/$defs/t"},"r":{"$ref":"#/$defs/t"}}}},"$ref":"#/$defs/t"}"##;
        assert!(Schema::compile(tree).is_ok());
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
            assert!(matches!(Schema::compile(&text), Err(SchemaError::Reference(_))), "{target}");
        }
    }

    #[test]
    fn patterns_that_backtrack_are_refused() {
        let text = r#"{"pattern":"(a)\\1"}"#;
        assert!(matches!(Schema::compile(text), Err(SchemaError::Schema(_))));
    }

    #[test]
    fn parts_with_names_are_refused() {
        for part in [
            json!({"$id": "urn:a"}),
            json!({"$anchor": "a"}),
            json!({"$dynamicAnchor": "a"}),
            json!({"$dynamicRef": "#a"}),
            json!({"$recursiveRef": "#"}),
            json!({"$recursiveAnchor": true}),
        ] {
            let text = json!({"properties": {"p": part}}).to_string();
            assert!(matches!(Schema::compile(&text), Err(SchemaError::Keyword(_))), "{text}");
        }
        // The whole may say what it is called, and a property may be called like that.
        let named = json!({"$id": "https://example.com/s.json", "properties": {"$id": {"type": "string"}, "id": true}});
        assert!(Schema::compile(&named.to_string()).is_ok());
        assert!(matches!(Schema::compile(r##"{"$ref":"#name"}"##), Err(SchemaError::Reference(_))));
    }

    fn patterns(count: usize) -> String {
        let patterns: serde_json::Map<_, _> = (0..count).map(|n| (format!("^{n}"), json!(true))).collect();
        json!({"properties": {"p": {"patternProperties": patterns}}}).to_string()
    }

    #[test]
    fn patterns_obeyed() {
        assert!(Schema::compile(&patterns(shape::MAX_PATTERNS)).is_ok());
        assert!(Schema::compile(r#"{"pattern":"^[a-z]{1,64}$"}"#).is_ok());
    }

    #[test]
    fn patterns_violated() {
        assert_eq!(Schema::compile(&patterns(33)).err(), Some(SchemaError::TooManyPatterns { patterns: 33 }));
        // Small to write, and large once compiled.
        assert!(matches!(Schema::compile(r#"{"pattern":"(((\\w{50}){50}){50})"}"#), Err(SchemaError::Schema(_))));
    }

    #[test]
    fn input_that_would_take_for_ever_is_refused_at_once() {
        let text = r##"{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["b"]},{"properties":{"a":{"$ref":"#"}},"required":["b"]}]}"##;
        let schema = Schema::compile(text).expect("valid");
        let deep = (0..100).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert_eq!(schema.violation(&deep).expect("too much"), "checking it takes more than 8000000 steps");
        assert!(schema.violation(&json!({"a": {"a": 1}})).expect("no b").contains("not valid"));
    }
}
