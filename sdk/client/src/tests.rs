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

/// A host that gives these answers, one after another, and no other; an empty one is a connection that is closed.
struct Script {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn start(answers: Vec<String>) -> Self {
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
                stream.write_all(answer.as_bytes()).await.expect("it reads");
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
    assert!(matches!(lost, ClientError::Unreachable { .. }), "{lost}");
    assert_eq!(host.asked(), ["POST /v1/tasks"]);
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
