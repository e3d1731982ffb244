//! A host in one process: packages of handlers, admission of tasks, a store, a worker, and what runs the attempts.
//!
//! [`Runtime`] puts them together. It does what every way in needs, whether that is HTTP or a Rust program that embeds the
//! queue: it checks what is submitted and deployed, and fills in every default. Nothing here parses a command line or
//! speaks HTTP.
//!
//! All that is behind the feature `run`. Without it there is what a host tells of tasks and jobs, which its clients read.

#![cfg_attr(not(feature = "run"), allow(dead_code, unused_imports, reason = "what would use it is not there"))]

#[cfg(feature = "run")]
mod admission;
#[cfg(feature = "run")]
mod allowed;
mod asked;
#[cfg(feature = "run")]
mod attempt;
#[cfg(feature = "run")]
mod builder;
#[cfg(feature = "run")]
mod checks;
#[cfg(feature = "run")]
mod children;
#[cfg(feature = "run")]
mod complete;
#[cfg(feature = "run")]
mod declared;
#[cfg(feature = "run")]
mod deploy;
mod diff;
#[cfg(feature = "run")]
mod effective;
#[cfg(feature = "run")]
mod executors;
mod explain;
#[cfg(feature = "run")]
mod groups;
#[cfg(feature = "run")]
mod guests;
#[cfg(feature = "run")]
mod hooks;
#[cfg(feature = "run")]
mod input;
#[cfg(feature = "run")]
mod job;
pub mod job_story;
#[cfg(feature = "run")]
mod limits;
#[cfg(feature = "run")]
mod memory;
#[cfg(feature = "run")]
mod native;
#[cfg(feature = "run")]
mod options;
#[cfg(feature = "run")]
mod packages;
#[cfg(feature = "run")]
mod permits;
mod plan_report;
#[cfg(feature = "run")]
mod refusal;
mod report;
mod rule;
#[cfg(feature = "run")]
mod runtime;
#[cfg(feature = "run")]
mod schedule;
#[cfg(feature = "run")]
mod schema;
#[cfg(feature = "run")]
mod secrets;
#[cfg(feature = "run")]
mod trace;
#[cfg(feature = "run")]
mod usage;
#[cfg(feature = "run")]
mod versions;
#[cfg(feature = "run")]
mod watch;
#[cfg(feature = "run")]
mod webhooks;
#[cfg(feature = "run")]
mod workers;

#[cfg(feature = "run")]
pub use admission::{MAX_INPUT_BYTES, RefusedTask, TaskRequest};
#[cfg(feature = "run")]
pub use allowed::{AllowedDir, AllowedDirError};
pub use asked::{Asked, asked_by, needs_grant};
#[cfg(feature = "run")]
pub use attempt::{Attempt, UnknownHandler};
#[cfg(feature = "run")]
pub use complete::{CompleteRefusal, CompleteRequest};
#[cfg(feature = "run")]
pub use declared::{Declared, RetentionChange, handler_change_value, queue_change_value};
#[cfg(feature = "run")]
pub use deploy::{DeployOptions, Deployed, Difference};
pub use diff::{Change, Side, diff};
#[cfg(feature = "run")]
pub use effective::{DEFAULT_MAX_SCRATCH_BYTES, GrantRefusal, Operator, effective};
pub use explain::{
    AttemptStory, CancelReport, Changed, CompletionReport, DeciderReport, DecisionReport, GrantsReport, HoldReport,
    InputReport, LimitsReport, Link, Observed, OutcomeReport, PolicyReport, RunningAttempt, Story, Submission, explain,
    stalled,
};
#[cfg(feature = "run")]
pub use groups::WorkerGroup;
#[cfg(feature = "run")]
pub use input::InputError;
#[cfg(feature = "run")]
pub use job::{JobRefusal, JobRequest, NodeRequest, Shape, Work, chain, chord, group, map, task};
#[cfg(feature = "run")]
pub use limits::{StatedLimits, default_ceilings};
#[cfg(feature = "run")]
pub use memory::{MemoryBudget, MemoryBudgetError, machine_memory_bytes};
#[cfg(feature = "run")]
pub use native::{Native, NativeHandler};
#[cfg(feature = "run")]
pub use options::{cancel_wish, debounce};
#[cfg(feature = "run")]
pub use packages::{DeployError, package_name_of};
pub use plan_report::{ChildReport, DependencyReport, PlanReport};
#[cfg(feature = "run")]
pub use refusal::{RerunRefusal, RetryRefusal, SubmitRefusal};
pub use report::{FailureReport, HostCallReport, ReceiptReport, Report, SnoozeReport, Status, payload_json};
pub use rule::Rule;
#[cfg(feature = "run")]
pub use runtime::jobs::{CancelledJob, JobAttention, JobOutput, JobOutputs};
#[cfg(feature = "run")]
pub use runtime::{Runtime, RuntimeBuilder, StartError};
#[cfg(feature = "run")]
pub use schedule::{ScheduleRefusal, ScheduleRequest};
#[cfg(feature = "run")]
pub use schema::{Schema, SchemaError};
#[cfg(feature = "run")]
pub use secrets::{SecretKeeper, SecretPlace, SecretSource, SecretSourceError};
#[cfg(feature = "run")]
pub use sunaba_sandbox::{CompileLimits, Compiler, MAX_COMPONENT_BYTES};
#[cfg(feature = "run")]
pub use sunaba_worker::{Slots, SlotsError, Supervision};
#[cfg(feature = "run")]
pub use watch::{
    Alert, AlertRules, AlertSink, Check, Every, FailureSample, Figures, HandlerSample, Hour, Incident, MINUTES, Minute,
    Period, QueueSample, Report as ServiceReport, Resolved, RuleSetting, RuleSettingError, Sample, Share, TARGETS,
    WaitingSample, WatchConfig,
};
#[cfg(feature = "run")]
pub use webhooks::{DeclareError, DeclaredWebhook, WebhookPolicy, WebhookRefusal, WebhookRequest, WebhookUrlRefusal};
#[cfg(feature = "run")]
pub use workers::{SlotsRefusal, WorkerStatus};
