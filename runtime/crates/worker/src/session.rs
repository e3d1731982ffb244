//! Keeps a worker's session alive, and passes on what the store has to say.

use std::time::Duration;

use sunaba_store::{Cancelled, Store, StoreError};
use sunaba_task::SessionId;
use tokio::time::Instant;

/// A session is renewed so many times in its life: the store may miss all but one.
const RENEWALS: u32 = 3;
/// A store that fails is asked again after this long.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum Over {
    /// It could not be renewed in time; another may succeed.
    Lost,
    /// The store is gone.
    Store(StoreError),
}

/// Renews until that is no longer possible; tells of each task that somebody wants cancelled.
pub(crate) async fn keep(
    store: &dyn Store,
    session: SessionId,
    lease_time: Duration,
    cancelled: impl Fn(Cancelled),
) -> Over {
    // Counted from before the store could have renewed it, so that we give up before the store does.
    let mut renewed = Instant::now();
    loop {
        let asked = Instant::now();
        let renewal = store.renew(session, lease_time / RENEWALS);
        let answer = if store.is_in_process() {
            renewal.await
        } else {
            let in_time = tokio::time::timeout_at(renewed + lease_time, renewal).await;
            in_time.unwrap_or(Err(StoreError::SessionLost))
        };
        match answer {
            Ok(news) => {
                renewed = asked;
                news.into_iter().for_each(&cancelled);
            }
            Err(StoreError::SessionLost) => return Over::Lost,
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the session could not be renewed");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Over::Store(error),
        }
    }
}
