//! What a worker tells its store as often as it changes: how many slots it has, how far its attempts are, what it cannot run.

use std::convert::Infallible;

use sunaba_store::{SessionLimits, StoreError, Unready};
use sunaba_task::SessionId;

use super::Shared;
use crate::session::{self, Over};

impl Shared {
    pub(super) fn session_limits(&self, slots: usize) -> SessionLimits {
        let (memory_bytes, attempt) = (self.config.memory_bytes, self.config.attempt.clone());
        SessionLimits { memory_bytes, slots: memory_bytes.map(|_| slots), attempt }
    }

    /// Says how many attempts there are at a time, as often as that changes, for ever: the store counts the memory of so many.
    pub(super) async fn tell_slots(&self, session: SessionId) -> Over {
        let mut slots = self.slots.subscribe();
        // What was set since the session was opened is told twice, or is not missed.
        slots.mark_changed();
        while self.config.memory_bytes.is_some() && slots.changed().await.is_ok() {
            let limits = self.session_limits(*slots.borrow_and_update());
            match self.store.limit_session(session, limits).await {
                Ok(()) => {}
                Err(StoreError::SessionLost) => return Over::Lost,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "the store was not told how many slots there are");
                    tokio::time::sleep(session::PAUSE).await;
                    slots.mark_changed();
                }
                Err(error) => return Over::Store(error),
            }
        }
        std::future::pending().await
    }

    /// Passes on what attempts say of their progress, for ever: all of them in one call, and the last word of each.
    pub(super) async fn tell_progress(&self) -> Infallible {
        loop {
            self.progressed.notified().await;
            let mut reports: Vec<_> =
                self.attempts().watches.values().filter_map(|watch| watch.take_progress()).collect();
            // In an order that a simulation can repeat.
            reports.sort_by_key(|(token, _)| token.sequence);
            if !reports.is_empty()
                && let Err(error) = self.store.progress(reports).await
            {
                // The next will say more than this one.
                tracing::debug!(%error, "the progress of attempts was not told");
            }
            tokio::time::sleep(self.config.progress_interval).await;
        }
    }

    /// Says what the executor cannot run, as often as that changes, for ever.
    pub(super) async fn tell_unready(&self, session: SessionId) -> Over {
        let mut unready = self.unready.clone();
        // The first was told, or is empty; one too many does no harm.
        while unready.changed().await.is_ok() {
            let now = unready.borrow_and_update().clone();
            if let Some(over) = self.set_unready(session, now).await {
                return over;
            }
        }
        std::future::pending().await
    }

    /// None once the store knows it.
    pub(super) async fn set_unready(&self, session: SessionId, unready: Unready) -> Option<Over> {
        loop {
            match self.store.set_unready(session, Unready::clone(&unready)).await {
                Ok(()) => return None,
                Err(StoreError::SessionLost) => return Some(Over::Lost),
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, "the store was not told what cannot be run here");
                    tokio::time::sleep(session::PAUSE).await;
                }
                Err(error) => return Some(Over::Store(error)),
            }
        }
    }
}
