//! What stands behind the host functions during one attempt: the data of a `wasmtime::Store`.

use std::sync::Arc;
use std::time::Duration;

use sunaba_task::{
    AttemptHost, Cause, DirAccess, EnvGrant, ExecuteError, Fuel, Grants, Limits, LogSource, Progress, SCRATCH,
};
use wasmtime::StoreContextMut;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::filesystem::FsPerms;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::bindings::{HOST, host, types};
use crate::book::Book;
use crate::budget::Files;
use crate::calls::{Calls, Trap as _};
use crate::convert;
use crate::directory::Directory;
use crate::guest_artifacts::Shelf;
use crate::guest_clock::GuestClock;
use crate::http::Http;
use crate::interrupt::{Halt, Interrupt};
use crate::meter::Meter;
use crate::scratch::ScratchDir;
use crate::sight::Sight;
use crate::wasi_clocks::Clocks;
use crate::wasi_random::{Chance, Random};

/// The longest message of a progress report, in bytes.
const MAX_PROGRESS_BYTES: usize = 1024;
/// What a guest may write to an output stream in one call, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// What the guest is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `describe`: the guest may log and nothing else.
    Describe,
    /// `run`.
    Run,
}

/// What an attempt gets besides its limits.
pub(crate) struct Means {
    /// With the granted directories; none if there are none.
    pub(crate) files: Option<WasiCtx>,
    pub(crate) env: Vec<EnvGrant>,
    pub(crate) clock: GuestClock,
    pub(crate) random: Random,
}

/// What wasmtime-wasi's own implementation needs.
pub(crate) struct Inner {
    /// Made when first needed, unless there are directories in it: most guests never ask.
    wasi: Option<WasiCtx>,
    env: Vec<EnvGrant>,
    book: Book,
    http: Http,
    table: ResourceTable,
}

impl Inner {
    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// What `wasi:http` needs.
    pub(crate) fn http_parts(&mut self) -> (&mut ResourceTable, &mut Http) {
        (&mut self.table, &mut self.http)
    }
}

impl WasiView for Inner {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { wasi, env, book, table, .. } = self;
        WasiCtxView { ctx: wasi.get_or_insert_with(|| denied(env, book).build()), table }
    }
}

pub(crate) struct State {
    pub(crate) inner: Inner,
    pub(crate) clock: GuestClock,
    random: Random,
    pub(crate) calls: Calls,
    pub(crate) files: Files,
    pub(crate) meter: Meter,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) sight: Arc<Sight>,
    pub(crate) book: Book,
    pub(crate) host: Arc<dyn AttemptHost>,
    pub(crate) artifacts: Shelf,
    pub(crate) fuel: Fuel,
    pub(crate) purpose: Purpose,
    /// Children that the attempt has asked for one by one.
    pub(crate) submits: u64,
}

impl State {
    pub(crate) fn new(
        purpose: Purpose,
        limits: &Limits,
        means: Means,
        interrupt: Arc<Interrupt>,
        sight: Arc<Sight>,
        book: Book,
        host: Arc<dyn AttemptHost>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources as usize);
        Self {
            inner: Inner { wasi: means.files, env: means.env, book: book.clone(), http: Http::default(), table },
            clock: means.clock,
            random: means.random,
            calls: Calls::new(limits.moved_bytes, Arc::clone(&sight)).telling(&host),
            files: Files::new(limits),
            meter: Meter::new(limits).seen_by(Arc::clone(&sight)),
            interrupt,
            sight,
            book,
            host,
            artifacts: Shelf::new(limits),
            fuel: limits.fuel,
            purpose,
            submits: 0,
        }
    }

    /// What the attempt may send, from now on.
    pub(crate) fn set_http(&mut self, http: Http) {
        self.inner.http = http;
    }

    /// What `wasi:clocks` needs.
    pub(crate) fn clocks(&mut self) -> Clocks<'_> {
        Clocks { table: &mut self.inner.table, clock: &mut self.clock, calls: &mut self.calls }
    }

    /// What `wasi:random` needs.
    pub(crate) fn chance(&mut self) -> Chance<'_> {
        Chance { random: &mut self.random, calls: &mut self.calls }
    }
}

/// Refuses a call of the `host` interface where it means nothing.
pub(crate) fn refuse_in_describe(purpose: Purpose, name: &str) -> wasmtime::Result<()> {
    match purpose {
        Purpose::Run => Ok(()),
        Purpose::Describe => Err(wasmtime::Error::new(Halt {
            cause: Cause::HostCall(Some(name.to_owned())),
            message: format!("`describe` may not call `{name}`: it runs outside any task"),
        })),
    }
}

/// Everything is denied but what is granted: no environment, no files, no sockets, an empty standard input.
fn denied(env: &[EnvGrant], book: &Book) -> WasiCtxBuilder {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(Talk { book: book.clone(), source: LogSource::Stdout })
        .stderr(Talk { book: book.clone(), source: LogSource::Stderr })
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    for grant in env {
        wasi.env(&grant.key, &grant.value);
    }
    wasi
}

/// The same with the granted directories. Opening them may wait for a slow file system.
pub(crate) fn with_files(grants: &Grants, scratch: Option<&ScratchDir>, book: &Book) -> Result<WasiCtx, ExecuteError> {
    let mut wasi = denied(&grants.env, book);
    for grant in &grants.dirs {
        let perms = match grant.access {
            DirAccess::ReadOnly => FsPerms::ReadOnly,
            DirAccess::ReadWrite => FsPerms::ReadWrite,
        };
        let failed = |reason: String| ExecuteError::Grant { grant: grant.to_string(), reason };
        let directory = Directory::open(&grant.host).map_err(|error| failed(error.to_string()))?;
        wasi.preopened_dir(directory.path(), &grant.guest, perms)
            .map_err(|error| failed(error.root_cause().to_string()))?;
    }
    if let Some(scratch) = scratch {
        wasi.preopened_dir(scratch.path(), SCRATCH, FsPerms::ReadWrite)
            .map_err(|error| no_scratch(error.root_cause()))?;
    }
    Ok(wasi.build())
}

