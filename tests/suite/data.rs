//! A data directory without a host: looked at, verified, backed up and restored; and how durable a host is.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Host, sunaba, text};

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
fn durability_is_chosen_and_shown() {
    let host = Host::start(&["--durability", "relaxed(50ms)"]);
    assert_eq!(host.raw("GET /readyz", "", ""), ("200".into(), "ok\ndurability relaxed(50ms)\n".into()));
    let (status, shown) = host.raw("GET /v1/host", "", "");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((status.as_str(), &shown["durability"]), ("200", &json!("relaxed(50ms)")));
    let strict = Host::start(&[]);
    assert_eq!(strict.raw("GET /readyz", "", ""), ("200".into(), "ok\ndurability sync\n".into()));
    for wrong in ["never", "relaxed", "relaxed(0s)", "relaxed(1h)"] {
        let output = sunaba(["serve", "--durability", wrong]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("hint: write `sync`, or `relaxed(50ms)`"), "{said}");
    }
}

/// What was acknowledged is still shown, nothing more is taken on, and whoever watches hosts is told.
#[test]
fn host_whose_disk_fails_is_read_only_and_says_so() {
    let mut host = Host::start_on_a_small_disk(4_096);
    host.deploy("hello");
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(50_000));
    let mut acknowledged = Vec::new();
    let refused = loop {
        assert!(acknowledged.len() < 1_000, "the disk never fails");
        let submitted = host.sunaba(["task", "submit", "hello/hello", "--delay=1h", "--input", &large]);
        match submitted.status.code() {
            Some(0) => acknowledged.push(text(&submitted.stdout).trim().to_owned()),
            _ => break submitted,
        }
    };
    assert_eq!(refused.status.code(), Some(6), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("the store has failed"), "{}", text(&refused.stderr));
    assert!(!acknowledged.is_empty());
    for id in &acknowledged {
        assert_eq!(host.json(&["task", "get", id])["state"], "scheduled");
    }
    let (status, reason) = host.raw("GET /readyz", "", "");
    assert_eq!(status, "503", "{reason}");
    assert!(reason.contains("the store has failed"), "{reason}");
    assert_eq!(host.raw("GET /livez", "", "").0, "200");
    let (code, said) = host.stop(Signal::TERM);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("read-only until it is stopped"), "{said}");
}
