//! Deciders: components that export a policy. Each is asked in a fresh store with little fuel, memory and time, and with no
//! import at all: one that has some gets a trap for each.
//!
//! They have an engine of their own without a pool, and a few threads: no place of an attempt is taken, and no shard held up.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use sunaba_task::{
    DeciderAnswer, DeciderInfo, DeciderVerdict, FuelMode, Limits, MAX_DECIDER_REASON_BYTES, NotDecided, Plan,
    Situation, format_bytes, format_count, format_duration,
};
use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Engine, Store, Trap};

use crate::component::Code;
use crate::convert::{cut, plan_bytes};
use crate::decider_bindings::Decider;
use crate::error::{LoadError, one_line};
use crate::interrupt::Halt;
use crate::meter::Meter;
use crate::ticker::{TICK, TickerHandle};
use crate::{decider_convert, engine};

/// Fuel of one decision: some tenths of a second of computing. It is counted exactly, so that a decision that ends for want of it
/// ends so everywhere.
const FUEL: u64 = 100_000_000;
/// All memories and tables of one decision. The situation is in it, with the output that the handler may have given.
const MEMORY_BYTES: u64 = 64 << 20;
/// The time of one decision, for what fuel does not count: an instruction that fills much memory.
const TIME: Duration = Duration::from_secs(2);
/// What an answer may take in the host while it is read.
const ANSWER_BYTES: usize = 4 << 20;
/// Names, inputs and options of a plan that a decider answers with.
const PLAN_BYTES: u64 = 1 << 20;
/// Decisions at a time. Others wait, no longer than whoever asks.
const PLACES: usize = 4;
/// What is told of an error that is not ours.
const MAX_ERROR_BYTES: usize = 256;

/// A component that is ready to decide.
pub(crate) type Ready = Arc<InstancePre<Desk>>;

/// The data of a decider's store.
pub(crate) struct Desk {
    meter: Meter,
}

/// Where deciders run.
pub(crate) struct Deciders {
    /// Made when first needed.
    engine: Mutex<Option<Engine>>,
    ticker: TickerHandle,
    places: Arc<Semaphore>,
}

impl Deciders {
    pub(crate) fn new(ticker: TickerHandle) -> Self {
        Self { engine: Mutex::new(None), ticker, places: Arc::new(Semaphore::new(PLACES)) }
    }