/// A scratch directory that could not be made or opened.
pub(crate) fn no_scratch(reason: impl ToString) -> ExecuteError {
    ExecuteError::Grant { grant: SCRATCH.into(), reason: reason.to_string() }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.inner.ctx()
    }
}

/// Adds the `host` interface.
pub(crate) fn add_host_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    host::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    linker.allow_shadowing(true);
    let shadowed = linker.instance(HOST)?.func_wrap("remaining", remaining);
    linker.allow_shadowing(false);
    shadowed
}

impl types::Host for State {}

impl host::Host for State {
    fn log(&mut self, level: host::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        let fields_bytes: usize = fields.iter().map(|(key, value)| key.len() + value.len()).sum();
        let (bytes, book) = (message.len() + fields_bytes, &self.book);
        self.calls.call("sunaba:task/host.log", bytes, || {
            book.log(convert::level(level), message, fields).map_err(wasmtime::Error::new)
        })
    }

    fn progress(&mut self, fraction: Option<f64>, mut message: String) -> wasmtime::Result<()> {
        const NAME: &str = "sunaba:task/host.progress";
        let (bytes, purpose, host, book) = (message.len(), self.purpose, &self.host, &self.book);
        self.calls.call(NAME, bytes, || {
            refuse_in_describe(purpose, NAME)?;
            book.cut(&mut message, MAX_PROGRESS_BYTES);
            let fraction = fraction.filter(|fraction| !fraction.is_nan()).map(|fraction| fraction.clamp(0.0, 1.0));
            host.on_progress(Progress { fraction, message });
            Ok(())
        })
    }

    fn is_cancelled(&mut self) -> wasmtime::Result<bool> {
        const NAME: &str = "sunaba:task/host.is-cancelled";
        let (purpose, host) = (self.purpose, &self.host);
        self.calls.call(NAME, 0, || {
            refuse_in_describe(purpose, NAME)?;
            Ok(host.is_cancelled())
        })
    }

    /// The time alone. The fuel is the store's to know: see [`remaining`].
    fn remaining(&mut self) -> wasmtime::Result<host::RemainingBudget> {
        const NAME: &str = "sunaba:task/host.remaining";
        let (purpose, timeout, deadline) = (self.purpose, self.interrupt.timeout(), self.interrupt.deadline());
        let clock = &mut self.clock;
        self.calls.call(NAME, 0, || {
            refuse_in_describe(purpose, NAME)?;
            let left = clock.remaining(timeout, deadline);
            Ok(host::RemainingBudget { fuel: None, time_ms: Some(millis(left)) })
        })
    }

    async fn submit(&mut self, child: types::Child) -> wasmtime::Result<Result<String, types::Refusal>> {
        Self::submit(self, child).await
    }

    async fn dependency_outputs(
        &mut self,
        name: String,
        after: Option<String>,
    ) -> wasmtime::Result<Result<host::EndedPage, types::Refusal>> {
        Self::dependency_outputs(self, name, after).await
    }

    async fn checkpoint(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Result<(), types::Refusal>> {
        Self::checkpoint(self, bytes).await
    }

    async fn last_checkpoint(&mut self) -> wasmtime::Result<Result<Option<Vec<u8>>, types::Refusal>> {
        Self::last_checkpoint(self).await
    }

    async fn completion_token(&mut self) -> wasmtime::Result<Option<String>> {
        const NAME: &str = "sunaba:task/host.completion-token";
        let (purpose, host) = (self.purpose, Arc::clone(&self.host));
        let work = async {
            refuse_in_describe(purpose, NAME)?;
            let token = host.completion_token().await.map_err(|error| {
                // Whoever cannot say now may be able to for the next attempt.
                let cause = Cause::HostCall(Some(NAME.to_owned()));
                wasmtime::Error::new(Halt { cause, message: format!("there is no token: {error}") })
            })?;
            Ok(token.map(|token| token.reveal().to_owned()))
        };
        self.calls.wait(&self.interrupt, NAME, 0, work).await
    }
}

/// `host.remaining` with the fuel, which the generated trait cannot reach.
fn remaining(mut store: StoreContextMut<'_, State>, (): ()) -> wasmtime::Result<(host::RemainingBudget,)> {
    let mut left = host::Host::remaining(store.data_mut())?;
    if let Fuel::Exact { limit: Some(_) } = store.data().fuel {
        // The store has one more than the limit: see `fuel_given`.
        left.fuel = Some(store.get_fuel()?.saturating_sub(1));
    }
    Ok((left,))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An output stream that ends in the book. It takes everything at once: talk blocks no guest, but where it is kept whole and the
/// disk is slower than the guest.
#[derive(Clone)]
struct Talk {
    book: Book,
    source: LogSource,
}

impl IsTerminal for Talk {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Talk {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, which is not linked; a stream that goes nowhere is a harmless answer.
        Box::new(tokio::io::sink())
    }
}

#[async_trait::async_trait]
impl OutputStream for Talk {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.book.write(self.source, &bytes).map_err(StreamError::halted)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.book.pipe(self.source).map_or(WRITE_BYTES, |pipe| pipe.room()))
    }
}

#[async_trait::async_trait]
impl Pollable for Talk {
    async fn ready(&mut self) {
        if let Some(pipe) = self.book.pipe(self.source) {
            pipe.wait_for_room().await;
        }
    }
}

#[cfg(test)]
mod tests;
