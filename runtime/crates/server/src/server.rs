//! Listens, and serves connections until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sunaba_host::Runtime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::patient::Patient;
use crate::routes::{self, Shared};
use crate::unread::Unread;

/// Connections at a time, unless told otherwise; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 1_024;
/// How long a request's headers may take to arrive.
const HEADER_TIME: Duration = Duration::from_secs(10);
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
    /// Others could reach it.
    #[error(
        "cannot listen on {address}: it is not a loopback address\nhint: there are no API keys yet, so a host serves its own \
         machine only; listen on 127.0.0.1 and put a proxy with authentication in front"
    )]
    NotLoopback {
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

/// A server that listens, and serves when it is told to.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    connections: usize,
}

impl Server {
    /// Listens on this address.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        if !address.ip().is_loopback() {
            return Err(BindError::NotLoopback { address });
        }
        let failed = |problem: io::Error| match problem.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            _ => BindError::System { address, problem },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, connections: MAX_CONNECTIONS })
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
        let router = routes::router(Shared { runtime, stopping: stopped.clone(), waits });
        let places = Arc::new(Semaphore::new(self.connections));
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let serving = serve_connection(stream, router.clone(), stopped.clone());
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

async fn serve_connection(stream: TcpStream, router: axum::Router, mut stopping: watch::Receiver<bool>) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let unread = Unread::default();
    let patient = Patient::new(stream, unread.clone());
    let service = service_fn(move |request| unread.clone().answer(router.clone(), request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
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
