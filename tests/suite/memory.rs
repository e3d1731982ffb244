//! The memory that attempts may hold together, and what a queue allows them.

use serde_json::json;

use crate::support::{Host, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

#[test]
fn memory_budget_of_a_host_obeyed() {
    let host = Host::start(&["--memory-budget", "200MiB", "--concurrency", "4"]);
    host.deploy("flood-stdout");
    host.deploy("spin");
    // Either of the two fits, and not both.
    let first = host.ok(&["task", "submit", "spin/spin", "--timeout=60s", "--memory=100MiB"]);
    host.until(&first, "running");
    let second = host.ok(&["task", "submit", "flood-stdout/flood-stdout", "--input=1", "--memory=100MiB"]);
    let told = host.ok(&["task", "explain", &second]);
    assert!(told.contains("it waits for memory: its attempt may hold"), "{told}");
    let (status, shown) = host.raw("GET /v1/host", "", "");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((status.as_str(), &shown["memory_budget_bytes"]), ("200", &json!(200 << 20)));
    let held = shown["memory_held_bytes"].as_u64().expect("a number");
    assert!((100 << 20..200 << 20).contains(&held), "{held}");
    host.ok(&["task", "cancel", &first]);
    host.until(&second, "succeeded");
}

#[test]
fn memory_budget_of_a_host_violated() {
    let mut host = Host::start(&["--memory-budget", "200MiB"]);
    host.deploy("hello");
    host.deploy("flood-stdout");
    let refused = host.sunaba(["task", "submit", "flood-stdout/flood-stdout", "--input=1", "--memory=200MiB"]);
    let told = text(&refused.stderr);
    assert!(
        refused.status.code() == Some(8) && told.contains("this host has 200.0 MiB for all of its attempts"),
        "{told}"
    );
    // What is there already, on a host that has less than it had.
    let waiting =
        host.ok(&["task", "submit", "flood-stdout/flood-stdout", "--input=1", "--memory=100MiB", "--delay=1h"]);
    let small = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--memory=16MiB", "--delay=1h"]);
    host.kill();
    host.forget_arguments();
    host.add_arguments(&["--memory-budget", "64MiB"]);
    host.restart();
    host.ok(&["task", "run-now", &waiting]);
    host.ok(&["task", "run-now", &small]);
    host.until(&small, "succeeded");
    host.until_dead(&waiting);
    let told = host.ok(&["task", "explain", &waiting]);
    assert!(told.contains("no worker that could run it may hold more than 64.0 MiB"), "{told}");
}

#[test]
fn budgets_that_cannot_be_are_refused() {
    let host = Host::start(&[]);
    for (option, value) in [("--memory-budget", "101%"), ("--memory-budget", "much"), ("--oversubscribe", "0.5")] {
        let refused = host.sunaba(["serve", option, value]);
        let told = text(&refused.stderr);
        assert!(refused.status.code() == Some(2) && told.contains("hint: write"), "{told}");
    }
}

#[test]
fn queue_limits_are_set_shown_and_applied() {
    let host = Host::start(&[]);
    host.deploy("spin");
    let set = host.ok(&["queue", "set", "short", "--limit", "timeout=50ms,memory=16MiB"]);
    assert!(set.contains("settings     limits timeout=50ms,memory=16777216\n"), "{set}");
    let waiting = host.ok(&["task", "submit", "spin/spin", "--queue=short", "--max-attempts=1", "--delay=1h"]);
    assert_eq!(host.json(&["task", "get", &waiting])["queue_limits"], json!("timeout=50ms,memory=16777216"));
    host.ok(&["task", "run-now", &waiting]);
    host.until_dead(&waiting);
    assert_eq!(host.json(&["task", "get", &waiting])["attempts"][0]["cause"], json!("timeout"));
    assert!(host.ok(&["queue", "set", "short", "--limit=none"]).contains("settings     all by default\n"));
    let wrong = host.sunaba(["queue", "set", "short", "--limit", "speed=9"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
}

#[test]
fn task_fits_by_what_its_queue_lets_it_use() {
    let host = Host::start(&["--memory-budget", "200MiB"]);
    host.deploy("flood-stdout");
    let submit = ["task", "submit", "flood-stdout/flood-stdout", "--input=1", "--memory=300MiB", "--queue=small"];
    assert_eq!(host.sunaba(submit).status.code(), Some(8), "it can never fit");
    host.ok(&["queue", "set", "small", "--limit", "memory=100MiB"]);
    let task = host.ok(&submit);
    host.until(&task, "succeeded");
}
