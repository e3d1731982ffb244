//! From the engine's error to the one cause of a stop.

use sunaba_task::{Cause, Frame, Fuel, Limit, Limits, Plan, Stop, format_bytes, format_count};
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::attempt::host_call_bytes;
use crate::bindings::types;
use crate::book::Book;
use crate::convert::{self, cut};
use crate::interrupt::Halt;

/// The longest function name in a backtrace, in bytes. Names come from the guest.
const MAX_FUNCTION_BYTES: usize = 256;
/// What a child of a plan takes in the host, without its names, its input and its options.
const CHILD_BYTES: usize = size_of::<types::Child>();
/// What the engine says of these has no type of its own that could be asked for; tests fail when it says something else.
const TOO_MANY_HANDLES: &str = "store handle limit exceeded";
const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls has been exhausted";
const BAD_REALLOC: &str = "realloc return: ";

/// Why the guest's call did not return.
///
/// `call` is the host call that it was in.
pub(crate) fn stop(error: &wasmtime::Error, call: Option<&str>, limits: &Limits, book: &Book) -> Stop {
    let backtrace = backtrace(error);
    let fuel = limits.fuel;
    let (cause, mut message) = if let Some(halt) = error.downcast_ref::<Halt>() {
        (halt.cause.clone(), halt.message.clone())
    } else if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        (Cause::Exit, format!("the guest called exit with code {code} instead of returning"))
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        trapped(*trap, fuel, book)
    } else if let Some(fault) = bad_realloc(error) {
        (Cause::Trap("bad-realloc".into()), fault)
    } else if backtrace.is_empty() {
        // Outside any guest function: the engine was reading what the guest had returned.
        (Cause::Output, unreadable(error, limits))
    } else if let Some(stopped) = over_a_limit(error, limits) {
        stopped
    } else {
        (Cause::HostCall(call.map(str::to_owned)), format!("a host call failed: {}", error.root_cause()))
    };
    if let Some(call) = call.filter(|call| !message.contains(call) && !matches!(cause, Cause::HostCall(_))) {
        message.push_str(&format!(" (in `{call}`)"));
    }
    Stop { cause, message, backtrace }
}

/// The guest was asked for room for what it is given, and named a place that it does not have. By the component model that is
/// a trap; the engine gives it no number.
fn bad_realloc(error: &wasmtime::Error) -> Option<String> {
    let text = error.root_cause().to_string();
    let what = text.strip_prefix(BAD_REALLOC)?;
    Some(format!("the guest gave the host no room for what it was to be given: {what}"))
}

/// What the guest returned cannot be read, or takes too much room.
fn unreadable(error: &wasmtime::Error, limits: &Limits) -> String {
    let (text, limit) = (error.root_cause().to_string(), format_bytes(limits.output_bytes));
    if !text.contains(TOO_MUCH_COPIED) {
        return format!("the result is malformed, or far larger than the limit of {limit}: {text}");
    }
    let room = format_bytes(host_call_bytes(limits) as u64);
    format!(
        "the result is far larger than the limit of {limit} (`output`): it has {room} of room, of which each child of a \
         plan takes {CHILD_BYTES} B besides what it has"
    )
}

/// The limits that the engine itself enforces.
fn over_a_limit(error: &wasmtime::Error, limits: &Limits) -> Option<(Cause, String)> {
    let text = error.root_cause().to_string();
    let is_full = matches!(error.downcast_ref(), Some(ResourceTableError::Full)) || text.contains(TOO_MANY_HANDLES);
    if is_full {
        let limit = format_count(limits.resources.into());
        return Some((Cause::Limit(Limit::Resources), format!("wanted one more handle: the limit is {limit}")));
    }
    text.contains(TOO_MUCH_COPIED).then(|| {
        let limit = format_bytes(limits.host_call_bytes);
        (Cause::Limit(Limit::HostCallBytes), format!("handed too much to one host call: the limit is {limit}"))
    })
}

/// The stop of a guest that was found out of fuel when it had returned.
pub(crate) fn out_of_fuel(fuel: Fuel) -> Stop {
    Stop { cause: Cause::Fuel, message: out_of_fuel_message(fuel), backtrace: Vec::new() }
}

/// The stop of a guest that returned more of a plan than its output may have.
pub(crate) fn oversized_plan(plan: &Plan, limits: &Limits) -> Option<Stop> {
    let bytes = convert::plan_bytes(plan);
    (bytes > limits.output_bytes).then(|| {
        let children = match plan.children.len() as u64 {
            1 => "1 child".to_owned(),
            children => format!("{} children", format_count(children)),
        };
        let (size, limit) = (format_bytes(bytes), format_bytes(limits.output_bytes));
        let message = format!("the plan of {children} has {size}: the limit is {limit} (`output`)");
        Stop { cause: Cause::Output, message, backtrace: Vec::new() }
    })
}

fn out_of_fuel_message(fuel: Fuel) -> String {
    match fuel {
        Fuel::Exact { limit: Some(limit) } => format!("used up its fuel: the limit is {}", format_count(limit)),
        Fuel::Exact { limit: None } | Fuel::Off => "used up its fuel".into(),
    }
}

/// Whether an error that came before any call of the guest is of its making: its start function trapped, or it wants
/// more memory than it may.
pub(crate) fn is_guests(error: &wasmtime::Error) -> bool {
    error.is::<Halt>() || error.is::<I32Exit>() || error.is::<Trap>() || error.is::<WasmBacktrace>()
}

fn trapped(trap: Trap, fuel: Fuel, book: &Book) -> (Cause, String) {
    match (trap, fuel) {
        (Trap::OutOfFuel, _) => (Cause::Fuel, out_of_fuel_message(fuel)),
        (Trap::UnreachableCodeReached, _) => {
            let message = book.panic_message().unwrap_or_else(|| trap.to_string());
            (Cause::Trap(code(trap).into()), message)
        }
        _ => (Cause::Trap(code(trap).into()), trap.to_string()),
    }
}

/// The word for a trap in a cause.
fn code(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack-overflow",
        Trap::MemoryOutOfBounds => "memory-out-of-bounds",
        Trap::TableOutOfBounds => "table-out-of-bounds",
        Trap::IndirectCallToNull => "indirect-call-to-null",
        Trap::BadSignature => "bad-signature",
        Trap::IntegerOverflow => "integer-overflow",
        Trap::IntegerDivisionByZero => "integer-division-by-zero",
        Trap::BadConversionToInteger => "bad-conversion-to-integer",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::AllocationTooLarge => "allocation-too-large",
        Trap::CannotEnterComponent => "cannot-enter-component",
        Trap::CannotLeaveComponent => "cannot-leave-component",
        _ => "other",
    }
}

/// Whether the fuel that the store shows after this stop is exact. In other cases the guest may have had some of it in
/// a register, so that what the store shows is a lower bound.
pub(crate) fn is_fuel_exact(cause: &Cause) -> bool {
    match cause {
        Cause::Fuel | Cause::NotSupported(_) => true,
        Cause::Trap(code) => code == "unreachable",
        _ => false,
    }
}

fn backtrace(error: &wasmtime::Error) -> Vec<Frame> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let frame = |frame: &wasmtime::FrameInfo| {
        let mut function = match frame.func_name() {
            Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
            None => format!("wasm-function[{}]", frame.func_index()),
        };
        cut(&mut function, MAX_FUNCTION_BYTES);
        Frame { function, offset: frame.module_offset().map(|offset| offset as u64) }
    };
    backtrace.frames().iter().map(frame).collect()
}
