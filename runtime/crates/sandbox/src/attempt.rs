//! One call of a guest, from the fresh store to the receipt.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sunaba_task::trace::TRACEPARENT;
use sunaba_task::{
    AttemptHost, AttemptReport, AttemptRequest, AttemptResult, Cause, ExecuteError, Fuel, FuelMode, Grants, Limits,
    Live, LogEntry, Outcome, Payload, Receipt, SCRATCH, Seed, Stop, Unattended, catch_panic, format_bytes,
};
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::WasiCtx;

use crate::bindings::{Handler, HandlerPre, handlers, types};
use crate::book::{Book, Counts};
use crate::capture::Captured;
use crate::clock::now;
use crate::error::{LoadError, one_line};
use crate::guest_clock::GuestClock;
use crate::http::{Client, Http, Outgoing, Vault};
use crate::interrupt::{Halt, Interrupt, TurnsIfDropped};
use crate::scratch::{Scratch, ScratchDir};
use crate::sight::Sight;
use crate::state::{Means, Purpose, State, no_scratch, with_files};
use crate::ticker::TICK;
use crate::wasi_random::Random;
use crate::{cause, convert};

/// A guest that computes checks for the host this often, in fuel, so that what the store shows is never further off.
const FUEL_YIELD_INTERVAL: u64 = 1_000_000;
/// How long a guest has to end by itself once its switch is turned, before its future is dropped.
const LAST_RESORT: Duration = TICK.saturating_mul(2);
/// What `describe` may take. A Python component needs half a second of a quiet processor, and shares it with as many attempts
/// as its shard has slots. All others that are deployed meanwhile wait for it.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(30);
/// What `describe` may take in fuel, where it is counted. A Python component needs some hundred million.
const DESCRIBE_FUEL: u64 = 1_000_000_000;

/// What the clock and the random numbers of every `describe` are made from: a component describes itself in the same way on
/// every host.
const DESCRIBE_SEED: Seed = Seed { random: 0, clock_ms: 0 };

/// What is told of a setting that is not known, in bytes: its name is the guest's.
const MAX_SETTING_BYTES: usize = 80;
/// The message of a stop, in bytes.
const MAX_MESSAGE_BYTES: usize = 1024;

/// A component ready to be instantiated.
pub(crate) type Prepared = Arc<HandlerPre<State>>;

/// A fresh store and what belongs to it.
struct Cell {
    store: Store<State>,
    interrupt: Arc<Interrupt>,
    book: Book,
    limits: Limits,
    begun: Instant,
    /// Deleted with the rest, however the attempt ends.
    scratch: Option<ScratchDir>,
    ending: TurnsIfDropped,
}

/// What an attempt is given besides its limits.
struct Given<'a> {
    grants: Grants,
    seed: Option<Seed>,
    scratch: &'a Arc<Scratch>,
}

