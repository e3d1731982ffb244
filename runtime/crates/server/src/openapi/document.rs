//! Puts the document together.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::schemas::{Schemas, tidy};
use super::signature::{Content, Described};
use crate::operations::{Access, Operation, operations};
use crate::problem::Problem;
use crate::routes::described;

/// What the document begins with.
const ABOUT: &str = "\
A durable task runtime: each task in a WebAssembly sandbox of its own.

Bodies are JSON, in UTF-8; components and artifacts are as they are. Durations are in milliseconds, instants in RFC 3339. Fields \
that are not known are refused. An answer may have more fields in a later release.

**Errors** are `application/problem+json` (RFC 9457) with a `code` that programs can go by, what to do about it in `hint`, and \
the id of the request.

**Pages** have at most as many entries as `limit` says, and `next` where there may be more: it is given back as the parameter that \
its description names, and is not to be made by oneself.

**Keys** are sent as `X-API-Key` or as `Authorization: Bearer`. A host on a loopback address answers without one, unless told \
otherwise. Each operation names the scope that its key must have; a key may be bound to queues besides.

**Retries** are safe with an `Idempotency-Key` where tasks and jobs are taken on. Who is answered 429 or 503 is told by `Retry-After` \
after how many seconds it is worth asking again. Schedules, webhooks, and the settings \
of queues and handlers have an `ETag`, which is their `revision`, for `If-Match`: a change of what is not that any more is answered 412.

**Ids of requests**: `X-Request-Id` of a request, up to 128 letters, digits and `-_.:`, is that of its answer; who sends none is \
given one.";

/// The groups of operations, by the first part of the path behind `/v1`.
const TAGS: [(&str, &str); 20] = [
    ("tasks", "One task, or pages of them."),
    ("jobs", "Plans of tasks that wait for each other."),
    ("queues", "Lanes in which tasks wait, and their limits."),
    ("handlers", "What runs tasks, and its limits."),
    ("packages", "Components, which hold handlers, and their versions."),
    ("dead", "Tasks that will not be tried again."),
    ("schedules", "Tasks at times of a calendar."),
    ("webhooks", "Who is told of events, and what came of it."),
    ("events", "What happens, as it does."),
    ("workers", "Who runs tasks."),
    ("usage", "What was used."),
    ("alerts", "What is wrong."),
    ("incidents", "What went wrong, and what helped."),
    ("report", "How well the host has done."),
    ("retention", "How long what has ended is kept."),
    ("secrets", "Texts that handlers use and nobody sees."),
    ("keys", "Who may do what."),
    ("audit", "Who has changed what."),
    ("host", "The host, its probes and its metrics."),
    ("docs", "This API."),
];

/// The document.
pub(super) fn document() -> Value {
    let mut schemas = Schemas::new();
    let problem = schemas.answers.subschema_for::<Problem>().to_value();
    let mut described: std::collections::BTreeMap<_, _> = described().into_iter().collect();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let about = described.remove(operation.id).unwrap_or_default();
        let told = tell(operation, &about, &mut schemas);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.to_ascii_lowercase()] = told;
    }
    let mut requests: Vec<&mut Value> = Vec::new();
    for path in paths.values_mut() {
        for operation in path.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let Some(operation) = operation.as_object_mut() else { continue };
            requests.extend(
                operation
                    .iter_mut()
                    .filter(|(key, _)| *key == "parameters" || *key == "requestBody")
                    .map(|(_, value)| value),
            );
        }
    }
    let schemas = schemas.finish(&mut requests);
    let tags: Vec<_> = TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sunaba",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Durable tasks, each in its own WebAssembly sandbox",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The host that this document comes from."}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Problem": {
                "description": "What was tried, what is wrong with it, and what to do about it.",
                "headers": request_id(),
                "content": {"application/problem+json": {"schema": problem}},
            }},
            "securitySchemes": {
                "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of `sunaba key create`."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "The same key."},
            },
        },
    })
}

fn request_id() -> Value {
    json!({"X-Request-Id": {"description": "By which the request is found in the host's log.", "required": true, "schema": {"type": "string"}}})
}

