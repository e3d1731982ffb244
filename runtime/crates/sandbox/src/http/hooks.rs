//! What stands behind `wasi:http/outgoing-handler`: the decision whether a request is sent.

use std::sync::Arc;
use std::time::Instant;

use http::header::{HeaderName, HeaderValue};
use sunaba_task::trace::TRACEPARENT;
use sunaba_task::{HttpGrant, Limits};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::client::Client;
use super::exchange::Exchange;
use super::head;
use super::notes::Notes;
use super::place::Place;
use super::traffic::Traffic;
use super::vault::Vault;
use crate::book::Book;
use crate::interrupt::Interrupt;

/// What a guest may write to a body in one call, in bytes; two such pieces wait in the host for each body.
const CHUNK_BYTES: usize = 16 << 10;

type Pending<T> = Box<dyn Future<Output = Result<T, Error>> + Send>;

/// A response, and what drives its connection.
pub(super) type Answer = Result<(http::Response<WasiBody>, Pending<()>), Error>;

/// What an attempt may send, and what counts it.
pub(crate) struct Outgoing {
    client: Arc<Client>,
    grants: Vec<HttpGrant>,
    vault: Option<Arc<Vault>>,
    traffic: Arc<Traffic>,
    notes: Arc<Notes>,
    deadline: Instant,
    /// The place of the attempt in its trace, which goes with each request that names no other.
    traceparent: Option<HeaderValue>,
}

impl Outgoing {
    pub(crate) fn new(
        client: Arc<Client>,
        grants: Vec<HttpGrant>,
        vault: Option<Arc<Vault>>,
        limits: &Limits,
        interrupt: &Arc<Interrupt>,
        book: &Book,
    ) -> Self {
        Self {
            client,
            grants,
            vault,
            traffic: Traffic::new(limits, Arc::clone(interrupt)),
            notes: Arc::new(Notes::new(book.clone())),
            deadline: interrupt.deadline(),
            traceparent: None,
        }
    }

    /// The same, for an attempt that is a part of this trace.
    pub(crate) fn traced(self, traceparent: Option<&str>) -> Self {
        Self { traceparent: traceparent.and_then(|text| HeaderValue::try_from(text).ok()), ..self }
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Decides, and prepares what is sent.
    fn admit(&self, request: http::Request<WasiBody>) -> Result<(http::Request<WasiBody>, Exchange), Error> {
        let (mut parts, body) = request.into_parts();
        let place = Place::of(&parts.uri).ok_or(Error::HttpRequestUriInvalid)?;
        let covers = |grant: &&HttpGrant| grant.covers(place.scheme, &place.host, place.port);
        let grants: Vec<HttpGrant> = self.grants.iter().filter(covers).cloned().collect();
        if grants.is_empty() {
            self.notes
                .tell(format!("refused a request to `{place}`: it is not granted; it would take the grant `{place}`"));
            return Err(Error::HttpRequestDenied);
        }
        if let Some(traceparent) = &self.traceparent {
            parts.headers.entry(TRACEPARENT).or_insert_with(|| traceparent.clone());
        }
        head::outgoing(&mut parts, &place, self.vault.as_deref())?;
        let exchange = Exchange {
            client: Arc::clone(&self.client),
            place,
            grants,
            vault: self.vault.clone(),
            traffic: Arc::clone(&self.traffic),
            notes: Arc::clone(&self.notes),
            deadline: self.deadline,
            task: self.traffic.task(),
        };
        Ok((http::Request::from_parts(parts, body), exchange))
    }
}

/// The hooks of an attempt. None: nothing is granted and nobody is told.
#[derive(Default)]
pub(super) struct Hooks(Option<Box<Outgoing>>);

impl Hooks {
    pub(super) fn of(outgoing: Outgoing) -> Self {
        Self(Some(Box::new(outgoing)))
    }
}

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        head::is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(head::is_forbidden)
    }

    /// It is set to the granted authority when the request is sent.
    fn set_host_header(&mut self) -> bool {
        false
    }

    /// `_` is for responses that the guest refuses, which WASI 0.2 does not know.
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Pending<()>,
    ) -> Pending<(http::Response<WasiBody>, Pending<()>)> {
        let Some(outgoing) = &self.0 else { return Box::new(std::future::ready(Err(Error::HttpRequestDenied))) };
        match outgoing.admit(request) {
            // The attempt's switch is turned: the guest waits for nothing else any more.
            Ok(_) if !outgoing.traffic.begin() => Box::new(std::future::pending()),
            Ok((request, exchange)) => Box::new(exchange.run(request, options)),
            Err(error) => Box::new(std::future::ready(Err(error))),
        }
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        1
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }
}
