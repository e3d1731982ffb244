//! Keys: who is answered, what each may do, in which queues, for how long; and what is written down of changes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sunaba_runtime::Runtime;
use sunaba_runtime::server::Server;
use tokio::sync::oneshot;

use crate::support::{Host, binaries, root, sunaba, text};

const JSON: &str = "Content-Type: application/json\r\n";

/// A host that asks for keys, with a handler, and a key that may do everything.
fn guarded(arguments: &[&str]) -> (Host, String) {
    let mut host = Host::start(arguments);
    host.deploy("hello");
    // On loopback nobody is asked yet.
    let admin = host.ok(&["key", "create", "admin", "--scope", "admin"]);
    let (code, said) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0), "{said}");
    host.add_arguments(&["--require-keys"]);
    host.restart();
    (host, admin)
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

/// What is answered to whoever has this key: the status, and the body as JSON.
fn ask(host: &Host, key: &str, target: &str, body: &Value) -> (String, Value) {
    let (body, kind) = if body.is_null() { (String::new(), "") } else { (body.to_string(), JSON) };
    let (status, answer) = host.raw(target, &(bearer(key) + kind), &body);
    (status, serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{target}: {error}: {answer}")))
}

fn key(host: &Host, admin: &str, arguments: &[&str]) -> String {
    let made = host.ok(&[&["key", "create", "test", "--api-key", admin][..], arguments].concat());
    assert!(made.starts_with("sunaba_") && made.len() == 71, "{made}");
    made
}

/// The id of the key that was made last.
fn last_id(host: &Host, admin: &str) -> String {
    let keys = host.lines(&["key", "list", "--api-key", admin]);
    keys.last().expect("there is one")["id"].as_str().expect("text").to_owned()
}

fn submit(queue: &str) -> Value {
    json!({"handler": "hello/hello", "queue": queue, "input": {"name": "Ada"}})
}

#[test]
fn host_that_asks_for_keys_answers_nobody_without_one() {
    let (host, admin) = guarded(&[]);
    for (headers, code) in [
        (String::new(), "key-missing"),
        (bearer(&admin.replace("sunaba_", "sunaba-")), "key-malformed"),
        (bearer(&format!("sunaba_{}", "0".repeat(64))), "key-unknown"),
        ("X-API-Key: \r\n".to_owned(), "key-malformed"),
        ("Authorization: Basic eDp5\r\n".to_owned(), "key-missing"),
    ] {
        let (status, answer) = host.raw("GET /v1/tasks", &headers, "");
        let problem: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((status.as_str(), &problem["code"]), ("401", &json!(code)), "{problem:#}");
    }
    assert_eq!(host.raw("GET /v1/tasks", &bearer(&admin), "").0, "200");
    assert_eq!(host.raw("GET /v1/tasks", &format!("X-API-Key: {admin}\r\n"), "").0, "200");
    // Whoever looks after hosts need not have one, and what is no path is none for anybody.
    assert_eq!(host.raw("GET /livez", "", "").0, "200");
    assert_eq!(host.raw("GET /readyz", "", "").0, "200");
    assert_eq!(host.raw("GET /v2", "", "").0, "404");
    assert_eq!(host.raw("PUT /v1/tasks", "", "").0, "405");
}

#[test]
fn commands_without_a_right_end_with_5_and_say_what_is_missing() {
    let (host, admin) = guarded(&[]);
    let refused = host.sunaba(["task", "list"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    assert!(said.contains("SUNABA_API_KEY") && !said.contains("--api-key "), "{said}");
    let reader = key(&host, &admin, &["--scope", "read"]);
    let file = host.data.path().join("key");
    std::fs::write(&file, format!("{reader}\n")).expect("written");
    let file = file.display().to_string();
    host.ok(&["task", "list", "--api-key-file", &file]);
    let refused = host.sunaba(["queue", "pause", "mail", "--api-key-file", &file]);
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(5) && said.contains("takes the scope `operate`"), "{said}");
    let mut by_variable = Command::new(binaries().join("sunaba"));
    by_variable.args(["task", "list", "--address", &host.address]).env("SUNABA_API_KEY", &reader).current_dir(root());
    assert_eq!(by_variable.output().expect("it starts").status.code(), Some(0));
    let wrong = host.sunaba(["task", "list", "--api-key", "hunter2-hunter2"]);
    assert!(wrong.status.code() == Some(2) && !text(&wrong.stderr).contains("hunter2"), "{}", text(&wrong.stderr));
}

#[test]
fn each_scope_may_do_what_it_says_and_nothing_else() {
    let (host, admin) = guarded(&[]);
    // What each asks for, and a request that asks for it; whether it is a good one does not matter.
    let asked = [
        ("submit", "POST /v1/tasks", submit("default")),
        ("read", "GET /v1/tasks", Value::Null),
        ("operate", "PATCH /v1/queues/mail", json!({"paused": false})),
        ("deploy", "POST /v1/packages/hello/rollback", json!({})),
        ("operate", "GET /v1/webhooks", Value::Null),
        ("admin", "POST /v1/webhooks/none/rotate", json!({})),
        ("admin", "GET /v1/secrets", Value::Null),
        ("admin", "GET /v1/keys", Value::Null),
        ("admin", "GET /v1/audit", Value::Null),
    ];
    for (scope, may) in [
        ("submit", &["submit"][..]),
        ("read", &["read"]),
        ("operate", &["operate", "read"]),
        ("deploy", &["deploy", "read"]),
        ("admin", &["submit", "read", "operate", "deploy", "admin"]),
    ] {
        let key = key(&host, &admin, &["--scope", scope]);
        for (needs, target, body) in &asked {
            let (status, answer) = ask(&host, &key, target, body);
            let is_refused = status == "403" && answer["code"] == "scope-missing";
            assert_eq!(is_refused, !may.contains(needs), "{scope}: {target}: {status} {answer}");
        }
    }
}

#[test]
fn key_of_a_queue_has_to_do_with_that_alone() {
    let (host, admin) = guarded(&[]);
    let bound = key(&host, &admin, &["--scope", "submit,read,operate", "--queue", "mail"]);
    let id = |(status, task): (String, Value)| {
        assert_eq!(status, "201", "{task}");
        task["id"].as_str().expect("text").to_owned()
    };
    let own = id(ask(&host, &bound, "POST /v1/tasks", &submit("mail")));
    let other = id(ask(&host, &admin, "POST /v1/tasks", &submit("print")));
    let forbidden = |target: &str, body: &Value| {
        let (status, problem) = ask(&host, &bound, target, body);
        assert_eq!((status.as_str(), &problem["code"]), ("403", &json!("queue-forbidden")), "{target}: {problem}");
    };
    forbidden("POST /v1/tasks", &submit("print"));
    // Nor by the handler's own queue, nor by what follows, nor in a job.
    forbidden("POST /v1/tasks", &json!({"handler": "hello/hello"}));
    let mut follows = submit("mail");
    follows["on_success"] = json!(["hello/hello"]);
    forbidden("POST /v1/tasks", &follows);
    let job = |queue: &str| {
        let mut node = submit(queue);
        node["name"] = "a".into();
        json!({"name": "greetings", "nodes": [node]})
    };
    forbidden("POST /v1/jobs", &job("print"));
    let (_, all) = ask(&host, &bound, "POST /v1/tasks/bulk", &json!({"tasks": [submit("print"), submit("mail")]}));
    assert_eq!(all["tasks"][0]["problem"]["code"], "queue-forbidden", "{all:#}");
    assert!(all["tasks"][1]["id"].is_string(), "{all:#}");
    for target in ["GET /v1/tasks?queue=print", "GET /v1/dead/groups?queue=print", "GET /v1/usage", "GET /v1/jobs"] {
        forbidden(target, &Value::Null);
    }
    forbidden("PATCH /v1/queues/print", &json!({"paused": true}));
    forbidden("PATCH /v1/handlers/hello/hello", &json!({"paused": true}));
    forbidden("POST /v1/tasks/cancel", &json!({"filter": {"queue": "print"}}));
    // What is in another queue is not there.
    for target in ["", "/result", "/logs", "/explain", "/artifacts"] {
        assert_eq!(ask(&host, &bound, &format!("GET /v1/tasks/{other}{target}"), &Value::Null).0, "404", "{target}");
        assert_eq!(ask(&host, &bound, &format!("GET /v1/tasks/{own}{target}"), &Value::Null).0, "200", "{target}");
    }
    for target in ["cancel", "run-now", "rerun"] {
        assert_eq!(ask(&host, &bound, &format!("POST /v1/tasks/{other}/{target}"), &json!({})).0, "404", "{target}");
    }
    assert_eq!(ask(&host, &bound, &format!("DELETE /v1/tasks/{other}"), &Value::Null).0, "404");
    assert_eq!(ask(&host, &bound, &format!("GET /v1/events?after=0&task={other}"), &Value::Null).0, "404");
    // Whether or not its tasks are made.
    let (_, mixed) = ask(&host, &admin, "POST /v1/jobs", &{
        let (mut both, mut other) = (job("mail"), job("print")["nodes"][0].clone());
        other["name"] = "b".into();
        both["nodes"].as_array_mut().expect("a list").push(other);
        both
    });
    let mixed = mixed["id"].as_str().expect("text");
    let (_, job) = ask(&host, &bound, "POST /v1/jobs", &job("mail"));
    let job = job["id"].as_str().expect("text");
    for target in ["", "/tasks", "/outputs", "/result"] {
        assert_eq!(ask(&host, &bound, &format!("GET /v1/jobs/{mixed}{target}"), &Value::Null).0, "404", "{target}");
        assert_eq!(ask(&host, &bound, &format!("GET /v1/jobs/{job}{target}"), &Value::Null).0, "200", "{target}");
    }
    assert_eq!(ask(&host, &bound, &format!("POST /v1/jobs/{mixed}/cancel"), &json!({})).0, "404");
    assert_eq!(ask(&host, &bound, &format!("GET /v1/events?after=0&job={mixed}"), &Value::Null).0, "404");
    // Whose a key is that others have used is not told.
    for (field, key) in [("idempotency_key", json!("k")), ("unique", json!({"key": "k"}))] {
        let mut theirs = submit("print");
        theirs["delay_ms"] = 3_600_000.into();
        theirs[field] = key;
        let other = id(ask(&host, &admin, "POST /v1/tasks", &theirs));
        theirs["queue"] = "mail".into();
        let (status, problem) = ask(&host, &bound, "POST /v1/tasks", &theirs);
        assert_eq!(status, "409", "{problem}");
        assert!(!problem.to_string().contains(&other), "{problem}");
    }
    // What is asked for without a queue is asked for in its own.
    let (_, tasks) = ask(&host, &bound, "GET /v1/tasks", &Value::Null);
    assert!(tasks["tasks"].as_array().expect("a list").iter().all(|task| task["queue"] == "mail"), "{tasks:#}");
    assert!(tasks["tasks"].as_array().is_some_and(|tasks| tasks.len() >= 2));
    let (_, events) = ask(&host, &bound, "GET /v1/events?after=0", &Value::Null);
    let events = events["events"].as_array().expect("a list").clone();
    assert!(!events.is_empty() && events.iter().all(|event| event["queue"] == "mail"), "{events:#?}");
    let (_, queues) = ask(&host, &bound, "GET /v1/queues", &Value::Null);
    let names: Vec<_> = queues["queues"].as_array().expect("a list").iter().map(|queue| &queue["name"]).collect();
    assert!(names.iter().all(|name| **name == "mail"), "{names:?}");
}

#[test]
fn revoked_key_is_refused_from_the_answer_on_and_after_a_restart() {
    let (mut host, admin) = guarded(&[]);
    let key = key(&host, &admin, &["--scope", "read"]);
    let id = last_id(&host, &admin);
    let status = |host: &Host| ask(host, &key, "GET /v1/tasks", &Value::Null);
    assert_eq!(status(&host).0, "200");
    host.ok(&["key", "revoke", &id, "--api-key", &admin]);
    let (code, problem) = status(&host);
    assert_eq!((code.as_str(), &problem["code"]), ("401", &json!("key-revoked")));
    host.kill();
    host.restart();
    assert_eq!(status(&host).1["code"], "key-revoked");
    let none = host.sunaba(["key", "revoke", "0000000000000000", "--api-key", &admin]);
    assert_eq!(none.status.code(), Some(3), "{}", text(&none.stderr));
}

#[test]
fn what_goes_on_by_a_key_ends_when_it_is_revoked() {
    let (host, admin) = guarded(&[]);
    let key = key(&host, &admin, &["--scope", "submit,read"]);
    let id = last_id(&host, &admin);
    let mut slow = TcpStream::connect(&host.address[7..]).expect("it listens");
    slow.set_read_timeout(Some(Duration::from_secs(50))).expect("a timeout");
    let head = format!(
        "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n{}{JSON}Content-Length: 10\r\nExpect: 100-continue\r\nConnection: \
         close\r\n\r\n",
        bearer(&key)
    );
    slow.write_all(head.as_bytes()).expect("it reads");
    let mut answer = BufReader::new(slow);
    let mut line = String::new();
    // By then the key was found to be good, and the body is waited for.
    answer.read_line(&mut line).expect("text");
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");
    host.ok(&["key", "revoke", &id, "--api-key", &admin]);
    let mut rest = String::new();
    answer.read_to_string(&mut rest).expect("it is answered before the body is given up");
    assert!(rest.contains("HTTP/1.1 401") && rest.contains("key-revoked"), "{rest}");
}

#[test]
fn key_is_shown_once_and_is_nowhere_afterwards() {
    let (mut host, admin) = guarded(&["-vvv"]);
    let file = host.data.path().join("key");
    let path = file.display().to_string();
    let made = host.ok(&["key", "create", "saved", "--scope", "read", "--save", &path, "--api-key", &admin]);
    assert_eq!(made, "");
    let saved = std::fs::read_to_string(&file).expect("it is there");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = host.sunaba(["key", "create", "saved", "--scope", "read", "--save", &path, "--api-key", &admin]);
    assert_eq!(again.status.code(), Some(4), "{}", text(&again.stderr));
    assert_eq!(ask(&host, saved.trim(), "GET /v1/tasks", &Value::Null).0, "200");
    let mut everything = host.ok(&["key", "list", "--api-key", &admin]);
    everything += &host.ok(&["key", "list", "-o", "json", "--api-key", &admin]);
    everything += &host.ok(&["audit", "list", "-o", "jsonl", "--api-key", &admin]);
    assert!(everything.contains("saved"), "{everything}");
    let (code, said) = host.stop(Signal::TERM);
    assert_eq!(code, Some(0));
    everything += &said;
    let data = host.data.path().join("data");
    for command in ["verify", "info"] {
        everything += &text(&host.sunaba(["store", command, "--data", &data.display().to_string()]).stdout);
    }
    for key in [&admin, saved.trim()] {
        let secret = key.strip_prefix("sunaba_").expect("a key");
        assert!(!everything.contains(secret));
        assert!(!holds(&data, secret.as_bytes()), "the store has the key");
    }
}

/// Whether a file of a folder has these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).expect("it is there").any(|entry| {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        std::fs::read(&path).expect("readable").windows(bytes.len()).any(|part| part == bytes)
    })
}

