//! The HTTP API beside the embedding API: how many submits a second, with as many callers.
//!
//! The clients speak as little HTTP as they can, in the same process and on the same threads as the host: what they cost is in the
//! figure.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use sunaba_bench::{Bench, Stopwatch, Unit};
use sunaba_runtime::server::Server;
use sunaba_runtime::task::QueueChange;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::hosts::{CALLERS, Host, Work, threads};

const TASKS: usize = 12_800;
/// An answer is no longer.
const ANSWER: usize = 64 << 10;

/// A host's API on a port of its own, until it is dropped.
pub(crate) struct Api {
    address: SocketAddr,
    stop: Arc<Notify>,
}

impl Api {
    pub(crate) async fn start(host: &Host) -> Self {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port is free");
        let (address, stop) = (server.address(), Arc::new(Notify::new()));
        let (runtime, stopped) = (Arc::clone(&host.runtime), Arc::clone(&stop));
        tokio::spawn(async move { server.serve(runtime, async move { stopped.notified().await }).await });
        Self { address, stop }
    }

    /// So many submits, shared among the callers, each on a connection of its own.
    pub(crate) async fn submit(&self, work: &Work, tasks: usize) {
        let request: Arc<[u8]> = self.request(work).into();
        let callers = (0..CALLERS).map(|_| {
            let (address, request) = (self.address, Arc::clone(&request));
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                for _ in 0..tasks / CALLERS {
                    connection.submit(&request).await;
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("it does not panic");
        }
    }

    fn request(&self, work: &Work) -> Vec<u8> {
        let input = String::from_utf8_lossy(&work.input.bytes);
        let body = format!(r#"{{"handler":"{0}/{0}","input":{input}}}"#, work.guest);
        let head = format!(
            "POST /v1/tasks HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        (head + &body).into_bytes()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

/// A connection that is kept alive.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a setting of every socket");
        Self { stream, buffer: Vec::with_capacity(4 << 10) }
    }

    /// Sends a request, and reads its answer to the end.
    async fn submit(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("it listens");
        self.buffer.clear();
        while !self.is_answered() {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("it answers");
            assert!(read > 0 && self.buffer.len() < ANSWER, "the host broke off");
        }
        assert!(self.buffer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&self.buffer));
    }

    /// Whether the head is there, and as many bytes behind it as it says.
    fn is_answered(&self) -> bool {
        let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).expect("a host says how long it is");
        self.buffer.len() >= end + 4 + length
    }
}

pub(crate) fn run(bench: &mut Bench) {
    let case = "submits, 64 callers";
    if !bench.wants(case) {
        return;
    }
    let tasks = if bench.is_quick() { TASKS / 4 } else { TASKS };
    let (threads, work) = (threads(), Work::hello());
    let host = threads.block_on(Host::durable());
    let api = threads.block_on(Api::start(&host));
    // Only submits are measured: what was submitted runs between the measurements.
    let alone = |over_http: bool| {
        threads.block_on(async {
            pause(&host, true).await;
            let began = Stopwatch::start();
            if over_http {
                api.submit(&work, tasks).await;
            } else {
                embedded(&host, &work, tasks).await;
            }
            let rate = began.rate(tasks);
            pause(&host, false).await;
            host.drain().await;
            rate
        })
    };
    alone(true);
    bench.remark(case, "embedded", "each submit durable before its answer; 64 tasks of the program");
    bench.remark(case, "HTTP", "the same; 64 keep-alive connections, clients in the same process");
    bench.case(case, Unit::PerSecond).way("embedded", || alone(false)).way("HTTP", || alone(true)).run();
}

async fn pause(host: &Host, paused: bool) {
    let change = vec![QueueChange::Paused(paused)];
    host.runtime.store().set_queue("default".into(), change).await.expect("the store works");
}

async fn embedded(host: &Host, work: &Work, tasks: usize) {
    let callers = (0..CALLERS).map(|_| {
        let (runtime, request) = (Arc::clone(&host.runtime), work.request());
        tokio::spawn(async move {
            for _ in 0..tasks / CALLERS {
                runtime.submit(request.clone()).await.expect("it is taken on");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("it does not panic");
    }
}
