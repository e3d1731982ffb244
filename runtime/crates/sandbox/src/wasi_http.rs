//! `wasi:http` in the ledger: wasmtime-wasi-http's own implementation does the work on the resource table, and what one
//! handle can make the host hold is bounded here. None of the calls waits: that is done by `wasi:io`.
//!
//! What a request says is kept by the host until it is sent, or for ever. So each of its texts has a length, its headers a
//! number and a size, and its trailers a size; a handle of any kind holds at most what
//! [`Limits::host_bytes`](sunaba_task::Limits::host_bytes) counts for it.

use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{
    self, ErrorCode, FutureIncomingResponse, FutureTrailers, Host, HostFields, HostFutureIncomingResponse,
    HostFutureTrailers, HostIncomingBody, HostIncomingRequest, HostIncomingResponse, HostOutgoingBody,
    HostOutgoingRequest, HostOutgoingResponse, HostRequestOptions, HostResponseOutparam, IncomingBody, IncomingRequest,
    IncomingResponse, Method, OutgoingBody, OutgoingRequest, OutgoingResponse, RequestOptions, ResponseOutparam,
    Scheme,
};
use wasmtime_wasi_http::p2::{HeaderError, HeaderResult, HttpError, HttpResult};
use wasmtime_wasi_http::{FieldMap, FieldMapError, WasiHttpCtxView, WasiHttpView as _};

use crate::calls::{Moves, Trap, pass_on};
use crate::http::head_bytes;
use crate::interrupt::Halt;
use crate::state::{Inner, State};

/// A method. The longest that is registered has 17 bytes.
const MAX_METHOD_BYTES: usize = 64;
/// A scheme.
const MAX_SCHEME_BYTES: usize = 64;
/// A host name has 253 bytes, a port six, and what else stands there is not sent.
const MAX_AUTHORITY_BYTES: usize = 1 << 10;
/// What servers commonly take as a path and query.
const MAX_PATH_BYTES: usize = 8 << 10;
/// Headers of one `fields`, more than are sent: a guest with too many is told so when it sends.
const MAX_FIELDS: usize = 128;
/// Trailers of one body, checksums and a status, and their bytes.
const MAX_TRAILERS: usize = 32;
const MAX_TRAILERS_BYTES: usize = 8 << 10;

/// Adds `wasi:http`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    outgoing_handler::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    types::add_to_linker::<State, HasSelf<State>>(linker, &types::LinkOptions::default(), |state| state)
}

impl outgoing_handler::Host for State {
    pass_on! { outgoing_handler::Host, http;
        "wasi:http/outgoing-handler.handle" fn handle(
            request: Resource<OutgoingRequest>, options: Option<Resource<RequestOptions>>
        ) -> HttpResult<Resource<FutureIncomingResponse>>;
    }
}

impl Host for State {
    fn convert_error_code(&mut self, error: HttpError) -> Result<ErrorCode> {
        error.downcast()
    }

    fn convert_header_error(&mut self, error: HeaderError) -> Result<types::HeaderError> {
        error.downcast()
    }

    pass_on! { Host, http;
        "wasi:http/types.http-error-code"
            fn http_error_code(error: Resource<types::IoError>) -> Result<Option<ErrorCode>>;
    }
}

/// Whether so many more fit among the headers that are there.
fn check_count(there: usize, more: usize) -> HeaderResult<()> {
    if there.saturating_add(more) > MAX_FIELDS { Err(FieldMapError::TooManyFields.into()) } else { Ok(()) }
}

fn values_bytes(values: &[Vec<u8>]) -> usize {
    values.iter().map(Vec::len).sum()
}

