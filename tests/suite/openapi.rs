//! What the API is said to be, and what it is: the document against its rules, and the running server against the document.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Host, root, sunaba, text};

const JSON: &str = "Content-Type: application/json\r\n";

fn document() -> Value {
    let printed = sunaba(["openapi"]);
    assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
    serde_json::from_slice(&printed.stdout).expect("JSON")
}

/// A program that `cargo xtask contract` installs.
fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("SUNABA_CONTRACT").map_or_else(|| root().join("target/contract"), PathBuf::from);
    let program = folder.join("bin").join(name);
    assert!(program.is_file(), "`{}` is not there: `cargo xtask contract` installs it", program.display());
    program
}

fn told(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// What is wrong with a value by a schema. Stricter than JSON Schema: a field that is not described is wrong, too.
struct Check<'a> {
    document: &'a Value,
    wrong: Vec<String>,
}

impl Check<'_> {
    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.document.pointer(&reference[1..]).expect("it leads somewhere").clone();
            return self.check(&target, value, place);
        }
        for any in ["anyOf", "oneOf"] {
            let Some(ways) = schema[any].as_array() else { continue };
            let failures: Vec<_> = ways.iter().map(|way| self.failures(way, value, place)).collect();
            if failures.iter().any(Vec::is_empty) {
                return;
            }
            return self.wrong.extend(failures.into_iter().min_by_key(Vec::len).expect("there is a way"));
        }
        if schema.get("const").is_some_and(|only| only != value) {
            self.wrong.push(format!("{place}: {value} is not {}", schema["const"]));
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            self.wrong.push(format!("{place}: {value} is none of {words:?}"));
        }
        let types = match &schema["type"] {
            Value::String(name) => vec![name.as_str()],
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        let is = |name: &str| match name {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "number" => value.is_number(),
            "integer" => value.is_u64() || value.is_i64(),
            other => panic!("{place}: what is `{other}`?"),
        };
        if !types.into_iter().any(is) {
            return self.wrong.push(format!("{place}: {value} is no {}", schema["type"]));
        }
        for (number, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{place}[{number}]"));
        }
        let Some(fields) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.wrong.push(format!("{place}.{name} is not there"));
            }
        }
        for (name, value) in fields {
            let place = format!("{place}.{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(field), _) => self.check(field, value, &place),
                (None, Some(more)) if *more != false => self.check(more, value, &place),
                _ => self.wrong.push(format!("{place} is not described")),
            }
        }
    }

    fn failures(&self, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        let mut other = Check { document: self.document, wrong: Vec::new() };
        other.check(schema, value, place);
        other.wrong
    }
}

/// What a host answered, and the operations of which it has.
struct Seen<'a> {
    host: &'a Host,
    document: &'a Value,
    good: BTreeSet<String>,
}

impl Seen<'_> {
    /// Asks, and holds the answer against the document.
    fn ask(&mut self, method: &str, pattern: &str, names: &[&str], query: &str, body: Option<Value>) -> Value {
        let mut path = pattern.to_owned();
        for name in names {
            let (from, to) = (path.find('{').expect("a place"), path.find('}').expect("a place"));
            path.replace_range(from..=to, name);
        }
        let (headers, body) = body.map_or(("", String::new()), |body| (JSON, body.to_string()));
        let (status, answer) = self.host.raw(&format!("{method} {path}{query}"), headers, &body);
        let operation = &self.document["paths"][pattern][method.to_lowercase()];
        let told = operation["responses"].get(&status);
        let told = told.unwrap_or_else(|| panic!("{method} {path} answers {status}, which is not described: {answer}"));
        let problem = &self.document["components"]["responses"]["Problem"];
        let told = if told.get("$ref").is_some() { problem } else { told };
        let kind = if status.starts_with('2') { "application/json" } else { "application/problem+json" };
        let value: Value =
            serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{method} {path}: {error}: {answer}"));
        let mut check = Check { document: self.document, wrong: Vec::new() };
        check.check(&told["content"][kind]["schema"], &value, &format!("{method} {path} {status}"));
        assert_eq!(check.wrong, [""; 0], "{value:#}");
        if status.starts_with('2') {
            self.good.insert(operation["operationId"].as_str().expect("an id").to_owned());
        }
        value
    }
}

