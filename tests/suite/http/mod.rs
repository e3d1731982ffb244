//! Outgoing requests of guests, against servers on this machine: what is granted, what is bounded, what is hidden, and what
//! is left afterwards.

mod bounds;
mod left;
mod secrets;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) use secrets::parrot;
use serde_json::{Value, json};
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{
    AttemptContext, AttemptReport, AttemptRequest, AttemptResult, Cause, Executor as _, Grants, Limit, Limits, Outcome,
    Payload, Secret, SecretText, TaskId, Unattended,
};

use crate::support::{block_on, load, stop};

/// What a server does with a request's head and the rest of the connection.
type Answer = dyn Fn(&str, &mut TcpStream) + Send + Sync;

/// A server on a free port of this machine.
pub(crate) struct Server {
    pub(crate) authority: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("bound").to_string();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (answer, heads): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&seen));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (answer, heads) = (Arc::clone(&answer), Arc::clone(&heads));
                std::thread::spawn(move || {
                    let Some(head) = head(&mut stream) else { return };
                    heads.lock().expect("nobody panicked").push(head.clone());
                    answer(&head, &mut stream);
                });
            }
        });
        Self { authority, seen }
    }

    /// One that always says the same.
    fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_, stream| say(stream, &answer))
    }

    pub(crate) fn grant(&self) -> String {
        format!("http://{}", self.authority)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("nobody panicked").clone()
    }

    fn step(&self, more: Value) -> Value {
        let mut step = json!({"authority": self.authority, "path": "/"});
        let more = more.as_object().expect("fields").clone();
        step.as_object_mut().expect("fields").extend(more);
        step
    }
}

/// The head of a request. None: the client hung up.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// A client that hangs up is none of the server's troubles.
pub(crate) fn say(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Says the same until the client hangs up.
fn endlessly(stream: &mut TcpStream, bytes: &[u8]) {
    let many = bytes.repeat(1 + 4096 / bytes.len());
    while stream.write_all(&many).is_ok() {}
}

/// Waits until the client hangs up.
fn hang(stream: &mut TcpStream) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).is_ok_and(|bytes| bytes > 0) {}
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// One attempt, and what it is given.
struct Try {
    guest: &'static str,
    input: Value,
    limits: Limits,
    grants: Vec<String>,
    secrets: Vec<Secret>,
}

impl Try {
    fn steps(server: &Server, steps: Value) -> Self {
        let limits = Limits { timeout: Duration::from_secs(60), ..Limits::default() };
        let (grants, secrets) = (vec![server.grant()], Vec::new());
        Self { guest: "http-escape", input: json!({"steps": steps}), limits, grants, secrets }
    }

    fn within(mut self, limit: Limit, value: u64) -> Self {
        self.limits.set(limit, value);
        self
    }

    fn secret(mut self, name: &str, text: &str, host: &str) -> Self {
        let host = host.parse().expect("a grant");
        self.secrets.push(Secret { name: name.into(), text: SecretText::new(text), host });
        self
    }

    async fn request(self, sandbox: &Sandbox) -> AttemptRequest {
        let component = load(sandbox, self.guest).await;
        let context = AttemptContext {
            task_id: TaskId::new(),
            job_id: None,
            queue: "default".into(),
            attempt: 1,
            failures: 0,
            max_attempts: 1,
            submitted_at_ms: 0,
            started_at_ms: 0,
            deadline_ms: None,
            idempotency_key: None,
            attributes: Vec::new(),
        };
        let grants = Grants {
            http: self.grants.iter().map(|grant| grant.parse().expect("a grant")).collect(),
            secrets: self.secrets.iter().map(|secret| secret.name.clone()).collect(),
            ..Grants::default()
        };
        AttemptRequest {
            component: component.digest,
            handler: self.guest.into(),
            context,
            input: Payload::json(self.input.to_string()),
            limits: self.limits,
            grants,
            secrets: self.secrets,
            seed: None,
            capture: sunaba_runtime::task::Capture::default(),
        }
    }

    async fn on(self, sandbox: &Sandbox) -> AttemptReport {
        let request = self.request(sandbox).await;
        sandbox.execute(request, Arc::new(Unattended)).await.expect("the host can do its part")
    }

    fn run(self) -> AttemptReport {
        block_on(async {
            let sandbox = Sandbox::builder().start().expect("threads");
            self.on(&sandbox).await
        })
    }

    /// What the guest saw, if it came to its end.
    fn seen(self) -> Vec<String> {
        seen(&self.run())
    }
}