    fn engine(&self) -> Result<Engine, LoadError> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*engine {
            return Ok(engine.clone());
        }
        // Its code is the same with a pool and without.
        let made = engine::compiling_engine(FuelMode::Exact).map_err(|error| LoadError::Internal(error.to_string()))?;
        self.ticker.watch(&made);
        Ok(engine.insert(made).clone())
    }

    /// Makes code ready to decide. One that imports nothing links against an empty linker; of any other each import is a trap.
    ///
    /// # Errors
    /// It is too large, or its policy has other types than the contract says. It may be run for that.
    pub(crate) fn prepare(&self, code: &Code, imports: usize) -> Result<(Ready, DeciderInfo), LoadError> {
        let engine = self.engine()?;
        let component = code.load(&engine).map_err(|error| LoadError::Invalid(one_line(&error)))?;
        let mut linker = Linker::new(&engine);
        if imports > 0 {
            linker.define_unknown_imports_as_traps(&component).map_err(|error| LoadError::Decider(one_line(&error)))?;
        }
        let pre = linker.instantiate_pre(&component).map_err(|error| LoadError::Decider(one_line(&error)))?;
        let imports = u32::try_from(imports).unwrap_or(u32::MAX);
        Ok((Arc::new(pre), DeciderInfo { imports }))
    }

    /// Makes an instance once: only that compares the types of its exports.
    ///
    /// # Errors
    /// They are others than the contract says, or it cannot be instantiated within a decision's limits.
    pub(crate) fn check(&self, ready: &Ready) -> Result<(), LoadError> {
        let mut store = self.store(ready)?;
        let _ticking = self.ticker.ticking();
        let instance = ready.instantiate(&mut store).map_err(|error| LoadError::Decider(why(&error)))?;
        Decider::new(&mut store, &instance).map_err(|error| LoadError::Signature(one_line(&error))).map(drop)
    }

    fn store(&self, ready: &Ready) -> Result<Store<Desk>, LoadError> {
        let internal = |error: wasmtime::Error| LoadError::Internal(error.to_string());
        let limits = Limits { memory_bytes: MEMORY_BYTES, ..Limits::default() };
        let mut store = Store::new(ready.component().engine(), Desk { meter: Meter::new(&limits) });
        store.limiter(|desk| &mut desk.meter);
        store.set_hostcall_fuel(ANSWER_BYTES);
        // One more, so that nothing left means that more than the limit was used.
        store.set_fuel(FUEL + 1).map_err(internal)?;
        // Past the deadline the engine traps.
        store.set_epoch_deadline(u64::try_from(TIME.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX));
        Ok(store)
    }

    /// Asks a decider. It ends within its limits, whatever it does and whoever still waits.
    pub(crate) async fn decide(
        self: &Arc<Self>,
        ready: Ready,
        situation: Situation,
    ) -> Result<DeciderAnswer, NotDecided> {
        situation.check_whole().map_err(|error| NotDecided::because(first_line(&error)))?;
        let closed = || NotDecided::because("the sandbox has ended");
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let deciders = Arc::clone(self);
        let work = move || {
            let answer = deciders.ask(&ready, &situation);
            drop((place, ready));
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        };
        let no_thread = |error| NotDecided::because(format!("no thread to decide on: {error}"));
        thread::Builder::new().name("sunaba-decide".into()).spawn(work).map_err(no_thread)?;
        answer.await.unwrap_or_else(|_| Err(NotDecided::because("host code panicked over the decision")))
    }

    fn ask(&self, ready: &Ready, situation: &Situation) -> Result<DeciderAnswer, NotDecided> {
        let mut store = self.store(ready).map_err(|error| NotDecided::because(first_line(&error)))?;
        let _ticking = self.ticker.ticking();
        let decided = ready.instantiate(&mut store).and_then(|instance| {
            let decider = Decider::new(&mut store, &instance)?;
            decider.sunaba_task_policy().call_decide(&mut store, &decider_convert::situation(situation))
        });
        let left = store.get_fuel().unwrap_or(0);
        let fuel = (FUEL + 1 - left.min(FUEL + 1)).min(FUEL);
        let not = |reason: String| Err(NotDecided { reason, fuel: Some(fuel) });
        match decided {
            Err(error) => not(why(&error)),
            Ok(_) if left == 0 => not(out_of_fuel()),
            Ok(decision) => {
                let (verdict, mut reason) = decider_convert::decision(decision);
                if let DeciderVerdict::Decompose(plan) = &verdict
                    && let Some(reason) = oversized(plan)
                {
                    return not(reason);
                }
                one_line_of(&mut reason, MAX_DECIDER_REASON_BYTES);
                Ok(DeciderAnswer { verdict, reason, fuel })
            }
        }
    }
}

fn oversized(plan: &Plan) -> Option<String> {
    let bytes = plan_bytes(plan);
    (bytes > PLAN_BYTES).then(|| {
        let children = format_count(plan.children.len() as u64);
        let (size, limit) = (format_bytes(bytes), format_bytes(PLAN_BYTES));
        format!("its plan of {children} tasks has {size}: the limit is {limit}")
    })
}

fn out_of_fuel() -> String {
    format!("it used up its fuel: the limit is {}", format_count(FUEL))
}

/// Why it did not answer, in one line.
fn why(error: &wasmtime::Error) -> String {
    const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls has been exhausted";
    if let Some(halt) = error.downcast_ref::<Halt>() {
        return format!("it {}", halt.message);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return out_of_fuel(),
        Some(Trap::Interrupt) => return format!("it took more than {}", format_duration(TIME)),
        Some(trap) => return format!("it trapped: {trap}"),
        None => {}
    }
    let mut text = error.root_cause().to_string();
    if text.contains(TOO_MUCH_COPIED) {
        return format!("its answer has more than {} of room", format_bytes(ANSWER_BYTES as u64));
    }
    one_line_of(&mut text, MAX_ERROR_BYTES);
    format!("it failed: {text}")
}

fn first_line(error: &impl ToString) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Makes one line of a text, and no more than so many bytes.
fn one_line_of(text: &mut String, max_bytes: usize) {
    cut(text, max_bytes);
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
}
