//! What an operator sees of a host from outside: whether it is ready, what it counts, what is wrong, and what it has done.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Host, root, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];
/// What is wrong is told at once.
const AT_ONCE: [&str; 3] = ["--watch-interval=10ms", "--alert=fire-after=0s", "--alert=resolve-after=0s"];

fn metrics(host: &Host) -> String {
    let (status, text) = host.raw("GET /metrics", "", "");
    assert_eq!(status, "200", "{text}");
    text
}

/// The value of a line, of which the name and all labels are given.
fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn readiness_says_each_check() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--wait"]);
    // It is answered from the last look, which may still have seen the task.
    while !host.raw("GET /readyz", "", "").1.contains(" session, 0 running") {
        std::thread::yield_now();
    }
    let (status, said) = host.raw("GET /readyz", "", "");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        (status.as_str(), &lines[..3]),
        ("200", &["ok", "durability sync", "store: takes changes"][..]),
        "{said}"
    );
    assert!(lines[3].starts_with("disk: ") && lines[3].ends_with(" left"), "{said}");
    assert_eq!(lines[4], "worker: 1 with a session, 0 running");
    assert_eq!(host.raw("GET /livez", "", ""), ("200".into(), "ok\n".into()));
}

#[test]
fn metrics_count_what_tasks_do() {
    let host = Host::start(&["--concurrency=3"]);
    host.deploy("hello");
    host.deploy("retry-or-fail");
    let before = metrics(&host);
    assert_eq!(value(&before, "sunaba_slots"), Some(3.0));
    assert!(!before.contains("sunaba_tasks_submitted_total{"), "{before}");
    for _ in 0..2 {
        host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--wait"]);
    }
    let last = r#"{"how":"last-attempt"}"#;
    let retried =
        ["task", "submit", "retry-or-fail/retry-or-fail", "--input", last, "--max-attempts=2", "--backoff=fixed(1ms)"];
    host.until(&host.ok(&retried), "succeeded");
    let fatal = host.ok(&["task", "submit", "retry-or-fail/retry-or-fail", "--input", r#"{"how":"fatal"}"#]);
    host.until_dead(&fatal);
    host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay=1h", "--queue=later"]);
    let after = metrics(&host);
    let hello = r#"queue="default",handler="hello/hello""#;
    let other = r#"queue="default",handler="retry-or-fail/retry-or-fail""#;
    for (name, expected) in [
        (format!("sunaba_tasks_submitted_total{{{hello}}}"), 2.0),
        (r#"sunaba_tasks_submitted_total{queue="later",handler="hello/hello"}"#.into(), 1.0),
        (format!(r#"sunaba_tasks_ended_total{{{hello},state="succeeded"}}"#), 2.0),
        (format!(r#"sunaba_tasks_ended_total{{{other},state="dead"}}"#), 1.0),
        (format!(r#"sunaba_attempts_total{{{other},outcome="failed",cause=""}}"#), 2.0),
        (format!(r#"sunaba_attempts_total{{{other},outcome="completed",cause=""}}"#), 1.0),
        (format!("sunaba_retries_total{{{other}}}"), 1.0),
        (format!("sunaba_run_seconds_count{{{hello}}}"), 2.0),
        (format!("sunaba_fuel_count{{{hello}}}"), 2.0),
        (format!(r#"sunaba_peak_memory_bytes_bucket{{le="+Inf",{hello}}}"#), 2.0),
        (r#"sunaba_queue_tasks{queue="later",state="scheduled"}"#.into(), 1.0),
        (r#"sunaba_recoveries_total{by="retry"}"#.into(), 1.0),
        ("sunaba_dead_tasks".into(), 1.0),
        ("sunaba_workers".into(), 1.0),
        ("sunaba_store_failed".into(), 0.0),
    ] {
        assert_eq!(value(&after, &name), Some(expected), "{name}\n{after}");
    }
    assert!(value(&after, "sunaba_memory_resident_bytes") > Some(1e6), "{after}");
    assert!(value(&after, "sunaba_events_total") >= Some(12.0), "{after}");
}

/// Every word of a text that begins like one of our metrics.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| word.starts_with("sunaba_")).collect()
}

fn ops(file: &str) -> String {
    std::fs::read_to_string(root().join("runtime/ops").join(file)).expect("it is there")
}

/// What a scraper stores under which name.
fn stored(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let suffixes = |kind: &str| match kind {
        "counter" => vec!["_total"],
        "histogram" => vec!["_bucket", "_sum", "_count"],
        "info" => vec!["_info"],
        _ => vec![""],
    };
    types.flat_map(|(name, kind)| suffixes(kind).into_iter().map(move |suffix| format!("{name}{suffix}"))).collect()
}

#[test]
fn every_metric_of_the_rules_and_of_the_dashboard_exists() {
    let host = Host::start(&["--watch-interval=10ms"]);
    let mut shown = metrics(&host);
    // The size of the store is known after the first look at it.
    while !shown.contains("sunaba_store_size_bytes ") {
        shown = metrics(&host);
    }
    let stored = stored(&shown);
    for file in ["prometheus-rules.yml", "grafana-dashboard.json"] {
        let text = ops(file);
        let named = named(&text);
        assert!(named.len() > 10, "{file}: {named:?}");
        for name in named {
            assert!(stored.contains(name), "{file} names `{name}`, which a host does not have: {stored:?}");
        }
    }
}

#[test]
fn every_alert_of_a_host_has_a_rule_for_prometheus_too() {
    let rules = ops("prometheus-rules.yml");
    for rule in [
        "failure-rate",
        "backlog",
        "queue-wait",
        "memory",
        "stuck",
        "circuit-open",
        "disk",
        "workers",
        "store",
        "webhook",
    ] {
        assert!(rules.contains(&format!("rule: {rule}}}")), "no rule for `{rule}`");
    }
}

#[test]
fn dashboard_is_one_that_grafana_reads() {
    let dashboard: Value = serde_json::from_str(&ops("grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("a number")).collect();
    assert!(panels.len() > 20 && ids.len() == panels.len(), "{ids:?}");
    let mut places = BTreeSet::new();
    for panel in panels {
        let place = &panel["gridPos"];
        let end = place["x"].as_u64().expect("a place") + place["w"].as_u64().expect("a width");
        assert!(end <= 24 && places.insert((place["x"].as_u64(), place["y"].as_u64())), "{panel:#}");
        let targets = panel["targets"].as_array();
        assert!(panel["type"] == "row" || targets.is_some_and(|targets| !targets.is_empty()), "{panel:#}");
    }
}

/// Waits until the first alert is so.
fn until_alert(host: &Host, state: &str) -> Value {
    loop {
        let alerts = host.lines(&["alert", "list"]);
        if let Some(alert) = alerts.into_iter().find(|alert| alert["state"] == state) {
            return alert;
        }
    }
}

#[test]
fn alert_fires_once_and_is_resolved_once() {
    let mut host = Host::start(&[&AT_ONCE[..], &["--alert=queue-wait=0s", "--alert=stuck-after=1h"]].concat());
    host.deploy("hello");
    assert_eq!(text(&host.sunaba(["alert", "list"]).stderr), "nothing is wrong\n");
    host.ok(&["handler", "pause", "hello/hello"]);
    let id = host.ok(&["task", "submit", "hello/hello", ADA[0], ADA[1]]);
    let alert = until_alert(&host, "firing");
    assert_eq!((&alert["alert"], &alert["subject"]), (&json!("queue-wait"), &json!("default")), "{alert:#}");
    let found = alert["message"].as_str().expect("text");
    assert!(found.starts_with("the oldest task has waited "), "{found}");
    assert!(metrics(&host).contains(r#"sunaba_alert_firing{alert="queue-wait",subject="default"} 1.0"#));
    let shown = host.ok(&["alert", "list", "--firing"]);
    assert!(shown.starts_with("ALERT ") && shown.contains("queue-wait"), "{shown}");
    host.ok(&["handler", "resume", "hello/hello"]);
    host.until(&id, "succeeded");
    let alert = until_alert(&host, "resolved");
    assert!(alert["resolved_at"].is_string(), "{alert:#}");
    assert_eq!(host.lines(&["alert", "list", "--firing"]), Vec::<Value>::new());
    assert_eq!(value(&metrics(&host), "sunaba_alerts_fired_total"), Some(1.0));
    let (_, said) = host.stop(Signal::TERM);
    let told = said.lines().filter(|line| line.contains("queue-wait"));
    assert_eq!(told.map(|line| line.contains("resolved: ")).collect::<Vec<_>>(), [false, true], "{said}");
}

#[test]
fn alert_rule_that_is_none_is_refused() {
    let host = Host::start(&["--alert=min-workers=2", AT_ONCE[0], AT_ONCE[1]]);
    let alert = until_alert(&host, "firing");
    assert_eq!((&alert["alert"], &alert["message"]), (&json!("workers"), &json!("1 worker, fewer than 2")));
    let wrong = crate::support::sunaba(["serve", "--alert", "speed=1"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("hint: write NAME=VALUE"), "{}", text(&wrong.stderr));
}

/// The only period of a report.
fn report(host: &Host) -> Value {
    let report = host.json(&["report"]);
    assert_eq!(report["targets"]["error_percent"], 1.0);
    report["periods"][0].clone()
}

#[test]
fn report_and_incidents_outlive_restarts() {
    let mut host = Host::start(&["--watch-interval=10ms"]);
    host.deploy("retry-or-fail");
    let submit = |host: &Host, input: &str| {
        let retried = ["--max-attempts=2", "--backoff=fixed(1ms)"];
        host.ok(&[&["task", "submit", "retry-or-fail/retry-or-fail", "--input", input][..], &retried].concat())
    };
    let recovered = submit(&host, r#"{"how":"last-attempt"}"#);
    host.until(&recovered, "succeeded");
    let dead = submit(&host, r#"{"how":"fatal"}"#);
    host.until_dead(&dead);
    let fixed = r#"{"how":"succeed"}"#;
    let again = host.ok(&["task", "rerun", &dead, "--input", fixed]);
    host.until(&again, "succeeded");
    host.stop(Signal::TERM);
    host.restart();
    let period = report(&host);
    for (name, expected) in
        [("submitted", 3), ("succeeded", 2), ("dead", 1), ("failed", 2), ("recovered", 1), ("recovered_by_person", 1)]
    {
        assert_eq!(period[name], expected, "{name}: {period:#}");
    }
    assert_eq!(period["figures"]["self_healed_percent"], 50.0);
    assert_eq!(period["missed"].as_array().expect("a list").iter().filter(|missed| *missed == "errors").count(), 1);
    let incidents = host.lines(&["incident", "list"]);
    let seen: BTreeSet<_> = incidents
        .iter()
        .map(|incident| {
            let resolved = &incident["resolved"];
            (incident["pattern"].as_str().expect("text"), resolved["by_retry"].as_u64(), resolved["by_rerun"].as_u64())
        })
        .collect();
    let expected = [("attempt # of #", Some(1), Some(0)), ("the account is closed", Some(0), Some(1))];
    assert_eq!(seen, BTreeSet::from(expected));
    let of_dead = incidents.iter().find(|incident| incident["kind"] == "account-closed").expect("it is there");
    let shown = host.ok(&["incident", "show", of_dead["id"].as_str().expect("text")]);
    assert!(shown.contains("resolved by  rerun (1), ") && shown.contains(&dead), "{shown}");
    assert_eq!(host.sunaba(["incident", "show", "none"]).status.code(), Some(3));
    let shown = host.ok(&["report"]);
    assert!(shown.contains("\nself-healed  50.00 %  target at least 95.00 %, MISSED\n"), "{shown}");
    for (by, rows) in [("--daily", 7), ("--weekly", 8)] {
        assert_eq!(host.lines(&["report", by]).len(), rows);
        assert_eq!(host.ok(&["report", by]).lines().count(), rows + 1);
    }
}

#[test]
fn time_without_a_host_after_a_crash_is_not_available() {
    let mut host = Host::start(&["--watch-interval=10ms"]);
    while report(&host)["figures"]["availability_percent"].is_null() {}
    host.kill();
    host.restart();
    let down = report(&host)["figures"]["availability_percent"].as_f64().expect("a number");
    assert!(down < 100.0, "{down}");
}

#[test]
fn log_is_json_where_that_is_asked_for() {
    let mut host = Host::start(&["--log-format=json", "-v", AT_ONCE[0], AT_ONCE[1], "--alert=min-workers=2"]);
    until_alert(&host, "firing");
    let (code, said) = host.stop(Signal::TERM);
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    let alert = lines.iter().find(|line| line["alert"] == "workers").expect("it is told");
    assert_eq!((&alert["level"], &alert["message"]), (&json!("ERROR"), &json!("1 worker, fewer than 2")));
    assert!(lines.iter().any(|line| line["message"] == "stopped; nothing is lost"), "{said}");
    assert_eq!(code, Some(0));
}

/// From a submit's header to the handler.
#[test]
fn traceparent_goes_from_the_submit_to_the_handler() {
    use std::sync::Arc;
    use std::time::Duration;

    use sunaba_runtime::Runtime;
    use sunaba_runtime::server::Server;
    use sunaba_runtime::task::{Outcome, Payload};

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (address, stop) = runtime.block_on(async {
        let host = Runtime::builder().native("trace/tell", |native| async move {
            let attributes: std::collections::BTreeMap<_, _> = native.context.attributes.into_iter().collect();
            Ok(Outcome::Complete(Payload::json(serde_json::to_string(&attributes).expect("texts"))))
        });
        let host = Arc::new(host.start().await.expect("it starts"));
        let server = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port is free");
        let (address, stop) = (server.address(), Arc::new(tokio::sync::Notify::new()));
        let stopped = Arc::clone(&stop);
        tokio::spawn(async move {
            server.serve(Arc::clone(&host), async move { stopped.notified().await }).await;
            host.stop(Duration::from_secs(1)).await
        });
        (format!("http://{address}"), stop)
    });
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let json = "Content-Type: application/json\r\n";
    let body = r#"{"handler":"trace/tell","idempotency_key":"one"}"#;
    let post = |trace: &str| {
        let (status, task) =
            crate::support::raw(&address, "POST /v1/tasks", &format!("{json}Traceparent: {trace}\r\n"), body);
        let task: Value = serde_json::from_str(&task).expect("JSON");
        (status, task["id"].as_str().expect("text").to_owned())
    };
    let (status, id) = post(trace);
    assert_eq!(status, "201");
    // The same request in another trace is the same request.
    assert_eq!(post("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01"), ("200".into(), id.clone()));
    crate::support::raw(&address, &format!("GET /v1/tasks/{id}?wait_ms=20000"), "", "");
    let result = crate::support::raw(&address, &format!("GET /v1/tasks/{id}/result"), "", "").1;
    assert!(result.contains(trace), "{result}");
    stop.notify_one();
}
