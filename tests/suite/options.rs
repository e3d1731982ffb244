//! What a submit can ask for, and where that shows.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Host, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

#[test]
fn every_option_of_a_submit_is_kept() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&[
        "task",
        "submit",
        "hello/hello",
        ADA[0],
        ADA[1],
        "--queue=mail",
        "--priority=-7",
        "--run-at=9999-12-31T00:00:00Z",
        "--expires-at=9999-12-31T23:59:59Z",
        "--key=customer 7",
        "--tag=nightly,eu",
        "--tag=invoice",
        "--max-attempts=9",
        "--max-hosts-lost=2",
        "--backoff=fixed(3s)",
        "--retry-on=network,timeout",
        "--never-retry-on=quota",
        "--retry-for=48h",
        "--keep-result=2h",
        "--unique=report 7",
        "--unique-for=1h",
        "--on-conflict=replace",
        "--on-success=hello/hello",
        "--on-failure=hello/hello",
    ]);
    let task = host.json(&["task", "get", &id]);
    for (field, value) in [
        ("state", json!("scheduled")),
        ("queue", json!("mail")),
        ("priority", json!(-7)),
        ("due_at", json!("9999-12-31T00:00:00.000Z")),
        ("expires_at", json!("9999-12-31T23:59:59.000Z")),
        ("key", json!("customer 7")),
        ("tags", json!(["nightly", "eu", "invoice"])),
        ("max_attempts", json!(9)),
        ("max_hosts_lost", json!(2)),
        ("backoff", json!("fixed(3s)")),
        ("retry_on", json!(["network", "timeout"])),
        ("never_retry_on", json!(["quota"])),
        ("retry_for_ms", json!(48 * 60 * 60 * 1_000)),
        ("keep_result_ms", json!(2 * 60 * 60 * 1_000)),
        ("unique", json!("report 7")),
        ("callbacks", json!(2)),
        ("origin", Value::Null),
        ("successor", Value::Null),
    ] {
        assert_eq!(task[field], value, "{field}");
    }
    let shown = host.ok(&["task", "get", &id]);
    let middle: Vec<_> = shown.lines().filter(|line| !line.contains(&id) && !line.starts_with("submitted")).collect();
    assert_snapshot!(middle[..middle.len() - 5].join("\n"), @r"
    state        scheduled
    handler      hello/hello
    queue        mail, priority -7
    attempts     0 started, 0 of at most 9 failures, 0 hosts lost
    due          9999-12-31T00:00:00.000Z
    expires      9999-12-31T23:59:59.000Z
    key          customer 7
    unique       report 7
    tags         nightly, eu, invoice
    ");
}

#[test]
fn empty_list_of_kinds_retries_none() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    let submit = ["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"network"}"#, "--wait"];
    let output = host.sunaba([&submit[..], &["--retry-on=", "-o", "json"]].concat());
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &result["state"]), (Some(7), &json!("dead")), "{result:#}");
    let task = host.json(&["task", "get", result["id"].as_str().expect("an id")]);
    assert_eq!((&task["retry_on"], &task["attempts_started"]), (&json!([]), &json!(1)));
}

#[test]
fn kinds_that_are_never_retried_and_the_time_box_end_a_task() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    for (option, reason) in [
        ("--never-retry-on=network", "`network` is among the kinds that are never retried"),
        ("--retry-for=1ms", "the next attempt would begin later than 1ms after the submit"),
    ] {
        let submit = ["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"network"}"#, option];
        let id = host.ok(&submit);
        assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(7));
        let task = host.json(&["task", "get", &id]);
        assert_eq!((&task["state"], &task["attempts"][0]["reason"]), (&json!("dead"), &json!(reason)));
    }
}

#[test]
fn unique_key_is_one_tasks_until_that_has_ended() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submit = |more: &[&str]| {
        let first = ["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h", "--unique=k"];
        host.sunaba([&first[..], more].concat())
    };
    let id = text(&submit(&[]).stdout).trim().to_owned();
    let refused = submit(&[]);
    let expected = format!("error: the unique key `k` is held by task {id}\nhint: ");
    assert_eq!(refused.status.code(), Some(4));
    assert!(text(&refused.stderr).starts_with(&expected), "{}", text(&refused.stderr));
    assert_eq!(text(&submit(&["--on-conflict=existing"]).stdout).trim(), id);
    let newer = text(&submit(&["--on-conflict=replace"]).stdout).trim().to_owned();
    let (old, new) = (host.json(&["task", "get", &id]), host.json(&["task", "get", &newer]));
    assert_eq!((&old["state"], &old["successor"]), (&json!("cancelled"), &json!(newer)));
    assert_eq!(new["origin"], json!({"how": "replaces", "task": id}));
}

#[test]
fn burst_becomes_one_task() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let burst = ["task", "submit", "hello/hello", ADA[0], ADA[1], "--debounce=k", "--delay=1h"];
    let ids: Vec<_> = (0..3).map(|_| host.ok(&burst)).collect();
    assert_eq!(host.lines(&["task", "list", "--state=scheduled"]).len(), 1);
    assert_eq!(host.json(&["task", "get", &ids[0]])["state"], "cancelled");
    assert_eq!(host.json(&["task", "get", &ids[2]])["state"], "scheduled");
}

#[test]
fn task_follows_the_end_of_another() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.deploy("retry-or-fail");
    let submit = ["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"fatal"}"#, "--wait", "-q"];
    let output = host.sunaba([&submit[..], &["--on-failure=hello/hello", "--on-success=hello/hello"]].concat());
    assert_eq!(output.status.code(), Some(7));
    let id = host.lines(&["task", "list", "--handler=retry-or-fail"])[0]["id"].clone();
    let task = host.json(&["task", "get", id.as_str().expect("an id")]);
    let followers = task["followers"].as_array().expect("a list");
    assert_eq!(followers.len(), 1, "only what was for a failure");
    let follower = host.json(&["task", "get", followers[0].as_str().expect("an id")]);
    assert_eq!(
        (&follower["handler"], &follower["origin"]),
        (&json!("hello/hello"), &json!({"how": "callback", "task": id}))
    );
}

#[test]
fn explain_tells_why_a_task_waits_and_why_it_ended() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    host.ok(&["queue", "pause", "slow"]);
    let submit = ["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"network"}"#];
    let id = host.ok(&[&submit[..], &["--queue=slow", "--max-attempts=2", "--backoff=fixed(100ms)"]].concat());
    let waits = host.json(&["task", "explain", &id]);
    assert_eq!((&waits["id"], &waits["state"]), (&json!(id), &json!("queued")));
    assert!(host.ok(&["task", "explain", &id]).contains("the queue `slow` is paused"), "{waits:#}");
    host.ok(&["queue", "resume", "slow"]);
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(7));
    let story = host.ok(&["task", "explain", &id]);
    for part in ["failed network: the upstream answered 503", "failure 1 of at most 2", "failure 2 of at most 2"] {
        assert!(story.contains(part), "{part}: {story}");
    }
    let json = host.json(&["task", "explain", &id]);
    assert_eq!((&json["state"], json["attempts"].as_array().map(Vec::len)), (&json!("dead"), Some(2)), "{json:#}");
    let unknown = host.sunaba(["task", "explain", "01a1feb5-f1e9-7000-8000-00335c7532b0"]);
    assert_eq!(unknown.status.code(), Some(3));
}
