//! Keys of the API, and the log of what was changed by whom.
//!
//! A change is logged in its own turn: neither is there without the other. Who makes it is said around the call, by
//! [`audited`], and not in each of the calls: so that none can forget it, and a call that is made on the way by somebody else's code
//! has the same name in the log.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use serde_json::Value;
use sunaba_task::{ApiKey, AuditEntry, KeyId, KeyText, NewApiKey, NewAudit, Timestamp};

use crate::StoreFuture;

/// Keys that are good, of one store. As many that are not are remembered.
pub const MAX_API_KEYS: usize = 250;
/// Entries of the audit log that are kept, the newest.
pub const MAX_AUDIT_ENTRIES: u64 = 100_000;
/// The most entries of one page.
pub const MAX_AUDIT_PAGE: usize = 200;

/// Keys of the API, and the log of changes.
pub trait AccessStore: Send + Sync {
    /// Keeps a key. Its text is the caller's; the store never has it.
    ///
    /// # Errors
    /// [`StoreError::ApiKey`](crate::StoreError::ApiKey): it cannot be one, or there are too many.
    fn create_key(&self, key: NewApiKey) -> StoreFuture<'_, ApiKey>;

    /// Every key, the oldest first, good or not.
    fn api_keys(&self) -> StoreFuture<'_, ApiKeys>;

    /// Ends a key; the record that follows. One that has ended stays as it is. None: there is none of this id.
    fn revoke_key(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>>;

    /// Notes that these were used just now. That is no change that is logged.
    fn keys_used(&self, ids: Vec<KeyId>) -> StoreFuture<'_, ()>;

    /// Logs a change that no call makes, since what it changes is kept nowhere: how that stood before, and how it will. Of who makes
    /// it as [`audited`] says; when nobody has said so, nothing is logged.
    fn log_change(&self, before: Value, after: Value) -> StoreFuture<'_, ()>;

    /// What was changed, the newest first.
    fn audit_log(&self, query: AuditQuery) -> StoreFuture<'_, AuditPage>;
}

/// Every key, and the time by which they expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeys {
    /// The oldest first.
    pub keys: Vec<ApiKey>,
    /// The store's, when they were read.
    pub now: Timestamp,
}

/// Which entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Older than this one. None: from the newest.
    pub before: Option<u64>,
    /// At most so many, and no more than [`MAX_AUDIT_PAGE`].
    pub limit: usize,
}

/// Some entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
    /// `before` of the next page.
    pub next: Option<u64>,
}

/// A key that nobody can guess. Its maker shows it once; what the store keeps is its digest.
///
/// # Errors
/// The system has no random numbers.
pub fn new_key_text() -> io::Result<KeyText> {
    random().map(KeyText::new)
}

/// Bytes that nobody can guess. Not by the store's own random numbers, which a simulation can repeat.
pub(crate) fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes))?;
    Ok(bytes)
}

tokio::task_local! {
    static CHANGE: Arc<NewAudit>;
}

/// Has every change that is made while this runs logged in this name, each in the turn that makes it. What changes nothing, or is
/// refused, is not. Tasks of tokio that are spawned on the way need [`carried`].
pub async fn audited<T>(by: NewAudit, work: impl Future<Output = T>) -> T {
    CHANGE.scope(Arc::new(by), work).await
}

/// The same work, to be spawned: whoever calls this makes its changes.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let by = current();
    async move {
        match by {
            Some(by) => CHANGE.scope(by, work).await,
            None => work.await,
        }
    }
}

/// In whose name changes are made here, if anybody has said so.
pub(crate) fn current() -> Option<Arc<NewAudit>> {
    CHANGE.try_with(Arc::clone).ok()
}
