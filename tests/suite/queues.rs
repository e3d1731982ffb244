//! What an operator sets while tasks wait and run: queues, handlers, and what is kept.

use insta::assert_snapshot;
use serde_json::{Value, json};

use sunaba_runtime::client::{Client, task};

use crate::support::{Host, block_on, exchange, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

fn submit(host: &Host, more: &[&str]) -> String {
    host.ok(&[&["task", "submit", "hello/hello", ADA[0], ADA[1]], more].concat())
}

#[test]
fn paused_queue_starts_nothing_until_it_is_resumed() {
    let host = Host::start(&[]);
    host.deploy("hello");
    assert_eq!(text(&host.sunaba(["queue", "list"]).stderr), "no queue has tasks or settings\n");
    for quiet in
        [&["queue", "list"][..], &["task", "list"], &["dead", "list"], &["dead", "groups"], &["handler", "status"]]
    {
        assert_eq!(text(&host.sunaba([quiet, &["-q"]].concat()).stderr), "", "{quiet:?}");
    }
    assert_snapshot!(host.ok(&["queue", "pause", "mail"]), @r"
    queue        mail
    settings     paused
    tasks        0 queued, 0 scheduled, 0 running
    oldest       -
    attention    -
    ");
    let waiting = submit(&host, &["--queue=mail"]);
    submit(&host, &["--queue=mail", "--delay=1h"]);
    let other = submit(&host, &[]);
    assert_eq!(host.sunaba(["task", "result", &other, "--wait", "-q"]).status.code(), Some(0));
    let queue = host.json(&["queue", "show", "mail"]);
    assert_eq!(
        (&queue["paused"], &queue["queued"], &queue["scheduled"], &queue["attention"]),
        (&json!(true), &json!(1), &json!(1), &json!(["paused while tasks wait"]))
    );
    let listed = host.ok(&["queue", "list"]);
    assert!(listed.starts_with("QUEUE  QUEUED  SCHEDULED  RUNNING  OLDEST  SETTINGS  ATTENTION\n"), "{listed}");
    assert!(listed.contains("paused while tasks wait"), "{listed}");
    host.ok(&["queue", "resume", "mail"]);
    assert_eq!(host.sunaba(["task", "result", &waiting, "--wait", "-q"]).status.code(), Some(0));
}

#[test]
fn limits_of_a_queue_are_set_shown_kept_and_taken_away() {
    let mut host = Host::start(&[]);
    let set = ["queue", "set", "mail", "--concurrency=4", "--key-concurrency=1", "--rate=100/1s", "--key-rate=5/1m"];
    assert_snapshot!(host.ok(&[&set[..], &["--weight=3", "--max-depth=1000", "--aging=1m"]].concat()), @r"
    queue        mail
    settings     concurrency 4, key concurrency 1, rate 100/1s, key rate 5/60s, weight 3, max depth 1000, aging 60s
    tasks        0 queued, 0 scheduled, 0 running
    oldest       -
    attention    -
    ");
    host.ok(&["queue", "set", "mail", "--rate=none", "--weight=none"]);
    // That of the host's own deliveries is set like any other.
    host.ok(&["queue", "set", "sunaba:webhooks", "--key-concurrency=2"]);
    assert_eq!(host.json(&["queue", "show", "sunaba:webhooks"])["key_concurrency"], json!(2));
    host.kill();
    host.restart();
    let queue = host.json(&["queue", "show", "mail"]);
    assert_eq!((&queue["concurrency"], &queue["rate"], &queue["weight"]), (&json!(4), &Value::Null, &Value::Null));
    assert_eq!(queue["key_rate"], json!("5/60s"));
}

#[test]
fn full_queue_refuses_and_says_so() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "set", "mail", "--max-depth=1"]);
    let first = submit(&host, &["--queue=mail", "--delay=1h"]);
    let more = host.sunaba(["task", "submit", "hello/hello", ADA[0], ADA[1], "--queue=mail"]);
    let expected = "error: 1 tasks wait in the queue `mail`, and its greatest depth is 1\nhint: try again later\n";
    assert_eq!((more.status.code(), text(&more.stderr)), (Some(6), expected.into()));
    // A batch ends as each of its lines would, and where they would not end alike, as one that is not acceptable.
    let file = host.data.path().join("lines");
    let batch = |lines: &str| {
        std::fs::write(&file, lines).expect("written");
        host.sunaba(["task", "submit", "hello/hello", "--queue=mail", "--batch", &file.display().to_string()])
            .status
            .code()
    };
    assert_eq!(batch("{\"name\":\"Ada\"}\n{\"name\":\"Bob\"}"), Some(6));
    assert_eq!(batch("{\"name\":\"Ada\"}\n{\"name\":5}\n{\"name\":\"Bob\"}"), Some(8));
    host.ok(&["task", "cancel", &first]);
    submit(&host, &["--queue=mail"]);
}

