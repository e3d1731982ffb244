//! How much work it is to check a value by a schema, before it is done.
//!
//! A schema that refers to itself several times in one place has a value looked at again at each level of its depth, as often
//! as it says: a short value can take for ever. What a value would take is a sum that is found fast, because what is below one
//! place under one part of the schema is counted once. It is never too low: where it depends on the value what is looked at,
//! all of it counts.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Steps that checking one value may take: many times what a value of the greatest size takes by an ordinary schema.
pub(crate) const MAX_WORK: u64 = 8_000_000;
/// How many parts of a schema may follow one another for the same place and the places above it.
const MAX_FOLLOWED: usize = 1_000;
/// Bytes of a text that are matched by a pattern in one step.
const BYTES_A_STEP: usize = 16;

/// Whether a value may be checked by a schema: whether that takes no more than [`MAX_WORK`].
pub(super) fn is_bearable(schema: &Value, value: &Value) -> bool {
    of(schema, value, MAX_WORK) <= MAX_WORK
}

/// The steps; more than this is not counted on.
pub(super) fn of(schema: &Value, value: &Value, most: u64) -> u64 {
    // A look more than there are steps, so that the last step can be counted.
    Work { root: schema, known: HashMap::new(), left: most.saturating_add(1) }.at(value, schema, 0)
}

struct Work<'a> {
    root: &'a Value,
    /// By the place in the value and the part of the schema.
    known: HashMap<(*const Value, *const Value), u64>,
    /// Looks that are left for finding it out.
    left: u64,
}

impl<'a> Work<'a> {
    fn at(&mut self, value: &'a Value, schema: &'a Value, followed: usize) -> u64 {
        let Value::Object(parts) = schema else { return 1 };
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || followed > MAX_FOLLOWED {
            return u64::MAX;
        }
        if !(value.is_array() || value.is_object()) {
            return self.sum(value, parts, followed);
        }
        let key = (std::ptr::from_ref(value), std::ptr::from_ref(schema));
        if let Some(work) = self.known.get(&key) {
            return *work;
        }
        // Whoever comes back here without having gone down would never end.
        self.known.insert(key, u64::MAX);
        let work = self.sum(value, parts, followed);
        self.known.insert(key, work);
        work
    }

    fn sum(&mut self, value: &'a Value, parts: &'a Map<String, Value>, followed: usize) -> u64 {
        let (mut own, mut same) = (1_u64, 0_u64);
        for (keyword, part) in parts {
            own = own.saturating_add(plain(keyword, part, value));
            same = same.saturating_add(self.same_place(keyword, part, value, followed + 1));
        }
        // What is left over is found out by looking at all of that once more.
        let again = if parts.keys().any(|keyword| keyword.starts_with("unevaluated")) { 2 } else { 1 };
        let below = self.below(value, parts, followed + 1);
        own.saturating_add(same.saturating_mul(again)).saturating_add(below)
    }

