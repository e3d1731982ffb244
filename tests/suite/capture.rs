//! Captured output end to end: whole streams as artifacts of their task, however its attempts end.

use serde_json::{Value, json};

use crate::support::{Host, run_json, text};

fn artifacts(host: &Host, id: &str) -> Vec<Value> {
    host.json(&["task", "artifacts", id])["artifacts"].as_array().expect("a list").clone()
}

/// Submits a task, and waits for its end: its id.
fn ended(host: &Host, handler: &str, more: &[&str]) -> String {
    let id = host.ok(&[&["task", "submit", handler], more].concat());
    let _ = host.sunaba(["task", "result", &id, "--wait", "--quiet"]);
    id
}

fn saved(host: &Host, id: &str, name: &str) -> String {
    let output = host.sunaba(["task", "artifacts", id, name, "--output", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn whole_stdout_is_an_artifact_where_the_log_has_its_beginning() {
    let host = Host::start(&[]);
    host.deploy("flood-stdout");
    let id = ended(&host, "flood-stdout/flood-stdout", &["--capture=stdout,stderr", "--input=200000"]);
    let kept = artifacts(&host, &id);
    // It has said nothing on the other stream.
    assert_eq!(kept.len(), 1, "{kept:#?}");
    assert_eq!((&kept[0]["name"], &kept[0]["media_type"]), (&json!("attempt-1.stdout"), &json!("text/plain")));
    assert_eq!(kept[0]["size_bytes"], 20_000_000);
    let whole = saved(&host, &id, "attempt-1.stdout");
    assert!(whole.lines().enumerate().all(|(number, line)| line.trim() == number.to_string()));
    assert_eq!(whole.len(), 20_000_000);
    let result = host.json(&["task", "result", &id]);
    assert_eq!(result["receipt"]["artifact_bytes"], 20_000_000);
    assert!(
        host.ok(&["task", "logs", &id])
            .contains("stdout is shortened here to 64.0 KiB: all of it is the artifact `attempt-1.stdout`")
    );
    // Without it, nothing is kept.
    let id = ended(&host, "flood-stdout/flood-stdout", &["--input=10"]);
    assert_eq!(artifacts(&host, &id), [] as [Value; 0]);
}

#[test]
fn each_attempt_that_is_stopped_leaves_what_it_has_said() {
    let host = Host::start(&[]);
    host.deploy("talk");
    let often = ["--capture=stderr", "--fuel=20000000", "--max-attempts=2", "--backoff=fixed(1ms)"];
    let id = ended(&host, "talk/flood-stderr", &often);
    let kept = artifacts(&host, &id);
    let names: Vec<_> = kept.iter().map(|kept| kept["name"].as_str().expect("text")).collect();
    assert_eq!(names, ["attempt-1.stderr", "attempt-2.stderr"]);
    assert_eq!((&kept[0]["attempt"], &kept[1]["attempt"]), (&json!(1), &json!(2)));
    assert!(kept.iter().all(|kept| kept["size_bytes"].as_u64().is_some_and(|size| size > 1_000)), "{kept:#?}");
}

#[test]
fn capture_over_its_limit_ends_and_the_attempt_does_not() {
    let host = Host::start(&[]);
    host.deploy("flood-stdout");
    let limited = ["--capture=stdout", "--limit=artifact-bytes=1MiB", "--input=100000"];
    let id = ended(&host, "flood-stdout/flood-stdout", &limited);
    assert_eq!(host.json(&["task", "result", &id])["state"], "succeeded");
    let whole = saved(&host, &id, "attempt-1.stdout");
    assert!(whole.len() <= 1 << 20 && whole.len() > (1 << 20) - 200, "{}", whole.len());
    assert!(whole.ends_with("\n[cut here: the limit `artifact-bytes` is 1.0 MiB]\n"));
    let log = host.ok(&["task", "logs", &id]);
    assert!(log.contains("`attempt-1.stdout` was cut: 1023.9 KiB kept, 8.5 MiB dropped"), "{log}");
}

#[test]
fn name_of_captured_output_is_no_handlers() {
    for name in ["attempt-1.stdout", "attempt-99.stderr"] {
        let input = json!({"what": "put", "name": name, "bytes": 1}).to_string();
        let (code, report) = run_json("abuse-artifacts", &["--input", &input]);
        assert_eq!((code, &report["failure"]["kind"]), (7, &json!("invalid")), "{report:#}");
        assert!(report["failure"]["message"].as_str().is_some_and(|why| why.contains("captured output")), "{report:#}");
    }
}

#[test]
fn streams_that_there_are_not_are_refused_by_name() {
    let host = Host::start(&[]);
    host.deploy("flood-stdout");
    let refused = host.sunaba(["task", "submit", "flood-stdout/flood-stdout", "--capture=stdin"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("`stdin` cannot be captured"), "{}", text(&refused.stderr));
    let body = r#"{"handler":"flood-stdout/flood-stdout","capture":"all"}"#;
    let (status, answer) = host.raw("POST /v1/tasks", "Content-Type: application/json\r\n", body);
    assert!(status == "422" && answer.contains("`all` cannot be captured"), "{status}: {answer}");
}