fn tag(path: &str) -> &str {
    let first = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()).unwrap_or("host");
    if first == "openapi.json" || path.starts_with("/docs") { "docs" } else { first }
}

fn tell(operation: Operation, about: &Described, schemas: &mut Schemas) -> Value {
    let Operation { id, method, path, access } = operation;
    let mut told = json!({
        "operationId": id,
        "summary": about.summary,
        "tags": [tag(path)],
        "responses": responses(operation, about, schemas),
        "security": security(access),
    });
    let parameters = parameters(path, about, schemas);
    if !parameters.is_empty() {
        told["parameters"] = parameters.into();
    }
    if let Some(body) = about.body {
        let mut content = json!({"required": true, "content": self::content(&[body], &mut schemas.requests)});
        if let Some(most) = about.body_bytes {
            content["description"] = format!("At most {}.", sunaba_task::format_bytes(most as u64)).into();
        }
        told["requestBody"] = content;
    }
    let needs = match access {
        Access::Open => "It takes no key.".to_owned(),
        Access::Scope(scope) => format!("It takes the scope `{scope}`."),
        Access::ScopeOrToken(scope) => format!("It takes the scope `{scope}`, or the token of the task in the body."),
    };
    let changes = if method == "GET" { "" } else { " A change is logged in the name of whoever asked for it." };
    let is_logged = method != "GET" && !matches!(access, Access::Scope(sunaba_task::Scope::Submit));
    told["description"] = format!("{needs}{}", if is_logged { changes } else { "" }).into();
    told
}

fn security(access: Access) -> Value {
    let by_key = |scope: &str| vec![json!({"api_key": [scope]}), json!({"bearer": [scope]})];
    let alternatives = match access {
        Access::Open => Vec::new(),
        // On a loopback address no key is asked for.
        Access::Scope(scope) | Access::ScopeOrToken(scope) => {
            by_key(scope.name()).into_iter().chain([json!({})]).collect()
        }
    };
    alternatives.into()
}

fn parameters(path: &str, about: &Described, schemas: &mut Schemas) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> = names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
        .collect();
    if let Some(make) = about.query {
        let mut question = make(&mut schemas.requests).to_value();
        tidy(&mut question);
        let required = question["required"].as_array().cloned().unwrap_or_default();
        for (name, schema) in question["properties"].as_object().into_iter().flatten() {
            let mut schema = schema.clone();
            no_null(&mut schema);
            let description = schema.as_object_mut().and_then(|fields| fields.remove("description"));
            all.push(json!({
                "name": name,
                "in": "query",
                "required": required.iter().any(|one| one == name),
                // A field without words is found by a test.
                "description": description.unwrap_or_else(|| "".into()),
                "schema": schema,
            }));
        }
    }
    let header = |header: &super::signature::Header| {
        json!({
            "name": header.name, "in": "header", "required": false, "description": header.about, "schema": {"type": "string"},
        })
    };
    all.extend(about.headers.iter().map(header));
    all
}

/// What is not said in a query is left out: there is no null.
fn no_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    let Some(Value::Array(any)) = schema.get_mut("anyOf") else { return };
    any.retain(|one| one["type"] != "null");
    if let [one] = any.as_slice() {
        let one = one.clone();
        if let (Some(fields), Value::Object(one)) = (schema.as_object_mut(), one) {
            fields.remove("anyOf");
            fields.extend(one);
        }
    }
}

fn content(contents: &[Content], generator: &mut schemars::SchemaGenerator) -> Value {
    let of = |content: &Content| match content {
        Content::Json(make) => ("application/json".to_owned(), json!({"schema": make(generator).to_value()})),
        Content::Other(media_type) if media_type.starts_with("text/") || *media_type == "image/svg+xml" => {
            ((*media_type).to_owned(), json!({"schema": {"type": "string"}}))
        }
        // Bytes have no schema.
        Content::Other(media_type) => ((*media_type).to_owned(), json!({})),
    };
    Value::Object(contents.iter().map(of).collect())
}