    /// What is asked of the same place.
    fn same_place(&mut self, keyword: &str, part: &'a Value, value: &'a Value, followed: usize) -> u64 {
        let root = self.root;
        let mut all = |parts: &mut dyn Iterator<Item = &'a Value>| {
            parts.fold(0_u64, |sum, part| sum.saturating_add(self.at(value, part, followed)))
        };
        match (keyword, part) {
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => all(&mut parts.iter()),
            ("not" | "if" | "then" | "else", part) => all(&mut std::iter::once(part)),
            ("dependentSchemas" | "dependencies", Value::Object(parts)) => all(&mut parts.values()),
            ("$ref", Value::String(target)) => match target_of(root, target) {
                Some(part) => all(&mut std::iter::once(part)),
                None => 1,
            },
            _ => 0,
        }
    }

    /// What is asked of the members or items.
    fn below(&mut self, value: &'a Value, parts: &'a Map<String, Value>, followed: usize) -> u64 {
        let part = |keyword: &str| parts.get(keyword);
        let mut sum = 0_u64;
        match value {
            Value::Object(members) => {
                let named = part("properties").and_then(Value::as_object);
                let patterns = part("patternProperties").and_then(Value::as_object);
                for (name, member) in members {
                    let own = named.and_then(|named| named.get(name));
                    let rest = ["additionalProperties", "unevaluatedProperties"].into_iter().filter_map(part);
                    let matching = patterns.into_iter().flat_map(Map::values);
                    let length = (name.len() / BYTES_A_STEP) as u64 + 1;
                    sum = sum.saturating_add(length.saturating_mul(patterns.map_or(1, |all| all.len() as u64 + 1)));
                    for schema in own.into_iter().chain(rest).chain(matching) {
                        sum = sum.saturating_add(self.at(member, schema, followed));
                    }
                }
            }
            Value::Array(items) => {
                let listed = |keyword| part(keyword).and_then(Value::as_array);
                for (place, item) in items.iter().enumerate() {
                    let own = ["prefixItems", "items"].into_iter().filter_map(|word| listed(word)?.get(place));
                    let rest =
                        ["items", "additionalItems", "contains", "unevaluatedItems"].into_iter().filter_map(part);
                    for schema in own.chain(rest) {
                        sum = sum.saturating_add(self.at(item, schema, followed));
                    }
                }
            }
            _ => {}
        }
        sum
    }
}

/// What a keyword costs that has no schema in it.
fn plain(keyword: &str, part: &Value, value: &Value) -> u64 {
    let steps = match (keyword, part, value) {
        ("enum" | "required" | "type", Value::Array(list), _) => list.len(),
        ("uniqueItems", Value::Bool(true), Value::Array(items)) if items.iter().all(is_told_apart) => items.len(),
        // In the worst case each is compared with each.
        ("uniqueItems", Value::Bool(true), Value::Array(items)) => items.len().saturating_mul(items.len()) / 2,
        ("pattern" | "format" | "minLength" | "maxLength", _, Value::String(text)) => text.len() / BYTES_A_STEP,
        ("propertyNames", part, Value::Object(members)) => {
            let names: usize = members.keys().map(|name| name.len() / BYTES_A_STEP + 1).sum();
            names.saturating_mul(size(part))
        }
        _ => 0,
    };
    1 + steps as u64
}

/// Whether a hash tells it from others: of lists, objects and great numbers there are many with the same.
fn is_told_apart(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|number| number.unsigned_abs() < 1 << 53),
        value => !(value.is_array() || value.is_object()),
    }
}

