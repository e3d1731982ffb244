//! What a server can send and a guest can ask for, and where it ends.

use std::sync::Barrier;

use serde_json::{Value, json};
use sunaba_runtime::task::{Cause, Limit};

use super::{OK, Server, Try, endlessly, exceeded, hang, say, seen};
use crate::support::stop;

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
fn path_of_a_request_obeyed() {
    let server = Server::saying(OK);
    let path = format!("/{}", "x".repeat((8 << 10) - 1));
    assert!(Try::steps(&server, json!([server.step(json!({"path": path}))])).seen()[0].ends_with("| hello"));
    assert!(server.seen()[0].starts_with(&format!("GET {path} HTTP/1.1\r\n")));
}

#[test]
fn texts_of_a_request_violated() {
    let server = Server::saying(OK);
    let long = "x".repeat(1 << 20);
    let texts = ["path", "method", "scheme", "authority"];
    let steps: Vec<_> = texts.iter().map(|text| server.step(json!({(*text): long}))).collect();
    let report = Try::steps(&server, json!(steps)).run();
    for (seen, text) in seen(&report).iter().zip(texts) {
        assert_eq!(seen, &format!("error: {text}"));
    }
    assert_eq!((server.seen().len(), report.receipt.requests), (0, 0));
    // What was refused was handed over all the same.
    assert!(report.receipt.moved_bytes > 4 << 20, "{}", report.receipt.moved_bytes);
}

#[test]
fn requests_are_in_the_ledger() {
    let server = Server::saying(OK);
    let report = Try::steps(&server, json!([server.step(json!({"times": 40}))])).run();
    let receipt = report.receipt;
    let count = |name: &str| receipt.host_calls_by.iter().find(|(known, _)| known == name).map(|(_, count)| *count);
    for name in ["outgoing-handler.handle", "types.outgoing-request.set-authority", "types.incoming-response.status"] {
        assert_eq!(count(&format!("wasi:http/{name}")), Some(40), "{:?}", receipt.host_calls_by);
    }
    assert!(receipt.host_calls_by.iter().all(|(name, _)| name.contains('.')), "{:?}", receipt.host_calls_by);
    assert!(receipt.moved_bytes >= 40 * server.authority.len() as u64, "{}", receipt.moved_bytes);
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
    assert!(seen[1].contains("connection read timeout"), "{seen:?}");
}

#[test]
fn body_that_breaks_off_is_no_whole_body() {
    let server = Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello");
    let seen = Try::steps(&server, json!([server.step(json!({}))])).seen();
    assert!(seen[0].contains("incomplete HTTP response"), "{seen:?}");
}
