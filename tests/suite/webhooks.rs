//! Webhooks from outside: what a receiver gets, how it is signed, what comes of refusals, and that nothing is lost.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Host, text};

const ADA: [&str; 3] = ["hello/hello", "--input", r#"{"name":"Ada"}"#];
/// What lets a host reach a receiver of this machine.
pub(crate) const LOCAL: [&str; 2] = ["--webhook-http", "--webhook-allow=127.0.0.1"];
const JSON: &str = "Content-Type: application/json\r\n";

/// A request as a receiver has got it.
pub(crate) struct Got {
    headers: Vec<(String, String)>,
    body: String,
    answer: Sender<&'static str>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(own, _)| own == name);
        &found.unwrap_or_else(|| panic!("no `{name}` in {:?}", self.headers)).1
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// Answers with this status line.
    pub(crate) fn answer(&self, status: &'static str) {
        self.answer.send(status).expect("its connection waits");
    }

    /// What was told, and that it was taken.
    pub(crate) fn take(self) -> Value {
        self.answer("200 OK");
        self.json()
    }

    /// Whether the secret signs this request, by a computation of our own: not the library of the host.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let signed = format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac(&key, signed.as_bytes())));
        self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// HMAC-SHA256 after RFC 2104, over `sha256sum` of the system.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner: Vec<u8> = block.iter().map(|byte| byte ^ 0x36).chain(message.iter().copied()).collect();
    let outer: Vec<u8> = block.iter().map(|byte| byte ^ 0x5c).chain(sha256(&inner)).collect();
    sha256(&outer)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it is there");
    child.stdin.take().expect("piped").write_all(bytes).expect("it reads");
    let hex = text(&child.wait_with_output().expect("it ends").stdout);
    (0..32).map(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).expect("hexadecimal")).collect()
}

/// A receiver on this machine. Each request waits until a test answers it: for 15 seconds, and then it comes again, so that no test
/// may count on how often it comes.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) got: Receiver<Got>,
}

impl Endpoint {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("it has one"));
        let (sender, got) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || receive(stream, &sender));
            }
        });
        Self { url, got }
    }

    pub(crate) fn next(&self) -> Got {
        // A bound on real time, for a host that sends nothing.
        self.got.recv_timeout(Duration::from_secs(300)).expect("a request comes")
    }

    /// The next of this kind; any other is one that was not answered in time and has come again, and is taken.
    pub(crate) fn next_of(&self, is_it: impl Fn(&Got) -> bool) -> Got {
        loop {
            let got = self.next();
            if is_it(&got) {
                return got;
            }
            got.answer("200 OK");
        }
    }

    /// Takes so many different messages, however often each comes.
    fn take_messages(&self, messages: usize) -> Vec<Got> {
        let (mut ids, mut taken) = (BTreeSet::new(), Vec::new());
        while taken.len() < messages {
            let got = self.next();
            got.answer("200 OK");
            if ids.insert(got.header("webhook-id").to_owned()) {
                taken.push(got);
            }
        }
        taken
    }
}

fn receive(stream: TcpStream, sender: &Sender<Got>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut line, mut headers) = (String::new(), Vec::new());
    reader.read_line(&mut line).ok()?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (answer, answers) = channel();
    sender.send(Got { headers, body: String::from_utf8(body).ok()?, answer }).ok()?;
    // A test that has ended lets it go.
    let status = answers.recv().ok()?;
    let mut stream = stream;
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nsaid\n").as_bytes()).ok()
}

fn host() -> Host {
    let host = Host::start(&LOCAL);
    host.deploy("hello");
    host
}

pub(crate) fn add(host: &Host, name: &str, url: &str, more: &[&str]) -> String {
    host.ok(&[&["webhook", "add", name, url], more].concat())
}

fn submit(host: &Host) -> String {
    host.ok(&[&["task", "submit"], &ADA[..]].concat())
}

fn webhook(host: &Host, name: &str) -> Value {
    host.json(&["webhook", "show", name])
}

/// Waits until so many deliveries of a webhook were taken.
fn until_delivered(host: &Host, name: &str, deliveries: u64) {
    while webhook(host, name)["delivered"].as_u64().expect("a number") < deliveries {
        std::thread::yield_now();
    }
}

fn refused(host: &Host, arguments: &[&str]) -> (Option<i32>, String) {
    let output = host.sunaba(arguments.iter().copied());
    (output.status.code(), text(&output.stderr))
}