/// How many parts a value has.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// What a local reference stands for.
pub(super) fn target_of<'a>(root: &'a Value, target: &str) -> Option<&'a Value> {
    let pointer = target.strip_prefix('#')?;
    if !pointer.contains('%') {
        return root.pointer(pointer);
    }
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.split_first_chunk::<2>()).flatten();
        let byte = escaped.and_then(|(digits, _)| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = byte.and(escaped).map_or(after, |(_, after)| after);
    }
    root.pointer(str::from_utf8(&bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A value of one member, this deep.
    fn deep(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }))
    }

    #[test]
    fn work_of_a_list_grows_with_the_list() {
        let schema = json!({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}});
        let list = |length: usize| Value::Array(vec![json!({"n": 1}); length]);
        let (small, large) = (of(&schema, &list(1_000), MAX_WORK), of(&schema, &list(10_000), MAX_WORK));
        assert!((9 * small..11 * small).contains(&large) && large < 200_000, "{small} {large}");
    }

    #[test]
    fn largest_ordinary_input_is_bearable() {
        // As many numbers as an input of the greatest size has.
        let schema = json!({"type": "array", "items": {"type": "integer", "minimum": 0}});
        assert!(is_bearable(&schema, &Value::Array(vec![json!(1); 512 << 10])));
    }

    #[test]
    fn recursion_without_a_branch_is_bearable_at_any_depth() {
        let tree = json!({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}});
        assert!(of(&tree, &deep(120), MAX_WORK) < 10_000);
    }

    #[test]
    fn recursion_that_branches_is_bearable_as_far_as_the_value_is_shallow() {
        for branches in ["allOf", "anyOf", "oneOf"] {
            let branch = json!({"properties": {"a": {"$ref": "#"}}});
            let schema = json!({ branches: [branch, branch] });
            assert!(is_bearable(&schema, &deep(10)), "{branches}");
            assert!(!is_bearable(&schema, &deep(40)), "{branches}");
        }
        let patterns = json!({"patternProperties": {"a": {"$ref": "#"}, "a|b": {"$ref": "#"}}});
        assert!(is_bearable(&patterns, &deep(10)) && !is_bearable(&patterns, &deep(40)));
        let left_over = json!({"allOf": [{"properties": {"a": {"$ref": "#"}}}], "unevaluatedProperties": false});
        assert!(is_bearable(&left_over, &deep(10)) && !is_bearable(&left_over, &deep(40)));
    }

    #[test]
    fn finding_it_out_is_itself_bounded() {
        // Each place under each part is looked at once, although there are 2^60 ways to them.
        let branch = json!({"properties": {"a": {"$ref": "#"}}});
        let (schema, value) = (json!({"anyOf": [branch, branch]}), deep(60));
        let mut work = Work { root: &schema, known: HashMap::new(), left: MAX_WORK };
        assert_eq!(work.at(&value, &schema, 0).min(MAX_WORK), MAX_WORK);
        assert!(MAX_WORK - work.left < 1_000);
    }

    #[test]
    fn reference_that_leads_back_to_its_own_place_is_not_bearable() {
        for schema in [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#"}}})] {
            for value in [json!({}), json!([]), json!(1)] {
                assert!(!is_bearable(&schema, &value), "{schema} {value}");
            }
        }
    }

    #[test]
    fn unique_items_obeyed_and_violated() {
        let schema = json!({"uniqueItems": true});
        let list = |length: u32| (0..length).map(|n| json!([n])).collect::<Value>();
        assert!(is_bearable(&schema, &list(3_000)));
        assert!(!is_bearable(&schema, &list(30_000)));
        assert!(is_bearable(&schema, &(0..300_000).map(Value::from).collect::<Value>()));
    }

    #[test]
    fn many_patterns_times_many_keys_are_counted() {
        let patterns: Map<_, _> = (0..32).map(|n| (format!("^x{n}"), json!(true))).collect();
        let schema = json!({ "patternProperties": patterns });
        let keys = |count: usize| Value::Object((0..count).map(|n| (format!("k{n}"), json!(1))).collect());
        assert!(is_bearable(&schema, &keys(10_000)));
        assert!(of(&schema, &keys(10_000), MAX_WORK) > 320_000);
        let long = Value::Object([("k".repeat(8 << 20), json!(1))].into_iter().collect());
        assert!(!is_bearable(&schema, &long));
    }

    #[test]
    fn large_enum_is_counted_for_each_place() {
        let schema = json!({"items": {"enum": (0..5_000).collect::<Vec<_>>()}});
        assert!(is_bearable(&schema, &Value::Array(vec![json!(9_999); 1_000])));
        assert!(!is_bearable(&schema, &Value::Array(vec![json!(9_999); 2_000])));
    }

    #[test]
    fn references_are_found_as_they_are_written_in_a_url() {
        let root = json!({"$defs": {"a b": 1, "a/b": 2, "a%b": 3}});
        for (target, found) in [("#/$defs/a%20b", 1), ("#/$defs/a~1b", 2), ("#/$defs/a%25b", 3)] {
            assert_eq!(target_of(&root, target), Some(&json!(found)), "{target}");
        }
        assert_eq!(target_of(&root, "#"), Some(&root));
        assert_eq!(target_of(&root, "other#/$defs"), None);
    }
}
