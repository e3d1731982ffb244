//! The client before a host that says what a test wants.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::api::Submit;
use crate::{Client, ClientBuilder, ClientError};

const NONE: &str = "01900000-0000-7000-8000-000000000000";
const BUSY: &str =
    r#"{"status":503,"title":"Service Unavailable","code":"busy","detail":"the store is busy","hint":"try again"}"#;

/// A host that gives these answers, one after another, and no other; an empty one is a connection that is closed, and one that is
/// shorter than it says is one that is lost in its middle.
struct Script {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn start(answers: Vec<String>) -> Self {
        Self::over(answers.into_iter()).await
    }

    /// A host that says this to everybody.
    async fn always(answer: String) -> Self {
        Self::over(std::iter::repeat(answer)).await
    }

    async fn over(answers: impl Iterator<Item = String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("it listens"));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("somebody asks");
                let mut request = vec![0; 16 << 10];
                let read = stream.read(&mut request).await.expect("it is sent");
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let line = request.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
                seen.lock().expect("nobody panicked").push(line);
                // Whoever has gone has no answer.
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self { address, asked }
    }

    fn client(&self) -> Client {
        self.with(|builder| builder)
    }

    fn with(&self, say: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        say(Client::builder(&self.address)).build().expect("an address")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

fn answer(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

/// One whose connection is lost in its middle.
fn torn(status: u16, body: &str) -> String {
    let whole = answer(status, "", body);
    whole[..whole.len() - 1].to_owned()
}

/// A task that has not ended.
fn waiting_task() -> String {
    let at = "2026-01-01T00:00:00Z";
    let mut limits = serde_json::json!({ "fuel": "exact" });
    for name in [
        "timeout_ms",
        "memory_bytes",
        "output_bytes",
        "stdout_bytes",
        "stderr_bytes",
        "log_bytes",
        "log_lines",
        "host_call_bytes",
        "moved_bytes",
        "resources",
        "instances",
        "tables",
        "open_files",
        "written_bytes",
        "random_bytes",
        "requests",
        "concurrent_requests",
        "request_bytes",
        "artifact_bytes",
    ] {
        limits[name] = 1.into();
    }
    serde_json::json!({
        "id": NONE, "state": "queued", "handler": "a/b", "queue": "default", "priority": 0, "component": "", "follows": false,
        "submitted_at": at, "since": at, "attempts_started": 0, "failures_charged": 0, "hosts_lost": 0, "max_attempts": 1,
        "max_hosts_lost": 1, "backoff": "", "never_retry_on": [], "tags": [], "callbacks": 0, "followers": [], "limits": limits,
        "grants": { "env": [], "dirs": [], "http": [], "secrets": [], "clock": "coarse" },
        "input": { "media_type": "application/json", "size_bytes": 1 }, "attempts": [],
    })
    .to_string()
}

fn submit(key: Option<&str>) -> Submit {
    Submit { handler: "a/b".into(), idempotency_key: key.map(str::to_owned), ..Submit::default() }
}

#[tokio::test]
async fn what_looks_is_tried_again_when_its_answer_is_lost() {
    let host = Script::start(vec![String::new(), answer(503, "", BUSY), answer(200, "", r#"{"secrets":[]}"#)]).await;
    assert!(host.client().list_secrets().await.expect("the third answer").is_empty());
    assert_eq!(host.asked(), ["GET /v1/secrets"; 3]);
}

#[tokio::test]
async fn what_changes_something_is_not_tried_again() {
    let host = Script::start(vec![String::new(), answer(200, "", "{}")]).await;
    let lost = host.client().submit_task(&submit(None)).await.expect_err("nobody answered");
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
    assert!(lost.is_retryable() && lost.to_string().contains("it may have done what it was asked\nhint: "), "{lost}");
    assert_eq!(host.asked(), ["POST /v1/tasks"]);
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_done() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("it listens"));
    drop(listener);
    let error =
        Client::new(&address).expect("an address").submit_task(&submit(None)).await.expect_err("nobody is there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_looks_is_tried_again_when_its_answer_breaks_off() {
    let whole = r#"{"secrets":[]}"#;
    let host = Script::start(vec![torn(200, whole), torn(503, BUSY), answer(200, "", whole)]).await;
    assert!(host.client().list_secrets().await.expect("the third answer").is_empty());
    assert_eq!(host.asked(), ["GET /v1/secrets"; 3]);
}

#[tokio::test]
async fn what_changes_something_is_not_tried_again_when_its_answer_breaks_off() {
    let host = Script::start(vec![torn(200, "{}"), answer(200, "", "{}")]).await;
    let lost = host.client().submit_task(&submit(None)).await.expect_err("half of an answer came");
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
    assert_eq!(host.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_http_is_no_lost_connection() {
    let chunks = "HTTP/1.1 200 X\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nsoup\r\n";
    let host = Script::start(vec![chunks.to_owned()]).await;
    let error = host.with(|builder| builder.tries(1)).list_secrets().await.expect_err("it cannot be read");
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn many_are_submitted_again_if_each_has_an_idempotency_key() {
    let raw = |key: Option<&str>| serde_json::value::to_raw_value(&submit(key)).expect("JSON");
    let taken = r#"{"tasks":[]}"#;
    let host = Script::start(vec![torn(200, taken), answer(200, "", taken)]).await;
    host.client().submit_tasks(vec![raw(Some("a")), raw(Some("b"))]).await.expect("the second answer");
    let host = Script::start(vec![torn(200, taken), answer(200, "", taken)]).await;
    let lost = host.client().submit_tasks(vec![raw(Some("a")), raw(None)]).await.expect_err("one has no key");
    assert!(matches!(lost, ClientError::Lost { .. }), "{lost}");
}

#[tokio::test]
async fn head_of_a_file_is_waited_for_as_long_as_any_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("it listens"));
    // It takes connections, and says nothing.
    let client = Client::builder(&address).timeout(Duration::from_millis(50)).tries(1).build().expect("an address");
    let (task, name) = (NONE.parse().expect("an id"), "a".parse().expect("a name"));
    let error = client.get_artifact(task, &name).await.expect_err("nothing comes");
    assert!(matches!(error, ClientError::Late { .. }), "{error}");
}

#[tokio::test]
async fn file_that_breaks_off_or_stays_away_is_no_whole_one() {
    let (task, name) = (NONE.parse().expect("an id"), "a".parse().expect("a name"));
    let host = Script::start(vec![String::new(), torn(200, "whole")]).await;
    let mut download = host.client().get_artifact(task, &name).await.expect("the head, at the second try");
    assert_eq!(download.piece().await.expect("a part").as_deref(), Some(&b"whol"[..]));
    let error = download.piece().await.expect_err("it has broken off");
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn host_that_does_not_wait_is_not_asked_over_and_over() {
    let host = Script::always(answer(200, "", &waiting_task())).await;
    let waited = host.client().wait_at_most(NONE.parse().expect("an id"), Duration::from_secs(1)).await;
    assert!(waited.expect("it answers").is_none());
    // One every quarter of a second; fewer on a machine that is busy.
    assert!((1..=5).contains(&host.asked().len()), "{:?}", host.asked());

    let host = Script::always(answer(200, "", r#"{"events":[],"next":3,"missed":false}"#)).await;
    let mut events = host.client().follow(None, Some(3));
    assert!(tokio::time::timeout(Duration::from_secs(1), events.next()).await.is_err());
    assert!((1..=5).contains(&host.asked().len()), "{:?}", host.asked());
}

#[tokio::test]
async fn place_where_following_begins_is_fixed_before_the_first_wait() {
    let page = |next: u64, events: &str| format!(r#"{{"events":[{events}],"next":{next},"missed":false}}"#);
    let event = r#"{"sequence":8,"at":"2026-01-01T00:00:00Z","event":"queued"}"#;
    // The first wait is lost, and what has happened meanwhile is not.
    let answers = vec![answer(200, "", &page(7, "")), torn(200, &page(9, event)), answer(200, "", &page(9, event))];
    let host = Script::start(answers).await;
    let mut events = host.client().follow(None, None);
    assert_eq!(events.next().await.expect("it is there").sequence, 8);
    let asked: Vec<_> = host.asked();
    assert!(asked[0].contains("wait_ms=0") && !asked[0].contains("after="), "{asked:?}");
    assert!(asked[1..].iter().all(|line| line.contains("after=7")) && asked.len() == 3, "{asked:?}");
}

#[tokio::test]
async fn submit_with_an_idempotency_key_is_tried_again() {
    let host = Script::start(vec![String::new(), answer(503, "Retry-After: 60\r\n", BUSY)]).await;
    let refused = host.client().submit_task(&submit(Some("key"))).await.expect_err("it was refused");
    // A host that wants a minute is not asked again.
    assert_eq!((refused.code(), refused.retry_after()), (Some("busy"), Some(Duration::from_secs(60))));
    assert_eq!(host.asked(), ["POST /v1/tasks"; 2]);
}

#[tokio::test]
async fn number_of_tries_obeyed() {
    let host = Script::start(vec![answer(503, "", BUSY), answer(200, "", r#"{"secrets":[]}"#)]).await;
    assert!(host.with(|builder| builder.tries(2)).list_secrets().await.is_ok());
}

#[tokio::test]
async fn number_of_tries_violated() {
    let host = Script::start(vec![answer(503, "", BUSY), answer(200, "", r#"{"secrets":[]}"#)]).await;
    assert!(host.with(|builder| builder.tries(1)).list_secrets().await.is_err());
    assert_eq!(host.asked().len(), 1);
}

#[tokio::test]
async fn refusal_is_told_as_the_host_has_said_it() {
    let problem = r#"{"status":409,"title":"Conflict","code":"taken","detail":"`x` is taken","hint":"take another"}"#;
    let host = Script::start(vec![answer(409, "", problem)]).await;
    let error = host.client().submit_task(&submit(None)).await.expect_err("it was refused");
    assert_eq!(error.to_string(), "`x` is taken\nhint: take another");
    let told = (error.code(), error.status(), error.hint(), error.retry_after(), error.is_retryable());
    assert_eq!(told, (Some("taken"), Some(409), Some("take another"), None, false));
}

#[tokio::test]
async fn size_of_an_answer_obeyed() {
    let host = Script::start(vec![answer(200, "", r#"{"secrets":[]}"#)]).await;
    assert!(host.with(|builder| builder.max_answer_bytes(14)).list_secrets().await.is_ok());
}

#[tokio::test]
async fn size_of_an_answer_violated() {
    let host = Script::start(vec![answer(200, "", r#"{"secrets":[]}"#)]).await;
    let error = host.with(|builder| builder.max_answer_bytes(13)).list_secrets().await.expect_err("it is longer");
    assert!(matches!(error, ClientError::TooLong { limit_bytes: 13, .. }), "{error}");
}

#[tokio::test]
async fn something_that_is_no_host_is_told() {
    let host = Script::start(vec![answer(500, "", "<html>"), answer(200, "", "<html>")]).await;
    for _ in 0..2 {
        let error = host.client().list_secrets().await.expect_err("it is no host");
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    }
}

#[tokio::test]
async fn events_go_on_behind_the_last_one_after_an_error() {
    let page =
        |next: u64, events: &str| answer(200, "", &format!(r#"{{"events":[{events}],"next":{next},"missed":false}}"#));
    let event = |sequence: u64| format!(r#"{{"sequence":{sequence},"at":"2026-01-01T00:00:00Z","event":"queued"}}"#);
    let problem = r#"{"status":403,"title":"Forbidden","code":"forbidden","detail":"no"}"#;
    let answers = vec![page(7, &event(5)), answer(403, "", problem), page(9, ""), page(12, &event(11))];
    let host = Script::start(answers).await;
    let mut events = host.client().follow(None, Some(4));
    assert_eq!(events.next().await.expect("the first").sequence, 5);
    assert_eq!(events.last(), Some(5));
    assert_eq!(events.next().await.expect_err("it was refused").code(), Some("forbidden"));
    assert_eq!(events.next().await.expect("the second").sequence, 11);
    let after: Vec<_> =
        host.asked().iter().filter_map(|line| line.split(['?', '&']).nth(1).map(str::to_owned)).collect();
    assert_eq!(after, ["after=4", "after=7", "after=7", "after=9"]);
}

#[tokio::test]
async fn wait_with_a_bound_ends_with_the_task_or_with_none() {
    let host = Script::start(vec![]).await;
    let id = NONE.parse().expect("an id");
    assert!(host.client().wait_at_most(id, Duration::ZERO).await.expect("no answer is waited for").is_none());
}
