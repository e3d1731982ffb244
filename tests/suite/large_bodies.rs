//! Bodies that nobody wants to read: their senders see why, within bounds.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use sunaba_runtime::sandbox::MAX_COMPONENT_BYTES;
use sunaba_runtime::{Client, ClientError};

use crate::support::{Host, block_on};

const PIECE: &[u8] = &[0; 64 << 10];

/// Sends a head.
fn begin(host: &Host, target: &str, headers: &str) -> TcpStream {
    let address = host.address.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let head = format!("{target} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is there, and then the end");
    answer
}

#[test]
fn body_over_the_limit_is_refused_and_its_sender_sees_why() {
    let host = Host::start(&[]);
    let bytes = MAX_COMPONENT_BYTES + 1;
    let put = "PUT /v1/packages/large";
    let wasm = "Content-Type: application/wasm\r\n";
    let mut announced = begin(&host, put, &format!("{wasm}Content-Length: {bytes}\r\n"));
    for _ in 0..bytes / PIECE.len() {
        announced.write_all(PIECE).expect("it is read and thrown away");
    }
    announced.write_all(&[0]).expect("to the end");
    let mut chunked = begin(&host, put, &format!("{wasm}Transfer-Encoding: chunked\r\n"));
    let chunk = [format!("{:x}\r\n", PIECE.len()).as_bytes(), PIECE, b"\r\n"].concat();
    for _ in 0..=bytes / PIECE.len() + 16 {
        chunked.write_all(&chunk).expect("it is read, and then thrown away");
    }
    for stream in [announced, chunked] {
        let answer = answer(stream);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("connection: close\r\n") && answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains("the body has more than 64.0 MiB"), "{answer}");
    }
    let mut other = begin(&host, put, "Content-Type: text/plain\r\nContent-Length: 8388608\r\n");
    for _ in 0..8_388_608 / PIECE.len() {
        other.write_all(PIECE).expect("it is read and thrown away");
    }
    let other = answer(other);
    assert!(other.starts_with("HTTP/1.1 415 ") && other.contains("only `application/wasm` is taken here"), "{other}");
    let client = Client::new(&host.address).expect("an address");
    let refused = block_on(client.deploy("large", vec![0; bytes].into())).expect_err("it is too large");
    assert!(matches!(&refused, ClientError::Refused(problem) if problem.status == 413), "{refused}");
}

#[test]
fn body_at_the_limit_is_read_whole() {
    let host = Host::start(&[]);
    let client = Client::new(&host.address).expect("an address");
    let refused =
        block_on(client.deploy("large", vec![0; MAX_COMPONENT_BYTES].into())).expect_err("it is no component");
    assert!(matches!(&refused, ClientError::Refused(problem) if problem.status == 422), "{refused}");
}

/// Whoever goes on sending is cut off, and others are served meanwhile.
#[test]
fn sender_that_does_not_stop_is_cut_off() {
    let host = Host::start(&[]);
    let headers = "Content-Type: application/wasm\r\nContent-Length: 1000000000000\r\n";
    let mut stream = begin(&host, "PUT /v1/packages/large", headers);
    let mut sent: u64 = 0;
    while stream.write_all(PIECE).is_ok() {
        sent += PIECE.len() as u64;
        assert!(sent < 1 << 30, "it still reads after {sent} bytes");
    }
    let (status, _) = host.raw("GET /v1/host", "", "");
    assert_eq!(status, "200");
}
