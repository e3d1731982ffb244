//! sunaba as a library: what the `sunaba` binary does, for Rust programs that embed it.
//!
//! A host with a durable queue, and a handler of the program's own beside those in components:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use sunaba_runtime::{Runtime, TaskRequest, task::{Outcome, Payload}};
//!
//! let runtime = Runtime::builder()
//!     .data("sunaba-data")?
//!     .native("mail/send", |native| async move { Ok(Outcome::Complete(native.input)) })
//!     .start()
//!     .await?;
//! runtime.deploy("words", std::fs::read("words.wasm")?.into()).await?;
//! let request = TaskRequest::new("words/word-count".parse()?).input(Payload::json(r#"{"text":"to be"}"#));
//! let task = runtime.submit(request).await?.into_task();
//! let ended = runtime.wait(task.id, Duration::from_secs(60)).await?;
//! println!("{:?}: {:?}", ended.map(|task| task.state), runtime.output(task.id).await?);
//! runtime.stop(Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`embedding`] is the guide: what to depend on, a clock and secrets of your own, the API beside it, and what is promised.
//! One attempt without a queue is [`Attempt`]; a host somewhere else is spoken to by [`Client`].

pub mod config;

#[doc = include_str!("embedding.md")]
pub mod embedding {}

pub mod compile {
    //! Where components are compiled. A program that takes components from others compiles them in a child of itself:
    //! it calls [`serve_if_asked`] first of all in `main`, and gives its host [`Compiler::this_program`].

    pub use sunaba_sandbox::{CompileLimits, Compiler, serve_if_asked};
}

pub use sunaba_client as client;
pub use sunaba_client::{BulkVerb, Client, ClientError, Download, EventsWanted};
pub use sunaba_host::job_story;
pub use sunaba_host::{
    Alert, AlertRules, AlertSink, AllowedDir, AllowedDirError, Asked, Attempt, CancelledJob, Change, ChildReport,
    CompleteRefusal, CompleteRequest, DEFAULT_MAX_SCRATCH_BYTES, DeclareError, Declared, DeclaredWebhook,
    DependencyReport, DeployError, DeployOptions, Deployed, Difference, FailureReport, GrantRefusal, InputError,
    JobAttention, JobOutput, JobOutputs, JobRefusal, JobRequest, MAX_INPUT_BYTES, MemoryBudget, MemoryBudgetError,
    Native, NativeHandler, NodeRequest, PlanReport, ReceiptReport, RefusedTask, Report, RerunRefusal, RetentionChange,
    RetryRefusal, Rule, RuleSetting, RuleSettingError, Runtime, RuntimeBuilder, ScheduleRefusal, ScheduleRequest,
    Schema, SchemaError, SecretKeeper, SecretPlace, SecretSource, SecretSourceError, Shape, SlotsRefusal, SnoozeReport,
    StartError, StatedLimits, Status, Story, SubmitRefusal, TaskRequest, UnknownHandler, WatchConfig, WebhookPolicy,
    WebhookRefusal, WebhookRequest, WebhookUrlRefusal, Work, WorkerGroup, WorkerStatus, asked_by, chain, chord,
    default_ceilings, group, map, needs_grant, package_name_of, task,
};
pub use sunaba_server as server;
pub use {
    sunaba_sandbox as sandbox, sunaba_store as store, sunaba_task as task, sunaba_telemetry as telemetry,
    sunaba_worker as worker,
};
