//! `wasi:http`, linked whole and denied: toolchains import it whether or not a handler uses it, and no request can be
//! granted yet.

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::state::State;

/// Answers every request with `HTTP-request-denied`.
#[derive(Debug, Default)]
pub(crate) struct Denied;

type Pending<T> = Box<dyn Future<Output = Result<T, Error>> + Send>;

impl WasiHttpHooks for Denied {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Pending<()>,
    ) -> Pending<(http::Response<WasiBody>, Pending<()>)> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

/// What `wasi:http` needs of an attempt.
#[derive(Default)]
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Denied,
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (table, http) = self.http_parts();
        WasiHttpCtxView { hooks: &mut http.hooks, table, ctx: &mut http.context }
    }
}