fn output(report: &AttemptReport) -> Value {
    match &report.result {
        AttemptResult::Returned(Outcome::Complete(output)) => serde_json::from_slice(&output.bytes).expect("JSON"),
        other => panic!("it should have completed: {other:?}"),
    }
}

fn seen(report: &AttemptReport) -> Vec<String> {
    serde_json::from_value(output(report)).expect("a list of texts")
}

fn exceeded(report: AttemptReport, limit: Limit) {
    let stop = stop(report);
    assert_eq!(stop.cause, Cause::Limit(limit), "{}", stop.message);
    assert!(stop.message.starts_with("too many "), "{}", stop.message);
}

#[test]
fn fetch_returns_status_headers_and_the_first_bytes() {
    let server = Server::saying("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\nx-a: 1\r\nx-b: 2\r\n\r\nhello");
    let url = format!("{}/a?b#c", server.grant());
    let input = json!({"url": url, "headers": ["X-A", "x-none"], "first_bytes": 4});
    let report = Try { guest: "fetch", input, ..Try::steps(&server, json!([])) }.run();
    let expected = json!({"status": 404, "headers": [{"name": "X-A", "value": "1"}], "body": "hell", "cut": true});
    assert_eq!(output(&report), expected);
    assert!(server.seen()[0].starts_with("GET /a?b HTTP/1.1\r\n"), "{:?}", server.seen());
    assert_eq!(report.receipt.requests, 1);
}

#[test]
fn ungranted_request_is_denied_and_the_log_says_what_it_would_take() {
    let server = Server::saying(OK);
    let denied = Try { grants: vec![], ..Try::steps(&server, json!([server.step(json!({"times": 3}))])) }.run();
    assert!(seen(&denied).iter().all(|seen| seen.contains("HttpRequestDenied")), "{:?}", seen(&denied));
    assert_eq!((denied.logs.len(), denied.receipt.requests), (1, 0));
    assert!(denied.logs[0].message.ends_with(&format!("it would take the grant `{}`", server.grant())));
    assert!(server.seen().is_empty());
}

#[test]
fn localhost_must_be_named_with_its_addresses() {
    let server = Server::saying(OK);
    let authority = server.authority.replace("127.0.0.1", "localhost");
    let steps = json!([{"authority": authority, "path": "/"}]);
    let refused = Try { grants: vec![format!("http://{authority}")], ..Try::steps(&server, steps.clone()) }.seen();
    assert!(refused[0].contains("DestinationIpProhibited"), "{refused:?}");
    let reached = Try { grants: vec![format!("http://{authority}@127.0.0.0/8")], ..Try::steps(&server, steps) }.seen();
    assert!(reached[0].ends_with("| hello"), "{reached:?}");
    assert!(server.seen()[0].contains(&format!("\r\nhost: {authority}\r\n")), "{:?}", server.seen());
}

#[test]
fn redirect_is_not_followed() {
    let target = Server::saying(OK);
    let moved = format!("HTTP/1.1 302 Found\r\nlocation: {}/\r\ncontent-length: 0\r\n\r\n", target.grant());
    let server = Server::saying(moved);
    let mut attempt = Try::steps(&server, json!([server.step(json!({}))]));
    attempt.grants.push(target.grant());
    assert!(attempt.seen()[0].starts_with("302 "));
    assert!(target.seen().is_empty());
}

#[test]
fn guest_sets_no_header_between_the_hosts() {
    let server = Server::saying(OK);
    let names =
        ["host", "connection", "transfer-encoding", "upgrade", "keep-alive", "te", "proxy-authorization", "proxy-x"];
    let steps = names.map(|name| server.step(json!({"headers": [[name, "x"]]})));
    for (seen, name) in Try::steps(&server, json!(steps)).seen().iter().zip(names) {
        assert!(seen.contains("Forbidden"), "{name}: {seen}");
    }
    let wrong = [
        json!({"method": "CONNECT"}),
        json!({"method": "TRACE"}),
        json!({"authority": format!("user@{}", server.authority)}),
        json!({"headers": [["x", "a\r\nhost: b"]]}),
        json!({"path": "http://b.example/"}),
        json!({"method": "GET / HTTP/1.1\r\n"}),
        json!({"scheme": "file"}),
        json!({"headers": [["content-length", "3"]], "body_bytes": 5, "method": "POST"}),
    ];
    let steps: Vec<_> = wrong.into_iter().map(|step| server.step(step)).collect();
    for seen in Try::steps(&server, json!(steps)).seen() {
        assert!(seen.starts_with("error: "), "{seen}");
    }
    let heads = server.seen();
    assert!(heads.iter().all(|head| head.starts_with("POST / ")), "{heads:?}");
}
