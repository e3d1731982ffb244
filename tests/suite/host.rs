//! A host as its users see it: the binary `sunaba serve`, and the commands that talk to it.

use std::time::Duration;

use insta::assert_snapshot;
use rustix::process::Signal;
use serde_json::{Value, json};
use sunaba_runtime::Client;
use sunaba_runtime::server::api::Filter;

use crate::support::{Host, block_on, guest, root, text};

const ADA: [&str; 2] = ["--input", r#"{"name":"Ada"}"#];

/// What varies from run to run is written `*`.
fn stable(text: &str) -> String {
    let is_digits =
        |word: &str| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-:".contains(&byte));
    let word = |word: &str| {
        let core = word.trim_start_matches("sha256:");
        if is_digits(core) || (word.contains('T') && word.ends_with('Z')) || word.starts_with("host-") {
            "*".into()
        } else {
            word.to_owned()
        }
    };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn task_is_submitted_run_and_read() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submitted = host.sunaba(["task", "submit", "hello/hello", ADA[0], ADA[1]]);
    assert_eq!(submitted.status.code(), Some(0), "{}", text(&submitted.stderr));
    let id = text(&submitted.stdout).trim().to_owned();
    let result = host.sunaba(["task", "result", &id, "--wait", "--quiet"]);
    assert_eq!((result.status.code(), text(&result.stdout)), (Some(0), "{\"greeting\":\"Hello, Ada!\"}\n".into()));
    let shown = host.sunaba(["task", "get", &id]);
    assert_snapshot!(stable(&text(&shown.stdout)), @r"
    task         *
    state        succeeded
    handler      hello/hello
    queue        default, priority 0
    attempts     1 started, 0 of at most 4 failures, 0 hosts lost
    submitted    *
    ended        *
    input        14 B of application/json
    output       26 B of application/json
    limits       timeout 5s, memory 16.0 MiB, fuel exact
    grants       none
    component    *
    version      pinned to this component
    attempt      1 completed; succeed (the handler completed)
    ");
    let listed = host.sunaba(["task", "list", "--state", "succeeded", "--handler", "hello", "-o", "json"]);
    let task: Value = serde_json::from_slice(&listed.stdout).expect("one line of JSON");
    assert_eq!((&task["id"], &task["state"]), (&json!(id), &json!("succeeded")));
    assert_eq!(text(&host.sunaba(["task", "list", "--state", "dead"]).stdout), "");
}

#[test]
fn submit_that_waits_ends_as_run_does() {
    let host = Host::start(&[]);
    host.deploy("hello");
    host.deploy("retry-or-fail");
    host.deploy("spin");
    let submit = |more: &[&str]| {
        let output = host.sunaba(["task", "submit"].iter().chain(more).chain(&["--wait", "-o", "json"]).copied());
        let result: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr)));
        (output.status.code().expect("it was not killed"), result)
    };
    let (code, result) = submit(&["hello/hello", ADA[0], ADA[1]]);
    assert_eq!(
        (code, &result["state"], &result["output"]),
        (0, &json!("succeeded"), &json!({"greeting": "Hello, Ada!"}))
    );
    assert!(result["id"].is_string() && result["receipt"]["fuel"].is_u64());

    let (code, result) = submit(&["retry-or-fail/retry-or-fail", "--input", r#"{"how":"fatal"}"#]);
    assert_eq!((code, &result["state"], &result["failure"]["cause"]), (7, &json!("dead"), &json!("handler")));

    let (code, result) = submit(&["spin/spin", "--timeout", "200ms", "--max-attempts", "1"]);
    assert_eq!((code, &result["state"], &result["failure"]["cause"]), (124, &json!("dead"), &json!("timeout")));
    let frames = result["failure"]["backtrace"].as_array().expect("a backtrace");
    assert_eq!(frames[0]["function"], "spin::spin");
}

#[test]
fn failed_task_is_retried_and_says_why() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    let input = r#"{"how":"last-attempt"}"#;
    // The handler fails until its last attempt.
    let args = [
        "task",
        "submit",
        "retry-or-fail/retry-or-fail",
        "--input",
        input,
        "--max-attempts",
        "2",
        "--wait",
        "-o",
        "json",
    ];
    let output = host.sunaba(args);
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &result["output"]), (Some(0), &json!({"attempt": 2})), "{result:#}");
    let id = result["id"].as_str().expect("an id");
    let task: Value = serde_json::from_slice(&host.sunaba(["task", "get", id, "-o", "json"]).stdout).expect("JSON");
    assert_eq!((&task["attempts_started"], &task["failures_charged"]), (&json!(2), &json!(1)));
    let first = &task["attempts"][0];
    assert_eq!(
        (&first["ending"], &first["verdict"], &first["charged"]),
        (&json!("failed"), &json!("retry"), &json!(true))
    );
    assert!(first["delay_ms"].as_u64().is_some_and(|ms| (900..=1_100).contains(&ms)), "{first:#}");
}

