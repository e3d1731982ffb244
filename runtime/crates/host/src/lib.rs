//! A host in one process: packages of handlers, admission of tasks, a store, a worker, and what runs the attempts.
//!
//! [`Runtime`] puts them together. It does what every way in needs, whether that is HTTP or a Rust program that embeds the
//! queue: it checks what is submitted and deployed, and fills in every default. Nothing here parses a command line or
//! speaks HTTP.

mod admission;
mod allowed;
mod attempt;
mod executors;
mod explain;
mod guests;
mod hooks;
mod input;
mod memory;
mod native;
mod options;
mod packages;
mod refusal;
mod report;
mod runtime;
mod schema;
mod versions;

pub use admission::{Ceilings, MAX_INPUT_BYTES, RefusedTask, TaskRequest};
pub use allowed::{AllowedDir, AllowedDirError};
pub use attempt::{Attempt, UnknownHandler};
pub use explain::{
    AttemptStory, CancelReport, Changed, DecisionReport, GrantsReport, HoldReport, InputReport, LimitsReport, Link,
    Observed, OutcomeReport, PolicyReport, RunningAttempt, Story, Submission, explain,
};
pub use input::InputError;
pub use memory::{MemoryBudget, MemoryBudgetError, machine_memory_bytes};
pub use native::{Native, NativeHandler};
pub use options::{cancel_wish, debounce};
pub use packages::{DeployError, package_name_of};
pub use refusal::{RerunRefusal, SubmitRefusal};
pub use report::{FailureReport, ReceiptReport, Report, SnoozeReport, Status, payload_json};
pub use runtime::{Runtime, RuntimeBuilder, StartError};
pub use schema::{Schema, SchemaError};
pub use sunaba_sandbox::MAX_COMPONENT_BYTES;