#[test]
fn document_is_valid_openapi() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("openapi.json");
    let document = document();
    std::fs::write(&file, document.to_string()).expect("written");
    let mut validate = Command::new(program("openapi-spec-validator"));
    let output = validate.args(["--schema", "3.1"]).arg(&file).output().expect("it starts");
    assert!(output.status.success(), "{}", told(&output));
    // What is broken is found to be: a validator that takes all is none.
    let mut broken = document;
    broken["paths"]["/v1/tasks"]["get"]["responses"] = json!([]);
    std::fs::write(&file, broken.to_string()).expect("written");
    let mut validate = Command::new(program("openapi-spec-validator"));
    assert!(!validate.args(["--schema", "3.1"]).arg(&file).output().expect("it starts").status.success());
}

#[test]
fn document_and_its_page_are_served_and_load_nothing() {
    let host = Host::start(&[]);
    let (status, served) = host.raw("GET /v1/openapi.json", "", "");
    assert_eq!(status, "200");
    assert_eq!(serde_json::from_str::<Value>(&served).expect("JSON"), document());
    let (status, page) = host.raw("GET /docs", "", "");
    assert!(status == "200" && page.starts_with("<!doctype html>") && page.contains("id=\"submit_task\""), "{page}");
    assert_eq!(host.raw("GET /docs/style.css", "", "").0, "200");
}