#[test]
fn snoozed_task_waits_uncharged() {
    let host = Host::start(&[]);
    host.deploy("retry-or-fail");
    let input = r#"{"how":"snooze","seconds":3600}"#;
    let id = text(&host.sunaba(["task", "submit", "retry-or-fail/retry-or-fail", "--input", input]).stdout);
    let id = id.trim();
    host.until(id, "scheduled");
    let task: Value = serde_json::from_slice(&host.sunaba(["task", "get", id, "-o", "json"]).stdout).expect("JSON");
    assert_eq!((&task["attempts_started"], &task["failures_charged"]), (&json!(1), &json!(0)));
    assert_eq!(
        (&task["attempts"][0]["ending"], &task["attempts"][0]["verdict"]),
        (&json!("snoozed"), &json!("snooze"))
    );
    assert_eq!(task["attempts"][0]["delay_ms"], 3_600_000);
}

#[test]
fn logs_are_kept_with_their_attempt() {
    let host = Host::start(&["--allow-dir", &format!("{}:ro", root().join("guest-examples").display())]);
    host.deploy("crate-audit");
    let grant = "guest-examples/crate-audit/sample::/crate";
    let submitted = host.sunaba([
        "task",
        "submit",
        "crate-audit/crate-audit",
        "--input",
        r#"{"path":"/crate"}"#,
        "--dir",
        grant,
        "--wait",
        "-o",
        "json",
    ]);
    let result: Value = serde_json::from_slice(&submitted.stdout).expect("JSON");
    assert_eq!((submitted.status.code(), &result["output"]["name"]), (Some(0), &json!("sample")), "{result:#}");
    let id = result["id"].as_str().expect("an id");
    let logs = host.sunaba(["task", "logs", id]);
    assert!(text(&logs.stdout).ends_with("ms log    info  sample has 1 Rust files\n"), "{}", text(&logs.stdout));
    let missing = host.sunaba(["task", "logs", id, "--attempt", "2"]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn bytes_go_in_and_come_out_as_they_are() {
    let host = Host::start(&[]);
    host.deploy("thumbnail");
    let picture = format!("@{}", root().join("guest-examples/thumbnail/sample/castle.png").display());
    let output = host.sunaba(["task", "submit", "thumbnail/thumbnail", "--input", &picture, "--wait", "--quiet"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.starts_with(b"\x89PNG\r\n\x1a\n"));
    let own = crate::support::sunaba([
        "run",
        &guest("thumbnail").display().to_string(),
        "thumbnail",
        "--input",
        &picture,
        "-q",
    ]);
    assert_eq!(output.stdout, own.stdout, "with and without a queue");
}

#[test]
fn running_task_is_cancelled() {
    let host = Host::start(&[]);
    host.deploy("spin");
    let id = text(&host.sunaba(["task", "submit", "spin/spin"]).stdout).trim().to_owned();
    host.until(&id, "running");
    let cancelled = host.sunaba(["task", "cancel", &id, "-o", "json"]);
    let task: Value = serde_json::from_slice(&cancelled.stdout).expect("JSON");
    assert!(task["cancel"]["at"].is_string(), "{task:#}");
    let result = host.sunaba(["task", "result", &id, "--wait"]);
    assert_eq!(result.status.code(), Some(7));
    assert!(text(&result.stderr).starts_with("cancelled"), "{}", text(&result.stderr));
}

#[test]
fn delayed_task_waits_and_priority_goes_first() {
    let host = Host::start(&["--concurrency", "1"]);
    host.deploy("hello");
    host.deploy("spin");
    let submit = |more: &[&str]| {
        let output = host.sunaba(["task", "submit"].iter().chain(more).copied());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    let delayed = submit(&["hello/hello", ADA[0], ADA[1], "--delay", "1h"]);
    let task: Value =
        serde_json::from_slice(&host.sunaba(["task", "get", &delayed, "-o", "json"]).stdout).expect("JSON");
    assert_eq!(task["state"], "scheduled");
    assert!(task["due_at"].is_string());
    // While one runs, the others wait.
    let spin = submit(&["spin/spin"]);
    host.until(&spin, "running");
    let [low, high] = ["-1", "7"].map(|priority| submit(&["hello/hello", ADA[0], ADA[1], "--priority", priority]));
    host.sunaba(["task", "cancel", &spin]);
    let ended_at = |id: &str| {
        host.sunaba(["task", "result", id, "--wait", "-q"]);
        let task: Value = serde_json::from_slice(&host.sunaba(["task", "get", id, "-o", "json"]).stdout).expect("JSON");
        assert_eq!(task["state"], "succeeded");
        task["attempts"][0]["started_at"].as_str().expect("a time").to_owned()
    };
    assert!(ended_at(&high) <= ended_at(&low));
    let early = host.sunaba(["task", "result", &delayed]);
    assert_eq!(early.status.code(), Some(6));
    assert!(text(&early.stderr).contains("is scheduled, and has no result yet\nhint: "), "{}", text(&early.stderr));
}

#[test]
fn same_idempotency_key_gives_the_same_task() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submit = |name: &str| {
        let input = format!(r#"{{"name":"{name}"}}"#);
        host.sunaba(["task", "submit", "hello/hello", "--input", &input, "--idempotency-key", "k1"])
    };
    let (first, second) = (submit("Ada"), submit("Ada"));
    assert_eq!((first.status.code(), text(&first.stdout)), (Some(0), text(&second.stdout)));
    let other = submit("Bob");
    assert_eq!(other.status.code(), Some(4));
    let id = text(&first.stdout);
    let expected = format!("error: the idempotency key `k1` was used for another task, {}\nhint: ", id.trim());
    assert!(text(&other.stderr).starts_with(&expected), "{}", text(&other.stderr));
}

#[test]
fn handlers_are_listed_and_described() {
    let host = Host::start(&[]);
    assert!(text(&host.sunaba(["handler", "list"]).stderr).contains("no handler is deployed"));
    let deployed =
        host.sunaba(["handler", "deploy", &guest("retry-or-fail").display().to_string(), "--name", "errors"]);
    assert_eq!((deployed.status.code(), text(&deployed.stdout)), (Some(0), "errors/retry-or-fail\n".into()));
    assert_snapshot!(text(&host.sunaba(["handler", "list"]).stdout), @r"
    HANDLER               WHAT IT DOES
    errors/retry-or-fail  Fails in the way that the input asks for.
    ");
    let described = text(&host.sunaba(["handler", "describe", "errors/retry-or-fail"]).stdout);
    assert_snapshot!(described.lines().take(5).collect::<Vec<_>>().join("\n"), @r"
    errors/retry-or-fail
      Fails in the way that the input asks for.
      settings  backoff exponential(1s, max = 1m), max-attempts 5, retry-on error,network
      limits    memory 16.0 MiB, timeout 10s
      grants    asks for none
    ");
}

#[test]
fn stop_lets_what_runs_end_and_hands_back_what_does_not() {
    let mut host = Host::start(&["--grace", "100ms"]);
    host.deploy("spin");
    let id = text(&host.sunaba(["task", "submit", "spin/spin"]).stdout).trim().to_owned();
    host.until(&id, "running");
    let (code, said) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("stopping: 1 running, with up to 100ms to end"), "{said}");
    assert!(said.ends_with("stopped; nothing is lost\n"), "{said}");
    host.restart();
    // It is running again, by its second attempt, and was charged with nothing.
    host.until(&id, "running");
    let task: Value = serde_json::from_slice(&host.sunaba(["task", "get", &id, "-o", "json"]).stdout).expect("JSON");
    assert_eq!(
        (&task["attempts_started"], &task["failures_charged"], &task["hosts_lost"]),
        (&json!(2), &json!(0), &json!(0))
    );
    assert_eq!(task["attempts"][0]["verdict"], "requeue");
}

#[test]
fn second_signal_forces_the_stop() {
    let mut host = Host::start(&["--grace", "1h"]);
    host.deploy("spin");
    let id = text(&host.sunaba(["task", "submit", "spin/spin"]).stdout).trim().to_owned();
    host.until(&id, "running");
    host.signal(Signal::INT);
    host.until_said("stopping: 1 running");
    let (code, said) = host.stop(Signal::INT);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("stopped; nothing is lost\n"), "{said}");
}

#[test]
#[expect(clippy::print_stdout, reason = "when this fails, one wants to know where it was killed")]
fn thousand_tasks_survive_a_killed_host() {
    const COUNT: usize = 1_000;
    let mut host = Host::start(&[]);
    host.deploy("hello");
    let client = |host: &Host| Client::new(&host.address).expect("an address");
    let submit = |number: usize| sunaba_runtime::server::api::Submit {
        handler: "hello/hello".into(),
        input: Some(serde_json::value::to_raw_value(&json!({"name": number.to_string()})).expect("JSON")),
        ..Default::default()
    };
    let seed = std::process::id() as usize;
    let kill_at = COUNT / 4 + seed % (COUNT / 2);
    println!("killed after {kill_at} of {COUNT}");
    let mut ids = Vec::new();
    block_on(async {
        let mut to = client(&host);
        for number in 0..COUNT {
            let task = to.submit_task(&submit(number)).await.expect("it is taken on");
            ids.push(task.id);
            if number == kill_at {
                host.kill();
                host.restart();
                to = client(&host);
            }
        }
        for (number, id) in ids.iter().enumerate() {
            let id = id.parse().expect("an id");
            let task = to.wait(id).await.expect("it is there");
            let result = to.get_task_result(id).await.expect("it is there");
            let output = result.output.expect("it succeeded").get().to_owned();
            assert_eq!(output, json!({"greeting": format!("Hello, {number}!")}).to_string());
            assert_eq!(task.failures_charged, 0);
        }
        let listed = async |states: &str| {
            let listed = to
                .list_tasks(&Filter { state: Some(states.into()), ..Filter::default() }, usize::MAX)
                .await
                .expect("it answers");
            listed.tasks.len()
        };
        assert_eq!(listed("succeeded").await, COUNT);
        assert_eq!(listed("dead,cancelled,running,queued").await, 0);
    });
}

#[test]
fn host_answers_while_a_guest_computes_on_every_core() {
    let host = Host::start(&[]);
    host.deploy("spin");
    let ids: Vec<_> =
        (0..4).map(|_| text(&host.sunaba(["task", "submit", "spin/spin"]).stdout).trim().to_owned()).collect();
    host.until(&ids[0], "running");
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        for _ in 0..20 {
            tokio::time::timeout(Duration::from_secs(10), client.get_host())
                .await
                .expect("in time")
                .expect("it answers");
        }
    });
}

#[test]
fn web_pages_and_other_names_are_refused() {
    let host = Host::start(&[]);
    assert_eq!(host.raw("GET /v1/tasks", "", "").0, "200");
    let json = "Content-Type: application/json\r\n";
    for (target, headers, body, status) in [
        ("GET /v1/tasks", "Host: example.org\r\n", "", "421"),
        ("GET /v1/tasks", "Origin: http://example.org\r\n", "", "403"),
        ("GET /v1/tasks", "Sec-Fetch-Site: cross-site\r\n", "", "403"),
        ("GET /v1/tasks?limit=many", "", "", "400"),
        ("GET /v1/tasks/%ff", "", "", "400"),
        ("GET /v1/tasks/01a1feb5-f1e9-7000-8000-00335c7532b0?wait_ms=soon", "", "", "400"),
        ("POST /v1/tasks", "Content-Type: application/x-www-form-urlencoded\r\n", "{}", "415"),
        ("POST /v1/tasks", "Content-Type: text/plain\r\n", "{}", "415"),
        ("POST /v1/tasks", json, "{", "400"),
        ("POST /v1/tasks", json, r#"["a/b"]"#, "400"),
        ("POST /v1/tasks", json, r#"{"handler":"a/b","pages":1}"#, "400"),
        ("PUT /v1/packages/..%2Fx", "Content-Type: application/wasm\r\n", "", "422"),
        ("DELETE /v1/tasks", "", "", "405"),
        ("GET /v2", "", "", "404"),
    ] {
        let (answered, problem) = host.raw(target, headers, body);
        assert_eq!(answered, status, "{target} {headers}: {problem}");
        let problem: Value = serde_json::from_str(&problem).expect("problem+json");
        assert_eq!(problem["status"].to_string(), status);
    }
}

#[test]
fn grant_is_checked_again_before_each_attempt() {
    let folder = tempfile::tempdir().expect("a folder");
    let (allowed, secret) = (folder.path().join("allowed"), folder.path().join("secret"));
    for directory in [&allowed.join("inner"), &secret] {
        std::fs::create_dir_all(directory).expect("a folder");
        std::fs::write(directory.join("Cargo.toml"), "[package]\nname = \"secret\"\n").expect("written");
    }
    let mut host = Host::start(&["--allow-dir", &allowed.display().to_string()]);
    host.deploy("crate-audit");
    let grant = format!("{}::/crate", allowed.join("inner").display());
    let submit = |host: &Host| {
        let arguments = [
            "task",
            "submit",
            "crate-audit/crate-audit",
            "--input",
            r#"{"path":"/crate"}"#,
            "--dir",
            &grant,
            "--delay",
            "3s",
            "--max-attempts",
            "1",
        ];
        let output = host.sunaba(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    let result = |host: &Host, id: &str| {
        let output = host.sunaba(["task", "result", id, "--wait", "-o", "json"]);
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let id = submit(&host);
    std::fs::rename(allowed.join("inner"), allowed.join("moved")).expect("renamed");
    std::os::unix::fs::symlink(&secret, allowed.join("inner")).expect("a link");
    let swapped = result(&host, &id);
    assert_eq!((&swapped["state"], &swapped["output"]), (&json!("dead"), &Value::Null), "{swapped:#}");
    assert!(swapped["failure"]["message"].as_str().is_some_and(|text| text.contains("no longer what was granted")));

    std::fs::remove_file(allowed.join("inner")).expect("removed");
    std::fs::rename(allowed.join("moved"), allowed.join("inner")).expect("renamed");
    let id = submit(&host);
    host.stop(Signal::TERM);
    host.forget_arguments();
    host.restart();
    let taken_back = result(&host, &id);
    assert_eq!((&taken_back["state"], &taken_back["output"]), (&json!("dead"), &Value::Null), "{taken_back:#}");
    let message = taken_back["failure"]["message"].as_str().expect("text");
    assert!(message.contains("is not one that this host allows to grant"), "{message}");
}

#[test]
fn task_that_was_waiting_keeps_the_component_that_it_was_submitted_for() {
    let host = Host::start(&[]);
    host.deploy("hello");
    let submitted = host.sunaba(["task", "submit", "hello/hello", ADA[0], ADA[1], "--delay", "1s"]);
    let id = text(&submitted.stdout).trim().to_owned();
    let deployed = host.sunaba(["handler", "deploy", &guest("spin").display().to_string(), "--name", "hello"]);
    assert_eq!(text(&deployed.stdout), "hello/spin\n");
    let result = host.sunaba(["task", "result", &id, "--wait", "-q"]);
    assert_eq!(text(&result.stdout), "{\"greeting\":\"Hello, Ada!\"}\n");
    assert_eq!(host.sunaba(["task", "submit", "hello/hello", ADA[0], ADA[1]]).status.code(), Some(3));
}

#[test]
fn connections_that_only_announce_large_bodies_hold_up_nobody() {
    use std::io::Write as _;
    let host = Host::start(&[]);
    host.deploy("hello");
    let address = host.address.strip_prefix("http://").expect("an address");
    let silent: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(address).expect("it listens");
            let head = format!("PUT /v1/packages/x HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/wasm\r\n");
            write!(stream, "{head}Content-Length: {}\r\n\r\n", 64 << 20).expect("it reads");
            stream
        })
        .collect();
    block_on(async {
        let client = Client::new(&host.address).expect("an address");
        let submit = sunaba_runtime::server::api::Submit {
            handler: "hello/hello".into(),
            input: Some(serde_json::value::to_raw_value(&json!({"name": "x".repeat(500_000)})).expect("JSON")),
            ..Default::default()
        };
        let submitted = tokio::time::timeout(Duration::from_secs(30), client.submit_task(&submit)).await;
        submitted.expect("in time").expect("it is taken on");
    });
    drop(silent);
}
