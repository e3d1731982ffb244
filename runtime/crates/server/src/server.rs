//! Listens, and serves connections until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sunaba_host::Runtime;
use sunaba_store::{ApiKeys, Store, StoreError};
use sunaba_task::KeyStanding;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::access::{Admission, Keys};
use crate::guard::Hosts;
use crate::patient::Patient;
use crate::routes::{self, Common};
use crate::ui::Settings;
use crate::unread::Unread;

/// Connections at a time, unless told otherwise; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 1_024;
/// How long a request's headers may take to arrive, and how long a connection may be idle.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// The longest head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long requests have to end once the server stops.
const STOP_TIME: Duration = Duration::from_secs(5);
/// After an error of the listener: most often there are no descriptors left, and some will be free soon.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Something else does.
    #[error(
        "cannot listen on {address}: the port is in use\nhint: stop what uses it, or choose another with `--listen {}:0`, \
         which takes any that is free", address.ip()
    )]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The system does not let us.
    #[error("cannot listen on {address}: {problem}\nhint: choose another address with `--listen`")]
    System {
        /// Where.
        address: SocketAddr,
        /// What it said.
        problem: io::Error,
    },
}

/// Why a server does not serve this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// It would answer to nobody.
    #[error(
        "{why}, and there is no API key that is good\nhint: make one on this machine with `sunaba key create admin --scope admin \
         --data DIR`, or listen on 127.0.0.1; `--insecure-no-keys` lets whoever reaches the address do everything"
    )]
    NoKeys {
        /// Why it needs one.
        why: String,
    },
    /// The store did not say whether there is one.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A server that listens, and serves when it is told to.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections: usize,
    admission: Admission,
    names: Vec<String>,
    settings: Settings,
}

