//! Schedules from outside: made, looked at, changed and triggered; one task for each tick over restarts.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Host, guest, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];
/// Nobody who runs this will see it fire.
const FAR: &str = "--cron=0 0 3 1 1 * 2999";
const JSON: &str = "Content-Type: application/json\r\n";

fn create(host: &Host, name: &str, more: &[&str]) -> String {
    host.ok(&[&["schedule", "create", name, "hello/hello", ADA[0], ADA[1]], more].concat())
}

/// What a command that is refused ends with, and says.
fn refused(host: &Host, arguments: &[&str]) -> (Option<i32>, String) {
    let output = host.sunaba(arguments.iter().copied());
    (output.status.code(), text(&output.stderr))
}

/// Waits until a schedule has made so many tasks.
fn until_made(host: &Host, name: &str, tasks: u64) {
    while host.json(&["schedule", "get", name])["made"].as_u64().expect("a number") < tasks {
        std::thread::yield_now();
    }
}

#[test]
fn schedule_is_made_shown_changed_and_deleted() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    assert_eq!(text(&host.sunaba(["schedule", "list"]).stderr), "there is no schedule\n");
    assert_snapshot!(create(&host, "nightly", &[FAR, "--time-zone=europe/berlin", "--tag=report", "--expires-in=1h"]), @r#"
    schedule     nightly, revision 1
    due          0 0 3 1 1 * 2999 in Europe/Berlin
    policies     overlap skip, catch-up last
    handler      hello/hello
    input        {"name":"Ada"}
    next         2999-01-01T02:00:00.000Z (2999-01-01 03:00:00 +01:00)
    ticks        0 made, 0 skipped, 0 missed, 0 failed; 0 triggered by hand
    attention    -
    "#);
    let (code, said) = refused(&host, &["schedule", "create", "nightly", "hello/hello", FAR, ADA[0], ADA[1]]);
    assert!(code == Some(4) && said.contains("the schedule `nightly` should be nothing before this change"), "{said}");
    let changed =
        ["--overlap=queue", "--catch-up=all(5)", "--cron=0 0 3 1 1 * 2998-2999", "--input", r#"{"name":"Bob"}"#];
    assert_snapshot!(host.ok(&[&["schedule", "update", "nightly"], &changed[..]].concat()), @r#"
    schedule     nightly, revision 2
    due          0 0 3 1 1 * 2998-2999 in Europe/Berlin
    policies     overlap queue, catch-up all(5)
    handler      hello/hello
    input        {"name":"Bob"}
    next         2998-01-01T02:00:00.000Z (2998-01-01 03:00:00 +01:00)
    ticks        0 made, 0 skipped, 0 missed, 0 failed; 0 triggered by hand
    attention    -
    "#);
    host.kill();
    host.restart();
    assert_snapshot!(host.ok(&["schedule", "next", "nightly"]), @r"
    2998-01-01T02:00:00.000Z (2998-01-01 03:00:00 +01:00)
    2999-01-01T02:00:00.000Z (2999-01-01 03:00:00 +01:00)
    ");
    let fires = host.lines(&["schedule", "next", "nightly", "--count=1"]);
    let tick = "2998-01-01T02:00:00.000Z";
    assert_eq!(fires, [json!({"tick": tick, "at": tick, "local": "2998-01-01 03:00:00 +01:00"})]);
    let shown = host.json(&["schedule", "get", "nightly"]);
    assert_eq!(
        shown["task"],
        json!({"handler": "hello/hello", "input": {"name": "Bob"}, "tags": ["report"], "expires_in_ms": 3_600_000})
    );
    host.ok(&["schedule", "pause", "nightly"]);
    assert_snapshot!(host.ok(&["schedule", "list"]), @r"
    SCHEDULE  CRON                   ZONE           HANDLER      NEXT  MADE  ATTENTION
    nightly   0 0 3 1 1 * 2998-2999  Europe/Berlin  hello/hello  -     0     paused
    ");
    assert_eq!(host.lines(&["schedule", "list", "--package=other"]), Vec::<Value>::new());
    assert_eq!(host.ok(&["schedule", "next", "nightly", "-q"]), "");
    assert!(host.ok(&["schedule", "resume", "nightly"]).contains("nightly, revision 4"));
    let (code, said) = refused(&host, &["schedule", "delete", "nightly", "--revision=3"]);
    assert!(code == Some(4) && said.contains("there is revision 4"), "{said}");
    assert_eq!(host.json(&["schedule", "delete", "nightly"]), json!({"deleted": "nightly"}));
    for verb in ["get", "delete", "pause", "resume", "trigger", "next"] {
        let (code, said) = refused(&host, &["schedule", verb, "nightly"]);
        assert!(code == Some(3) && said.starts_with("error: there is no schedule `nightly`\nhint:"), "{verb}: {said}");
    }
    let words: Vec<_> = host.lines(&["events"]).iter().map(|event| event["event"].clone()).collect();
    let told = ["created", "updated", "paused", "resumed", "deleted"];
    assert_eq!(words, told.map(|word| json!(format!("schedule-{word}"))));
    assert!(host.ok(&["events"]).contains(" nightly schedule-created\n"));
}

#[test]
fn ticks_make_one_task_each_over_crashes() {
    let mut host = Host::start(&[]);
    host.deploy("hello");
    create(&host, "often", &["--cron=* * * * * *", "--overlap=allow"]);
    for restarts in 1..4 {
        until_made(&host, "often", restarts * 2);
        host.kill();
        host.restart();
    }
    until_made(&host, "often", 8);
    host.ok(&["schedule", "pause", "often"]);
    let made = host.json(&["schedule", "get", "often"])["made"].as_u64().expect("a number");
    let tasks = host.lines(&["task", "list", "--limit=1000"]);
    let of: BTreeSet<_> = tasks.iter().map(|task| task["schedule"]["name"].as_str().expect("a name")).collect();
    let ticks: BTreeSet<_> = tasks.iter().map(|task| task["schedule"]["tick"].as_str().expect("an instant")).collect();
    assert_eq!((of, ticks.len() as u64, tasks.len() as u64), (BTreeSet::from(["often"]), made, made));
    let first = tasks.last().expect("there is one");
    let id = first["id"].as_str().expect("text");
    host.until(id, "succeeded");
    let shown = host.ok(&["task", "get", id]);
    let line = format!("schedule     often, tick {}\n", first["schedule"]["tick"].as_str().expect("an instant"));
    assert!(shown.contains(&line), "{shown}");
    let fired = host.lines(&["events"]).into_iter().filter(|event| event["event"] == "schedule-fired").count();
    assert_eq!(fired as u64, made);
}

#[test]
fn trigger_makes_a_task_that_is_waited_for_like_any_other() {
    let host = Host::start(&[]);
    host.deploy("hello");
    create(&host, "nightly", &[FAR, "--paused"]);
    let id = host.ok(&["schedule", "trigger", "nightly"]);
    host.until(&id, "succeeded");
    assert_eq!(host.json(&["task", "get", &id])["schedule"], json!({"name": "nightly", "tick": null}));
    let triggered = host.json(&["schedule", "trigger", "nightly"]);
    assert_eq!(triggered["schedule"]["triggered"], json!(2));
    host.ok(&["queue", "pause", "default"]);
    let waiting = host.ok(&["schedule", "trigger", "nightly"]);
    let (code, said) = refused(&host, &["schedule", "trigger", "nightly"]);
    assert!(code == Some(4) && said.contains("a task of the schedule has not ended"), "{said}");
    host.ok(&["schedule", "update", "nightly", "--overlap=queue"]);
    let output = host.sunaba(["schedule", "trigger", "nightly"]);
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        (String::new(), format!("its task waits for the end of {waiting}\n"))
    );
}

#[test]
fn deploy_that_changes_a_handler_admits_its_schedules_anew() {
    let host = Host::start(&[]);
    host.deploy("hello");
    create(&host, "nightly", &[FAR]);
    let deploy = |component: &str| {
        let file = guest(component).display().to_string();
        host.ok(&["handler", "deploy", &file, "--name=hello", "--allow-widening"]);
    };
    deploy("spin");
    let (code, said) = refused(&host, &["schedule", "trigger", "nightly"]);
    let gone = "version 2 of the package `hello` has no handler `hello`";
    assert!(code == Some(4) && said.contains(gone), "{said}");
    let shown = host.json(&["schedule", "get", "nightly"]);
    assert_eq!(
        (&shown["problem"]["reason"], &shown["failed"], &shown["revision"]),
        (&json!(gone), &json!(1), &json!(1))
    );
    assert!(host.ok(&["schedule", "list"]).contains(gone));
    host.ok(&["handler", "rollback", "hello"]);
    let id = host.ok(&["schedule", "trigger", "nightly"]);
    host.until(&id, "succeeded");
}

#[test]
fn schedules_that_cannot_be_are_refused_with_their_reason() {
    let host = Host::start(&[]);
    host.deploy("hello");
    for (more, code, expected) in [
        (&["--cron=0 0 30 2 *"][..], 8, "`0 0 30 2 *` has no tick any more"),
        (&["--cron=daily"], 8, "`daily` is not a cron expression"),
        (&[FAR, "--time-zone=Europe/Berln"], 8, "hint: write its name in the IANA database, such as `Europe/Berlin`"),
        (&[FAR, "--jitter=2days"], 8, "the jitter is 2 days; the limit is 1 day"),
        (&[FAR, "--overlap=never"], 2, "hint: write `skip`, `queue`, `cancel-old` or `allow`"),
        (&[FAR, "--catch-up=all(0)"], 2, "or `all(N)` with N from 1 to 1000"),
        (&[FAR, "--wait"], 2, "a schedule has no `--wait`"),
        (&[FAR, "--delay=5s"], 8, "hint: a task of a schedule is due at its tick"),
        (&[FAR, "--idempotency-key=k"], 8, "a key would allow no second"),
        (&[FAR, "--unique=k"], 8, "the overlap policy of the schedule says"),
        (&[FAR, "--expires-at=2030-01-01T00:00:00Z"], 8, "a task of a schedule expires so long after its tick"),
    ] {
        let arguments = [&["schedule", "create", "nightly", "hello/hello", ADA[0], ADA[1]], more].concat();
        let (exit, said) = refused(&host, &arguments);
        assert!(exit == Some(code) && said.contains(expected), "{more:?}: {exit:?} {said}");
    }
    let (code, said) =
        refused(&host, &["schedule", "create", "nightly", "hello/hello", FAR, "--input", r#"{"nam":1}"#]);
    assert!(code == Some(8) && said.contains("does not match the schema of `hello`"), "{said}");
    let (code, said) = refused(&host, &["schedule", "create", "nightly", "other/hello", FAR]);
    assert!(code == Some(3) && said.contains("`other`"), "{said}");
    create(&host, "nightly", &[FAR]);
    let (code, said) = refused(&host, &["schedule", "update", "nightly"]);
    assert!(code == Some(2) && said.contains("nothing says what to change"), "{said}");
    assert_eq!(host.lines(&["schedule", "list"]).len(), 1);
}

#[test]
fn change_is_made_only_of_the_revision_that_it_names() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let body = r#"{"cron": "0 0 3 1 1 * 2999", "task": {"handler": "hello/hello", "input": {"name": "Ada"}}}"#;
    let mut changes = 0;
    let mut put = |headers: &str| {
        changes += 1;
        // Another each time: one that is put as it is stays as it is.
        let body = body.replacen('{', &format!(r#"{{"jitter_ms": {changes}000,"#), 1);
        host.raw("PUT /v1/schedules/nightly", &format!("{JSON}{headers}"), &body)
    };
    for (headers, status, expected) in [
        ("If-Match: \"1\"\r\n", "412", "there is none"),
        ("If-None-Match: *\r\n", "201", r#""revision":1"#),
        ("If-None-Match: *\r\n", "412", "there is revision 1"),
        ("If-Match: \"1\"\r\n", "200", r#""revision":2"#),
        ("If-Match: \"1\"\r\n", "412", "there is revision 2"),
        ("If-Match: 2\r\n", "200", r#""revision":3"#),
        ("If-Match: new\r\n", "400", "the If-Match cannot be `new`"),
        ("If-Match: 3\r\nIf-None-Match: *\r\n", "400", "leave it out"),
        ("", "200", r#""revision":4"#),
    ] {
        let (found, answer) = put(headers);
        assert!(found == status && answer.contains(expected), "{headers}: {found} {answer}");
    }
    let (status, answer) = host.raw("POST /v1/schedules/nightly/pause", &format!("{JSON}If-Match: 3\r\n"), "{}");
    assert!(status == "412" && answer.contains("there is revision 4"), "{status} {answer}");
    for (target, body, expected) in [
        ("PUT /v1/schedules/Nightly", body, "422"),
        ("PUT /v1/schedules/nightly", r#"{"cron": "@daily", "every": 1, "task": {"handler": "hello/hello"}}"#, "400"),
        ("GET /v1/schedules?limit=x", "", "400"),
        ("GET /v1/schedules/nightly/next?count=5", "", "200"),
    ] {
        let (status, answer) = host.raw(target, JSON, body);
        assert_eq!(status, expected, "{target}: {answer}");
    }
}
