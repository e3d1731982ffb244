//! An end at any point: at some host call, at some instant, or because nobody waits any more. The slot comes free, and the
//! next attempt is as if nothing had been. It is about ends that came before the program had one of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sunaba_runtime::task::{AttemptHost, AttemptResult, BoxFuture, Cause, LogEntry, Progress};
use tokio::sync::Notify;

use super::{Bench, calls};

/// Stops the attempt once it has heard from it so many times.
struct Cut {
    left: AtomicU32,
    now: Notify,
}

impl Cut {
    fn hear(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.now.notify_one();
        }
    }
}

impl AttemptHost for Cut {
    fn on_log(&self, _: &LogEntry) {
        self.hear();
    }

    fn on_progress(&self, _: Progress) {
        self.hear();
    }

    fn is_cancelled(&self) -> bool {
        self.hear();
        false
    }

    fn stopped(&self) -> BoxFuture<'_, Cause> {
        Box::pin(async {
            self.now.notified().await;
            Cause::Cancelled
        })
    }
}

/// The first two bytes say how and when it ends; the others are the program, which goes on for ever.
pub(super) fn run(bench: &Bench, bytes: &[u8]) -> Result<u64, String> {
    let [how, when, program @ ..] = bytes else { return Ok(0) };
    let program = [&[1], program].concat();
    let mut attempt = bench.attempt(&program)?;
    let left = if how % 3 == 0 { u32::from(*when) + 1 } else { u32::MAX };
    let host = Arc::new(Cut { left: AtomicU32::new(left), now: Notify::new() });
    let is_cut = match how % 3 {
        0 | 1 => {
            attempt.limits_mut().timeout = Duration::from_millis(u64::from(*when) / 8 + 1);
            let report = bench.run(attempt, host)?;
            calls::within(&report)?;
            match report.result {
                AttemptResult::Returned(_) => return Err("a program without an end has returned".into()),
                AttemptResult::Stopped(stop) => matches!(stop.cause, Cause::Cancelled | Cause::Timeout),
                AttemptResult::Failed(_) => false,
            }
        }
        _ => {
            let wait = Duration::from_micros(u64::from(*when) * 20);
            let sandbox = Arc::clone(&bench.sandbox);
            bench.runtime.block_on(async {
                // Dropped at its next wait after that, wherever it is.
                tokio::time::timeout(wait, attempt.run(&sandbox, host)).await.is_err()
            })
        }
    };
    bench.goes_on()?;
    Ok(is_cut.into())
}
