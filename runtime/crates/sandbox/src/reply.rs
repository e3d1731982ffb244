//! Where a report goes, so that many can be sent with one wake-up.
//!
//! To wake a thread costs a system call, and whoever is woken by the first of many runs, finds no second, and sleeps again. So
//! [`send_all`] puts every report in its place, wakes one receiver, and leaves it to that one to wake the others: on its own
//! thread that costs nothing. To be woken is not to be polled, though: whoever has sent them calls [`Left::wake`] before long,
//! which wakes those who are left, unless that is done.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A place for one value, and both ends that point to it.
pub(crate) fn reply<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { value: Value::Awaited, receiver: None, sender: None, others: Vec::new() };
    let place = Arc::new(Place(Mutex::new(state)));
    (Sender(Arc::clone(&place)), Receiver(place))
}

/// Sends values to their receivers, and wakes one of them; those who are left to be woken by that one.
pub(crate) fn send_all<T>(letters: impl IntoIterator<Item = (Sender<T>, T)>) -> Option<Left<T>> {
    let mut woken: Option<(Arc<Place<T>>, Waker)> = None;
    let mut others = Vec::new();
    for (sender, value) in letters {
        let place = Arc::clone(&sender.0);
        if let Some(waker) = sender.put(value) {
            others.extend(woken.replace((place, waker)).map(|(_, waker)| waker));
        }
    }
    let (place, waker) = woken?;
    place.wake_with(waker, others);
    Some(Left(place))
}

/// Those who wait for a receiver to wake them.
pub(crate) struct Left<T>(Arc<Place<T>>);

impl<T> Left<T> {
    /// Wakes them, unless it has.
    pub(crate) fn wake(self) {
        let others = std::mem::take(&mut self.0.lock().others);
        others.into_iter().for_each(Waker::wake);
    }
}

/// Where a value is put. Dropped without one, it tells the receiver so.
pub(crate) struct Sender<T>(Arc<Place<T>>);

/// Waits for the value; none when there will be none.
pub(crate) struct Receiver<T>(Arc<Place<T>>);

struct Place<T>(Mutex<State<T>>);

struct State<T> {
    value: Value<T>,
    receiver: Option<Waker>,
    sender: Option<Waker>,
    /// Whom the receiver is to wake.
    others: Vec<Waker>,
}

enum Value<T> {
    Awaited,
    There(T),
    /// It was taken, or there will be none, or nobody waits for it any more.
    Gone,
}

impl<T> Place<T> {
    /// Nothing that runs under the lock can panic.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the receiver, who wakes the others; or all of them, if it has what it waited for.
    fn wake_with(&self, waker: Waker, others: Vec<Waker>) {
        let left = {
            let mut state = self.lock();
            match state.value {
                Value::There(_) => {
                    state.others = others;
                    Vec::new()
                }
                _ => others,
            }
        };
        waker.wake();
        left.into_iter().for_each(Waker::wake);
    }
}

