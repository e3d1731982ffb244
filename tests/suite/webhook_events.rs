//! What webhooks are told besides tasks, when an endpoint says it wants it, who sees where it is, and webhooks of the file.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Host, sunaba, text};
use crate::webhooks::{Endpoint, Got, LOCAL, add};

const ADA: [&str; 3] = ["hello/hello", "--input", r#"{"name":"Ada"}"#];
/// The bytes 0 to 31.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn host(more: &[&str]) -> Host {
    let host = Host::start(&[&LOCAL[..], more].concat());
    host.deploy("hello");
    host
}

fn is(event: &'static str) -> impl Fn(&Got) -> bool {
    move |got| got.json()["type"] == event
}

#[test]
fn alert_is_told_when_it_fires_and_when_it_is_resolved() {
    let host = host(&[
        "--watch-interval=50ms",
        "--alert=fire-after=10ms",
        "--alert=resolve-after=10ms",
        "--alert=queue-wait=0s",
        "--alert=stuck-after=1h",
    ]);
    let endpoint = Endpoint::start();
    let secret = add(&host, "alerts", &endpoint.url, &["--event=alert.*"]);
    host.ok(&["handler", "pause", "hello/hello"]);
    let id = host.ok(&[&["task", "submit"], &ADA[..]].concat());
    let firing = endpoint.next_of(is("alert.firing"));
    assert!(firing.is_signed_by(&secret));
    let told = firing.take();
    let data = &told["data"];
    assert_eq!((&data["rule"], &data["subject"]), (&json!("queue-wait"), &json!("default")), "{told}");
    assert!(data["message"].as_str().is_some_and(|message| message.contains("has waited")), "{told}");
    assert!(data["fired_at"].is_string() && data["resolved_at"].is_null(), "{told}");
    host.ok(&["handler", "resume", "hello/hello"]);
    host.until(&id, "succeeded");
    let told = endpoint.next_of(is("alert.resolved")).take();
    assert_eq!((&told["data"]["rule"], &told["data"]["fired_at"]), (&json!("queue-wait"), &data["fired_at"]), "{told}");
    assert!(told["data"]["resolved_at"].is_string(), "{told}");
}

#[test]
fn schedules_and_jobs_are_told_of() {
    let (host, endpoint) = (host(&[]), Endpoint::start());
    add(&host, "all", &endpoint.url, &["--event=schedule.*,job.*"]);
    let far = "--cron=0 0 3 1 1 * 2999";
    host.ok(&["schedule", "create", "nightly", ADA[0], ADA[1], ADA[2], far]);
    assert_eq!(endpoint.next_of(is("schedule.created")).take()["data"]["schedule"], "nightly");
    host.ok(&["schedule", "trigger", "nightly"]);
    let fired = endpoint.next_of(is("schedule.fired")).take();
    let task = fired["data"]["task"].as_str().expect("a task").to_owned();
    host.until(&task, "succeeded");
    host.ok(&["schedule", "pause", "nightly"]);
    assert_eq!(endpoint.next_of(is("schedule.paused")).take()["data"]["schedule"], "nightly");
    let job = json!({"name": "two", "nodes": [
        {"name": "a", "handler": "hello/hello", "input": {"name": "Ada"}},
        {"name": "b", "handler": "hello/hello", "input": {"name": "Bob"}, "after": ["a"]},
    ]});
    let (status, answer) = host.raw("POST /v1/jobs", "Content-Type: application/json\r\n", &job.to_string());
    assert_eq!(status, "201", "{answer}");
    let id = serde_json::from_str::<Value>(&answer).expect("JSON")["id"].clone();
    for event in ["job.submitted", "job.succeeded"] {
        let told = endpoint.next_of(is(event)).take();
        assert_eq!((&told["data"]["job"], &told["data"]["name"]), (&id, &json!("two")), "{told}");
    }
}

/// A webhook's only delivery, once it is planned anew, and how long that is from its failure on, in seconds.
fn planned(host: &Host) -> f64 {
    loop {
        let delivery = host.lines(&["webhook", "deliveries", "billing"]).remove(0);
        if delivery["state"] == "retry-scheduled" {
            let at = |text: &Value| text.as_str().expect("text").parse::<sunaba_runtime::task::Timestamp>();
            let due = at(&delivery["due_at"]).expect("an instant");
            return due.since(at(&delivery["attempts"][0]["at"]).expect("an instant")).as_secs_f64();
        }
    }
}

