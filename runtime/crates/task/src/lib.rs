//! The vocabulary of sunaba: what a task is, how an attempt ends, what it may use and what it did use.
//!
//! Plain data and pure functions. No I/O, no clock, no async runtime, no engine and no store live here, so that every
//! other crate can speak these words without taking on a dependency.

mod attempt;
mod cause;
mod digest;
mod executor;
mod grants;
mod handler;
mod limits;
mod logs;
mod outcome;
mod payload;
mod receipt;
mod retry;
mod settings;
mod units;

pub use attempt::{AttemptContext, AttemptReport, AttemptRequest, AttemptResult, TaskId};
pub use cause::{Cause, Frame, Stop};
pub use digest::Digest;
pub use executor::{AttemptHost, BoxFuture, ExecuteError, Executor, Progress, Unattended};
pub use grants::{DirAccess, DirGrant, EnvGrant, GrantError, Grants};
pub use handler::{HandlerInfo, MAX_NAME_BYTES, is_name};
pub use limits::{Fuel, FuelMode, LimitError, Limits, MAX_MEMORY_BYTES, MAX_TIMEOUT};
pub use logs::{LogEntry, LogLevel, LogSource};
pub use outcome::{Child, Dependency, Disposition, Failure, Outcome, Plan, Snooze};
pub use payload::{JSON, OCTETS, Payload};
pub use receipt::Receipt;
pub use retry::{Backoff, BackoffError, Growth};
pub use settings::{HandlerSettings, SettingError};
pub use units::{UnitError, format_bytes, format_count, format_duration, parse_bytes, parse_duration};