impl HostFields for State {
    pass_on! { HostFields, http;
        "wasi:http/types.fields.new" fn new() -> Result<Resource<FieldMap>>;
        "wasi:http/types.fields.drop" fn drop(fields: Resource<FieldMap>) -> Result<()>;
        "wasi:http/types.fields.get"
            fn get(fields: Resource<FieldMap>, name: String) -> Result<Vec<Vec<u8>>>, moves name.len();
        "wasi:http/types.fields.has" fn has(fields: Resource<FieldMap>, name: String) -> Result<bool>, moves name.len();
        "wasi:http/types.fields.delete"
            fn delete(fields: Resource<FieldMap>, name: String) -> HeaderResult<()>, moves name.len();
        "wasi:http/types.fields.entries" fn entries(fields: Resource<FieldMap>) -> Result<Vec<(String, Vec<u8>)>>;
        "wasi:http/types.fields.clone" fn clone(fields: Resource<FieldMap>) -> Result<Resource<FieldMap>>;
    }

    fn from_list(&mut self, entries: Vec<(String, Vec<u8>)>) -> HeaderResult<Resource<FieldMap>> {
        let Self { inner, calls, .. } = self;
        calls.call("wasi:http/types.fields.from-list", entries.moves(), || {
            check_count(0, entries.len())?;
            inner.http().from_list(entries)
        })
    }

    fn set(&mut self, fields: Resource<FieldMap>, name: String, values: Vec<Vec<u8>>) -> HeaderResult<()> {
        let Self { inner, calls, .. } = self;
        calls.call("wasi:http/types.fields.set", name.len() + values_bytes(&values), || {
            let map = inner.table().get(&fields)?;
            // Those that it has of this name go.
            check_count(map.len().saturating_sub(map.get_all(&name).iter().count()), values.len())?;
            HostFields::set(&mut inner.http(), fields, name, values)
        })
    }

    fn append(&mut self, fields: Resource<FieldMap>, name: String, value: Vec<u8>) -> HeaderResult<()> {
        let Self { inner, calls, .. } = self;
        calls.call("wasi:http/types.fields.append", name.len() + value.len(), || {
            check_count(inner.table().get(&fields)?.len(), 1)?;
            inner.http().append(fields, name, value)
        })
    }
}

impl HostOutgoingRequest for State {
    pass_on! { HostOutgoingRequest, http;
        "wasi:http/types.outgoing-request.new"
            fn new(headers: Resource<FieldMap>) -> Result<Resource<OutgoingRequest>>;
        "wasi:http/types.outgoing-request.drop" fn drop(request: Resource<OutgoingRequest>) -> Result<()>;
        "wasi:http/types.outgoing-request.body"
            fn body(request: Resource<OutgoingRequest>) -> Result<Result<Resource<OutgoingBody>, ()>>;
        "wasi:http/types.outgoing-request.method" fn method(request: Resource<OutgoingRequest>) -> Result<Method>;
        "wasi:http/types.outgoing-request.path-with-query"
            fn path_with_query(request: Resource<OutgoingRequest>) -> Result<Option<String>>;
        "wasi:http/types.outgoing-request.scheme"
            fn scheme(request: Resource<OutgoingRequest>) -> Result<Option<Scheme>>;
        "wasi:http/types.outgoing-request.authority"
            fn authority(request: Resource<OutgoingRequest>) -> Result<Option<String>>;
        "wasi:http/types.outgoing-request.headers"
            fn headers(request: Resource<OutgoingRequest>) -> Result<Resource<FieldMap>>;
    }

    fn set_method(&mut self, request: Resource<OutgoingRequest>, method: Method) -> Result<Result<(), ()>> {
        let (name, bytes) = ("wasi:http/types.outgoing-request.set-method", method.moves());
        set_text(self, name, bytes, MAX_METHOD_BYTES, |view| view.set_method(request, method))
    }

    fn set_path_with_query(
        &mut self,
        request: Resource<OutgoingRequest>,
        path: Option<String>,
    ) -> Result<Result<(), ()>> {
        let (name, bytes) = ("wasi:http/types.outgoing-request.set-path-with-query", path.moves());
        set_text(self, name, bytes, MAX_PATH_BYTES, |view| view.set_path_with_query(request, path))
    }