impl Cell {
    async fn new(
        prepared: &Prepared,
        purpose: Purpose,
        limits: &Limits,
        given: Given<'_>,
        host: &Arc<dyn AttemptHost>,
    ) -> Result<Self, ExecuteError> {
        let begun = now();
        let interrupt = Arc::new(Interrupt::new(begun, limits.timeout));
        let sight = Arc::new(Sight::new(begun, limits.fuel.mode() == FuelMode::Exact));
        let book = Book::new(limits, begun, Arc::clone(host));
        let Given { mut grants, seed, scratch } = given;
        let scratch_bytes = grants.scratch_bytes;
        let clock = GuestClock::new(begun, grants.clock, seed);
        let env = std::mem::take(&mut grants.env);
        let (files, scratch) = match grants.dirs.is_empty() && grants.scratch_bytes.is_none() {
            true => (None, None),
            false => {
                grants.env.clone_from(&env);
                let (files, scratch) = open(grants, scratch, &book, interrupt.deadline()).await?;
                (Some(files), scratch)
            }
        };
        let means = Means { files, env, clock, random: Random::new(limits, seed) };
        let switch = Arc::clone(&interrupt);
        let mut state = State::new(purpose, limits, means, switch, sight, book.clone(), Arc::clone(host));
        if let Some(bytes) = scratch_bytes {
            state.files.cap(SCRATCH, bytes);
        }
        let mut store = Store::new(prepared.engine(), state);
        store.limiter(|state| &mut state.meter);
        store.set_hostcall_fuel(host_call_bytes(limits));
        store.set_max_component_handles(limits.resources as usize);
        if limits.fuel.mode() == FuelMode::Exact {
            let internal = |error: wasmtime::Error| ExecuteError::Internal(error.to_string());
            store.set_fuel(fuel_given(limits.fuel)).map_err(internal)?;
            store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL)).map_err(internal)?;
        }
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback({
            let interrupt = Arc::clone(&interrupt);
            move |store| {
                see_fuel(&store);
                interrupt.check()?;
                // tokio's own yield lets timers and other attempts run before this one goes on.
                Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
            }
        });
        let ending = TurnsIfDropped::new(&interrupt);
        Ok(Self { store, interrupt, book, limits: limits.clone(), begun, scratch, ending })
    }

    /// What the guest has used so far, at most its limit; none when it is not counted.
    fn fuel_used(&self) -> Option<u64> {
        let Fuel::Exact { limit } = self.limits.fuel else { return None };
        let used = fuel_given(self.limits.fuel) - self.store.get_fuel().ok()?;
        Some(used.min(limit.unwrap_or(u64::MAX)))
    }

    /// Whether the guest has used more than its limit and got away with it: the engine looks at function entries and
    /// loop heads, so a guest may return between the last look and the next.
    fn is_fuel_overdrawn(&self) -> bool {
        matches!(self.limits.fuel, Fuel::Exact { limit: Some(_) }) && self.store.get_fuel().is_ok_and(|left| left == 0)
    }

    /// Why the guest's call did not return.
    fn stop(&self, ended: Ended<()>) -> Stop {
        let call = self.store.data().calls.current();
        let mut stop = match ended {
            Ended::Trapped(error) => cause::stop(&error, call, &self.limits, &self.book),
            Ended::Panicked(text) => host_panicked(call, &text),
            Ended::Unwatched(text) => host_panicked(None, &text),
            Ended::Returned(()) | Ended::Dropped => without_backtrace(
                self.interrupt.halt(call).expect("a guest is only dropped after its switch was turned"),
            ),
        };
        self.book.cut(&mut stop.message, MAX_MESSAGE_BYTES);
        stop
    }

    /// Takes the sandbox down.
    async fn close(self) -> (Vec<LogEntry>, Counts) {
        let Self { store, book, scratch, ending, .. } = self;
        drop(store);
        if let Some(scratch) = scratch {
            scratch.remove().await;
        }
        ending.ended();
        book.close()
    }
}

/// Shows how much fuel was used until now.
pub(crate) fn see_fuel(store: &StoreContextMut<'_, State>) {
    if let Ok(left) = store.get_fuel() {
        let state = store.data();
        state.sight.fuel(now(), fuel_given(state.fuel).saturating_sub(left));
    }
}

fn without_backtrace(halt: Halt) -> Stop {
    Stop { cause: halt.cause, message: halt.message, backtrace: Vec::new() }
}

/// Host code panicked where no host call caught it.
fn host_panicked(call: Option<&str>, text: &str) -> Stop {
    let cause = Cause::HostCall(call.map(str::to_owned));
    Stop { cause, message: format!("host code panicked: {text}"), backtrace: Vec::new() }
}

/// Opens the granted directories, and makes the scratch directory, on another thread and under the attempt's deadline: a file
/// system that hangs must not hang the shard.
async fn open(
    grants: Grants,
    scratch: &Arc<Scratch>,
    book: &Book,
    deadline: Instant,
) -> Result<(WasiCtx, Option<ScratchDir>), ExecuteError> {
    let scratch_shown = grants.scratch_bytes.map(|_| SCRATCH.to_owned());
    let shown = grants.dirs.iter().map(ToString::to_string).chain(scratch_shown).collect::<Vec<_>>().join(", ");
    let (book, scratch) = (book.clone(), Arc::clone(scratch));
    let opening = tokio::task::spawn_blocking(move || {
        let made = grants.scratch_bytes.map(|bytes| scratch.make(bytes).map_err(no_scratch)).transpose()?;
        Ok((with_files(&grants, made.as_ref(), &book)?, made))
    });
    match tokio::time::timeout_at(deadline.into(), opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(panicked)) => Err(ExecuteError::Internal(panicked.to_string())),
        Err(_) => Err(ExecuteError::Grant { grant: shown, reason: "opening it took all of the attempt's time".into() }),
    }
}

