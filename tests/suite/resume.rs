//! Checkpoints end to end: a guest on a real host goes on where the attempt before it has come to.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Host, sunaba, text};

/// It breaks off at row 250, once, and has kept row 200.
const ROWS: &str = r#"{"rows":1000,"breaks_at":250}"#;

/// What came of a task, once it has ended.
fn result(host: &Host, id: &str) -> Value {
    let output = host.sunaba(["task", "result", id, "--wait", "-o", "json"]);
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn attempt_goes_on_from_the_checkpoint_of_the_one_before() {
    let host = Host::start(&[]);
    host.deploy("resume");
    let id = host.ok(&["task", "submit", "resume/resume", "--input", ROWS]);
    let result = result(&host, &id);
    assert_eq!(result["output"], json!({"from": 200, "sum": 499_500}), "{result:#}");
    // What is run again begins anew.
    let again = host.ok(&["task", "rerun", &id]);
    assert_eq!(self::result(&host, &again)["output"], json!({"from": 200, "sum": 499_500}));
    assert_eq!(host.json(&["task", "get", &again])["attempts_started"], 2, "it broke off once more");
}

#[test]
fn checkpoint_outlives_its_host() {
    let mut host = Host::start(&[]);
    host.deploy("resume");
    let submit = ["task", "submit", "resume/resume", "--input", ROWS, "--backoff", "fixed(1h)"];
    let id = host.ok(&submit);
    host.until(&id, "retry-scheduled");
    host.kill();
    host.restart();
    host.ok(&["task", "retry", &id]);
    let result = result(&host, &id);
    assert_eq!(result["output"], json!({"from": 200, "sum": 499_500}), "{result:#}");
    let (code, _) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    let data = host.data.path().join("data").display().to_string();
    let verified = sunaba(["store", "verify", "--data", &data]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stderr));
}
