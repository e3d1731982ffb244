//! What attempts have used, summed by handler and by tag.

use serde_json::{Value, json};

use crate::support::{Host, text};

fn usage(host: &Host, by: &str) -> Vec<Value> {
    let lines = host.ok(&["usage", "--by", by, "-o", "jsonl"]);
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn receipts_are_summed_and_outlive_their_records_and_the_host() {
    let mut host = Host::start(&[]);
    assert_eq!(text(&host.sunaba(["usage"]).stderr), "no attempt has ended yet\n");
    host.deploy("hello");
    assert!(host.ok(&["handler", "describe", "hello/hello"]).ends_with("\n  usage     no attempt has ended yet"));
    let input = r#"{"name":"Ada"}"#;
    let mut fuel = 0;
    let mut ids = Vec::new();
    for tags in ["--tag=a", "--tag=a,b"] {
        let id = host.ok(&["task", "submit", "hello/hello", "--input", input, tags]);
        host.until(&id, "succeeded");
        let task = host.json(&["task", "get", &id]);
        fuel += task["attempts"][0]["receipt"]["fuel"].as_u64().expect("it was counted");
        ids.push(id);
    }
    let handlers = usage(&host, "handler");
    assert_eq!(handlers.len(), 1);
    assert_eq!((&handlers[0]["name"], &handlers[0]["attempts"]), (&json!("hello/hello"), &json!(2)));
    assert_eq!((&handlers[0]["succeeded"], &handlers[0]["fuel"]), (&json!(2), &json!(fuel)));
    let tags = usage(&host, "tag");
    let counted: Vec<_> = tags.iter().map(|tag| (tag["name"].clone(), tag["attempts"].clone())).collect();
    assert_eq!(counted, [(json!("a"), json!(2)), (json!("b"), json!(1))]);
    let (status, _) = host.raw("GET /v1/usage?by=nobody", "", "");
    assert_eq!(status, "400");
    for id in &ids {
        assert_eq!(host.raw(&format!("DELETE /v1/tasks/{id}"), "", "").0, "200");
    }
    host.kill();
    host.restart();
    assert_eq!(usage(&host, "handler"), handlers);
    assert_eq!(usage(&host, "tag"), tags);
    let listed = host.ok(&["usage"]);
    assert!(listed.starts_with("HANDLER      ATTEMPTS  SUCCEEDED  FAILED  STOPPED  FUEL"), "{listed}");
    let described = host.json(&["handler", "describe", "hello/hello"]);
    assert_eq!(described["usage"], handlers[0]);
    let described = host.ok(&["handler", "describe", "hello/hello"]);
    let usage = described.split("\n  usage     2 attempts: 2 succeeded\n").nth(1).expect("it is there");
    for (line, word) in usage.lines().zip(["fuel ", "wall ", "bytes: input 28 B, output "]) {
        assert!(line.trim_start().starts_with(word), "{described}");
    }
}
