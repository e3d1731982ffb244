//! `sunaba top` and `sunaba host`, where nobody watches.

use crate::support::Host;

/// A host whose queue `mail` is paused with a task in it.
fn host() -> Host {
    let host = Host::start(&["--concurrency", "2", "--memory-budget", "1GiB"]);
    host.deploy("hello");
    host.ok(&["queue", "pause", "mail"]);
    host.ok(&["task", "submit", "hello/hello", "--queue", "mail", "--input", r#"{"name":"Ada"}"#, "-q"]);
    host
}

/// What is shown, with one space between the words.
fn words(shown: &str) -> Vec<String> {
    shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn top_shows_all_of_a_look_once() {
    let host = host();
    let shown = words(&host.ok(&["top", "--once"]));
    assert_eq!(shown[0], format!("sunaba {} at {}", env!("CARGO_PKG_VERSION"), host.address));
    assert!(shown[1].starts_with("0 of 2 slots in use, "), "{shown:#?}");
    assert!(shown.contains(&"WORKER QUEUES SLOTS WANTED BUSY MEMORY RESTARTS".into()), "{shown:#?}");
    assert!(shown.contains(&"QUEUE QUEUED SCHEDULED RUNNING OLDEST SETTINGS ATTENTION".into()), "{shown:#?}");
    let mail = shown.iter().find(|line| line.starts_with("mail ")).expect("the queue");
    assert!(mail.starts_with("mail 1 0 0 ") && mail.contains("paused while tasks wait"), "{mail}");
}

#[test]
fn top_prints_a_line_for_each_look_where_nobody_watches() {
    let host = host();
    let lines = words(&host.ok(&["top", "--count", "2", "--interval", "100ms"]));
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.starts_with("queued 1, scheduled 0, running 0 of 2, oldest ")), "{lines:?}");
    assert!(lines[0].ends_with("; attempts/s after the next look; alerts 0"), "{lines:?}");
    assert!(lines[1].ends_with("; 0.0 attempts/s, 0.0 failed/s; alerts 0"), "{lines:?}");
    let looks = host.lines(&["top", "--count", "3", "--interval", "100ms"]);
    assert_eq!(looks.len(), 3);
    assert_eq!(looks[0]["queues"][0]["name"], "mail");
    assert!(looks[0]["attempts_per_second"].is_null() && looks[2]["attempts_per_second"] == 0.0, "{:#}", looks[2]);
}

#[test]
fn top_leaves_out_what_a_key_may_not_see() {
    let mut host = host();
    let admin = host.ok(&["key", "create", "admin", "--scope", "admin"]);
    let key = host.ok(&["key", "create", "mail", "--scope", "read", "--queue", "mail", "--api-key", &admin]);
    host.add_arguments(&["--require-keys"]);
    host.stop(rustix::process::Signal::TERM);
    host.restart();
    let look = host.json(&["top", "--once", "--api-key", &key]);
    assert_eq!((&look["workers"], &look["alerts"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert_eq!(look["queues"][0]["queued"], 1, "{look:#}");
}

#[test]
fn host_shows_itself_and_its_metrics() {
    let host = host();
    let shown = words(&host.ok(&["host", "show"]));
    assert!(shown.contains(&"ready yes".into()) && shown.contains(&"slots 0 of 2 in use".into()), "{shown:#?}");
    assert!(host.json(&["host", "show"])["not_ready"].is_null());
    let metrics = host.ok(&["host", "metrics"]);
    assert_eq!(
        (metrics.lines().last(), host.json(&["host", "metrics"])["openmetrics"].is_string()),
        (Some("# EOF"), true)
    );
}
