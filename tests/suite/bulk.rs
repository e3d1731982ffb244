//! Many tasks at once: batches, filters, and what is done to all that pass them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sunaba_runtime::Client;
use sunaba_runtime::server::api::{MAX_BULK_TASKS, SubmittedView};

use crate::support::{Host, block_on, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

/// A task that waits for an hour.
fn later(host: &Host, more: &[&str]) -> String {
    host.ok(&[&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h"], more].concat())
}

#[test]
fn batch_is_a_task_a_line_and_refuses_by_line() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let file = host.data.path().join("lines");
    std::fs::write(&file, "{\"name\":\"Ada\"}\n\n{\"name\":5}\n{\"name\":\n{\"name\":\"Bob\"}").expect("written");
    let file = file.display().to_string();
    let output = host.sunaba(["task", "submit", "hello/hello", "--batch", &file, "--tag=night", "--delay=1h"]);
    assert_eq!(output.status.code(), Some(8));
    let said = text(&output.stderr);
    assert!(said.contains("error: line 3: the input does not match the schema of `hello`: "), "{said}");
    assert!(said.contains("error: line 4: the input is not JSON: "), "{said}");
    let ids = text(&output.stdout);
    assert_eq!(ids.lines().count(), 2);
    let listed = host.lines(&["task", "list", "--tag=night"]);
    assert_eq!(
        listed.iter().map(|task| task["id"].as_str()).rev().collect::<Vec<_>>(),
        ids.lines().map(Some).collect::<Vec<_>>()
    );
    let missing = host.sunaba(["task", "submit", "hello/hello", "--batch", "nowhere"]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn ten_thousand_tasks_go_in_at_once_and_no_more() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let one = |number: usize| {
        let task = json!({"handler": "hello/hello", "input": {"name": number.to_string()}, "delay_ms": 3_600_000});
        serde_json::value::to_raw_value(&task).expect("JSON")
    };
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let taken = client.submit_tasks((0..MAX_BULK_TASKS).map(one).collect()).await.expect("they are taken on");
        let ids: BTreeSet<_> = taken
            .tasks
            .iter()
            .map(|task| match task {
                SubmittedView::Taken { id, created: true, .. } => id.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids.len(), MAX_BULK_TASKS);
        assert_eq!(ids.first().map(String::as_str), Some(id(&taken.tasks[0])), "in their order");
        let error = client.submit_tasks((0..=MAX_BULK_TASKS).map(one).collect()).await.expect_err("too many");
        assert!(error.to_string().starts_with("there are 10001 tasks; the limit is 10000\nhint: "), "{error}");
    });
}

fn id(view: &SubmittedView) -> &str {
    match view {
        SubmittedView::Taken { id, .. } => id,
        SubmittedView::Refused { problem } => panic!("{problem:?}"),
    }
}

#[test]
fn refused_task_holds_back_no_other() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let body = json!({"tasks": [
        {"handler": "hello/hello", "input": {"name": "Ada"}, "delay_ms": 3_600_000, "idempotency_key": "k"},
        {"handler": "hello/hello", "input": {"name": "Bob"}, "idempotency_key": "k"},
        {"handler": "nobody/hello"},
        {"handler": "hello/hello", "wings": 2},
        ["hello/hello"],
        {"handler": "hello/hello", "input": {"name": "Ada"}, "delay_ms": 3_600_000, "idempotency_key": "k"},
    ]});
    let json = "Content-Type: application/json\r\n";
    let (status, answer) = host.raw("POST /v1/tasks/bulk", json, &body.to_string());
    assert_eq!(status, "200", "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let tasks = answer["tasks"].as_array().expect("a list");
    let statuses: Vec<_> = tasks.iter().map(|task| task["problem"]["status"].clone()).collect();
    assert_eq!(statuses, [Value::Null, json!(409), json!(404), json!(400), json!(400), Value::Null], "{answer:#}");
    assert_eq!((&tasks[0]["created"], &tasks[5]["created"]), (&json!(true), &json!(false)));
    assert_eq!(tasks[0]["id"], tasks[5]["id"]);
}

#[test]
fn many_are_cancelled_only_when_somebody_says_yes() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let kept = later(&host, &[]);
    let night: Vec<_> = (0..3).map(|_| later(&host, &["--tag=night"])).collect();
    let counted = host.sunaba(["task", "cancel", "--tag=night"]);
    let expected = "error: 3 tasks would be cancelled; nothing was done\nhint: do it with `--yes`\n";
    assert_eq!((counted.status.code(), text(&counted.stderr)), (Some(2), expected.into()));
    assert_eq!(host.lines(&["task", "list", "--state=scheduled"]).len(), 4);
    let reason = "--reason=a mistake";
    assert_eq!(host.ok(&["task", "cancel", "--tag=night", "--yes", reason]), "3 tasks cancelled");
    for id in &night {
        let task = host.json(&["task", "get", id]);
        assert_eq!((&task["state"], &task["cancel"]["reason"]), (&json!("cancelled"), &json!("a mistake")));
    }
    assert_eq!(host.json(&["task", "get", &kept])["state"], "scheduled");
    assert_eq!(host.ok(&["task", "cancel", "--all", "--yes"]), "1 task cancelled");
    let none = host.sunaba(["task", "cancel", "--all"]);
    assert_eq!((none.status.code(), text(&none.stderr)), (Some(0), "no such tasks\n".into()));
}

#[test]
fn bulk_command_says_which_tasks() {
    let host = Host::start(&[]);
    for (arguments, message) in [
        (&["task", "cancel"][..], "nothing says which tasks\nhint: "),
        (&["task", "delete", "--all", "--queue=a"], "there are a filter and `--all`\nhint: "),
        (&["task", "rerun", "01a1feb5-f1e9-7000-8000-00335c7532b0", "--tag=a"], "there are an id and a filter\nhint: "),
        (&["task", "rerun", "--all", "--input=1"], "there are an input and many tasks\nhint: "),
        (&["task", "cancel", "--state=dead"], "tasks that are dead cannot be cancelled\nhint: "),
        (&["task", "delete", "--state=queued,dead"], "tasks that are queued cannot be deleted\nhint: "),
        (&["task", "list", "--from=yesterday"], "`yesterday` is not an instant\nhint: "),
    ] {
        let output = host.sunaba(arguments.iter().copied());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(message), "{arguments:?}: {said}");
    }
    let json = "Content-Type: application/json\r\n";
    for (target, body, status) in [
        ("POST /v1/tasks/delete", "{}", "422"),
        ("POST /v1/tasks/delete", r#"{"all":true,"filter":{"queue":"a"}}"#, "422"),
        ("POST /v1/tasks/delete", r#"{"all":true,"cancel":{}}"#, "422"),
        ("POST /v1/tasks/cancel", r#"{"all":true,"cancel":{"grace_ms":3600001}}"#, "422"),
        ("POST /v1/tasks/cancel", r#"{"filter":{"state":"sleeping"}}"#, "422"),
        ("POST /v1/tasks/cancel", r#"{"filter":{"colour":"red"}}"#, "400"),
    ] {
        let (answered, problem) = host.raw(target, json, body);
        assert_eq!(answered, status, "{target} {body}: {problem}");
    }
}

#[test]
fn tasks_are_found_by_tag_and_time() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let old = later(&host, &["--tag=a,b"]);
    let new = later(&host, &["--tag=b"]);
    let found = |filter: &[&str]| {
        let listed = host.lines(&[&["task", "list"], filter].concat());
        listed.iter().map(|task| task["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["--tag=b"]), [new.clone(), old.clone()]);
    assert_eq!(found(&["--tag=a"]), std::slice::from_ref(&old));
    assert_eq!(found(&["--tag=c"]), [""; 0]);
    let at = host.json(&["task", "get", &new])["submitted_at"].as_str().expect("an instant").to_owned();
    assert!(found(&["--from", &at]).contains(&new));
    assert!(!found(&["--until", &at]).contains(&new));
    assert_eq!(found(&["--older-than=1h"]), [""; 0]);
}

#[test]
fn what_waits_is_made_due_one_by_one_and_all_at_once() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let ids: Vec<_> = (0..3).map(|_| later(&host, &[])).collect();
    host.ok(&["task", "run-now", &ids[0]]);
    assert_eq!(host.sunaba(["task", "result", &ids[0], "--wait", "-q"]).status.code(), Some(0));
    let ended = host.sunaba(["task", "run-now", &ids[0]]);
    let expected = format!("error: task {} is succeeded, and does not run any more\nhint: ", ids[0]);
    assert!(ended.status.code() == Some(4) && text(&ended.stderr).starts_with(&expected), "{}", text(&ended.stderr));
    assert_eq!(host.ok(&["task", "run-now", "--all", "--yes"]), "2 tasks made due");
    for id in &ids {
        assert_eq!(host.sunaba(["task", "result", id, "--wait", "-q"]).status.code(), Some(0));
    }
}

#[test]
fn retry_runs_what_has_failed_and_nothing_else() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.deploy("retry-or-fail");
    let waiting = later(&host, &[]);
    let submit = ["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"last-attempt"}"#];
    let id = host.ok(&[&submit[..], &["--backoff=fixed(1h)", "--max-attempts=2"]].concat());
    host.until(&id, "retry-scheduled");
    assert_eq!(host.ok(&["task", "retry", "--all", "--yes"]), "1 task made due");
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(0));
    assert_eq!(host.json(&["task", "get", &waiting])["state"], "scheduled");
}

#[test]
fn deleted_task_is_gone_and_one_that_waits_is_not_deleted() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1]]);
    host.sunaba(["task", "result", &id, "--wait", "-q"]);
    let waiting = later(&host, &[]);
    let refused = host.sunaba(["task", "delete", &waiting]);
    let expected = format!("error: task {waiting} is scheduled\nhint: only what has ended can be deleted");
    assert_eq!(refused.status.code(), Some(4));
    assert!(text(&refused.stderr).starts_with(&expected), "{}", text(&refused.stderr));
    assert_eq!(text(&host.sunaba(["task", "delete", &id]).stderr), format!("deleted {id}\n"));
    assert_eq!(host.sunaba(["task", "get", &id]).status.code(), Some(3));
    assert_eq!(host.sunaba(["task", "delete", &id]).status.code(), Some(3));
    host.ok(&["task", "cancel", &waiting]);
    assert_eq!(host.ok(&["task", "delete", "--all", "--yes"]), "1 task deleted");
    assert_eq!(host.lines(&["task", "list"]).len(), 0);
}

#[test]
fn rerun_makes_a_new_task_linked_both_ways() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1]]);
    host.sunaba(["task", "result", &id, "--wait", "-q"]);
    let bob = host.ok(&["task", "rerun", &id, "--input", r#"{"name":"Bob"}"#]);
    let result = host.sunaba(["task", "result", &bob, "--wait", "-q"]);
    assert_eq!(text(&result.stdout), "{\"greeting\":\"Hello, Bob!\"}\n");
    assert_eq!(host.json(&["task", "get", &bob])["origin"], json!({"how": "rerun", "task": id}));
    assert_eq!(host.json(&["task", "get", &id])["successor"], json!(bob));
    let wrong = host.sunaba(["task", "rerun", &id, "--input", "{}"]);
    assert_eq!(wrong.status.code(), Some(8));
    assert!(text(&wrong.stderr).contains("does not match the schema of `hello`"), "{}", text(&wrong.stderr));
    let waiting = later(&host, &[]);
    assert_eq!(host.sunaba(["task", "rerun", &waiting]).status.code(), Some(4));
}

#[test]
fn cancel_of_a_running_task_has_a_grace_and_a_reason() {
    let host = Host::start(&[]);
    host.deploy("spin");
    let id = host.ok(&["task", "submit", "spin/spin"]);
    host.until(&id, "running");
    let cancelled = host.json(&["task", "cancel", &id, "--grace=20ms", "--reason=took too long"]);
    assert_eq!(
        (&cancelled["cancel"]["grace_ms"], &cancelled["cancel"]["reason"]),
        (&json!(20), &json!("took too long"))
    );
    assert_eq!(host.sunaba(["task", "result", &id, "--wait", "-q"]).status.code(), Some(7));
    assert_eq!(host.json(&["task", "get", &id])["state"], "cancelled");
    let long = host.sunaba(["task", "cancel", &id, "--grace=2h"]);
    assert_eq!(long.status.code(), Some(8));
    assert!(text(&long.stderr).starts_with("error: the grace cannot be `2h`\nhint: "), "{}", text(&long.stderr));
}

#[test]
fn many_jobs_are_cancelled_only_when_somebody_says_yes() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "pause", "default"]);
    let file = host.data.path().join("job.json");
    let job = |tag: &str| {
        let job = json!({"tags": [tag], "nodes": [{"name": "a", "handler": "hello/hello", "input": {"name": "Ada"}}]});
        std::fs::write(&file, job.to_string()).expect("written");
        host.ok(&["job", "submit", &file.display().to_string(), "-q"])
    };
    let (kept, night) = (job("day"), [job("night"), job("night")]);
    let counted = host.sunaba(["job", "cancel", "--tag=night"]);
    let expected = "error: 2 jobs would be cancelled; nothing was done\nhint: do it with `--yes`\n";
    assert_eq!((counted.status.code(), text(&counted.stderr)), (Some(2), expected.into()));
    let json = "Content-Type: application/json\r\n";
    // Page by page, each with where the next begins.
    let page = r#"{"filter":{"tag":"night","limit":1}}"#;
    let (status, answer) = host.raw("POST /v1/jobs/cancel", json, page);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((&*status, &answer["done"]), ("200", &json!([night[1]])), "{answer:#}");
    assert!(answer["next"].is_string(), "{answer:#}");
    // Ends with 7: it has not succeeded.
    let ended = |id: &str| {
        let shown = host.sunaba(["job", "get", id, "--wait", "-o", "json"]);
        let job: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        (shown.status.code(), job["state"].clone())
    };
    assert_eq!(ended(&night[1]), (Some(7), json!("cancelled")));
    assert_eq!(host.ok(&["job", "cancel", "--tag=night", "--yes", "--reason=a mistake"]), "1 job cancelled");
    assert_eq!(ended(&night[0]), (Some(7), json!("cancelled")));
    assert_eq!(host.json(&["job", "get", &kept])["state"], "running");
    for (body, status) in [
        ("{}", "422"),
        (r#"{"all":true,"filter":{"tag":"a"}}"#, "422"),
        (r#"{"filter":{"state":"failed"}}"#, "422"),
        (r#"{"filter":{"colour":"red"}}"#, "400"),
    ] {
        let (answered, problem) = host.raw("POST /v1/jobs/cancel", json, body);
        assert_eq!(answered, status, "{body}: {problem}");
    }
    for (arguments, message) in [
        (&["job", "cancel"][..], "nothing says which jobs\nhint: "),
        (&["job", "cancel", "--all", "--tag=a"], "there are a filter and `--all`\nhint: "),
        (&["job", "cancel", "--state=failed"], "jobs that are failed cannot be cancelled\nhint: "),
    ] {
        let output = host.sunaba(arguments.iter().copied());
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(message), "{arguments:?}: {said}");
    }
    assert_eq!(host.ok(&["job", "cancel", "--all", "--yes"]), "1 job cancelled");
}