#[test]
fn answers_have_what_the_document_says_and_nothing_else() {
    let host = Host::start(&["--webhook-http", "--webhook-allow=127.0.0.1"]);
    let document = document();
    for guest in ["hello", "retry-or-fail", "abuse-artifacts"] {
        host.deploy(guest);
    }
    let mut seen = Seen { host: &host, document: &document, good: BTreeSet::new() };
    let hello = json!({"handler": "hello/hello", "input": {"name": "Ada"}});
    let task = seen.ask("POST", "/v1/tasks", &[], "", Some(hello.clone()));
    let task = task["id"].as_str().expect("an id").to_owned();
    seen.ask("GET", "/v1/tasks/{id}", &[&task], "?wait_ms=60000", None);
    let dead = json!({"handler": "retry-or-fail/retry-or-fail", "input": {"how": "fatal"}, "tags": ["x"]});
    let dead = seen.ask("POST", "/v1/tasks", &[], "", Some(dead))["id"].as_str().expect("an id").to_owned();
    seen.ask("GET", "/v1/tasks/{id}", &[&dead], "?wait_ms=60000", None);
    let later = json!({"handler": "hello/hello", "input": {"name": "Ada"}, "delay_ms": 3_600_000});
    let later = seen.ask("POST", "/v1/tasks", &[], "", Some(later))["id"].as_str().expect("an id").to_owned();
    let all = json!({"tasks": [hello, {"handler": "no/such"}, {"handler": 1}]});
    seen.ask("POST", "/v1/tasks/bulk", &[], "", Some(all));
    let put = json!({"handler": "abuse-artifacts/abuse-artifacts", "input": {"what": "put", "name": "a", "bytes": 3}});
    let put = seen.ask("POST", "/v1/tasks", &[], "", Some(put))["id"].as_str().expect("an id").to_owned();
    seen.ask("GET", "/v1/tasks/{id}", &[&put], "?wait_ms=60000", None);
    for id in [&task, &dead, &later, &put] {
        for part in ["result", "logs", "explain", "artifacts"] {
            seen.ask("GET", &format!("/v1/tasks/{{id}}/{part}"), &[id], "", None);
        }
    }
    seen.ask("POST", "/v1/tasks/{id}/rerun", &[&dead], "", Some(json!({})));
    seen.ask("POST", "/v1/tasks/{id}/run-now", &[&later], "", Some(json!({})));
    seen.ask("POST", "/v1/tasks/{id}/run-now", &[&dead], "", Some(json!({})));
    seen.ask("POST", "/v1/tasks/{id}/cancel", &[&task], "", Some(json!({"reason": "no more"})));
    seen.ask("POST", "/v1/tasks/{id}/complete", &[&dead], "", Some(json!({"output": 1})));
    let node = |name: &str, after: &[&str]| json!({"name": name, "handler": "hello/hello", "input": {"name": "Ada"}, "after": after});
    let job = json!({"name": "two", "nodes": [node("a", &[]), node("b", &["a"])], "budget": {"attempts": 9}});
    let job = seen.ask("POST", "/v1/jobs", &[], "", Some(job))["id"].as_str().expect("an id").to_owned();
    let bad = json!({"nodes": [{"name": "a", "handler": "retry-or-fail/retry-or-fail", "input": {"how": "fatal"}}]});
    let bad = seen.ask("POST", "/v1/jobs", &[], "", Some(bad))["id"].as_str().expect("an id").to_owned();
    for id in [&job, &bad] {
        seen.ask("GET", "/v1/jobs/{id}", &[id], "?wait_ms=60000", None);
        for part in ["result", "outputs", "tasks", "explain", "graph"] {
            seen.ask("GET", &format!("/v1/jobs/{{id}}/{part}"), &[id], "", None);
        }
    }
    seen.ask("POST", "/v1/jobs/{id}/retry", &[&bad], "", Some(json!({})));
    seen.ask("POST", "/v1/jobs/{id}/cancel", &[&job], "", Some(json!({})));
    seen.ask("POST", "/v1/jobs/cancel", &[], "", Some(json!({"filter": {"tag": "x"}})));
    seen.ask("POST", "/v1/jobs/cancel", &[], "", Some(json!({})));
    seen.ask("PATCH", "/v1/queues/{name}", &["mail"], "", Some(json!({"paused": true, "rate": "5/1s", "weight": 3})));
    seen.ask("GET", "/v1/queues/{name}", &["mail"], "", None);
    seen.ask("GET", "/v1/queues/{name}", &["nowhere"], "", None);
    let control = json!({"concurrency": 2, "breaker": "50%/20, 30s"});
    seen.ask("PATCH", "/v1/handlers/{package}/{handler}", &["hello", "hello"], "", Some(control));
    seen.ask("GET", "/v1/handlers/{package}/{handler}", &["hello", "hello"], "", None);
    let retention = seen.ask("GET", "/v1/retention", &[], "", None);
    seen.ask("PUT", "/v1/retention", &[], "", Some(retention));
    let schedule = json!({"cron": "0 0 1 1 *", "task": {"handler": "hello/hello", "input": {"name": "Ada"}}});
    for _ in 0..2 {
        seen.ask("PUT", "/v1/schedules/{name}", &["yearly"], "", Some(schedule.clone()));
    }
    for what in ["trigger", "pause", "resume"] {
        seen.ask("POST", &format!("/v1/schedules/{{name}}/{what}"), &["yearly"], "", Some(json!({})));
    }
    seen.ask("GET", "/v1/schedules/{name}", &["yearly"], "", None);
    seen.ask("GET", "/v1/schedules/{name}/next", &["yearly"], "?count=3", None);
    let secret = json!({"host": "https://api.example.com", "text": "hush hush"});
    seen.ask("PUT", "/v1/secrets/{name}", &["TOKEN"], "", Some(secret));
    webhooks(&mut seen);
    let key = json!({"name": "ci", "scopes": ["submit", "read"], "queues": ["mail"], "expires_in_ms": 60_000_000});
    let key = seen.ask("POST", "/v1/keys", &[], "", Some(key))["id"].as_str().expect("an id").to_owned();
    let worker = seen.ask("GET", "/v1/workers", &[], "", None)["workers"][0]["id"].as_str().expect("an id").to_owned();
    seen.ask("PATCH", "/v1/workers/{id}", &[&worker], "", Some(json!({"slots": "1"})));
    seen.ask("GET", "/v1/packages/{package}/versions", &["hello"], "", None);
    seen.ask("POST", "/v1/packages/{package}/rollback", &["hello"], "", Some(json!({"to": 1})));
    for path in [
        "alerts",
        "audit",
        "dead/groups",
        "events",
        "handlers",
        "host",
        "incidents",
        "jobs",
        "keys",
        "packages",
        "queues",
        "report",
        "schedules",
        "secrets",
        "tasks",
        "usage",
    ] {
        seen.ask("GET", &format!("/v1/{path}"), &[], "", None);
    }
    seen.ask("GET", "/v1/events", &[], "?after=0", None);
    for what in ["cancel", "run-now", "rerun", "delete"] {
        seen.ask("POST", &format!("/v1/tasks/{what}"), &[], "", Some(json!({"filter": {"tag": "x"}})));
        seen.ask("POST", &format!("/v1/tasks/{what}"), &[], "", Some(json!({})));
    }
    seen.ask("DELETE", "/v1/tasks/{id}", &[&task], "", None);
    seen.ask("DELETE", "/v1/schedules/{name}", &["yearly"], "", None);
    seen.ask("DELETE", "/v1/secrets/{name}", &["TOKEN"], "", None);
    seen.ask("DELETE", "/v1/keys/{id}", &[&key], "", None);
    // Whatever has an answer in JSON was seen to give it.
    let mut missing = Vec::new();
    for operation in
        document["paths"].as_object().expect("paths").values().filter_map(Value::as_object).flat_map(|of| of.values())
    {
        let id = operation["operationId"].as_str().expect("an id");
        let has_json = ["200", "201"]
            .iter()
            .any(|status| !operation["responses"][status]["content"]["application/json"].is_null());
        // These need what is not JSON, a task that waits for somebody, or a graph that is drawn.
        let is_elsewhere =
            ["get_openapi", "deploy_package", "preview_package", "complete_task", "rollback_package"].contains(&id);
        if has_json && !is_elsewhere && !seen.good.contains(id) {
            missing.push(id);
        }
    }
    assert_eq!(missing, [""; 0], "these were never answered well");
}

