//! The fuel that all attempts of a task may use together, from end to end.

use serde_json::json;

use crate::support::{Host, text};

const SUBMIT: [&str; 6] = ["task", "submit", "hello/hello", "--input={\"name\":\"Ada\"}", "--backoff", "fixed(1ms)"];

#[test]
fn fuel_of_all_attempts_obeyed() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&[&SUBMIT[..], &["--fuel-budget=1000000000"]].concat());
    assert!(host.ok(&["task", "result", &id, "--wait"]).contains("Hello, Ada!"));
    let task = host.json(&["task", "get", &id]);
    assert_eq!((&task["fuel_budget"], &task["attempts_started"]), (&json!(1_000_000_000), &json!(1)));
    assert_eq!(task["fuel_used"], task["attempts"][0]["receipt"]["fuel"]);
    assert!(host.ok(&["task", "get", &id]).contains(" of 1,000,000,000\n"));
}

#[test]
fn fuel_of_all_attempts_violated() {
    let host = Host::start(&[]);
    host.deploy("hello");
    // Two attempts use all that each may, and the third what is left.
    let few = ["--fuel=1000", "--fuel-budget=2500", "--max-attempts=9"];
    let id = host.ok(&[&SUBMIT[..], &few].concat());
    assert_eq!(host.sunaba(["task", "result", &id, "--wait"]).status.code(), Some(7));
    let task = host.json(&["task", "get", &id]);
    assert_eq!((&task["state"], &task["attempts_started"]), (&json!("dead"), &json!(3)), "{task:#}");
    let reason = task["attempts"][2]["reason"].as_str().expect("text");
    assert!(reason.starts_with("budget fuel: ") && reason.ends_with(" of 2,500 are spent"), "{reason}");
    assert!(host.ok(&["task", "explain", &id]).contains("budget fuel: "));
    for (more, says) in
        [("--fuel=off", "the fuel of its attempts is not counted"), ("--max-attempts=2", "it is from 1")]
    {
        let budget = if more == "--fuel=off" { "--fuel-budget=9" } else { "--fuel-budget=0" };
        let refused = host.sunaba([&SUBMIT[..], &[more, budget]].concat());
        assert!(text(&refused.stderr).contains(says), "{}", text(&refused.stderr));
    }
}
