//! The vocabulary of sunaba: what a task is, how it moves from state to state, how an attempt ends, what it may use and
//! what it did use.
//!
//! Plain data and pure functions. No I/O, no clock, no async runtime, no engine and no store live here, so that every
//! other crate can speak these words without taking on a dependency.

mod access;
mod artifact;
mod ask;
mod attempt;
mod breaker;
mod capture;
mod cause;
mod completion;
mod decide;
mod decider;
mod digest;
mod durability;
mod executor;
mod feed;
mod fuel_budget;
mod grants;
mod handler;
mod health;
mod history;
mod http_grant;
pub mod job;
mod lease;
mod limit;
mod limits;
mod live;
mod logs;
mod name;
mod near;
mod outcome;
mod payload;
mod queue;
mod receipt;
mod requests;
mod retry;
pub mod schedule;
mod secret;
mod seed;
mod settings;
mod shared;
mod state;
mod task;
#[cfg(test)]
mod testing;
mod time;
pub mod trace;
mod transition;
mod units;
pub mod webhook;

pub use access::{
    ApiKey, ApiKeyError, AuditEntry, KEY_PREFIX, KeyId, KeyIdError, KeyStanding, KeyText, MAX_AUDIT_OF_BYTES,
    MAX_AUDIT_STATE_BYTES, MAX_AUDIT_WHAT_BYTES, MAX_AUDIT_WHO_BYTES, MAX_KEY_LIFE, MAX_KEY_NAME_BYTES, MAX_KEY_QUEUES,
    NewApiKey, NewAudit, Scope, ScopeError,
};
pub use artifact::{
    Artifact, ArtifactError, ArtifactKind, ArtifactName, ArtifactSink, ArtifactSource, MAX_ARTIFACT_NAME_BYTES,
    MAX_ARTIFACTS, MAX_URL_BYTES, check_media_type, check_url,
};
pub use ask::{AskError, AskErrorKind, EndedPage, EndedTask, MAX_CHECKPOINT_BYTES};
pub use attempt::{AttemptContext, AttemptReport, AttemptRequest, AttemptResult, TaskId, TaskIdError};
pub use breaker::{Breaker, BreakerError, BreakerSettings, BreakerState};
pub use capture::{CAPTURED, Capture, CaptureError, captured_name};
pub use cause::{Cause, Frame, Stop};
pub use completion::{
    Awaits, COMPLETION, COMPLETION_WAITS, Completion, CompletionKey, CompletionToken, MAX_COMPLETER_BYTES, WAIT_FOR,
};
pub use decide::{Decision, MAX_DELAY, Observation, Policy, Verdict, decide};
pub use decider::{
    Body, BudgetLeft, ChildSeen, DeciderAnswer, DeciderInfo, DeciderRecord, DeciderVerdict, MAX_DECIDER_REASON_BYTES,
    MAX_RECORDED_BYTES, NO_DECIDER, NotDecided, PastAttempt, PlanSeen, Seen, Situation, SituationError, TaskDecider,
    asks_decider, judge, undecided,
};
pub use digest::{Digest, Digester};
pub use durability::{Durability, DurabilityError};
pub use executor::{AttemptHost, BoxFuture, ExecuteError, Executor, Progress, Unattended, catch_panic, panic_text};
pub use feed::{FeedEvent, Happening, TaskEvent};
pub use grants::{ClockAccess, DirAccess, DirGrant, EnvGrant, GrantError, Grants, MAX_SCRATCH_BYTES, SCRATCH};
pub use handler::{HandlerInfo, MAX_NAME_BYTES, is_name};
pub use health::{Concern, Figures, Thresholds, concerns};
pub use history::{AttemptDetail, AttemptRecord, Ending};
pub use http_grant::{AddressBlock, HttpGrant, HttpGrantError, Scheme, is_public};
pub use lease::{Lease, LeaseToken, SessionId};
pub use limit::{Limit, LimitCaps, NamedLimitError};
pub use limits::{Fuel, FuelMode, LimitError, Limits, MAX_MEMORY_BYTES, MAX_TIMEOUT};
pub use live::{Live, LiveView};
pub use logs::{LogEntry, LogLevel, LogSource};
pub use name::{HandlerName, HandlerNameError};
pub use near::nearest;
pub use outcome::{Child, Dependency, Disposition, Failure, Outcome, Plan, Snooze};
pub use payload::{JSON, OCTETS, Payload};
pub use queue::{
    ControlError, HandlerChange, HandlerControl, MAX_WEIGHT, QueueChange, QueueSettings, Rate, RateError, Retention,
};
pub use receipt::Receipt;
pub use requests::{DirRequest, GrantRequests, RequestError};
pub use retry::{Backoff, BackoffError, Growth};
pub use secret::{MAX_SECRET_BYTES, MAX_SECRETS, MIN_SECRET_BYTES, Secret, SecretText, is_secret_name};
pub use seed::{Seed, SeedError};
pub use settings::{HandlerSettings, MAX_SPAN, SettingError};
pub use shared::Shared;
pub use state::{Block, State, StateName, StateNameError};
pub use task::{
    Callback, CallbackOn, CancelRequest, DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_HOSTS_LOST, DEFAULT_QUEUE, FailedChild,
    MAX_IDEMPOTENCY_KEY_BYTES, MAX_KEPT_ATTEMPTS, NewTask, OnConflict, Origin, PayloadInfo, Task, TaskSpec, Unique,
    When,
};
pub use time::{Clock, Timestamp, TimestampError};
pub use transition::{ChangeSet, Event, IllegalTransition, Settled, transition};
pub use units::{UnitError, counted, format_bytes, format_count, format_duration, parse_bytes, parse_duration};
