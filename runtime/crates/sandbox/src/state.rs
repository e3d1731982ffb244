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
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::bindings::{HOST, host, types};
use crate::book::Book;
use crate::convert;
use crate::directory::Directory;
use crate::guest_clock::GuestClock;
use crate::http::Http;
use crate::interrupt::{Halt, Interrupt};
use crate::meter::Meter;
use crate::scratch::ScratchDir;
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

pub(crate) struct State {
    /// Made when first needed, unless there are directories in it: most guests never ask.
    wasi: Option<WasiCtx>,
    env: Vec<EnvGrant>,
    clock: GuestClock,
    random: Random,
    http: Http,
    table: ResourceTable,
    pub(crate) meter: Meter,
    pub(crate) interrupt: Arc<Interrupt>,
    book: Book,
    host: Arc<dyn AttemptHost>,
    fuel: Fuel,
    purpose: Purpose,
    pub(crate) host_calls: u64,
}

impl State {
    pub(crate) fn new(
        purpose: Purpose,
        limits: &Limits,
        means: Means,
        interrupt: Arc<Interrupt>,
        book: Book,
        host: Arc<dyn AttemptHost>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources as usize);
        Self {
            wasi: means.files,
            env: means.env,
            clock: means.clock,
            random: means.random,
            http: Http::default(),
            table,
            meter: Meter::new(limits),
            interrupt,
            book,
            host,
            fuel: limits.fuel,
            purpose,
            host_calls: 0,
        }
    }

    /// The resource table and what `wasi:http` needs.
    pub(crate) fn http_parts(&mut self) -> (&mut ResourceTable, &mut Http) {
        (&mut self.table, &mut self.http)
    }

    /// The resource table, the switch and the clock, for host calls that wait.
    pub(crate) fn io(&mut self) -> (&mut ResourceTable, &Interrupt, &mut GuestClock) {
        (&mut self.table, &self.interrupt, &mut self.clock)
    }

    /// What `wasi:clocks` needs.
    pub(crate) fn clocks(&mut self) -> Clocks<'_> {
        Clocks { table: &mut self.table, clock: &mut self.clock, host_calls: &mut self.host_calls }
    }

    /// What `wasi:random` needs.
    pub(crate) fn chance(&mut self) -> Chance<'_> {
        Chance { random: &mut self.random, host_calls: &mut self.host_calls }
    }

    /// Counts a call of the `host` interface, and refuses it where it means nothing.
    fn enter(&mut self, function: &str) -> wasmtime::Result<()> {
        self.host_calls += 1;
        match self.purpose {
            Purpose::Run => Ok(()),
            Purpose::Describe => Err(wasmtime::Error::new(Halt {
                cause: Cause::HostCall(Some(format!("sunaba:task/host.{function}"))),
                message: format!("`describe` may not call `host.{function}`: it runs outside any task"),
            })),
        }
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
        let Self { wasi, env, book, table, .. } = self;
        WasiCtxView { ctx: wasi.get_or_insert_with(|| denied(env, book).build()), table }
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
        self.host_calls += 1;
        self.book.log(convert::level(level), message, fields);
        Ok(())
    }

    fn progress(&mut self, fraction: Option<f64>, mut message: String) -> wasmtime::Result<()> {
        self.enter("progress")?;
        convert::cut(&mut message, MAX_PROGRESS_BYTES);
        let fraction = fraction.filter(|fraction| !fraction.is_nan()).map(|fraction| fraction.clamp(0.0, 1.0));
        self.host.on_progress(Progress { fraction, message });
        Ok(())
    }

    fn is_cancelled(&mut self) -> wasmtime::Result<bool> {
        self.enter("is-cancelled")?;
        Ok(self.host.is_cancelled())
    }

    /// The time alone. The fuel is the store's to know: see [`remaining`].
    fn remaining(&mut self) -> wasmtime::Result<host::RemainingBudget> {
        self.enter("remaining")?;
        let left = self.clock.remaining(self.interrupt.timeout(), self.interrupt.deadline());
        Ok(host::RemainingBudget { fuel: None, time_ms: Some(millis(left)) })
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

/// An output stream that ends in the book. It takes everything at once: talk never blocks a guest.
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
        self.book.write(self.source, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for Talk {
    async fn ready(&mut self) {}
}