impl Server {
    /// Listens on this address. On one of loopback it answers to whoever reaches it, and on any other to whoever has a key.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |problem: io::Error| match problem.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            _ => BindError::System { address, problem },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let admission = if address.ip().is_loopback() { Admission::Anybody } else { Admission::Keys };
        Ok(Self {
            listener,
            address,
            connections: MAX_CONNECTIONS,
            admission,
            names: Vec::new(),
            settings: Settings::default(),
        })
    }

    /// The same by another rule about who is answered.
    #[must_use]
    pub fn admission(self, admission: Admission) -> Self {
        Self { admission, ..self }
    }

    /// The same with these names besides, by which requests may call it: that of a proxy, or its own in a network.
    #[must_use]
    pub fn named(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.names.extend(names);
        self
    }

    /// The same with what the host was configured with, to be shown on its dashboard; never with a secret.
    #[must_use]
    pub fn settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// Who is answered.
    pub fn admits(&self) -> Admission {
        self.admission
    }

    /// Whether anybody would be answered, by the keys of this store. None: there is no store yet, and so no key.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub async fn check_keys(&self, store: Option<&dyn Store>) -> Result<(), NotAdmitted> {
        if self.admission == Admission::Anybody {
            return Ok(());
        }
        let has_good = match store {
            Some(store) => {
                let ApiKeys { keys, now } = store.api_keys().await?;
                keys.iter().any(|key| key.standing(now) == KeyStanding::Good)
            }
            None => false,
        };
        if has_good {
            return Ok(());
        }
        let why = if self.address.ip().is_loopback() {
            "the host is to answer to those who have a key".to_owned()
        } else {
            format!("cannot listen on {}: it is not a loopback address", self.address)
        };
        Err(NotAdmitted::NoKeys { why })
    }

    /// The same with at most so many connections at a time, and at least one.
    #[must_use]
    pub fn connections(mut self, most: usize) -> Self {
        self.connections = most.clamp(1, MAX_CONNECTIONS);
        self
    }

    /// Where it listens: the port that the system chose, when it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves; then lets requests that have begun end, for a short while.
    pub async fn serve(self, runtime: Arc<Runtime>, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        // Those that wait leave others a place.
        let waits = Arc::new(Semaphore::new(self.connections.div_ceil(2)));
        let keys = Arc::new(Keys::new(Arc::clone(runtime.store())));
        let hosts = Hosts { by_address: !self.address.ip().is_loopback(), names: self.names.into() };
        let common = Common { runtime, stopping: stopped.clone(), waits, keys };
        let router = routes::router(common.into(), self.admission, hosts, self.settings);
        let places = Arc::new(Semaphore::new(self.connections));
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let serving = serve_connection(stream, router.clone(), HEADER_TIME, stopped.clone());
                        connections.spawn(async move {
                            serving.await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
                while connections.try_join_next().is_some() {}
            }
        };
        // Who loses is the accept loop: a connection that it has not taken yet is reset.
        tokio::select! {
            () = accept => {}
            () = stop => {}
        }
        drop(self.listener);
        stopping.send_replace(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME, ended).await.is_err() {
            tracing::warn!("requests that did not end in time are dropped");
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    router: axum::Router,
    header_time: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let unread = Unread::default();
    let patient = Patient::new(stream, unread.clone());
    let service = service_fn(move |request| unread.clone().answer(router.clone(), request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_time)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(patient), service);
    let mut serving = std::pin::pin!(serving);
    let done = tokio::select! {
        done = &mut serving => done,
        () = async { stopping.wait_for(|stopping| *stopping).await.map_or((), |_| ()) } => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = done {
        // A client that goes away in the middle is its own business.
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};

    use axum::routing::{get, post};

    use super::*;
    use crate::body;

    /// Longer than any test takes that goes well.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Serves one connection with little time for headers, and has a client speak to it.
    async fn meet<T: Send + 'static>(client: impl FnOnce(std::net::TcpStream) -> T + Send + 'static) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let client = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            client(stream)
        });
        let (stream, _) = listener.accept().await.expect("it connects");
        let router = axum::Router::new()
            .route("/", get(async || "ok"))
            .route("/deep", post(async |body::Json(value): body::Json<serde_json::Value>| value.to_string()));
        let (_stopping, stopped) = watch::channel(false);
        serve_connection(stream, router, Duration::from_millis(100), stopped).await;
        client.await.expect("no panic")
    }

    /// Reads to the end; that the other end resets the connection is an end, too.
    fn rest(mut stream: std::net::TcpStream) -> String {
        let mut text = Vec::new();
        match stream.read_to_end(&mut text) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    #[tokio::test]
    async fn head_that_comes_byte_by_byte_does_not_keep_its_connection() {
        let sent = meet(|mut stream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ").expect("it reads");
            stream.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
            let (mut sent, mut answer) = (0, [0; 1024]);
            // Each byte comes in time, and the whole never.
            while stream.write_all(b"x").is_ok() {
                sent += 1;
                match stream.read(&mut answer) {
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                    _ => break,
                }
            }
            sent
        });
        assert!(sent.await > 0);
    }

    #[tokio::test]
    async fn idle_connection_is_closed_by_the_server() {
        let answer = meet(|mut stream| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
            rest(stream)
        });
        let answer = answer.await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    }

    #[tokio::test]
    async fn size_of_a_head_obeyed_and_violated() {
        let of = |bytes: usize| {
            meet(move |mut stream| {
                let long = "x".repeat(bytes);
                let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: {long}\r\n\r\n");
                // What the server does not read may not have been sent when it closes.
                let _ = stream.write_all(head.as_bytes());
                rest(stream)
            })
        };
        let obeyed = of(MAX_HEAD_BYTES / 2).await;
        assert!(obeyed.starts_with("HTTP/1.1 200 "), "{obeyed}");
        // The answer may be lost with what was not read.
        let violated = of(2 * MAX_HEAD_BYTES).await;
        assert!(violated.is_empty() || violated.starts_with("HTTP/1.1 431 "), "{violated}");
    }

    #[tokio::test]
    async fn body_that_is_nested_too_deep_is_refused() {
        for (depth, status) in [(body::MAX_DEPTH - 1, "200"), (body::MAX_DEPTH, "400"), (100_000, "400")] {
            let answer = meet(move |mut stream| {
                let body = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
                let head =
                    "POST /deep HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json";
                let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(request.as_bytes()).expect("it reads");
                rest(stream)
            });
            let answer = answer.await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{depth}: {answer}");
            assert_eq!(answer.contains("\"code\":\"too-deep\""), status == "400", "{answer}");
        }
    }
}
