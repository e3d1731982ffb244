//! Outgoing requests of guests, against servers on this machine: what is granted, what is bounded, what is hidden, and what
//! is left afterwards.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
struct Server {
    authority: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
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

    fn grant(&self) -> String {
        format!("http://{}", self.authority)
    }

    fn seen(&self) -> Vec<String> {
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
fn say(stream: &mut TcpStream, bytes: &[u8]) {
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
    let steps = json!([{"authority": authority}]);
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

#[test]
fn requests_obeyed() {
    let server = Server::saying(OK);
    let steps = json!([server.step(json!({"times": 3}))]);
    let report = Try::steps(&server, steps).within(Limit::Requests, 3).run();
    assert_eq!((seen(&report).len(), report.receipt.requests), (3, 3));
}

#[test]
fn requests_violated() {
    let server = Server::saying(OK);
    let steps = json!([server.step(json!({"times": 4, "read": "none"}))]);
    let report = Try::steps(&server, steps).within(Limit::Requests, 3).run();
    assert_eq!((report.receipt.requests, server.seen().len()), (3, 3));
    exceeded(report, Limit::Requests);
    // Nor does a guest get away with it that waits for nothing.
    let steps = json!([server.step(json!({"times": 4, "forget": true}))]);
    exceeded(Try::steps(&server, steps).within(Limit::Requests, 3).run(), Limit::Requests);
}

#[test]
fn concurrent_requests_obeyed() {
    let together = Barrier::new(3);
    let server = Server::start(move |_, stream| {
        together.wait();
        say(stream, OK.as_bytes());
    });
    let steps = json!([server.step(json!({"times": 3, "hold": true})),]);
    assert_eq!(Try::steps(&server, steps).within(Limit::ConcurrentRequests, 3).seen().len(), 6);
    // One after the other there may be any number, also of those that were given up.
    let server = Server::saying(OK);
    let steps = json!([
        server.step(json!({"times": 3})),
        server.step(json!({"times": 3, "read": "none"})),
        server.step(json!({"times": 3, "forget": true}))
    ]);
    assert_eq!(Try::steps(&server, steps).within(Limit::ConcurrentRequests, 1).seen().len(), 9);
}

#[test]
fn concurrent_requests_violated() {
    let server = Server::start(|_, stream| hang(stream));
    let steps = json!([server.step(json!({"times": 4, "hold": true}))]);
    exceeded(Try::steps(&server, steps).within(Limit::ConcurrentRequests, 3).run(), Limit::ConcurrentRequests);
}

/// The bytes of one request and its response.
fn bytes_of_one(server: &Server, step: &Value) -> u64 {
    Try::steps(server, json!([step])).run().receipt.request_bytes
}

#[test]
fn request_bytes_obeyed() {
    let server = Server::saying(OK);
    let step = server.step(json!({}));
    let bytes = bytes_of_one(&server, &step);
    assert_eq!(bytes, (server.seen()[0].len() + OK.len()) as u64);
    let report = Try::steps(&server, json!([step])).within(Limit::RequestBytes, bytes).run();
    assert!(seen(&report)[0].ends_with("| hello"));
}

#[test]
fn request_bytes_violated() {
    let server = Server::saying(OK);
    let step = server.step(json!({}));
    let bytes = bytes_of_one(&server, &step);
    exceeded(Try::steps(&server, json!([step])).within(Limit::RequestBytes, bytes - 1).run(), Limit::RequestBytes);
    // What is sent counts too.
    let sink = Server::start(|_, stream| hang(stream));
    let step = sink.step(json!({"method": "POST", "body_bytes": 1 << 20}));
    let report = Try::steps(&sink, json!([step])).within(Limit::RequestBytes, 64 << 10).run();
    assert_eq!(report.receipt.request_bytes, 64 << 10);
    exceeded(report, Limit::RequestBytes);
}

/// Whatever a server sends without end, it ends with the limit.
fn endless(what: &'static str, again: &'static str) {
    let server = Server::start(move |_, stream| {
        say(stream, what.as_bytes());
        endlessly(stream, again.as_bytes());
    });
    let steps = json!([server.step(json!({}))]);
    exceeded(Try::steps(&server, steps).within(Limit::RequestBytes, 1 << 20).run(), Limit::RequestBytes);
}

#[test]
fn endless_body_ends_with_the_limit() {
    endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxxxxxxxxxx");
}

#[test]
fn endless_tiny_chunks_end_with_the_limit() {
    endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n");
}

#[test]
fn endless_informational_responses_end_with_the_limit() {
    endless("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
}

#[test]
fn body_that_nobody_reads_is_not_taken_in() {
    let server = Server::start(|_, stream| {
        say(stream, b"HTTP/1.1 200 OK\r\n\r\n");
        endlessly(stream, b"xxxxxxxxxxxxxxxx");
    });
    let report = Try::steps(&server, json!([server.step(json!({"read": "none"}))])).run();
    assert!(seen(&report)[0].starts_with("200 "));
    assert!(report.receipt.request_bytes < 1 << 20, "{}", report.receipt.request_bytes);
}

#[test]
fn response_head_obeyed() {
    let many: String = (0..100).map(|index| format!("x-{index}: {}\r\n", "y".repeat(500))).collect();
    let server = Server::saying(format!("HTTP/1.1 200 OK\r\n{many}\r\nhello"));
    assert!(Try::steps(&server, json!([server.step(json!({}))])).seen()[0].ends_with("| hello"));
}

#[test]
fn response_head_violated() {
    let many: String = (0..101).map(|index| format!("x-{index}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(64 << 10));
    for headers in [many, large] {
        let server = Server::saying(format!("HTTP/1.1 200 OK\r\n{headers}\r\nhello"));
        let seen = Try::steps(&server, json!([server.step(json!({}))])).seen();
        assert!(seen[0].contains("HttpResponseHeaderSectionSize"), "{seen:?}");
    }
    let server = Server::start(|_, stream| {
        say(stream, b"HTTP/1.1 200 OK\r\n");
        endlessly(stream, b"x: y\r\n");
    });
    let seen = Try::steps(&server, json!([server.step(json!({}))])).seen();
    assert!(seen[0].contains("HttpResponseHeaderSectionSize"), "{seen:?}");
}

#[test]
fn trailers_are_seen_and_bounded() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n";
    let server = Server::saying(format!("{head}x-sum: 1\r\n\r\n"));
    let step = json!({"read": "trailers"});
    assert!(Try::steps(&server, json!([server.step(step.clone())])).seen()[0].ends_with("| x-sum: 1"));
    let server = Server::start(move |_, stream| {
        say(stream, head.as_bytes());
        endlessly(stream, b"x: y\r\n");
    });
    let seen = Try::steps(&server, json!([server.step(step)])).seen();
    assert!(seen[0].starts_with("error: "), "{seen:?}");
}

#[test]
fn server_that_never_answers_takes_no_more_than_the_attempts_time() {
    let server = Server::start(|_, stream| hang(stream));
    let steps = json!([server.step(json!({}))]);
    let stop = stop(Try::steps(&server, steps).within(Limit::Timeout, 300).run());
    assert_eq!(stop.cause, Cause::Timeout);
    assert!(stop.message.contains("in `wasi:io/poll"), "{}", stop.message);
    assert!(!stop.backtrace.is_empty());
}

#[test]
fn guests_own_timeouts_end_a_request_and_not_the_attempt() {
    let silent = Server::start(|_, stream| hang(stream));
    let halfway = Server::start(|_, stream| {
        say(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel");
        hang(stream);
    });
    let steps = json!([silent.step(json!({"timeout_ms": 200})), halfway.step(json!({"timeout_ms": 200}))]);
    let mut attempt = Try::steps(&silent, steps);
    attempt.grants.push(halfway.grant());
    let seen = attempt.seen();
    assert!(seen[0].contains("HttpResponseTimeout"), "{seen:?}");
    assert!(seen[1].contains("ConnectionReadTimeout"), "{seen:?}");
}

#[test]
fn body_that_breaks_off_is_no_whole_body() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello");
    let seen = Try::steps(&server, json!([server.step(json!({}))])).seen();
    assert!(seen[0].contains("HttpResponseIncomplete"), "{seen:?}");
}

const TEXT: &str = "correct-horse/battery";

/// Tells back what it heard in a header, in pieces of the body, and in the usual encodings.
fn parrot() -> Server {
    Server::start(|head, stream| {
        let heard = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
        let hex: String = heard.bytes().map(|byte| format!("{byte:02x}")).collect();
        let encoded =
            [STANDARD.encode(heard), STANDARD.encode(format!("a{heard}")), STANDARD.encode(format!("ab{heard}"))];
        let body = format!("{heard} {} {hex} {}", encoded.join(" "), heard.replace('/', "%2F"));
        say(stream, format!("HTTP/1.1 200 OK\r\nx-heard: {heard}\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes());
        for byte in body.chars() {
            say(stream, format!("1\r\n{byte}\r\n").as_bytes());
        }
        say(stream, format!("0\r\nx-heard-too: {heard}\r\n\r\n").as_bytes());
    })
}

#[test]
fn secret_reaches_its_host_and_is_never_seen_by_the_guest() {
    let server = parrot();
    let bearer = server.step(json!({"headers": [["authorization", "Bearer {API_KEY}"]]}));
    let basic = server.step(json!({"headers": [["authorization", "basic:ada:{API_KEY}"]]}));
    let mut trailers = bearer.clone();
    trailers["read"] = "trailers".into();
    let steps = json!([{"instead": "env API_KEY"}, bearer, basic, trailers]);
    let report = Try::steps(&server, steps).secret("API_KEY", TEXT, &server.grant()).run();
    let seen = seen(&report);
    let placeholder = &seen[0];
    assert!(placeholder.starts_with("sunaba-secret-API_KEY-"), "{placeholder}");
    let heads = server.seen();
    assert!(heads[0].contains(&format!("authorization: Bearer {TEXT}\r\n")), "{}", heads[0]);
    assert!(
        heads[1].contains(&format!("authorization: Basic {}\r\n", STANDARD.encode(format!("ada:{TEXT}")))),
        "{}",
        heads[1]
    );
    let all = format!("{report:?}{seen:?}");
    assert!(!all.contains(TEXT) && !all.contains("correct-horse"), "{seen:?}");
    assert!(seen[1].contains(&format!("x-heard: Bearer {placeholder}")), "{}", seen[1]);
    // As it is, in three alignments of base64, in hex and percent-encoded.
    assert_eq!(seen[1].split('|').next_back().expect("a body").matches(placeholder.as_str()).count(), 6, "{}", seen[1]);
    assert!(seen[3].ends_with(&format!("x-heard-too: Bearer {placeholder}")), "{}", seen[3]);
}

#[test]
fn secret_stays_a_placeholder_anywhere_else() {
    let (own, other) = (parrot(), parrot());
    let step =
        |server: &Server| server.step(json!({"headers": [["authorization", "{API_KEY}"]], "path": "/?k={API_KEY}"}));
    let mut attempt = Try::steps(&own, json!([{"instead": "env API_KEY"}, step(&other)]));
    attempt.grants.push(other.grant());
    let seen = attempt.secret("API_KEY", TEXT, &own.grant()).seen();
    assert!(other.seen()[0].contains(&format!("authorization: {}\r\n", seen[0])), "{:?}", other.seen());
    // A secret is no grant.
    let steps = json!([step(&own)]);
    let denied = Try { grants: vec![], ..Try::steps(&own, steps) }.secret("API_KEY", TEXT, &own.grant()).seen();
    assert!(denied[0].contains("HttpRequestDenied"), "{denied:?}");
    assert!(own.seen().is_empty());
}

#[test]
fn packed_response_of_a_secrets_host_is_refused() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello");
    let step = server.step(json!({"headers": [["accept-encoding", "gzip"]]}));
    let seen = Try::steps(&server, json!([step])).secret("API_KEY", TEXT, &server.grant()).seen();
    assert!(seen[0].contains("HttpResponseContentCoding"), "{seen:?}");
    assert!(server.seen()[0].contains("accept-encoding: identity\r\n"), "{:?}", server.seen());
    assert!(Try::steps(&server, json!([server.step(json!({}))])).seen()[0].ends_with("| hello"));
}

#[test]
fn secret_that_is_too_short_is_refused_before_anything_runs() {
    block_on(async {
        let server = Server::saying(OK);
        let sandbox = Sandbox::builder().start().expect("threads");
        let attempt = Try::steps(&server, json!([])).secret("API_KEY", "hunter2", &server.grant());
        let request = attempt.request(&sandbox).await;
        let refused = sandbox.execute(request, Arc::new(Unattended)).await.expect_err("it cannot be hidden");
        assert!(
            refused.to_string().starts_with("the secret `API_KEY` has 7 bytes: the least is 8\nhint: "),
            "{refused}"
        );
        assert!(!refused.is_retryable());
    });
}

/// Descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("it is there").count()
}

/// The servers of this process close their ends when they notice that ours are closed.
fn comes_back_to(baseline: usize) {
    let begun = Instant::now();
    while descriptors() > baseline {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} descriptors, {baseline} before", descriptors());
        std::thread::yield_now();
    }
}

#[test]
fn connections_come_back_however_attempts_end() {
    block_on(async {
        let sandbox = Sandbox::builder().start().expect("threads");
        let silent = Server::start(|_, stream| hang(stream));
        let endless = Server::start(|_, stream| {
            say(stream, b"HTTP/1.1 200 OK\r\n\r\n");
            endlessly(stream, b"xxxxxxxxxxxxxxxx");
        });
        let attempt = |server: &Server, more: Value| Try::steps(server, json!([server.step(more)]));
        seen(&attempt(&endless, json!({"read": "none"})).on(&sandbox).await);
        comes_back_to(descriptors());
        let baseline = descriptors();
        for _ in 0..5 {
            let held = attempt(&silent, json!({"times": 5, "hold": true}));
            assert_eq!(stop(held.within(Limit::Timeout, 100).on(&sandbox).await).cause, Cause::Timeout);
            seen(&attempt(&silent, json!({"times": 5, "forget": true})).on(&sandbox).await);
            exceeded(
                attempt(&endless, json!({})).within(Limit::RequestBytes, 1 << 20).on(&sandbox).await,
                Limit::RequestBytes,
            );
            seen(&attempt(&endless, json!({"times": 5, "read": "none"})).on(&sandbox).await);
        }
        comes_back_to(baseline);
    });
}

#[test]
fn dropped_attempt_hangs_up_at_once() {
    let (heard, hears): (_, Receiver<&str>) = channel();
    let heard = Mutex::new(heard);
    let server = Server::start(move |_, stream| {
        let tell = |what| heard.lock().expect("nobody panicked").send(what).expect("the test waits");
        tell("a request");
        hang(stream);
        tell("the end");
    });
    block_on(async {
        let sandbox = Arc::new(Sandbox::builder().start().expect("threads"));
        let request = Try::steps(&server, json!([server.step(json!({}))])).request(&sandbox).await;
        let running = tokio::spawn({
            let sandbox = Arc::clone(&sandbox);
            async move { sandbox.execute(request, Arc::new(Unattended)).await }
        });
        tokio::task::yield_now().await;
        let wait = |hears: Receiver<&'static str>| {
            tokio::task::spawn_blocking(move || (hears.recv_timeout(Duration::from_secs(30)), hears))
        };
        let (first, hears) = wait(hears).await.expect("no panic");
        assert_eq!(first, Ok("a request"));
        running.abort();
        let (second, _) = wait(hears).await.expect("no panic");
        assert_eq!(second, Ok("the end"), "the connection outlived its attempt");
    });
}
