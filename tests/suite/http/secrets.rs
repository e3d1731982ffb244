//! What a guest can do with a secret, and that it never sees one.

use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sunaba_runtime::sandbox::Sandbox;
use sunaba_runtime::task::{Executor as _, Unattended};

use super::{OK, Server, Try, say, seen};
use crate::support::block_on;

const TEXT: &str = "correct-horse/battery";

/// Tells back what it heard in a header, in pieces of the body, and in the usual encodings.
pub(crate) fn parrot(head: &str, stream: &mut TcpStream) {
    let heard = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
    let hex: String = heard.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = [STANDARD.encode(heard), STANDARD.encode(format!("a{heard}")), STANDARD.encode(format!("ab{heard}"))];
    let body = format!("{heard} {} {hex} {}", encoded.join(" "), heard.replace('/', "%2F"));
    say(stream, format!("HTTP/1.1 200 OK\r\nx-heard: {heard}\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes());
    for byte in body.chars() {
        say(stream, format!("1\r\n{byte}\r\n").as_bytes());
    }
    say(stream, format!("0\r\nx-heard-too: {heard}\r\n\r\n").as_bytes());
}

#[test]
fn secret_reaches_its_host_and_is_never_seen_by_the_guest() {
    let server = Server::start(parrot);
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
    let (own, other) = (Server::start(parrot), Server::start(parrot));
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
