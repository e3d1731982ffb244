//! The whole story of a task, as an operator reads it after a bad night.

use serde_json::{Value, json};

use crate::support::{Host, text};

/// What `explain` prints of it; `...` stands for what is another each time.
const STORY: &str = "\
task         ...
handler      sleep/sleep
state        dead since ...Z
submitted    ...Z to the queue `night`, priority 0
retries      fixed(500ms); dead at failure 2 or lost host 3
limits       timeout 2s, memory 128.0 MiB, fuel exact
input        4 B of application/json, sha256:74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b
component    sha256:...
attempt 1    ...Z on host-..., ..., component ...
  outcome    stopped timeout: stopped after 2s in `wasi:io/poll.pollable.block`: the time limit
  used       fuel at least ..., wall time 2..., peak memory ...
  observed   kind timeout, 0 failures charged, 0 hosts lost before
  policy     retry: backoff fixed(500ms), max-attempts 2
  verdict    retry in ...ms, charged: failure 1 of at most 2, to be retried by fixed(500ms)
  changed    retry-scheduled until ...Z, 1 failure charged, 0 hosts lost
attempt 2    ...Z on host-..., ..., component ...
  outcome    host-lost
  observed   1 failure charged, 0 hosts lost before
  policy     host-lost: max-hosts-lost 3
  verdict    requeue: lost its host, 1 of at most 3
  changed    queued, 1 failure charged, 1 host lost
attempt 3    ...Z on host-..., ..., component ...
  outcome    stopped timeout: stopped after 2s in `wasi:io/poll.pollable.block`: the time limit
  used       fuel at least ..., wall time 2..., peak memory ...
  observed   kind timeout, 1 failure charged, 1 host lost before
  policy     retry: backoff fixed(500ms), max-attempts 2
  verdict    give-up, charged: failure 2 of at most 2
  changed    dead, 2 failures charged, 1 host lost
end          it is dead: failure 2 of at most 2; the last was timeout: stopped after 2s in `wasi:io/poll.pollable.block`: the time limit";

/// Whether a line is what was expected, where `...` stands for something.
fn is_like(line: &str, expected: &str) -> bool {
    let mut parts = expected.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        // Something is at least a character.
        let Some((_, after)) = rest.get(1..).and_then(|rest| rest.split_once(part)) else { return false };
        rest = after;
    }
    rest.len() > last.len() && rest.ends_with(last)
}

#[test]
fn three_dots_stand_for_something_and_nothing_else_does() {
    assert!(is_like("a 1 b 22 c", "a ... b ... c") && is_like("a", "a") && is_like("ab", "a..."));
    for (line, expected) in [("a b c", "a ... b ... c"), ("ab", "a"), ("a", "ab"), ("a", "a..."), ("a 1 c", "a ... b")]
    {
        assert!(!is_like(line, expected), "{line} | {expected}");
    }
}

/// Waits until an attempt of this number runs. Over the wire: it must not end before it is seen.
fn until_attempt(host: &Host, id: &str, number: u32) {
    loop {
        let (_, body) = host.raw(&format!("GET /v1/tasks/{id}"), "", "");
        let task: Value = serde_json::from_str(&body).expect("JSON");
        let started = task["attempts_started"].as_u64().expect("a number");
        if started == u64::from(number) && task["state"] == "running" {
            return;
        }
        assert!(started <= u64::from(number), "attempt {number} ended before it was seen: {task:#}");
    }
}

#[test]
fn explain_tells_of_a_retry_a_lost_host_and_the_death() {
    let mut host = Host::start(&[]);
    host.deploy("sleep");
    let submit = ["task", "submit", "sleep/sleep", "--queue=night", "--timeout=2s", "--max-attempts=2"];
    let id = host.ok(&[&submit[..], &["--backoff=fixed(500ms)"]].concat());
    until_attempt(&host, &id, 2);
    host.kill();
    host.restart();
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(124));

    let told = host.ok(&["task", "explain", &id]);
    assert_eq!(told.lines().count(), STORY.lines().count(), "{told}");
    for (line, expected) in told.lines().zip(STORY.lines()) {
        assert!(is_like(line, expected), "`{line}` is not `{expected}` in\n{told}");
    }

    let story = host.json(&["task", "explain", &id]);
    assert_eq!((&story["id"], &story["state"]), (&json!(id), &json!("dead")));
    let counted = ["attempts_started", "failures_charged", "hosts_lost"].map(|field| story[field].clone());
    assert_eq!(counted, [json!(3), json!(2), json!(1)]);
    let attempts = story["attempts"].as_array().expect("a list");
    let endings: Vec<_> = attempts.iter().map(|attempt| &attempt["outcome"]["ending"]).collect();
    assert_eq!(endings, ["stopped", "host-lost", "stopped"]);
    assert_eq!(attempts[0]["worker"], attempts[1]["worker"]);
    assert_ne!(attempts[1]["worker"], attempts[2]["worker"], "it is another host");

    let observed = |kind: Value, failures: u32, hosts: u32| json!({"kind": kind, "failures_charged": failures, "hosts_lost": hosts, "cancelled": false});
    let changed = |state: &str, due: &Value, failures: u32, hosts: u32| json!({"state": state, "next_attempt_at": due, "failures_charged": failures, "hosts_lost": hosts});
    let retry = json!({"name": "retry", "parameters": {"backoff": "fixed(500ms)", "max_attempts": 2}});
    let due = &attempts[0]["decision"]["changed"]["next_attempt_at"];
    assert!(due.as_str().is_some_and(|due| due > attempts[0]["ended_at"].as_str().expect("an instant")), "{story:#}");
    let first = &attempts[0]["decision"];
    assert_eq!((&first["observed"], &first["policy"]), (&observed(json!("timeout"), 0, 0), &retry));
    assert_eq!((&first["verdict"], &first["charged"]), (&json!("retry"), &json!(true)));
    assert!(first["delay_ms"].as_u64().is_some_and(|ms| (400..=600).contains(&ms)), "{first:#}");
    assert_eq!(first["changed"], changed("retry-scheduled", due, 1, 0));
    let reason = "failure 1 of at most 2, to be retried by fixed(500ms)";
    assert_eq!(first["reason"], reason);

    let second = &attempts[1]["decision"];
    assert_eq!(second["observed"], observed(Value::Null, 1, 0));
    assert_eq!(second["policy"], json!({"name": "host-lost", "parameters": {"max_hosts_lost": 3}}));
    assert_eq!((&second["verdict"], &second["charged"]), (&json!("requeue"), &json!(false)));
    assert_eq!((&second["delay_ms"], &second["reason"]), (&Value::Null, &json!("lost its host, 1 of at most 3")));
    assert_eq!(second["changed"], changed("queued", &Value::Null, 1, 1));

    let third = &attempts[2]["decision"];
    assert_eq!((&third["observed"], &third["policy"]), (&observed(json!("timeout"), 1, 1), &retry));
    assert_eq!((&third["verdict"], &third["charged"]), (&json!("give-up"), &json!(true)));
    assert_eq!((&third["delay_ms"], &third["reason"]), (&Value::Null, &json!("failure 2 of at most 2")));
    assert_eq!(third["changed"], changed("dead", &Value::Null, 2, 1));
    let shown = host.sunaba(["dead", "list"]);
    assert!(text(&shown.stdout).contains(&id), "{}", text(&shown.stdout));
}
