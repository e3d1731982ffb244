//! A host in one process: packages of handlers, admission of tasks, a store, a worker, and what runs the attempts.
//!
//! [`Runtime`] puts them together. It does what every way in needs, whether that is HTTP or a Rust program that embeds the
//! queue: it checks what is submitted and deployed, and fills in every default. Nothing here parses a command line or
//! speaks HTTP.

mod admission;
mod allowed;
mod attempt;
mod builder;
mod checks;
mod children;
mod complete;
mod declared;
mod deploy;
mod diff;
mod effective;
mod executors;
mod explain;
mod groups;
mod guests;
mod hooks;
mod input;
mod job;
pub mod job_story;
mod limits;
mod memory;
mod native;
mod options;
mod packages;
mod permits;
mod plan_report;
mod refusal;
mod report;
mod runtime;
mod schedule;
mod schema;
mod secrets;
mod trace;
mod usage;
mod versions;
mod watch;
mod workers;

pub use admission::{MAX_INPUT_BYTES, RefusedTask, TaskRequest};
pub use allowed::{AllowedDir, AllowedDirError};
pub use attempt::{Attempt, UnknownHandler};
pub use complete::{CompleteRefusal, CompleteRequest};
pub use declared::{Declared, RetentionChange, handler_change_value, queue_change_value};
pub use deploy::{DeployOptions, Deployed, Difference};
pub use diff::{Change, Side, diff};
pub use effective::{DEFAULT_MAX_SCRATCH_BYTES, GrantRefusal, Operator, effective};
pub use explain::{
    AttemptStory, CancelReport, Changed, CompletionReport, DeciderReport, DecisionReport, GrantsReport, HoldReport,
    InputReport, LimitsReport, Link, Observed, OutcomeReport, PolicyReport, RunningAttempt, Story, Submission, explain,
    stalled,
};
pub use groups::WorkerGroup;
pub use input::InputError;
pub use job::{JobRefusal, JobRequest, NodeRequest, Shape, Work, chain, chord, group, map, task};
pub use limits::{StatedLimits, default_ceilings};
pub use memory::{MemoryBudget, MemoryBudgetError, machine_memory_bytes};
pub use native::{Native, NativeHandler};
pub use options::{cancel_wish, debounce};
pub use packages::{DeployError, package_name_of};
pub use plan_report::{ChildReport, DependencyReport, PlanReport};
pub use refusal::{RerunRefusal, RetryRefusal, SubmitRefusal};
pub use report::{FailureReport, HostCallReport, ReceiptReport, Report, SnoozeReport, Status, payload_json};
pub use runtime::jobs::{CancelledJob, JobAttention, JobOutput, JobOutputs};
pub use runtime::{Runtime, RuntimeBuilder, StartError};
pub use schedule::{ScheduleRefusal, ScheduleRequest};
pub use schema::{Schema, SchemaError};
pub use secrets::{SecretKeeper, SecretPlace, SecretSource, SecretSourceError};
pub use sunaba_sandbox::{CompileLimits, Compiler, MAX_COMPONENT_BYTES};
pub use sunaba_worker::{Slots, SlotsError, Supervision};
pub use watch::{
    Alert, AlertRules, AlertSink, Check, Every, FailureSample, Figures, HandlerSample, Hour, Incident, MINUTES, Minute,
    Period, QueueSample, Report as ServiceReport, Resolved, Rule, RuleSetting, RuleSettingError, Sample, Share,
    TARGETS, WaitingSample, WatchConfig,
};
pub use workers::{SlotsRefusal, WorkerStatus};