/// Bytes that one host call may copy out of the guest. The engine holds the result to the same bound, which must not
/// come before our own.
pub(crate) fn host_call_bytes(limits: &Limits) -> usize {
    usize::try_from(limits.host_call_bytes.max(limits.output_bytes.saturating_mul(2))).unwrap_or(usize::MAX)
}

/// What the store is given: one more than the limit, so that nothing left means more than the limit was used.
fn fuel_given(fuel: Fuel) -> u64 {
    match fuel {
        Fuel::Exact { limit } => limit.unwrap_or(u64::MAX).saturating_add(1),
        Fuel::Off => 0,
    }
}

/// How a guest's call ended.
enum Ended<T> {
    Returned(T),
    Trapped(wasmtime::Error),
    /// Host code that the guest had called panicked, and said this.
    Panicked(String),
    /// So did whoever watches over it.
    Unwatched(String),
    /// It did not end by itself.
    Dropped,
}

impl<T> Ended<T> {
    fn returned(self) -> Result<T, Ended<()>> {
        match self {
            Self::Returned(value) => Ok(value),
            Self::Trapped(error) => Err(Ended::Trapped(error)),
            Self::Panicked(text) => Err(Ended::Panicked(text)),
            Self::Unwatched(text) => Err(Ended::Unwatched(text)),
            Self::Dropped => Err(Ended::Dropped),
        }
    }
}

/// Runs the guest's call to its end, or until it must be stopped.
async fn supervise<T>(
    interrupt: &Interrupt,
    engine: &Engine,
    stopped: impl Future<Output = Cause>,
    guest: impl Future<Output = wasmtime::Result<T>>,
) -> Ended<T> {
    let mut guest = pin!(catch_panic(guest));
    let ended = |result| match result {
        Ok(Ok(value)) => Ended::Returned(value),
        Ok(Err(error)) => Ended::Trapped(error),
        Err(panic) => Ended::Panicked(panic),
    };
    // The guest comes first in both: what it managed to say counts, and a guest that computes ends at its next tick
    // with a backtrace before the timer can drop it.
    let cause = tokio::select! {
        biased;
        result = &mut guest => return ended(result),
        cause = catch_panic(stopped) => match cause {
            Ok(cause) => cause,
            Err(panic) => return Ended::Unwatched(panic),
        },
        () = tokio::time::sleep_until(interrupt.deadline().into()) => Cause::Timeout,
    };
    interrupt.turn(cause);
    // A guest that computes sees the switch at its next look at the epoch, not only at the ticker's next tick.
    engine.increment_epoch();
    tokio::select! {
        biased;
        result = &mut guest => ended(result),
        () = tokio::time::sleep(LAST_RESORT) => Ended::Dropped,
    }
}

