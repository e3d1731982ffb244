//! Tries everything that it was not granted.

use std::fs;
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};

use sunaba_sdk::prelude::*;

/// Succeeds with what it got at; fails with kind `denied` when that is nothing.
///
/// It asks for all that there is to ask for, so that nothing but the grants is in its way.
#[handler(env = "*", dirs = "*:rw")]
pub fn open_ungranted() -> Result<Vec<String>, TaskError> {
    let mut got = Vec::new();
    let mut denied = Vec::new();
    let mut attempt = |what: &str, result: Result<(), std::io::Error>| match result {
        Ok(()) => got.push(what.to_owned()),
        Err(error) => denied.push(format!("{what}: {error}")),
    };
    for path in ["/etc/passwd", "../../etc/passwd", "/proc/self/environ", "/data/../../etc/passwd"] {
        attempt(path, fs::read(path).map(drop));
    }
    attempt("list /", fs::read_dir("/").map(drop));
    attempt("write /tmp/x", fs::write("/tmp/x", "x"));
    attempt("write /data/x", fs::write("/data/x", "x"));
    attempt("connect", TcpStream::connect("127.0.0.1:22").map(drop));
    attempt("bind", UdpSocket::bind("127.0.0.1:0").map(drop));
    attempt("resolve", ("localhost", 80).to_socket_addrs().map(drop));
    got.extend(std::env::vars().map(|(key, _)| format!("env {key}")));

    if got.is_empty() { Err(TaskError::fatal(denied.join("; ")).with_kind("denied")) } else { Ok(got) }
}

export!(open_ungranted);
