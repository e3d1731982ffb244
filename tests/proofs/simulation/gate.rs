//! What stops whoever comes while it is shut, and lets them go on in the order in which they came: tokio's own channels
//! wake those who wait in an order that no seed decides.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Something that is there, or will be.
pub(super) struct Gate<T = ()> {
    what: Mutex<Option<T>>,
    there: Notify,
}

impl Gate {
    pub(super) fn open() -> Self {
        Self::with(())
    }
}

impl<T: Clone> Gate<T> {
    pub(super) fn with(what: T) -> Self {
        Self { what: Mutex::new(Some(what)), there: Notify::new() }
    }

    /// Puts something there, or takes it away.
    pub(super) fn set(&self, what: Option<T>) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what;
        self.there.notify_waiters();
    }

    /// Waits until it is there.
    pub(super) async fn pass(&self) -> T {
        loop {
            let mut there = pin!(self.there.notified());
            // Before the look: what comes between the two must wake us.
            there.as_mut().enable();
            if let Some(what) = self.what.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return what;
            }
            there.await;
        }
    }
}