#[test]
fn paused_handler_starts_nothing_until_it_is_resumed() {
    let host = Host::start(&[]);
    host.deploy("hello");
    assert_snapshot!(host.ok(&["handler", "pause", "hello/hello"]), @r"
    handler      hello/hello
    settings     paused
    tasks        0 queued, 0 running
    breaker      -
    attention    -
    ");
    let waiting = submit(&host, &[]);
    let listed = host.ok(&["handler", "status"]);
    assert!(listed.starts_with("HANDLER      QUEUED  RUNNING  FAILED  BREAKER  SETTINGS  ATTENTION\n"), "{listed}");
    assert!(listed.contains("paused while tasks wait"), "{listed}");
    assert_eq!(host.json(&["task", "get", &waiting])["state"], "queued");
    host.ok(&["handler", "resume", "hello/hello"]);
    assert_eq!(host.sunaba(["task", "result", &waiting, "--wait", "-q"]).status.code(), Some(0));
    let set = ["handler", "set", "hello/hello", "--concurrency=2", "--breaker=50%/20, 30s"];
    assert_snapshot!(host.ok(&set), @r"
    handler      hello/hello
    settings     concurrency 2, breaker 50%/20, 30s
    tasks        0 queued, 0 running
    breaker      closed
    attention    -
    ");
    let unknown = host.sunaba(["handler", "pause", "hello/goodbye"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", text(&unknown.stderr));
}

#[test]
fn values_that_cannot_be_set_are_refused() {
    let host = Host::start(&[]);
    host.deploy("hello");
    for (arguments, code, message) in [
        (&["queue", "set", "mail"][..], 2, "nothing says what to set\nhint: "),
        (&["queue", "set", "mail", "--concurrency=0"], 8, "the concurrency cannot be 0\nhint: "),
        (&["queue", "set", "mail", "--concurrency=-1"], 2, "hint: write a number from 1, or `none`"),
        (&["queue", "set", "mail", "--concurrency=4294967296"], 2, "hint: write a number from 1, or `none`"),
        (&["queue", "set", "mail", "--max-depth=0"], 8, "the greatest depth cannot be 0\nhint: "),
        (&["queue", "set", "mail", "--max-depth=18446744073709551616"], 2, "hint: write a number from 1, or `none`"),
        (&["queue", "set", "mail", "--weight=1001"], 8, "the weight cannot be 1001\nhint: "),
        (&["queue", "set", "mail", "--rate=fast"], 2, "`fast` is not a rate\nhint: "),
        (&["queue", "set", "mail", "--key-rate=1/0s"], 2, "`1/0s` is not a rate\nhint: "),
        (&["queue", "set", "mail", "--aging=1ms"], 8, "the aging cannot be 1ms\nhint: "),
        (&["queue", "set", "A b", "--concurrency=1"], 8, "`A b` cannot name a queue\nhint: "),
        (&["queue", "show", "nowhere"], 3, "there is no queue `nowhere`\nhint: "),
        (&["handler", "set", "hello/hello"], 2, "nothing says what to set\nhint: "),
        (&["handler", "set", "hello/hello", "--breaker=often"], 2, "`often` is not a breaker\nhint: "),
        (&["handler", "set", "hello/hello", "--concurrency=0"], 8, "the concurrency cannot be 0\nhint: "),
        (&["retention", "set", "--dead=0s"], 8, "the time for which records are kept cannot be 0us\nhint: "),
        (&["retention", "set", "--result=11years"], 8, "the time for which results are kept cannot be "),
        (&["retention", "set", "--succeeded=soon"], 2, "`soon` is not a duration\nhint: "),
    ] {
        let output = host.sunaba(arguments.iter().copied());
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(code), String::new()), "{arguments:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(message), "{arguments:?}: {said}");
    }
    assert_eq!(text(&host.sunaba(["queue", "list"]).stdout), "");
}

/// Whoever has seen settings changes those, and not what another has set meanwhile.
#[test]
fn revision_of_settings_obeyed_and_violated() {
    const JSON: &str = "Content-Type: application/json\r\n";
    let host = Host::start(&[]);
    host.deploy("hello");
    let headers = format!("{JSON}If-None-Match: *\r\n");
    let (status, set) = host.raw("PATCH /v1/queues/mail", &headers, r#"{"weight":2}"#);
    assert_eq!(status, "200", "{set}");
    let (status, late) = host.raw("PATCH /v1/queues/mail", &headers, r#"{"weight":3}"#);
    assert!(status == "412" && late.contains(r#""code":"precondition-failed""#), "{status}: {late}");
    let seen: Value = serde_json::from_str(&set).expect("JSON");
    let seen = &seen["revision"].to_string();
    assert_eq!(host.json(&["queue", "show", "mail"])["revision"].to_string(), *seen);
    let change = |seen: &str| host.sunaba(["queue", "set", "mail", "--rate=5/1s", "--revision", seen]);
    assert_eq!(change(seen).status.code(), Some(0));
    let late = change(seen);
    let said = text(&late.stderr);
    assert_eq!(late.status.code(), Some(4), "{said}");
    assert!(said.starts_with("error: the settings of the queue `mail` are others by now\nhint: "), "{said}");

    let tag = || {
        let (head, _) = exchange(&host.address, "GET /v1/handlers/hello/hello", "", "");
        head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("it has one").to_owned()
    };
    let seen = tag();
    assert_eq!(host.sunaba(["handler", "pause", "hello/hello"]).status.code(), Some(0));
    assert_ne!(tag(), seen);
    let resume = |seen: &str| {
        let headers = format!("{JSON}If-Match: {seen}\r\n");
        host.raw("PATCH /v1/handlers/hello/hello", &headers, r#"{"paused":false}"#).0
    };
    assert_eq!(resume(&seen), "412");
    assert_eq!(resume(&tag()), "200");
    assert_eq!(host.sunaba(["handler", "pause", "hello/hello", "--revision=1"]).status.code(), Some(4));
}

#[test]
fn full_queue_says_when_to_ask_again() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["queue", "pause", "default"]);
    host.ok(&["queue", "set", "default", "--max-depth=1"]);
    submit(&host, &[]);
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let hello = task("hello/hello", &json!({"name": "Ada"})).expect("JSON");
        let full = client.submit_task(&hello).await.expect_err("it is full");
        assert_eq!(full.status(), Some(429), "{full}");
        assert!(full.retry_after().is_some_and(|after| !after.is_zero()), "{full:?}");
    });
}

#[test]
fn retention_is_shown_and_set_and_kept() {
    let mut host = Host::start(&[]);
    assert_snapshot!(host.ok(&["retention", "show"]), @r"
    result       1h
    succeeded    7 days
    cancelled    7 days
    expired      7 days
    dead         until they are deleted
    ");
    host.ok(&["retention", "set", "--result=2h", "--succeeded=none", "--dead=30d"]);
    host.kill();
    host.restart();
    assert_snapshot!(host.ok(&["retention", "show"]), @r"
    result       2h
    succeeded    until they are deleted
    cancelled    7 days
    expired      7 days
    dead         30 days
    ");
}
