//! `wasi:http`: what a guest asks of the outside, by grant only.
//!
//! wasmtime-wasi-http keeps the guest's requests, bodies and headers; everything that leaves or enters this host goes
//! through here. A request is held against the grants, counted, and given its secrets; then its host is resolved once,
//! every address is checked, and one that was checked is connected to. HTTP/1.1 with a connection for each request: what
//! two requests have in common is then nothing. No proxy, no redirect, no cookie, no cache, no decompression.
//!
//! Invariants: no byte moves that is not counted ([`traffic`]); nothing waits longer than the attempt; a secret's text
//! is put into a request after the guest let go of it, and looked for in all that comes back.

mod body;
mod client;
mod errors;
mod exchange;
mod head;
mod hooks;
mod lookups;
mod notes;
mod patterns;
mod place;
mod post;
mod redact;
mod resolve;
mod traffic;
mod trust;
mod vault;

#[cfg(test)]
mod tests;

use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) use client::Client;
pub(crate) use head::size as head_bytes;
pub(crate) use hooks::Outgoing;
pub use post::{Post, PostError, Posted, Poster};
pub(crate) use redact::Redactor;
pub(crate) use trust::{Trust, root_certificates};
pub(crate) use vault::{Vault, check};

use crate::state::Inner;
use hooks::Hooks;

/// What a `fields` resource of a guest may hold, in bytes, with some for each header.
const MAX_FIELDS_BYTES: usize = 32 << 10;

/// What `wasi:http` needs of an attempt. The default grants nothing and tells nobody of it.
pub(crate) struct Http {
    context: WasiHttpCtx,
    hooks: Hooks,
}

impl Default for Http {
    fn default() -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(MAX_FIELDS_BYTES);
        Self { context, hooks: Hooks::default() }
    }
}

impl Http {
    /// What an attempt may send.
    pub(crate) fn of(outgoing: Outgoing) -> Self {
        Self { hooks: Hooks::of(outgoing), ..Self::default() }
    }
}

impl WasiHttpView for Inner {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (table, http) = self.http_parts();
        WasiHttpCtxView { hooks: &mut http.hooks, table, ctx: &mut http.context }
    }
}
