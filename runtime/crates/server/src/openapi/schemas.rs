//! The schemas of what goes over the wire: those of requests and those of answers under one roof.
//!
//! A type may be read otherwise than it is written: a field with a default need not come, and is always given. Where the two
//! differ, the one for requests has `Request` behind its name.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

const PREFIX: &str = "#/components/schemas/";

/// Gathers schemas.
pub(super) struct Schemas {
    pub(super) requests: SchemaGenerator,
    pub(super) answers: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = PREFIX.trim_start_matches('#').trim_end_matches('/').into();
        settings.meta_schema = None;
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    /// All that were asked for, by name; and in `requests`, which are parts of a document, those names.
    pub(super) fn finish(mut self, requests: &mut [&mut Value]) -> Map<String, Value> {
        let mut own = self.requests.take_definitions(true);
        let mut all = self.answers.take_definitions(true);
        own.values_mut().chain(all.values_mut()).for_each(tidy);
        // What differs, and what refers to that.
        let mut differing = BTreeSet::new();
        loop {
            let differs = |name: &String, schema: &Value| {
                let leads_to = |other: &String| refers(schema, other);
                all.get(name).is_some_and(|answer| answer != schema || differing.iter().any(leads_to))
            };
            let found: BTreeSet<String> =
                own.iter().filter(|(name, schema)| differs(name, schema)).map(|(name, _)| name.clone()).collect();
            if found == differing {
                break;
            }
            differing = found;
        }
        for value in own.values_mut().chain(requests.iter_mut().map(|value| &mut **value)) {
            rename(value, &differing);
        }
        for (name, schema) in own {
            let name = if differing.contains(&name) { format!("{name}Request") } else { name };
            all.insert(name, schema);
        }
        all.sort_keys();
        all
    }
}

/// Takes out what says nothing in a document: defaults that are nothing, and links that lead to sources.
pub(super) fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_nothing = |value: &Value| match value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            // A field of that name has a schema beside other schemas, and is none of these.
            if fields.get("default").is_some_and(is_nothing) {
                fields.retain(|name, _| name != "default");
            }
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.replace("[`super::", "`").replace("[`", "`").replace("`]", "`").replace('\n', " ");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn refers(value: &Value, to: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            key == "$ref" && value.as_str().and_then(|text| text.strip_prefix(PREFIX)) == Some(to) || refers(value, to)
        }),
        Value::Array(list) => list.iter().any(|value| refers(value, to)),
        _ => false,
    }
}

fn rename(value: &mut Value, differing: &BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "$ref" => {
                        if text.strip_prefix(PREFIX).is_some_and(|name| differing.contains(name)) {
                            text.push_str("Request");
                        }
                    }
                    value => rename(value, differing),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename(value, differing)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Inner {
        /// As [`Outer`] has it.
        #[serde(default)]
        count: u32,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Outer {
        inner: Inner,
        name: String,
    }

    #[test]
    fn what_is_read_otherwise_than_written_has_two_names() {
        let mut schemas = Schemas::new();
        let mut request = schemas.requests.subschema_for::<Outer>().to_value();
        let answer = schemas.answers.subschema_for::<Outer>().to_value();
        let all = schemas.finish(&mut [&mut request]);
        assert_eq!(
            (&request["$ref"], &answer["$ref"]),
            (&json!(format!("{PREFIX}OuterRequest")), &json!(format!("{PREFIX}Outer")))
        );
        assert_eq!(all.keys().collect::<Vec<_>>(), ["Inner", "InnerRequest", "Outer", "OuterRequest"]);
        assert_eq!(all["OuterRequest"]["properties"]["inner"]["$ref"], format!("{PREFIX}InnerRequest"));
        assert_eq!((&all["Inner"]["required"], &all["InnerRequest"]["required"]), (&json!(["count"]), &Value::Null));
        assert_eq!(all["Inner"]["properties"]["count"]["description"], "As `Outer` has it.");
    }
}