    fn set_scheme(&mut self, request: Resource<OutgoingRequest>, scheme: Option<Scheme>) -> Result<Result<(), ()>> {
        let (name, bytes) = ("wasi:http/types.outgoing-request.set-scheme", scheme.moves());
        set_text(self, name, bytes, MAX_SCHEME_BYTES, |view| HostOutgoingRequest::set_scheme(view, request, scheme))
    }

    fn set_authority(
        &mut self,
        request: Resource<OutgoingRequest>,
        authority: Option<String>,
    ) -> Result<Result<(), ()>> {
        let (name, bytes) = ("wasi:http/types.outgoing-request.set-authority", authority.moves());
        set_text(self, name, bytes, MAX_AUTHORITY_BYTES, |view| view.set_authority(request, authority))
    }
}

/// A text of a request that is not sent yet. One that is too long is refused, as one that is malformed is.
fn set_text(
    state: &mut State,
    name: &'static str,
    bytes: usize,
    limit: usize,
    set: impl FnOnce(&mut WasiHttpCtxView<'_>) -> Result<Result<(), ()>>,
) -> Result<Result<(), ()>> {
    let State { inner, calls, .. } = state;
    calls.call(name, bytes, || if bytes > limit { Ok(Err(())) } else { set(&mut inner.http()) })
}

impl HostOutgoingBody for State {
    pass_on! { HostOutgoingBody, http;
        "wasi:http/types.outgoing-body.write"
            fn write(body: Resource<OutgoingBody>) -> Result<Result<Resource<DynOutputStream>, ()>>;
        "wasi:http/types.outgoing-body.drop" fn drop(body: Resource<OutgoingBody>) -> Result<()>;
    }

    fn finish(&mut self, body: Resource<OutgoingBody>, trailers: Option<Resource<FieldMap>>) -> HttpResult<()> {
        let Self { inner, calls, .. } = self;
        calls.call("wasi:http/types.outgoing-body.finish", 0, || match too_large(inner, trailers.as_ref())? {
            None => HostOutgoingBody::finish(&mut inner.http(), body, trailers),
            Some(bytes) => {
                trailers.map(|trailers| inner.table().delete(trailers)).transpose()?;
                HostOutgoingBody::drop(&mut inner.http(), body).map_err(HttpError::trap)?;
                Err(ErrorCode::HttpRequestTrailerSectionSize(u32::try_from(bytes).ok()).into())
            }
        })
    }
}

/// The size of trailers that are over their limit.
fn too_large(inner: &mut Inner, trailers: Option<&Resource<FieldMap>>) -> HttpResult<Option<usize>> {
    let Some(trailers) = trailers else { return Ok(None) };
    let trailers = inner.table().get(trailers)?;
    let bytes = head_bytes(trailers);
    Ok((bytes > MAX_TRAILERS_BYTES || trailers.len() > MAX_TRAILERS).then_some(bytes))
}

impl HostFutureIncomingResponse for State {
    pass_on! { HostFutureIncomingResponse, http;
        "wasi:http/types.future-incoming-response.drop"
            fn drop(response: Resource<FutureIncomingResponse>) -> Result<()>;
        "wasi:http/types.future-incoming-response.get" fn get(
            response: Resource<FutureIncomingResponse>
        ) -> Result<Option<Result<Result<Resource<IncomingResponse>, ErrorCode>, ()>>>;
        "wasi:http/types.future-incoming-response.subscribe"
            fn subscribe(response: Resource<FutureIncomingResponse>) -> Result<Resource<DynPollable>>;
    }
}

impl HostIncomingResponse for State {
    pass_on! { HostIncomingResponse, http;
        "wasi:http/types.incoming-response.drop" fn drop(response: Resource<IncomingResponse>) -> Result<()>;
        "wasi:http/types.incoming-response.status" fn status(response: Resource<IncomingResponse>) -> Result<u16>;
        "wasi:http/types.incoming-response.headers"
            fn headers(response: Resource<IncomingResponse>) -> Result<Resource<FieldMap>>;
        "wasi:http/types.incoming-response.consume"
            fn consume(response: Resource<IncomingResponse>) -> Result<Result<Resource<IncomingBody>, ()>>;
    }
}

impl HostIncomingBody for State {
    pass_on! { HostIncomingBody, http;
        "wasi:http/types.incoming-body.stream"
            fn stream(body: Resource<IncomingBody>) -> Result<Result<Resource<DynInputStream>, ()>>;
        "wasi:http/types.incoming-body.finish"
            fn finish(body: Resource<IncomingBody>) -> Result<Resource<FutureTrailers>>;
        "wasi:http/types.incoming-body.drop" fn drop(body: Resource<IncomingBody>) -> Result<()>;
    }
}

impl HostFutureTrailers for State {
    pass_on! { HostFutureTrailers, http;
        "wasi:http/types.future-trailers.drop" fn drop(trailers: Resource<FutureTrailers>) -> Result<()>;
        "wasi:http/types.future-trailers.subscribe"
            fn subscribe(trailers: Resource<FutureTrailers>) -> Result<Resource<DynPollable>>;
        "wasi:http/types.future-trailers.get" fn get(
            trailers: Resource<FutureTrailers>
        ) -> Result<Option<Result<Result<Option<Resource<FieldMap>>, ErrorCode>, ()>>>;
    }
}

impl HostRequestOptions for State {
    pass_on! { HostRequestOptions, http;
        "wasi:http/types.request-options.new" fn new() -> Result<Resource<RequestOptions>>;
        "wasi:http/types.request-options.drop" fn drop(options: Resource<RequestOptions>) -> Result<()>;
        "wasi:http/types.request-options.connect-timeout"
            fn connect_timeout(options: Resource<RequestOptions>) -> Result<Option<u64>>;
        "wasi:http/types.request-options.set-connect-timeout" fn set_connect_timeout(
            options: Resource<RequestOptions>, time: Option<u64>
        ) -> Result<Result<(), ()>>;
        "wasi:http/types.request-options.first-byte-timeout"
            fn first_byte_timeout(options: Resource<RequestOptions>) -> Result<Option<u64>>;
        "wasi:http/types.request-options.set-first-byte-timeout" fn set_first_byte_timeout(
            options: Resource<RequestOptions>, time: Option<u64>
        ) -> Result<Result<(), ()>>;
        "wasi:http/types.request-options.between-bytes-timeout"
            fn between_bytes_timeout(options: Resource<RequestOptions>) -> Result<Option<u64>>;
        "wasi:http/types.request-options.set-between-bytes-timeout" fn set_between_bytes_timeout(
            options: Resource<RequestOptions>, time: Option<u64>
        ) -> Result<Result<(), ()>>;
    }
}

/// What a server answers with. No guest is one, but all of the interface is linked.
impl HostOutgoingResponse for State {
    pass_on! { HostOutgoingResponse, http;
        "wasi:http/types.outgoing-response.new"
            fn new(headers: Resource<FieldMap>) -> Result<Resource<OutgoingResponse>>;
        "wasi:http/types.outgoing-response.drop" fn drop(response: Resource<OutgoingResponse>) -> Result<()>;
        "wasi:http/types.outgoing-response.body"
            fn body(response: Resource<OutgoingResponse>) -> Result<Result<Resource<OutgoingBody>, ()>>;
        "wasi:http/types.outgoing-response.status-code"
            fn status_code(response: Resource<OutgoingResponse>) -> Result<u16>;
        "wasi:http/types.outgoing-response.set-status-code"
            fn set_status_code(response: Resource<OutgoingResponse>, status: u16) -> Result<Result<(), ()>>;
        "wasi:http/types.outgoing-response.headers"
            fn headers(response: Resource<OutgoingResponse>) -> Result<Resource<FieldMap>>;
    }
}

impl HostResponseOutparam for State {
    pass_on! { HostResponseOutparam, http;
        "wasi:http/types.response-outparam.drop" fn drop(param: Resource<ResponseOutparam>) -> Result<()>;
        "wasi:http/types.response-outparam.set" fn set(
            param: Resource<ResponseOutparam>, response: Result<Resource<OutgoingResponse>, ErrorCode>
        ) -> Result<()>, moves response.moves();
        "wasi:http/types.response-outparam.send-informational" fn send_informational(
            param: Resource<ResponseOutparam>, status: u16, headers: Resource<FieldMap>
        ) -> HttpResult<()>;
    }
}

impl HostIncomingRequest for State {
    pass_on! { HostIncomingRequest, http;
        "wasi:http/types.incoming-request.method" fn method(request: Resource<IncomingRequest>) -> Result<Method>;
        "wasi:http/types.incoming-request.path-with-query"
            fn path_with_query(request: Resource<IncomingRequest>) -> Result<Option<String>>;
        "wasi:http/types.incoming-request.scheme"
            fn scheme(request: Resource<IncomingRequest>) -> Result<Option<Scheme>>;
        "wasi:http/types.incoming-request.authority"
            fn authority(request: Resource<IncomingRequest>) -> Result<Option<String>>;
        "wasi:http/types.incoming-request.headers"
            fn headers(request: Resource<IncomingRequest>) -> Result<Resource<FieldMap>>;
        "wasi:http/types.incoming-request.consume"
            fn consume(request: Resource<IncomingRequest>) -> Result<Result<Resource<IncomingBody>, ()>>;
        "wasi:http/types.incoming-request.drop" fn drop(request: Resource<IncomingRequest>) -> Result<()>;
    }
}

impl Trap for HttpError {
    fn halted(halt: Halt) -> Self {
        Self::trap(wasmtime::Error::new(halt))
    }

    fn is_trap(&self) -> bool {
        self.downcast_ref().is_none()
    }
}

impl Trap for HeaderError {
    fn halted(halt: Halt) -> Self {
        Self::trap(wasmtime::Error::new(halt))
    }

    fn is_trap(&self) -> bool {
        self.downcast_ref().is_none()
    }
}

impl Moves for u16 {}

impl Moves for Method {
    fn moves(&self) -> usize {
        if let Self::Other(text) = self { text.len() } else { 0 }
    }
}

impl Moves for Scheme {
    fn moves(&self) -> usize {
        if let Self::Other(text) = self { text.len() } else { 0 }
    }
}

impl Moves for ErrorCode {
    fn moves(&self) -> usize {
        match self {
            Self::DnsError(error) => error.rcode.moves(),
            Self::TlsAlertReceived(alert) => alert.alert_message.moves(),
            Self::HttpRequestHeaderSize(Some(field))
            | Self::HttpRequestTrailerSize(field)
            | Self::HttpResponseHeaderSize(field)
            | Self::HttpResponseTrailerSize(field) => field.field_name.moves(),
            Self::HttpResponseTransferCoding(text)
            | Self::HttpResponseContentCoding(text)
            | Self::InternalError(text) => text.moves(),
            _ => 0,
        }
    }
}

impl<T: Moves, E: Moves> Moves for Result<T, E> {
    fn moves(&self) -> usize {
        match self {
            Ok(value) => value.moves(),
            Err(error) => error.moves(),
        }
    }
}

impl Moves for Vec<Vec<u8>> {
    fn moves(&self) -> usize {
        values_bytes(self)
    }
}

impl Moves for Vec<(String, Vec<u8>)> {
    fn moves(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

#[cfg(test)]
mod tests;