#[test]
fn receiver_gets_what_it_wants_with_a_signature_that_it_can_verify() {
    let (host, endpoint) = (host(), Endpoint::start());
    let secret = add(&host, "billing", &endpoint.url, &["--event=task.succeeded", "--event=task.dead"]);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body = r#"{"handler": "hello/hello", "input": {"name": "Ada"}}"#;
    let (status, answer) = host.raw("POST /v1/tasks", &format!("{JSON}traceparent: {trace}\r\n"), body);
    assert_eq!(status, "201", "{answer}");
    let id = serde_json::from_str::<Value>(&answer).expect("JSON")["id"].as_str().expect("text").to_owned();
    let got = endpoint.next();
    assert!(got.is_signed_by(&secret) && !got.is_signed_by("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
    assert_eq!((got.header("content-type"), got.header("traceparent")), ("application/json", trace));
    assert!(got.header("webhook-id").starts_with("msg_"));
    let told = got.take();
    assert_eq!(told["type"], "task.succeeded");
    let data = &told["data"];
    assert_eq!(
        (&data["task"], &data["handler"], &data["state"]),
        (&json!(id), &json!("hello/hello"), &json!("succeeded"))
    );
    assert_eq!(
        (&data["attempts"], &data["failure"], &data["output_omitted"]),
        (&json!(1), &json!(null), &json!(false))
    );
    until_delivered(&host, "billing", 1);
    let deliveries = host.lines(&["webhook", "deliveries", "billing"]);
    assert_eq!((deliveries.len(), &deliveries[0]["attempts"][0]["status"]), (1, &json!(200)));
    let id = deliveries[0]["id"].as_str().expect("text");
    let shown = host.json(&["webhook", "delivery", "billing", id]);
    assert_eq!((&shown["body"], &shown["attempts"][0]["answer"]), (&told, &json!("said\n")));
    // Nobody else sees its secret, nor deliveries among tasks and events.
    for arguments in [&["webhook", "show", "billing"][..], &["webhook", "list"], &["audit", "list"]] {
        let shown = host.ok(&[arguments, &["-o", "jsonl"]].concat());
        assert!(!shown.contains("whsec_"), "{arguments:?}: {shown}");
    }
    assert_eq!(host.lines(&["task", "list"]).len(), 1);
    assert!(!host.ok(&["events"]).contains("sunaba"));
    let (code, said) = refused(&host, &["task", "submit", "sunaba-webhooks/deliver", "--input", "{}"]);
    assert!(code == Some(3), "{code:?} {said}");
    let (code, said) = refused(&host, &[&["task", "submit"], &ADA[..], &["--queue=sunaba:webhooks"]].concat());
    assert!(code == Some(8) || code == Some(2), "{code:?} {said}");
}

#[test]
fn refused_delivery_is_tried_again_as_the_same_message_and_can_be_resent() {
    let (host, endpoint) = (host(), Endpoint::start());
    let secret = add(&host, "billing", &endpoint.url, &["--event=task.succeeded"]);
    submit(&host);
    let first = endpoint.next();
    first.answer("500 Internal Server Error");
    // After some five seconds.
    let second = endpoint.next();
    assert_eq!((first.header("webhook-id"), &first.body), (second.header("webhook-id"), &second.body));
    assert!(second.is_signed_by(&secret));
    second.answer("204 No Content");
    until_delivered(&host, "billing", 1);
    let delivery = host.lines(&["webhook", "deliveries", "billing"]).remove(0);
    let statuses: Vec<_> = (0..2).map(|place| delivery["attempts"][place]["status"].clone()).collect();
    assert_eq!(
        (statuses, &delivery["attempts"][0]["problem"]),
        (vec![json!(500), json!(204)], &json!("the endpoint answered 500"))
    );
    let id = delivery["id"].as_str().expect("text");
    let again = host.ok(&["webhook", "resend", "billing", id]);
    let resent = endpoint.next();
    assert_eq!((resent.header("webhook-id"), &resent.body), (first.header("webhook-id"), &first.body));
    resent.take();
    until_delivered(&host, "billing", 2);
    let of = host.json(&["webhook", "delivery", "billing", id]);
    assert_eq!(of["resent_as"], json!(again));
    let (code, said) = refused(&host, &["webhook", "resend", "other", id]);
    assert!(code == Some(3) && said.contains("there is no webhook `other`"), "{said}");
}

#[test]
fn endpoint_that_is_gone_is_told_of_nothing_until_it_is_enabled() {
    let host = Host::start(&[&LOCAL[..], &["--watch-interval=50ms", "--alert=fire-after=10ms"]].concat());
    host.deploy("hello");
    let (gone, other) = (Endpoint::start(), Endpoint::start());
    add(&host, "gone", &gone.url, &["--event=task.submitted"]);
    add(&host, "alerts", &other.url, &["--event=alert.*"]);
    submit(&host);
    gone.next().answer("410 Gone");
    // Who wants alerts is told of that.
    let told = other.next().take();
    assert_eq!(
        (&told["type"], &told["data"]["rule"], &told["data"]["subject"]),
        (&json!("alert.firing"), &json!("webhook"), &json!("gone"))
    );
    let shown = webhook(&host, "gone");
    assert_eq!((&shown["enabled"], &shown["disabled"]["by_failure"]), (&json!(false), &json!(true)));
    assert!(host.ok(&["webhook", "list"]).contains("disabled: the endpoint answered 410 Gone"));
    let entry = host
        .lines(&["audit", "list"])
        .into_iter()
        .find(|entry| entry["what"] == "webhook.disable")
        .expect("it is logged");
    assert_eq!((&entry["who"], &entry["of"]), (&json!("program"), &json!("gone")));
    submit(&host);
    host.ok(&["webhook", "set", "gone", "--enable"]);
    let id = submit(&host);
    assert_eq!(gone.next().take()["data"]["task"], json!(id), "and not what happened before");
}

#[test]
fn endpoint_that_hangs_holds_up_no_other() {
    let (host, hangs, other) = (host(), Endpoint::start(), Endpoint::start());
    add(&host, "hangs", &hangs.url, &["--event=task.succeeded"]);
    let ids: Vec<_> = (0..8).map(|_| submit(&host)).collect();
    // As many as may at a time, and none of them is answered.
    let held: Vec<_> = (0..4).map(|_| hangs.next()).collect();
    add(&host, "other", &other.url, &["--event=task.succeeded"]);
    let later: Vec<_> = (0..8).map(|_| submit(&host)).collect();
    let told: BTreeSet<_> = other
        .take_messages(8)
        .iter()
        .map(|got| got.json()["data"]["task"].as_str().expect("text").to_owned())
        .collect();
    assert_eq!(told, later.into_iter().collect());
    // Tasks have their slots.
    ids.iter().for_each(|id| host.until(id, "succeeded"));
    // Of those that were held for too long some come again; the others have their turn.
    held.iter().for_each(|got| got.answer("200 OK"));
    while webhook(&host, "hangs")["delivered"].as_u64().expect("a number") <= 4 {
        if let Ok(got) = hangs.got.recv_timeout(Duration::from_millis(50)) {
            got.answer("200 OK");
        }
    }
}

#[test]
fn addresses_that_are_not_public_are_refused_unless_the_operator_says_otherwise() {
    let endpoint = Endpoint::start();
    let mut host = Host::start(&["--webhook-http"]);
    host.deploy("hello");
    let port = endpoint.url.rsplit(':').next().expect("a port").to_owned();
    for url in [endpoint.url.as_str(), "http://169.254.169.254/latest", "http://[::1]/x", "http://10.0.0.1/"] {
        let (code, said) = refused(&host, &["webhook", "add", "billing", url, "--event=*"]);
        assert!(code == Some(5) && said.contains("hint: start the host with `--webhook-allow"), "{url}: {said}");
    }
    // A name is looked at when it is sent to, whatever it leads to by then.
    add(&host, "named", &format!("http://localhost:{port}"), &["--event=task.succeeded"]);
    let output = host.sunaba(["webhook", "test", "named"]);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("leads to no address to which requests may go"), "{}", text(&output.stdout));
    assert!(endpoint.got.try_recv().is_err(), "nobody has connected");
    host.kill();
    host.forget_arguments();
    host.restart();
    let (code, said) = refused(&host, &["webhook", "add", "plain", "http://example.com/", "--event=*"]);
    assert!(code == Some(5) && said.contains("go to `https` alone"), "{said}");
    let output = host.sunaba(["webhook", "test", "named"]);
    assert!(text(&output.stdout).contains("go to `https` alone"), "{}", text(&output.stdout));
}

#[test]
fn both_secrets_sign_while_one_replaces_the_other() {
    let (host, endpoint) = (host(), Endpoint::start());
    let first = add(&host, "billing", &endpoint.url, &["--event=task.succeeded"]);
    let second = host.ok(&["webhook", "rotate", "billing"]);
    submit(&host);
    let got = endpoint.next();
    assert!(got.is_signed_by(&first) && got.is_signed_by(&second) && first != second);
    assert_eq!(got.header("webhook-signature").split(' ').count(), 2);
    got.take();
    assert_eq!(webhook(&host, "billing")["secrets"].as_array().expect("a list").len(), 2);
    let third = host.ok(&["webhook", "rotate", "billing", "--overlap=0s"]);
    submit(&host);
    let got = endpoint.next();
    assert!(got.is_signed_by(&third) && !got.is_signed_by(&second) && !got.is_signed_by(&first));
    got.take();
}

#[test]
fn nothing_is_lost_when_the_host_is_killed_between_an_end_and_its_delivery() {
    let endpoint = Endpoint::start();
    let mut host = host();
    add(&host, "billing", &endpoint.url, &["--event=task.succeeded"]);
    let ids: std::collections::BTreeSet<_> = (0..6).map(|_| submit(&host)).collect();
    ids.iter().for_each(|id| host.until(id, "succeeded"));
    // Four are on their way, two wait, and none of them was answered.
    let before: Vec<_> = (0..4).map(|_| endpoint.next()).collect();
    host.kill();
    host.restart();
    // However long that took: what is told again is the same.
    let mut after = Vec::new();
    while webhook(&host, "billing")["delivered"].as_u64().expect("a number") < 6 {
        if let Ok(got) = endpoint.got.recv_timeout(Duration::from_millis(50)) {
            got.answer("200 OK");
            after.push(got);
        }
    }
    let told: std::collections::BTreeSet<_> =
        after.iter().map(|got| got.json()["data"]["task"].as_str().expect("text").to_owned()).collect();
    assert_eq!(told, ids);
    for sent in before {
        let again = after.iter().find(|got| got.header("webhook-id") == sent.header("webhook-id"));
        assert_eq!(again.expect("it is sent again").body, sent.body);
    }
    assert_eq!(webhook(&host, "billing")["pending"], 0);
}

#[test]
fn webhooks_are_changed_listed_tried_and_removed() {
    let (host, endpoint) = (host(), Endpoint::start());
    assert_eq!(text(&host.sunaba(["webhook", "list"]).stderr), "there is no webhook\n");
    add(&host, "billing", &endpoint.url, &["--event=task.*,job.failed", "--queue=mail", "--disabled"]);
    let (code, said) = refused(&host, &["webhook", "add", "billing", &endpoint.url, "--event=*"]);
    assert!(code == Some(4) && said.contains("should be nothing before this change"), "{said}");
    let answers = std::thread::spawn(move || {
        let got = endpoint.next();
        let told = got.json();
        got.answer("200 OK");
        (told["type"].clone(), endpoint)
    });
    // One that is disabled can be tried.
    let tested = host.json(&["webhook", "test", "billing"]);
    assert_eq!((&tested["state"], &tested["attempts"][0]["status"]), (&json!("succeeded"), &json!(200)));
    let (told, endpoint) = answers.join().expect("it does not panic");
    assert_eq!(told, "webhook.test");
    let changed = host.json(&["webhook", "set", "billing", "--event=task.dead", "--no-filters", "--enable"]);
    assert_eq!(
        (&changed["events"], &changed["queues"], &changed["enabled"]),
        (&json!(["task.dead"]), &json!([]), &json!(true))
    );
    assert_eq!((&changed["revision"], &changed["secret"]), (&json!(2), &Value::Null));
    let put = |headers: &str, body: &str| host.raw("PUT /v1/webhooks/billing", &format!("{JSON}{headers}"), body);
    let body = format!(r#"{{"url": "{}", "events": ["*"]}}"#, endpoint.url);
    assert_eq!(put("If-Match: \"1\"\r\n", &body).0, "412");
    assert_eq!(put("If-Match: \"2\"\r\n", &body).0, "200");
    for (body, status, expected) in [
        (r#"{"url": "ftp://a", "events": ["*"]}"#, "422", "ftp"),
        (r#"{"url": "https://a.example", "events": []}"#, "422", "wants no events"),
        (r#"{"url": "https://a.example", "events": ["task.succeded"]}"#, "422", "did you mean"),
        (r#"{"url": "https://a.example", "events": ["*"], "secret": "x"}"#, "400", "secret"),
        (r#"{"url": "https://u@a.example", "events": ["*"]}"#, "422", "cannot be at"),
    ] {
        let (found, answer) = put("", body);
        assert!(found == status && answer.contains(expected), "{body}: {found} {answer}");
    }
    let (code, said) = refused(&host, &["webhook", "set", "billing"]);
    assert!(code == Some(2) && said.contains("nothing says what to change"), "{said}");
    assert_eq!(host.json(&["webhook", "remove", "billing"]), json!({"deleted": "billing"}));
    for arguments in [
        &["webhook", "show", "billing"][..],
        &["webhook", "test", "billing"],
        &["webhook", "rotate", "billing"],
        &["webhook", "remove", "billing"],
    ] {
        let (code, said) = refused(&host, arguments);
        assert!(
            code == Some(3) && said.starts_with("error: there is no webhook `billing`\nhint:"),
            "{arguments:?}: {said}"
        );
    }
}
