//! Reaches for the network, which nobody has granted.

use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

use sunaba_sdk::prelude::*;

fn denied<T>(result: std::io::Result<T>) -> Result<(), TaskError> {
    result.map(drop).map_err(|error| TaskError::fatal(error.to_string()).with_kind("denied"))
}

/// Connects to the machine that it runs on.
#[handler]
pub fn connect() -> Result<(), TaskError> {
    denied(TcpStream::connect("127.0.0.1:22"))
}

/// Connects to where clouds keep the keys of their machines.
#[handler]
pub fn connect_to_metadata() -> Result<(), TaskError> {
    denied(TcpStream::connect("169.254.169.254:80"))
}

/// Listens.
#[handler]
pub fn listen() -> Result<(), TaskError> {
    denied(TcpListener::bind("0.0.0.0:0"))
}

/// Sends a datagram.
#[handler]
pub fn send() -> Result<(), TaskError> {
    denied(UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", "127.0.0.1:53")))
}

/// Asks for the address of a name: the question alone can carry secrets away.
#[handler]
pub fn resolve() -> Result<(), TaskError> {
    denied(("secret.example.com", 80).to_socket_addrs())
}

/// Makes one socket after another and closes none.
#[handler]
pub fn hoard_sockets() -> Result<(), TaskError> {
    let mut hoard = Vec::new();
    for _ in 0..100_000 {
        hoard.push(
            UdpSocket::bind("0.0.0.0:0").map_err(|error| TaskError::fatal(error.to_string()).with_kind("denied"))?,
        );
    }
    Ok(())
}

export!(connect, connect_to_metadata, listen, send, resolve, hoard_sockets);
