//! The one switch that ends an attempt, whoever turns it and wherever the guest is.
//!
//! It is turned at most once and never back; the first cause wins. A guest that computes sees it at the next epoch
//! tick, a guest that waits in a host call is woken by it.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sunaba_task::{Cause, Limit, format_duration};
use tokio::sync::Notify;

use crate::clock::now;

/// The error that carries the host's reason through the engine, back to whoever called the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Halt {
    pub(crate) cause: Cause,
    pub(crate) message: String,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Halt {}

pub(crate) struct Interrupt {
    deadline: Instant,
    timeout: Duration,
    cause: OnceLock<Cause>,
    /// In what way a limit would have been passed.
    excess: OnceLock<String>,
    turned: Notify,
}

impl Interrupt {
    pub(crate) fn new(begun: Instant, timeout: Duration) -> Self {
        Self {
            deadline: begun + timeout,
            timeout,
            cause: OnceLock::new(),
            excess: OnceLock::new(),
            turned: Notify::new(),
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Turns the switch.
    pub(crate) fn turn(&self, cause: Cause) {
        if self.cause.set(cause).is_ok() {
            self.turned.notify_waiters();
        }
    }

    /// Turns the switch because a limit would be passed; `excess` says how.
    pub(crate) fn exceed(&self, limit: Limit, excess: String) {
        // First, so that whoever sees the cause sees it; the first excess is the one that is told.
        let _ = self.excess.set(excess);
        self.turn(Cause::Limit(limit));
    }

    /// Whether a limit would have been passed, whatever the guest has done since.
    pub(crate) fn is_over_limit(&self) -> bool {
        matches!(self.cause.get(), Some(Cause::Limit(_)))
    }

    /// The reason to stop now, if there is one. Called at every epoch tick.
    pub(crate) fn check(&self) -> Result<(), Halt> {
        if self.cause.get().is_none() && now() >= self.deadline {
            self.turn(Cause::Timeout);
        }
        match self.halt(None) {
            Some(halt) => Err(halt),
            None => Ok(()),
        }
    }

    /// The reason that the switch was turned for, if it was; `call` is the host call that the guest is in.
    pub(crate) fn halt(&self, call: Option<&str>) -> Option<Halt> {
        let cause = self.cause.get()?.clone();
        let place = call.map(|call| format!(" in `{call}`")).unwrap_or_default();
        let message = match &cause {
            Cause::Timeout => format!("stopped after {}{place}: the time limit", format_duration(self.timeout)),
            Cause::Limit(_) if self.excess.get().is_some() => {
                format!("{}{place}", self.excess.get().map_or("", String::as_str))
            }
            other => format!("stopped by the host{place}: {other}"),
        };
        Some(Halt { cause, message })
    }

    /// Waits for a host call, or for the switch. Losing the call is fine: the store is not used again.
    pub(crate) async fn race<T>(&self, call: &str, work: impl Future<Output = T>) -> Result<T, Halt> {
        let mut turned = pin!(self.turned.notified());
        // Registered before the check, so that a turn between the two is not missed.
        turned.as_mut().enable();
        if let Some(halt) = self.halt(Some(call)) {
            return Err(halt);
        }
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = turned => Err(self.halt(Some(call)).expect("the switch was turned")),
        }
    }
}

/// Turns the switch when it is dropped: an attempt that is dropped where it runs has nobody else who would, and what it has begun
/// elsewhere (connections, work on a disk) goes by the switch alone.
pub(crate) struct TurnsIfDropped(Option<Arc<Interrupt>>);

impl TurnsIfDropped {
    pub(crate) fn new(interrupt: &Arc<Interrupt>) -> Self {
        Self(Some(Arc::clone(interrupt)))
    }

    /// The attempt has come to its end by itself.
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for TurnsIfDropped {
    fn drop(&mut self) {
        if let Some(interrupt) = &self.0 {
            interrupt.turn(Cause::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupt() -> Interrupt {
        Interrupt::new(now(), Duration::from_secs(3600))
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn the_first_cause_wins() {
        let interrupt = interrupt();
        assert!(interrupt.check().is_ok());
        interrupt.turn(Cause::Cancelled);
        interrupt.turn(Cause::LeaseLost);
        assert_eq!(interrupt.check().expect_err("turned").cause, Cause::Cancelled);
    }

    #[test]
    fn a_waiting_call_is_woken() {
        let interrupt = interrupt();
        let raced = block_on(async {
            let waiting = interrupt.race("wasi:io/poll.poll", std::future::pending::<()>());
            let turning = async { interrupt.turn(Cause::LeaseLost) };
            tokio::join!(waiting, turning).0
        });
        let halt = raced.expect_err("the call never ends");
        assert_eq!(halt.cause, Cause::LeaseLost);
        assert_eq!(halt.message, "stopped by the host in `wasi:io/poll.poll`: lease-lost");
    }

    #[test]
    fn an_excess_is_told_and_does_not_hide_an_earlier_cause() {
        let interrupt = self::interrupt();
        interrupt.exceed(Limit::Requests, "too many requests: the limit is 1".into());
        let halt = interrupt.halt(Some("x.y")).expect("turned");
        assert_eq!((halt.cause, interrupt.is_over_limit()), (Cause::Limit(Limit::Requests), true));
        assert_eq!(halt.message, "too many requests: the limit is 1 in `x.y`");

        let interrupt = self::interrupt();
        interrupt.turn(Cause::Cancelled);
        interrupt.exceed(Limit::Requests, "too many requests: the limit is 1".into());
        assert_eq!(
            (interrupt.check().expect_err("turned").cause, interrupt.is_over_limit()),
            (Cause::Cancelled, false)
        );
    }

    #[test]
    fn a_call_after_the_turn_does_not_start() {
        let interrupt = interrupt();
        interrupt.turn(Cause::Timeout);
        assert!(block_on(interrupt.race("x", async {})).is_err());
    }

    #[test]
    fn a_passed_deadline_is_a_timeout() {
        let interrupt = Interrupt::new(now(), Duration::ZERO);
        assert_eq!(interrupt.check().expect_err("passed").cause, Cause::Timeout);
    }

    #[test]
    fn attempt_that_is_dropped_turns_its_switch_and_one_that_ends_does_not() {
        let interrupt = Arc::new(interrupt());
        TurnsIfDropped::new(&interrupt).ended();
        assert!(interrupt.check().is_ok());
        let waiting = block_on(async {
            let waiting = interrupt.race("wasi:http/handler", std::future::pending::<()>());
            let attempt = async { drop(TurnsIfDropped::new(&interrupt)) };
            tokio::join!(waiting, attempt).0
        });
        assert_eq!(waiting.expect_err("it is dropped").cause, Cause::Cancelled);
    }
}
