//! One request and its response, on a connection of their own.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sunaba_task::HttpGrant;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::body::Incoming;
use super::client::{Client, Connection};
use super::head::{self, MAX_HEAD_BYTES, MAX_HEADERS};
use super::notes::Notes;
use super::place::Place;
use super::traffic::{Counted, Task, Traffic};
use super::vault::Vault;
use super::{errors, hooks::Answer};
use crate::clock::now;

/// To resolve, connect and agree on TLS, unless the guest says otherwise.
const CONNECT: Duration = Duration::from_secs(30);
/// To the head of the response, and between two pieces of its body, unless the guest says otherwise.
const SILENCE: Duration = Duration::from_secs(60);

/// What is needed to send a request.
pub(super) struct Exchange {
    pub(super) client: Arc<Client>,
    pub(super) place: Place,
    /// Those that cover the place.
    pub(super) grants: Vec<HttpGrant>,
    pub(super) vault: Option<Arc<Vault>>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) notes: Arc<Notes>,
    /// When the attempt ends.
    pub(super) deadline: Instant,
    pub(super) task: Task,
}

/// The guest's own patience, as far as the attempt has time.
struct Patience {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Patience {
    fn new(options: Option<RequestOptions>, deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(now());
        let options = options.unwrap_or_default();
        Self {
            connect: options.connect_timeout.unwrap_or(CONNECT).min(left),
            first_byte: options.first_byte_timeout.unwrap_or(SILENCE).min(left),
            between_bytes: options.between_bytes_timeout.unwrap_or(SILENCE).min(left),
        }
    }
}

impl Exchange {
    /// Sends the request, and returns when the head of the response is there. What is returned with it drives the
    /// connection from then on.
    pub(super) async fn run(self, request: http::Request<WasiBody>, options: Option<RequestOptions>) -> Answer {
        // Counted here and not when the guest asked: what it gave up before is gone by now.
        let Some(open) = self.traffic.open() else { return std::future::pending().await };
        let patience = Patience::new(options, self.deadline);
        let connection = self.connect(&patience).await?;
        let handshake = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(connection));
        let (mut sender, mut connection) = handshake.await.map_err(|error| errors::of_exchange(&error))?;
        let waiting = timeout(patience.first_byte, head(sender.send_request(request), &mut connection));
        let (response, is_over) = waiting.await.map_err(|_| Error::HttpResponseTimeout)??;
        let (mut parts, body) = response.into_parts();
        head::incoming(&mut parts, &self.place, self.vault.as_deref())?;
        let open = Arc::new(open);
        let body = Incoming::new(body, patience.between_bytes, self.vault, Arc::clone(&open)).boxed_unsync();
        let task = self.task;
        let driving = async move {
            let (_task, _open) = (task, open);
            if !is_over {
                // How it ended is told to whoever reads the body.
                let _ = connection.await;
            }
            Ok(())
        };
        Ok((http::Response::from_parts(parts, body), Box::new(driving)))
    }

    async fn connect(&self, patience: &Patience) -> Result<Connection, Error> {
        let permits = |address| self.grants.iter().any(|grant| grant.permits(address));
        let stream = self.client.connect(&self.place, &permits, patience.connect).await;
        let stream = stream.map_err(|(error, note)| {
            note.into_iter().for_each(|note| self.notes.tell(note));
            error
        })?;
        Ok(Counted::new(stream, Arc::clone(&self.traffic)))
    }
}

type Http1 = http1::Connection<TokioIo<Connection>, WasiBody>;

/// Waits for the head of the response and drives the connection meanwhile. True: the connection is over.
async fn head(
    sending: impl Future<Output = hyper::Result<http::Response<hyper::body::Incoming>>>,
    connection: &mut Http1,
) -> Result<(http::Response<hyper::body::Incoming>, bool), Error> {
    let mut sending = pin!(sending);
    let failed = |error: hyper::Error| errors::of_exchange(&error);
    tokio::select! {
        biased;
        response = &mut sending => return Ok((response.map_err(failed)?, false)),
        // Losing it is fine: it is driven on by whoever called.
        ended = connection => ended.map_err(failed)?,
    }
    // The connection is at its end, and may have left a response behind.
    Ok((sending.await.map_err(failed)?, true))
}