impl<T> Sender<T> {
    /// Whether nobody waits any more.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.0.lock().value, Value::Gone)
    }

    /// Until nobody waits any more.
    pub(crate) async fn closed(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if matches!(state.value, Value::Gone) {
                return Poll::Ready(());
            }
            state.sender.get_or_insert_with(|| context.waker().clone()).clone_from(context.waker());
            Poll::Pending
        })
        .await;
    }

    /// Puts the value in its place; who is to be woken.
    fn put(self, value: T) -> Option<Waker> {
        let mut state = self.0.lock();
        match state.value {
            Value::Awaited => {
                state.value = Value::There(value);
                state.receiver.take()
            }
            _ => None,
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.0.lock();
            match state.value {
                Value::Awaited => {
                    state.value = Value::Gone;
                    state.receiver.take()
                }
                _ => None,
            }
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let (value, others) = {
            let mut state = self.0.lock();
            if matches!(state.value, Value::Awaited) {
                state.receiver.get_or_insert_with(|| context.waker().clone()).clone_from(context.waker());
                return Poll::Pending;
            }
            (std::mem::replace(&mut state.value, Value::Gone), std::mem::take(&mut state.others))
        };
        others.into_iter().for_each(Waker::wake);
        Poll::Ready(match value {
            Value::There(value) => Some(value),
            Value::Awaited | Value::Gone => None,
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // What nobody has taken is dropped outside of the lock.
        let (_value, sender, others) = {
            let mut state = self.0.lock();
            let value = std::mem::replace(&mut state.value, Value::Gone);
            (value, state.sender.take(), std::mem::take(&mut state.others))
        };
        sender.into_iter().chain(others).for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Waiting {
        bell: Arc<Bell>,
        receiver: Option<Receiver<u32>>,
    }

    impl Waiting {
        fn poll(&mut self) -> Poll<Option<u32>> {
            let waker = Waker::from(Arc::clone(&self.bell));
            let receiver = Pin::new(self.receiver.as_mut().expect("it was not dropped"));
            receiver.poll(&mut Context::from_waker(&waker))
        }

        fn rings(&self) -> usize {
            self.bell.0.load(Ordering::Relaxed)
        }
    }

    /// So many who wait, each of whom was polled.
    fn waiting(count: usize) -> (Vec<Sender<u32>>, Vec<Waiting>) {
        let pair = |_| {
            let (sender, receiver) = reply();
            let mut waiting = Waiting { bell: Arc::default(), receiver: Some(receiver) };
            assert!(waiting.poll().is_pending());
            (sender, waiting)
        };
        (0..count).map(pair).unzip()
    }

    fn rings(waiting: &[Waiting]) -> Vec<usize> {
        waiting.iter().map(Waiting::rings).collect()
    }

    #[test]
    fn one_is_woken_and_wakes_the_others_when_it_runs() {
        let (senders, mut waiting) = waiting(3);
        let left = send_all(senders.into_iter().zip(1..)).expect("somebody was woken");
        assert_eq!(rings(&waiting), [0, 0, 1]);
        assert_eq!(waiting[2].poll(), Poll::Ready(Some(3)));
        assert_eq!(rings(&waiting), [1, 1, 1]);
        left.wake();
        assert_eq!(rings(&waiting), [1, 1, 1]);
        assert_eq!((waiting[0].poll(), waiting[1].poll()), (Poll::Ready(Some(1)), Poll::Ready(Some(2))));
        assert_eq!(waiting[0].poll(), Poll::Ready(None));
    }

    #[test]
    fn others_are_woken_when_the_one_does_not_run() {
        let (senders, waiting) = waiting(3);
        let left = send_all(senders.into_iter().zip(1..)).expect("somebody was woken");
        left.wake();
        assert_eq!(rings(&waiting), [1, 1, 1]);
    }

    #[test]
    fn others_are_woken_when_the_one_goes_away_first() {
        let (senders, mut waiting) = waiting(2);
        send_all(senders.into_iter().zip(1..));
        waiting[1].receiver = None;
        assert_eq!(rings(&waiting), [1, 1]);
        assert_eq!(waiting[0].poll(), Poll::Ready(Some(1)));
    }

    #[test]
    fn those_who_do_not_wait_any_more_wake_nobody_and_are_known() {
        let (senders, mut waiting) = waiting(3);
        waiting[2].receiver = None;
        assert_eq!(senders.iter().map(Sender::is_closed).collect::<Vec<_>>(), [false, false, true]);
        send_all(senders.into_iter().zip(1..));
        assert_eq!(rings(&waiting), [0, 1, 0]);
        assert_eq!(waiting[1].poll(), Poll::Ready(Some(2)));
        assert_eq!(rings(&waiting), [1, 1, 0]);
    }

    #[test]
    fn sender_that_is_dropped_tells_that_there_will_be_none() {
        let (senders, mut waiting) = waiting(1);
        drop(senders);
        assert_eq!((rings(&waiting), waiting[0].poll()), (vec![1], Poll::Ready(None)));
    }

    #[test]
    fn receiver_that_is_dropped_wakes_whoever_watches_for_that() {
        let (sender, receiver) = reply::<u32>();
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut context = Context::from_waker(&waker);
        {
            let mut closed = std::pin::pin!(sender.closed());
            assert!(closed.as_mut().poll(&mut context).is_pending());
            drop(receiver);
            assert_eq!(bell.0.load(Ordering::Relaxed), 1);
            assert!(closed.as_mut().poll(&mut context).is_ready());
        }
        send_all([(sender, 7)]);
    }
}
