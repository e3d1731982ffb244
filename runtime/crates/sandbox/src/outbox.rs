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
    /// Of those that were sent last, whom another one is to wake; and since when.
    left: Option<(Left<Report>, Instant)>,
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
        left.into_iter().for_each(|(left, _)| left.wake());
    }

    /// Sends all of them, and wakes those who were left before.
    fn send(&self) {
        let (letters, left) = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.since = None;
            (std::mem::take(&mut waiting.letters), waiting.left.take())
        };
        left.into_iter().for_each(|(left, _)| left.wake());
        let freed = |(to, report, slot)| {
            drop::<OwnedSemaphorePermit>(slot);
            (to, report)
        };
        let left = reply::send_all(letters.into_iter().map(freed));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).left = left.map(|left| (left, now()));
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
        // Those who are left wait as long as a report does: guests that each end in one turn may leave no other occasion.
        let left = waiting.left.as_ref().map(|(_, since)| *since);
        let oldest = [waiting.since, left].into_iter().flatten().min();
        oldest.is_some_and(|since| now().saturating_duration_since(since) > LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use tokio::sync::Semaphore;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whoever is woken first is to wake the other, and does not.
    #[test]
    fn receiver_that_is_left_is_woken_though_every_guest_ends_in_one_turn() {
        let (outbox, slots) = (Outbox::default(), Arc::new(Semaphore::new(2)));
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        let mut receivers = Vec::new();
        for count in &counts {
            let (sender, receiver) = reply::reply();
            let mut receiver = Box::pin(receiver);
            let waker = Waker::from(Arc::clone(count));
            assert!(receiver.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            receivers.push(receiver);
            let slot = Arc::clone(&slots).try_acquire_owned().expect("there are two");
            outbox.put(sender, Err(ExecuteError::Closed), slot);
        }
        let woken = || counts.iter().map(|count| count.0.load(Ordering::SeqCst)).sum::<usize>();
        outbox.send();
        assert_eq!(woken(), 1);
        let sent = now();
        while now().saturating_duration_since(sent) <= LONGEST {}
        let mut guest = Box::pin(outbox.beside(std::future::ready(())));
        assert!(guest.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(woken(), 2);
    }
}
