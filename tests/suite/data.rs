//! A data directory without a host: looked at, verified, backed up and restored; and how durable a host is.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Host, sunaba, text};

/// More than the log has at first, and less than it has after [`MAX_LARGE`] tasks.
const FILE_BYTES: u64 = 4 << 20;
/// Tasks until there is no room, at most.
const MAX_LARGE: usize = 200;
/// The input of such a task: as large as the log takes. What is larger has a file of its own.
const LARGE_BYTES: usize = 60_000;
const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

/// A command on a directory: its exit code, and what it printed and said.
fn store(arguments: &[&str]) -> (i32, String, String) {
    let output = sunaba([&["store"], arguments].concat());
    (output.status.code().expect("it was not killed"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn store_is_looked_at_verified_backed_up_and_restored() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1]]);
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(0));
    host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h", "--queue=mail"]);
    let data = host.data.path().join("data").display().to_string();
    let (code, _, said) = store(&["info", "--data", &data]);
    assert_eq!(code, 6, "a host holds it: {said}");
    host.stop(Signal::TERM);
    let (code, info, said) = store(&["info", "--data", &data, "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let info: Value = serde_json::from_str(&info).expect("JSON");
    assert_eq!((&info["states"], &info["queues"]), (&json!({"scheduled": 1, "succeeded": 1}), &json!({"mail": 1})));
    assert_eq!(info["last_opened"]["durability"], "sync");
    let (code, shown, _) = store(&["info", "--data", &data]);
    assert!(code == 0 && shown.contains("1 succeeded\n") && shown.contains("durability sync\n"), "{shown}");
    let (code, shown, _) = store(&["verify", "--data", &data]);
    assert!(code == 0 && shown.ends_with("nothing is wrong\n"), "{shown}");

    let (backup, copy) = (host.data.path().join("backup"), host.data.path().join("copy"));
    let (backup, copy) = (backup.display().to_string(), copy.display().to_string());
    let (code, shown, _) = store(&["backup", &backup, "--data", &data]);
    assert!(code == 0 && shown.starts_with(&format!("{backup}: ")), "{shown}");
    assert_eq!(store(&["backup", &backup, "--data", &data]).0, 4, "no backup is overwritten");
    assert_eq!(store(&["restore", &backup, "--data", &data]).0, 4, "no store is overwritten");
    assert_eq!(store(&["restore", &backup, "--data", &copy]).0, 0);
    let (code, shown, _) = store(&["verify", "--data", &copy]);
    assert!(code == 0 && shown.ends_with("nothing is wrong\n"), "{shown}");
    let (code, again, _) = store(&["info", "--data", &copy, "-o", "json"]);
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!((code, &again["states"]), (0, &info["states"]));

    std::fs::write(&backup, b"hello there, I am text").expect("written");
    let fresh = host.data.path().join("fresh").display().to_string();
    let (code, _, said) = store(&["restore", &backup, "--data", &fresh]);
    assert!(code == 8 && said.contains("cannot be used: ") && said.contains("\nhint: "), "{said}");
    assert_eq!(store(&["info", "--data", &fresh]).0, 3, "there is none");
}

#[test]
fn store_is_compacted_and_has_the_same_in_it() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1]]);
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(0));
    let data = host.data.path().join("data").display().to_string();
    let (code, _, said) = store(&["compact", "--data", &data]);
    assert_eq!(code, 6, "a host holds it: {said}");
    host.stop(Signal::TERM);
    let (code, compacted, said) = store(&["compact", "--data", &data, "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let compacted: Value = serde_json::from_str(&compacted).expect("JSON");
    let bytes = ["before_bytes", "after_bytes"].map(|field| compacted[field].as_u64().expect("a number"));
    assert!(bytes[1] > 0, "{compacted:#}");
    let (code, shown, _) = store(&["compact", "--data", &data]);
    assert!(code == 0 && shown.starts_with(&format!("{data}: the log took ")), "{shown}");
    let (code, shown, _) = store(&["verify", "--data", &data]);
    assert!(code == 0 && shown.ends_with("nothing is wrong\n"), "{shown}");
    assert_eq!(store(&["compact", "--data", &format!("{data}-not")]).0, 3, "there is none");
    host.restart();
    assert_eq!(host.json(&["task", "get", &id])["state"], "succeeded");
    assert_eq!(host.ok(&["task", "result", &id, "-q"]), r#"{"greeting":"Hello, Ada!"}"#);
}

/// A file of the log may not grow any more, as on a full disk.
#[test]
fn host_whose_store_has_failed_is_not_ready_and_says_why() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h"]);
    host.stop(Signal::TERM);
    host.restart_with_files_up_to(FILE_BYTES);
    assert_eq!(host.raw("GET /readyz", "", "").0, "200");
    let large = format!(
        "{{\"handler\":\"hello/hello\",\"delay_ms\":3600000,\"input\":{{\"name\":\"{}\"}}}}",
        "x".repeat(LARGE_BYTES)
    );
    let json = "Content-Type: application/json\r\n";
    let refused = (0..MAX_LARGE).map(|_| host.raw("POST /v1/tasks", json, &large)).find(|(status, _)| status != "201");
    let (status, problem) = refused.expect("a file is full");
    assert_eq!(status, "503", "{problem}");
    let (status, problem) = host.raw("GET /readyz", "", "");
    let problem: Value = serde_json::from_str(&problem).expect("a problem");
    assert_eq!((status.as_str(), &problem["status"]), ("503", &json!(503)), "{problem:#}");
    let detail = problem["detail"].as_str().expect("text");
    assert!(detail.contains("File too large"), "it does not say why: {detail}");
    host.until_said("read-only until it is stopped");
    // What is durable is shown.
    assert_eq!(host.json(&["task", "get", &id])["state"], "scheduled");
    assert_eq!(host.raw("GET /livez", "", "").0, "200");
    let (code, said) = host.stop(Signal::TERM);
    assert!(code == Some(1) && said.contains("error: ") && said.contains("read-only until it is stopped"), "{said}");
    host.restart();
    assert_eq!(host.raw("GET /readyz", "", "").0, "200", "there is room again");
    assert_eq!(host.json(&["task", "get", &id])["state"], "scheduled");
}

#[test]
fn durability_is_chosen_and_shown() {
    let host = Host::start(&["--durability", "relaxed(50ms)"]);
    let (status, said) = host.raw("GET /readyz", "", "");
    assert!(status == "200" && said.starts_with("ok\ndurability relaxed(50ms)\nstore: "), "{said}");
    let (status, shown) = host.raw("GET /v1/host", "", "");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((status.as_str(), &shown["durability"]), ("200", &json!("relaxed(50ms)")));
    let strict = Host::start(&[]);
    let (status, said) = strict.raw("GET /readyz", "", "");
    assert!(status == "200" && said.starts_with("ok\ndurability sync\nstore: "), "{said}");
    for wrong in ["never", "relaxed", "relaxed(0s)", "relaxed(1h)"] {
        let output = sunaba(["serve", "--durability", wrong]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("hint: write `sync`, or `relaxed(50ms)`"), "{said}");
    }
}
