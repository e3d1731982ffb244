//! Reports that wait for each other, so that one wake-up tells of many.
//!
//! To wake a thread costs a system call on this side and a switch on the other: of a small attempt, a third. A report waits
//! until the shard has nothing to do, until there are [`BATCH`], or until it is older than [`LONGEST`] when a guest begins. A
//! guest that has had a turn may take long: before it goes on everything is sent, and nobody is left to be woken by others.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sunaba_task::{AttemptReport, ExecuteError};
use tokio::sync::OwnedSemaphorePermit;

use crate::clock::now;
use crate::reply::{self, Left, Sender};

/// Reports that are sent together, at most.
const BATCH: usize = 16;
/// A report that is older is sent before another guest begins.
const LONGEST: Duration = Duration::from_micros(500);

/// What whoever asked for an attempt is told.
pub(crate) type Report = Result<AttemptReport, ExecuteError>;

/// A report, whom it goes to, and the slot that is free from then on: whoever waits for that is woken as well.
type Letter = (Sender<Report>, Report, OwnedSemaphorePermit);

/// The reports of one shard. Only its thread uses it: the lock is never waited for.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    letters: Vec<Letter>,
    /// When the first of them was put there.
    since: Option<Instant>,
    /// Of those that were sent last, whom another one is to wake.
    left: Option<Left<Report>>,
}

impl Outbox {
    /// Sends a report, soon.
    pub(crate) fn put(&self, to: Sender<Report>, report: Report, slot: OwnedSemaphorePermit) {
        let full = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.since.get_or_insert_with(now);
            waiting.letters.push((to, report, slot));
            waiting.letters.len() >= BATCH
        };
        if full {
            self.send();
        }
    }

    /// Sends all of them, and wakes everybody.
    pub(crate) fn flush(&self) {
        self.send();
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).left.take();
        left.into_iter().for_each(Left::wake);
    }

    /// Sends all of them, and wakes those who were left before.
    fn send(&self) {
        let (letters, left) = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.since = None;
            (std::mem::take(&mut waiting.letters), waiting.left.take())
        };
        left.into_iter().for_each(Left::wake);
        let freed = |(to, report, slot)| {
            drop::<OwnedSemaphorePermit>(slot);
            (to, report)
        };
        let left = reply::send_all(letters.into_iter().map(freed));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).left = left;
    }

    /// Runs a guest, without that reports wait for its turns.
    pub(crate) async fn beside<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = pin!(guest);
        let mut begun = false;
        poll_fn(|context| {
            if std::mem::replace(&mut begun, true) {
                self.flush();
            } else if self.is_old() {
                self.send();
            }
            guest.as_mut().poll(context)
        })
        .await
    }

    fn is_old(&self) -> bool {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.since.is_some_and(|since| now().saturating_duration_since(since) > LONGEST)
    }
}
