//! The durable queue: records, leases, results and packages behind one trait.
//!
//! [`Store`] is what everybody else sees: batched, atomic, high-level operations. [`EmbeddedStore`] is the one that lives
//! in the host's process: a single commit thread gathers the requests of all callers, plans them over a small ordered
//! key-value engine, makes them durable once, and only then answers. What it answers is on stable storage.
//!
//! Without the feature `embedded` there is no store, but the trait with what its calls take and give, which is what a client of a
//! host needs; and no sled.
//!
//! No executor, no engine of WebAssembly and no HTTP live here. A state moves by [`sunaba_task::transition`] alone.

#![cfg_attr(not(feature = "embedded"), allow(dead_code, unused_imports, reason = "what would use it is not there"))]

mod access;
mod artifacts;
#[cfg(feature = "embedded")]
mod beside;
mod blobs;
mod checkpoint;
mod children;
mod clock;
mod codec;
#[cfg(feature = "embedded")]
mod commit;
mod completion;
#[cfg(feature = "embedded")]
pub mod conformance;
#[cfg(feature = "embedded")]
mod embedded;
mod engine;
mod error;
mod jobs;
mod keys;
#[cfg(feature = "embedded")]
pub mod maintenance;
mod notes;
mod observed;
mod planner;
mod progress;
mod query;
mod queues;
#[cfg(feature = "embedded")]
mod read_only;
mod retry;
mod schedules;
mod secrets;
mod spot;
mod store;
mod txn;
mod usage;
mod versions;
mod webhooks;

pub use access::{
    AccessStore, ApiKeys, AuditPage, AuditQuery, MAX_API_KEYS, MAX_AUDIT_ENTRIES, MAX_AUDIT_PAGE, audited, carried,
    new_key_text,
};
pub use artifacts::{NewArtifact, PutArtifactError};
pub use blobs::{BlobError, BlobPlace, BlobReader, BlobWriter, Blobs, KeptBlob, MAX_READ_BYTES};
pub use checkpoint::CheckpointError;
pub use children::{ChildPlanError, SubmitChildError};
pub use clock::{ManualClock, SystemClock};
pub use completion::{CompleteError, NewCompletion};
#[cfg(feature = "embedded")]
pub use embedded::{EmbeddedStore, Options};
#[cfg(feature = "embedded")]
pub use engine::SledEngine;
pub use engine::{Barrier, Engine, EngineError, MemoryEngine, OpenError, Pair, Writes};
pub use error::StoreError;
pub use jobs::{Awaitee, AwaiteePage, JobPage, JobQuery, PlanPage, PlanQuery, SubmitJobError, SubmittedJob};
pub use notes::{MAX_NOTE_BYTES, MAX_NOTES, Note, NoteError};
pub use observed::{
    Answers, Came, Counts, ENDS, FUEL, Fault, MAX_SERIES, MAX_TROUBLES, MEMORY, OTHER, Observations, Series, Spread,
    TIMES, Totals, Trouble, WebhookSeries, end_of, is_failure,
};
pub use query::{
    BulkAction, BulkPage, CancelWish, Cancelled, DeleteError, EventPage, EventQuery, EventsOf, HandlerStatus, Hold,
    QueueStatus, Rerun, RerunError, Stalled, Standing, TaskPage, TaskQuery,
};
pub use queues::Queues;
pub use retry::{RetryJob, RetryJobError};
pub use schedules::{
    Expected, MAX_SCHEDULES, NewSchedule, ScheduleChangeError, SchedulePage, ScheduleQuery, ScheduleStore, Triggered,
};
pub use secrets::{MAX_STORED_SECRETS, NewSecret, SecretError, SecretInfo};
pub use store::{
    LeaseRequest, Leased, MAX_LEASED, MAX_LEASED_BYTES, MAX_PAGE, NAMES_PAGE, Readiness, Runs, SessionLimits,
    SettleError, Settlement, Store, StoreFuture, SubmitError, Submitted, Unready,
};
pub use usage::{MAX_SUMMED, OTHERS, Usage, UsageOf, UsageSums};
pub use versions::{
    Activation, ChangedHandler, DeployChange, Deployed, MAX_VERSIONS, NewPackage, Package, PackageVersion, VersionError,
};
pub use webhooks::{
    MAX_KEPT_BYTES, MAX_KEPT_DELIVERIES, MAX_MADE_DELIVERIES, MAX_OWED_EVENTS, MAX_PENDING_DELIVERIES,
    MAX_SECRET_OVERLAP, MAX_WEBHOOKS, NewWebhook, Notice, WebhookChangeError, WebhookStore, WebhookTarget,
    new_signing_secret,
};
