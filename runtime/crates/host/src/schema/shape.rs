//! What a schema from a guest may not have in it, whatever it would mean.
//!
//! The work of a check is found out by following references. So there may be none that leads elsewhere than it says: no names
//! for parts of the schema, and no references that depend on the way by which they were reached.

use serde_json::Value;

use super::SchemaError;

/// More patterns are refused: each is compiled.
pub(super) const MAX_PATTERNS: usize = 32;
/// Keywords that give a part a name, or follow one.
const NAMES: [&str; 7] = ["$id", "id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"];

pub(super) fn check(schema: &Value) -> Result<(), SchemaError> {
    let mut patterns = 0;
    visit(schema, true, &mut patterns)?;
    if patterns > MAX_PATTERNS { Err(SchemaError::TooManyPatterns { patterns }) } else { Ok(()) }
}

/// The parser has bounded the depth, so recursion is safe.
fn visit(value: &Value, is_root: bool, patterns: &mut usize) -> Result<(), SchemaError> {
    let Value::Object(members) = value else {
        return value.as_array().into_iter().flatten().try_for_each(|item| visit(item, false, patterns));
    };
    for (keyword, part) in members {
        // A property of this name has a schema here, and no text. The name of the whole is often given, and leads nowhere.
        let names = part.is_string() || part.is_boolean() && keyword == "$recursiveAnchor";
        let is_own = is_root && matches!(keyword.as_str(), "$id" | "id");
        if names && !is_own && NAMES.contains(&keyword.as_str()) {
            return Err(SchemaError::Keyword(keyword.clone()));
        }
        match (keyword.as_str(), part) {
            ("$ref", Value::String(target)) if !(target == "#" || target.starts_with("#/")) => {
                return Err(SchemaError::Reference(target.chars().take(200).collect()));
            }
            ("pattern", Value::String(_)) => *patterns += 1,
            ("patternProperties", Value::Object(parts)) => *patterns += parts.len(),
            _ => {}
        }
        visit(part, false, patterns)?;
    }
    Ok(())
}