#[test]
fn changes_are_written_down_with_who_made_them() {
    let (host, admin) = guarded(&[]);
    let operator = key(&host, &admin, &["--scope", "operate"]);
    let id = last_id(&host, &admin);
    let headers = bearer(&operator) + JSON + "X-Request-Id: my-request.1\r\n";
    assert_eq!(host.raw("PATCH /v1/queues/mail", &headers, r#"{"paused":true}"#).0, "200");
    // Refused, and so not made.
    assert_eq!(host.raw("PATCH /v1/queues/mail", &headers, r#"{"weight":0}"#).0, "422");
    assert_eq!(ask(&host, &operator, "DELETE /v1/secrets/NONE", &Value::Null).0, "403");
    assert_eq!(ask(&host, &admin, "DELETE /v1/secrets/NONE", &Value::Null).0, "404");
    assert_eq!(ask(&host, &admin, "POST /v1/tasks", &submit("mail")).0, "201");
    let entries = host.lines(&["audit", "list", "--api-key", &admin]);
    let newest = &entries[0];
    assert_eq!(newest["who"], format!("key {id} (test)"), "{newest:#}");
    assert_eq!([&newest["what"], &newest["of"], &newest["request_id"]], ["queue.set", "mail", "my-request.1"]);
    assert_eq!((&newest["before"]["paused"], &newest["after"]["paused"]), (&json!(false), &json!(true)));
    let what: Vec<_> = entries.iter().map(|entry| entry["what"].as_str().expect("text")).collect();
    assert_eq!(what, ["queue.set", "key.create", "key.create", "package.deploy"]);
    assert_eq!(entries[3]["who"], "anybody", "{entries:#?}");
    assert_eq!((&entries[3]["before"], &entries[3]["after"]["version"]), (&Value::Null, &json!(1)));
    let pages = host.ok(&["audit", "list", "--limit", "2", "--api-key", &admin]);
    assert_eq!(pages.lines().count(), 3, "{pages}");
}

/// A host on every address, until it is dropped.
struct Public(Child, SocketAddr);

impl Public {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(binaries().join("sunaba"));
        command.args(["serve", "--listen", "0.0.0.0:0", "-o", "json", "--data"]).arg(data).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the binary starts");
        let mut ready = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut ready).expect("text");
        let ready: Value = serde_json::from_str(&ready).expect("it is ready");
        let address: SocketAddr = ready["address"].as_str().expect("text")[7..].parse().expect("an address");
        Self(process, ([127, 0, 0, 1], address.port()).into())
    }

    fn status(&self, host: &str, more: &str) -> String {
        let head = format!("GET /v1/host HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        answer(self.1, head.as_bytes()).split(' ').nth(1).expect("a status").to_owned()
    }
}

impl Drop for Public {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that is answered.
fn answer(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.write_all(request).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in time");
    answer
}

#[test]
fn host_for_others_starts_with_a_key_or_when_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let path = data.display().to_string();
    let serve = ["serve", "--listen", "0.0.0.0:0", "--data", &path];
    let refused = || {
        let output = sunaba(serve);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("there is no API key that is good"), "{said}");
    };
    refused();
    assert!(!data.exists());
    assert!(Public::start(&data, &["--insecure-no-keys"]).status("10.0.0.1", "").starts_with("200"));
    // It has been used, and has no key all the same; nor is one good that has expired or was revoked.
    refused();
    let create = ["key", "create", "admin", "--scope", "admin", "--data", &path, "-o", "json"];
    let made = |output: std::process::Output| -> Value {
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
    };
    let revoked = made(sunaba(create));
    assert!(sunaba(["key", "revoke", revoked["id"].as_str().expect("text"), "--data", &path]).status.success());
    refused();
    let admin = made(sunaba(create));
    let admin = admin["key"].as_str().expect("text");
    let host = Public::start(&data, &["--allow-host", "queue.example.org"]);
    // A host has the directory now.
    assert_eq!(sunaba(create).status.code(), Some(6));
    for name in ["10.0.0.1:7878", "queue.example.org", "localhost"] {
        assert_eq!((host.status(name, ""), host.status(name, &bearer(admin))), ("401".into(), "200".into()), "{name}");
    }
    assert_eq!(host.status("example.org", &bearer(admin)), "421");
    drop(host);
    let log = sunaba(["audit", "list", "--data", &path, "-o", "jsonl"]);
    let log = text(&log.stdout);
    assert_eq!(log.lines().count(), 3, "{log}");
    assert!(log.lines().all(|line| line.contains(r#""who":"offline""#)), "{log}");
}

#[test]
fn every_answer_has_an_id_and_says_what_browsers_may_not() {
    let host = Host::start(&[]);
    let address: SocketAddr = host.address[7..].parse().expect("an address");
    for (target, given) in [("/v1/host", "my.id-1"), ("/v1/tasks/none", "my.id-2"), ("/nowhere", "my.id-3")] {
        let ask = |id: &str| {
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{id}Connection: close\r\n\r\n");
            answer(address, request.as_bytes())
        };
        let told = ask(&format!("X-Request-Id: {given}\r\n"));
        let (head, body) = told.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains(&format!("\r\nx-request-id: {given}")), "{head}");
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "content-security-policy: default-src 'none'",
        ] {
            assert!(head.contains(header), "{target}: {header}: {head}");
        }
        if target != "/v1/host" {
            let problem: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(problem["request_id"], given, "{problem}");
            assert!(problem["code"].is_string(), "{problem}");
        }
        // One that could be read as something else is replaced.
        let other = ask("X-Request-Id: a b\r\n");
        assert!(other.contains("\r\nx-request-id: ") && !other.contains("x-request-id: a b"), "{other}");
    }
}

#[test]
fn input_that_is_nested_without_end_is_refused_and_the_host_goes_on() {
    let host = Host::start(&[]);
    for depth in [129, 100_000] {
        let input = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = format!(r#"{{"handler":"hello/hello","input":{input}}}"#);
        let (status, answer) = host.raw("POST /v1/tasks", JSON, &body);
        let problem: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!((status.as_str(), &problem["code"]), ("400", &json!("too-deep")), "{problem}");
    }
    assert_eq!(host.raw("GET /livez", "", "").0, "200");
}

#[test]
fn connection_beyond_the_cap_waits_until_another_is_closed() {
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let (runtime, server) = threads.block_on(async {
        let runtime = Runtime::builder().concurrency(1).start().await.expect("it starts");
        let server = Server::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        (Arc::new(runtime), server.connections(2))
    });
    let (address, (stop, stopped)) = (server.address(), oneshot::channel::<()>());
    let serving = threads.spawn(server.serve(runtime, async move { stopped.await.unwrap_or_default() }));
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut held: Vec<_> = (0..2).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    let mut third = TcpStream::connect(address).expect("the system keeps it");
    third.write_all(request).expect("the system keeps it");
    let mut byte = [0];
    third.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    assert!(third.read(&mut byte).is_err(), "it was served beyond the cap");
    held.pop();
    third.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let mut answer = String::new();
    third.read_to_string(&mut answer).expect("it is answered now");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let _ = stop.send(());
    drop(held);
    threads.block_on(serving).expect("it ends");
}