fn webhooks(seen: &mut Seen<'_>) {
    // Nobody listens there, which is told of a delivery and is none of the API's failures.
    let put = json!({"url": "http://127.0.0.1:9/", "events": ["task.dead"], "queues": ["mail"]});
    for _ in 0..2 {
        seen.ask("PUT", "/v1/webhooks/{name}", &["hook"], "", Some(put.clone()));
    }
    let id = seen.ask("POST", "/v1/webhooks/{name}/test", &["hook"], "", Some(json!({})));
    let id = id["id"].as_str().expect("an id").to_owned();
    seen.ask("GET", "/v1/tasks/{id}", &[&id], "?wait_ms=60000", None);
    seen.ask("POST", "/v1/webhooks/{name}/deliveries/{id}/resend", &["hook", &id], "", Some(json!({})));
    seen.ask("GET", "/v1/webhooks/{name}/deliveries/{id}", &["hook", &id], "", None);
    seen.ask("GET", "/v1/webhooks/{name}/deliveries", &["hook"], "?failed=true", None);
    seen.ask("POST", "/v1/webhooks/{name}/rotate", &["hook"], "", Some(json!({"overlap_ms": 60_000})));
    seen.ask("GET", "/v1/webhooks/{name}", &["hook"], "", None);
    seen.ask("GET", "/v1/webhooks", &[], "", None);
    seen.ask("DELETE", "/v1/webhooks/{name}", &["hook"], "", None);
}

#[test]
fn field_that_is_not_described_and_one_that_is_not_there_are_found() {
    let document = document();
    let schema = json!({"$ref": "#/components/schemas/Deleted"});
    let wrong = |value: Value| Check { document: &document, wrong: Vec::new() }.failures(&schema, &value, "it");
    assert_eq!(wrong(json!({"deleted": "x"})), [""; 0]);
    assert_eq!(wrong(json!({})), ["it.deleted is not there"]);
    assert_eq!(wrong(json!({"deleted": "x", "more": 1})), ["it.more is not described"]);
    assert_eq!(wrong(json!({"deleted": 1})), ["it.deleted: 1 is no \"string\""]);
}

/// Requests made of the document, good and bad ones, the same each time: none breaks the server, and each answer is one that the
/// document tells of.
#[test]
fn server_keeps_to_its_document_whatever_is_sent() {
    let host = Host::start(&[]);
    host.deploy("hello");
    for _ in 0..3 {
        host.ok(&["task", "submit", "hello/hello", "--input", r#"{"name":"Ada"}"#]);
    }
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                  response_schema_conformance,unsupported_method";
    let mut run = Command::new(program("schemathesis"));
    run.args(["run", &format!("{}/v1/openapi.json", host.address), "--checks", checks]);
    run.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "12",
        "--seed",
        "1",
        "--generation-deterministic",
    ]);
    // It cannot make components, which other tests send; and what it makes up as a webhook would be somebody's address.
    for left_out in ["deploy_package", "preview_package", "put_webhook", "test_webhook"] {
        run.args(["--exclude-operation-id", left_out]);
    }
    run.args(["--workers", "2", "--request-timeout", "90", "--no-color", "--suppress-health-check", "all"]);
    let folder = tempfile::tempdir().expect("a folder");
    let output = run.current_dir(folder.path()).output().expect("it starts");
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(host.raw("GET /livez", "", ""), ("200".into(), "ok\n".into()));
}