/// Runs one attempt. `abandoned` resolves when nobody waits for the report any more.
///
/// # Errors
/// A grant names something that is not there, or the engine refused a setting.
pub(crate) async fn run(
    prepared: &Prepared,
    request: AttemptRequest,
    host: Arc<dyn AttemptHost>,
    client: &Arc<Client>,
    scratch: &Arc<Scratch>,
    abandoned: impl Future<Output = ()>,
) -> Result<AttemptReport, ExecuteError> {
    let AttemptRequest { component, handler, context, input, limits, mut grants, secrets, seed, capture } = request;
    let vault = Vault::new(secrets, seed);
    if let Some(vault) = &vault {
        grants.env.extend(vault.variables());
    }
    let http = std::mem::take(&mut grants.http);
    let given = Given { grants, seed, scratch };
    let mut cell = Cell::new(prepared, Purpose::Run, &limits, given, &host).await?;
    let interrupt = Arc::clone(&cell.interrupt);
    if let Some(vault) = &vault {
        cell.book.redact_with(Arc::clone(vault.redactor()));
    }
    let traceparent = context.attributes.iter().find(|(name, _)| name == TRACEPARENT).map(|(_, text)| text.as_str());
    let outgoing = Outgoing::new(Arc::clone(client), http, vault.clone(), &limits, &interrupt, &cell.book);
    let outgoing = outgoing.traced(traceparent);
    let traffic = Arc::clone(outgoing.traffic());
    cell.store.data_mut().set_http(Http::of(outgoing));
    let (book, written) = (cell.book.clone(), Arc::clone(cell.store.data().artifacts.written()));
    let captured = Captured::new(capture, context.attempt, &written, &book);
    let (mut called, mut returned) = (None, None);

    let stopped = async {
        tokio::select! {
            cause = host.stopped() => cause,
            () = abandoned => Cause::Cancelled,
        }
    };
    let sight = Arc::clone(&cell.store.data().sight);
    let guest = async {
        host.on_begin(sight as Arc<dyn Live>);
        let instance = prepared.instantiate_async(&mut cell.store).await?;
        called = Some(now());
        let (context, payload) = (convert::context(context), convert::to_guest(&input));
        let result = instance.sunaba_task_handlers().call_run(&mut cell.store, &context, &handler, &payload).await;
        returned = Some(now());
        result
    };
    let guest = supervise(&interrupt, prepared.engine(), stopped, guest);
    let ended = captured.beside(&host, &book, guest).await.returned();

    let fuel = cell.fuel_used();
    let state = cell.store.data();
    let (peak_memory_bytes, written_bytes) = (state.meter.peak_bytes(), state.files.written_bytes());
    let artifact_bytes = state.artifacts.written_bytes();
    let spent = state.calls.spent();
    let too_many = match &ended {
        Err(Ended::Trapped(error)) if called.is_none() => cell.store.data().meter.count_over_limit(error),
        _ => None,
    };
    if called.is_none()
        && too_many.is_none()
        && let Err(Ended::Trapped(error)) = &ended
        && !cause::is_guests(error)
    {
        // Not even instantiated, for a reason that is none of the guest's: descriptors, memory, a slot of the pool.
        return Err(ExecuteError::Internal(one_line(error)));
    }
    let mut result = match ended {
        Ok(_) if interrupt.is_over_limit() => AttemptResult::Stopped(cell.stop(Ended::Returned(()))),
        Ok(_) if cell.is_fuel_overdrawn() => AttemptResult::Stopped(cause::out_of_fuel(limits.fuel)),
        Ok(result) => judge(result, &limits, &cell.book),
        Err(ended) => AttemptResult::Stopped(match too_many {
            Some(Halt { cause, message }) => Stop { cause, message, backtrace: Vec::new() },
            None => cell.stop(ended),
        }),
    };
    if let Some(vault) = &vault {
        vault.redact_result(&mut result);
    }
    let begun = cell.begun;
    let (logs, counts) = cell.close().await;
    traffic.settled().await;
    let (requests, request_bytes) = traffic.counts();
    // What is told last, that something was cut, may be what whoever is told stumbles over.
    let result = match book.whole() {
        Err(halt) if !matches!(result, AttemptResult::Stopped(_)) => AttemptResult::Stopped(without_backtrace(halt)),
        _ => result,
    };
    let wall = now().duration_since(begun);
    let guest_time = match (called, returned) {
        (Some(called), Some(returned)) => returned.duration_since(called),
        (Some(called), None) => now().duration_since(called),
        (None, _) => Duration::ZERO,
    };
    let receipt = Receipt {
        component,
        fuel,
        fuel_exact: fuel.is_some()
            && !matches!(&result, AttemptResult::Stopped(stop) if !cause::is_fuel_exact(&stop.cause)),
        wall,
        overhead: wall.saturating_sub(guest_time),
        peak_memory_bytes,
        input_bytes: input.bytes.len() as u64,
        output_bytes: output_bytes(&result),
        log_bytes: counts.log_bytes,
        stdout_bytes: counts.stdout_bytes,
        stderr_bytes: counts.stderr_bytes,
        dropped_bytes: counts.dropped_bytes,
        host_calls: spent.calls,
        host_calls_by: spent.by_name,
        host_call_time: spent.time,
        moved_bytes: spent.moved_bytes,
        written_bytes,
        requests,
        request_bytes,
        artifact_bytes,
        seed,
        ..Receipt::unmeasured(component)
    };
    Ok(AttemptReport { result, receipt, logs })
}

fn output_bytes(result: &AttemptResult) -> u64 {
    match result {
        AttemptResult::Returned(Outcome::Complete(output)) => output.bytes.len() as u64,
        AttemptResult::Returned(Outcome::Decompose(plan)) => convert::plan_bytes(plan),
        _ => 0,
    }
}