#[test]
fn endpoint_that_says_when_it_wants_a_delivery_gets_it_then() {
    for (status, from, to) in [
        ("503 Service Unavailable\r\nRetry-After: 1800", 1_800.0, 2_400.0),
        ("429 Too Many Requests\r\nRetry-After: 99999999", 86_400.0, 87_000.0),
        // Of other statuses it means something else.
        ("500 Internal Server Error\r\nRetry-After: 1800", 4.0, 600.0),
    ] {
        let (host, endpoint) = (host(&[]), Endpoint::start());
        add(&host, "billing", &endpoint.url, &["--event=task.submitted"]);
        host.ok(&[&["task", "submit"], &ADA[..]].concat());
        endpoint.next().answer(status);
        let planned = planned(&host);
        assert!((from..to).contains(&planned), "{status}: {planned}");
    }
}

#[test]
fn path_of_a_webhook_is_shown_to_whoever_may_set_it_and_to_nobody_else() {
    let host = host(&[]);
    add(&host, "billing", "https://example.com/hooks/hunter2?token=x", &["--event=task.dead"]);
    let key = |scope: &str| host.ok(&["key", "create", scope, "--scope", scope]);
    let (operator, admin) = (key("operate"), key("admin"));
    for target in ["GET /v1/webhooks", "GET /v1/webhooks/billing"] {
        let shown = |key: &str| host.raw(target, &format!("Authorization: Bearer {key}\r\n"), "");
        let (status, answer) = shown(&operator);
        assert!(status == "200" && answer.contains("https://example.com/\u{2026}"), "{target}: {status} {answer}");
        assert!(!answer.contains("hunter2") && !answer.contains("token"), "{answer}");
        assert!(shown(&admin).1.contains("https://example.com/hooks/hunter2?token=x"), "{target}");
    }
    let (_, page) = host.raw("GET /v1/audit", &format!("Authorization: Bearer {admin}\r\n"), "");
    assert!(page.contains("webhook.put") && !page.contains("hunter2") && !page.contains("url_digest"), "{page}");
}

#[test]
fn webhook_of_the_file_is_there_from_the_start_and_a_reload_changes_it() {
    let endpoint = Endpoint::start();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("billing.secret");
    std::fs::write(&secret, format!("{SECRET}\n")).expect("written");
    let write = |event: &str| {
        let webhook = format!(
            "[webhooks.billing]\nurl = \"{}\"\nevents = [\"{event}\"]\nsecret = \"file:billing.secret\"\n",
            endpoint.url
        );
        std::fs::write(folder.path().join("sunaba.toml"), webhook).expect("written");
    };
    write("task.submitted");
    let file = folder.path().join("sunaba.toml").display().to_string();
    let mut host = host(&["--config", &file]);
    let id = host.ok(&[&["task", "submit"], &ADA[..]].concat());
    let got = endpoint.next();
    assert!(got.is_signed_by(SECRET));
    assert_eq!(got.take()["data"]["task"], json!(id));
    let entry = host.lines(&["audit", "list"]).into_iter().find(|entry| entry["what"] == "webhook.put");
    assert_eq!(entry.expect("it is logged")["who"], "configuration");
    write("task.succeeded");
    host.signal(Signal::HUP);
    host.until_said("reloaded: webhook `billing`: set as it is declared\n");
    let id = host.ok(&[&["task", "submit"], &ADA[..]].concat());
    assert_eq!(endpoint.next_of(is("task.succeeded")).take()["data"]["task"], json!(id));
    // What is wrong with it stops a start, and tells nothing of what stands there.
    host.kill();
    std::fs::write(&secret, "hunter2").expect("written");
    let data = folder.path().join("other").display().to_string();
    let output = sunaba(["serve", "--config", &file, "--data", &data, "--listen=127.0.0.1:0", LOCAL[0], LOCAL[1]]);
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("the secret of the webhook `billing` cannot be had"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn deliveries_are_counted_by_webhook_and_outcome() {
    let (host, endpoint) = (host(&[]), Endpoint::start());
    add(&host, "billing", &endpoint.url, &["--event=task.submitted"]);
    host.ok(&[&["task", "submit"], &ADA[..]].concat());
    endpoint.next().answer("200 OK");
    let line = r#"sunaba_webhook_requests_total{webhook="billing",outcome="taken"} 1"#;
    loop {
        let (_, metrics) = host.raw("GET /metrics", "", "");
        if metrics.contains(line) {
            for more in [
                r#"sunaba_webhook_deliveries_total{webhook="billing",outcome="delivered"} 1"#,
                r#"sunaba_webhook_deliveries_pending{webhook="billing"} 0.0"#,
                r#"sunaba_webhook_answer_seconds_count{webhook="billing"} 1"#,
            ] {
                assert!(metrics.contains(more), "{more}: {metrics}");
            }
            return;
        }
        std::thread::sleep(Duration::ZERO);
    }
}