fn responses(operation: Operation, about: &Described, schemas: &mut Schemas) -> Value {
    let mut all = Map::new();
    for (status, text, contents) in &about.answers {
        let mut headers = request_id();
        if about.is_tagged && *status != 416 {
            headers["ETag"] = json!({"description": "Changes with what it is of.", "schema": {"type": "string"}});
        }
        let mut answer = json!({"description": text, "headers": headers});
        if !contents.is_empty() {
            answer["content"] = content(contents, &mut schemas.answers);
        }
        all.insert(status.to_string(), answer);
    }
    for status in problems(operation, about) {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
        let mut answer = json!({"$ref": "#/components/responses/Problem", "description": reason});
        if status == 401 {
            let header = json!({"description": "How to say who one is.", "schema": {"type": "string"}});
            answer = json!({
                "description": reason,
                "headers": {"WWW-Authenticate": header, "X-Request-Id": request_id()["X-Request-Id"]},
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            });
        }
        if matches!(status, 429 | 503) {
            let after = json!({"description": "After how many seconds it is worth asking again.", "required": true, "schema": {"type": "integer", "minimum": 1}});
            answer = json!({
                "description": reason,
                "headers": {"Retry-After": after, "X-Request-Id": request_id()["X-Request-Id"]},
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            });
        }
        all.insert(status.to_string(), answer);
    }
    all.into()
}

/// The problems that an operation may answer with: by who may ask for it, where it is, and what it takes.
fn problems(operation: Operation, about: &Described) -> Vec<u16> {
    // Who sends no Host, or another host's, or comes from another page.
    let mut all = vec![400, 403, 421];
    if operation.access != Access::Open {
        all.extend([401, 500, 503]);
    }
    if operation.path == "/readyz" {
        all.push(503);
    }
    if operation.path.contains('{') {
        all.extend([404, 422]);
    }
    if about.query.is_some() {
        all.push(422);
    }
    if about.body.is_some() {
        all.extend([404, 408, 413, 415, 422]);
    }
    if operation.method != "GET" {
        all.extend([409, 422, 507]);
    }
    all.extend(&about.problems);
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every reference in a value.
    fn references<'a>(value: &'a Value, all: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                all.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, all));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, all)),
            _ => {}
        }
    }

    #[test]
    fn document_has_every_operation_and_what_it_refers_to() {
        let document = document();
        let mut found = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                found.insert((
                    method.to_uppercase(),
                    path.clone(),
                    operation["operationId"].as_str().expect("an id").to_owned(),
                ));
                assert!(
                    operation["responses"].as_object().expect("answers").keys().any(|status| status.starts_with('2')),
                    "{path}"
                );
                assert!(!operation["summary"].as_str().expect("a text").is_empty(), "{path}");
                let takes_body = method == "post" || method == "put" || method == "patch";
                assert_eq!(operation.get("requestBody").is_some(), takes_body, "{method} {path}");
                let tag = &operation["tags"][0];
                assert!(TAGS.iter().any(|(name, _)| tag == name), "{tag} is no group");
            }
        }
        let stated = operations().map(|one| (one.method.to_owned(), one.path.to_owned(), one.id.to_owned()));
        assert_eq!(found, stated.collect());
        let mut referred = BTreeSet::new();
        references(&document, &mut referred);
        assert!(referred.len() > 50, "{referred:?}");
        for reference in referred {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn every_field_of_a_schema_is_told_of() {
        let document = document();
        let mut silent = Vec::new();
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            if schema.get("description").is_none() {
                silent.push(name.clone());
            }
            for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                if schema.get("description").is_none() && schema.get("$ref").is_none() {
                    silent.push(format!("{name}.{field}"));
                }
            }
        }
        for operation in document["paths"].as_object().expect("paths").values().filter_map(Value::as_object) {
            for operation in operation.values() {
                for asked in operation["parameters"].as_array().into_iter().flatten() {
                    if asked["in"] == "query" && asked["description"].as_str().is_none_or(str::is_empty) {
                        silent.push(format!("{}: {}", operation["operationId"], asked["name"]));
                    }
                }
            }
        }
        assert_eq!(silent, [""; 0]);
    }
}