/// What the guest returned, unless it is too large or not supported.
fn judge(result: Result<types::Outcome, types::Failure>, limits: &Limits, book: &Book) -> AttemptResult {
    let stopped = |cause, message| AttemptResult::Stopped(Stop { cause, message, backtrace: Vec::new() });
    let unfit = |what: &str, payload: &Payload| {
        if !Payload::is_media_type(&payload.media_type) {
            return Some(stopped(Cause::Output, format!("{what} has no media type such as `application/json`")));
        }
        (payload.bytes.len() as u64 > limits.output_bytes).then(|| {
            let (size, limit) = (format_bytes(payload.bytes.len() as u64), format_bytes(limits.output_bytes));
            stopped(Cause::Output, format!("{what} has {size}: the limit is {limit}"))
        })
    };
    let not_supported = |name: &str| {
        let mut name = name.to_owned();
        book.cut(&mut name, MAX_SETTING_BYTES);
        let name = name.as_str();
        stopped(Cause::NotSupported(name.into()), format!("the handler returned `{name}`, which is not supported yet"))
    };
    match result {
        Ok(types::Outcome::Snooze(snooze)) if convert::unknown_setting(&snooze).is_some() => {
            not_supported(&convert::unknown_setting(&snooze).unwrap_or_default())
        }
        Ok(outcome) => match convert::outcome(outcome, book) {
            Outcome::Decompose(plan) => cause::oversized_plan(&plan, limits)
                .map_or(AttemptResult::Returned(Outcome::Decompose(plan)), AttemptResult::Stopped),
            snooze @ Outcome::Snooze(_) => AttemptResult::Returned(snooze),
            Outcome::Complete(output) => {
                unfit("the output", &output).unwrap_or(AttemptResult::Returned(Outcome::Complete(output)))
            }
        },
        Err(failure) if !failure.settings.is_empty() => not_supported(&format!("setting {}", failure.settings[0].0)),
        Err(failure) => {
            let failure = convert::failure(failure, book);
            let oversized = failure.detail.as_ref().and_then(|detail| unfit("the detail of the failure", detail));
            oversized.unwrap_or(AttemptResult::Failed(failure))
        }
    }
}

/// Asks a component for its handlers: no grants, the default limits, and little time.
///
/// # Errors
/// Its exports have other types than the contract says, it did not return, or the host could not do its part. `abandoned`
/// resolves when nobody waits for the answer any more.
pub(crate) async fn describe(
    prepared: &Prepared,
    mode: FuelMode,
    abandoned: impl Future<Output = ()>,
) -> Result<handlers::PackageInfo, LoadError> {
    let fuel = match mode {
        FuelMode::Exact => Fuel::Exact { limit: Some(DESCRIBE_FUEL) },
        FuelMode::Off => Fuel::Off,
    };
    let limits = Limits { fuel, timeout: DESCRIBE_TIMEOUT, ..Limits::default() };
    let host: Arc<dyn AttemptHost> = Arc::new(Unattended);
    // Without a grant nothing is made in it.
    let scratch = Arc::new(Scratch::new(None));
    let given = Given { grants: Grants::default(), seed: Some(DESCRIBE_SEED), scratch: &scratch };
    let mut cell = Cell::new(prepared, Purpose::Describe, &limits, given, &host)
        .await
        .map_err(|error| LoadError::Internal(error.to_string()))?;
    let interrupt = Arc::clone(&cell.interrupt);
    let guest = async {
        let instance = match prepared.instance_pre().instantiate_async(&mut cell.store).await {
            Ok(instance) => instance,
            Err(error) if cause::is_guests(&error) => return Err(error),
            Err(error) => return Ok(Err(LoadError::Internal(one_line(&error)))),
        };
        // The types of all exports are compared here, and nowhere earlier.
        let handler = match Handler::new(&mut cell.store, &instance) {
            Ok(handler) => handler,
            Err(error) => return Ok(Err(LoadError::Signature(one_line(&error)))),
        };
        handler.sunaba_task_handlers().call_describe(&mut cell.store).await.map(Ok)
    };
    let abandoned = async {
        abandoned.await;
        Cause::Cancelled
    };
    match supervise(&interrupt, prepared.engine(), abandoned, guest).await.returned() {
        Ok(described) => described,
        Err(ended) => Err(LoadError::Describe(cell.stop(ended))),
    }
}
