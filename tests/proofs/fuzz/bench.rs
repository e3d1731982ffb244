//! A sandbox to be fuzzed: one slot, so that a slot that is not given back is found at the next attempt.

use std::sync::Arc;
use std::time::Duration;

use sunaba_runtime::Attempt;
use sunaba_runtime::sandbox::{ComponentInfo, Sandbox};
use sunaba_runtime::task::{AttemptHost, AttemptReport, FuelMode, OCTETS, Payload, Unattended};
use tokio::runtime::Runtime;

/// The guest that runs its input as a program of host calls.
const GUEST: &str = include_str!("calls.wat");
/// What one attempt may take. A program can wait for ever.
const TIMEOUT: Duration = Duration::from_millis(20);
/// Far longer than any attempt: whatever takes so long hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A sandbox, and in it the guest that runs programs.
pub struct Bench {
    pub(super) runtime: Runtime,
    pub(super) sandbox: Arc<Sandbox>,
    guest: Arc<ComponentInfo>,
}

impl Bench {
    /// A new one.
    ///
    /// # Errors
    /// The system or the sandbox could not do its part.
    pub fn new() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let sandbox = Sandbox::builder().slots(1).start().map_err(|error| error.to_string())?;
        let loaded = runtime.block_on(sandbox.load(Self::guest(), FuelMode::Exact));
        let guest = loaded.map_err(|error| format!("the guest of the fuzzers: {error}"))?;
        Ok(Self { runtime, sandbox: Arc::new(sandbox), guest })
    }

    /// The guest as a component.
    ///
    /// # Panics
    /// Its text is none.
    pub fn guest() -> Vec<u8> {
        wat::parse_str(GUEST).expect("the text is ours")
    }

    /// An attempt to run this program.
    pub(super) fn attempt(&self, program: &[u8]) -> Result<Attempt, String> {
        let attempt = Attempt::of(&self.guest, "calls").map_err(|error| error.to_string())?;
        let mut attempt = attempt.input(Payload::new(OCTETS, program.to_vec())).map_err(|error| error.to_string())?;
        attempt.limits_mut().timeout = TIMEOUT;
        attempt.limits_mut().memory_bytes = 1 << 20;
        Ok(attempt)
    }

    /// Runs it to its end.
    pub(super) fn run(&self, attempt: Attempt, host: Arc<dyn AttemptHost>) -> Result<AttemptReport, String> {
        let report = async { tokio::time::timeout(HANGS, attempt.run(&self.sandbox, host)).await };
        let report = self.runtime.block_on(report).map_err(|_| "it hangs".to_owned())?;
        report.map_err(|error| format!("the host failed: {error}"))
    }

    /// Whether the slot is free and the next attempt is as if nothing had been.
    pub(super) fn goes_on(&self) -> Result<(), String> {
        // Once, and only a look at the clock.
        let mut attempt = self.attempt(&[0, 9])?;
        attempt.limits_mut().timeout = HANGS;
        let report = self.run(attempt, Arc::new(Unattended))?;
        match &report.result {
            sunaba_runtime::task::AttemptResult::Returned(_) if report.logs.is_empty() => Ok(()),
            other => Err(format!("the next attempt was disturbed: {other:?}")),
        }
    }
}
