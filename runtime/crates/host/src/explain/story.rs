//! The shape of a story: what `explain` prints as JSON, and what its text is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sunaba_task::{ClockAccess, StateName, format_bytes};

use crate::ReceiptReport;

/// Why a task is where it is. Instants are in RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Story {
    /// The task.
    pub id: String,
    /// `package/handler`.
    pub handler: String,
    /// Where it stands.
    pub state: StateName,
    /// When it came into its state.
    pub since: String,
    /// What was asked for.
    pub submitted: Submission,
    /// Attempts that began.
    pub attempts_started: u32,
    /// Failures that count against `max_attempts`.
    pub failures_charged: u32,
    /// Attempts that ended because their host was lost.
    pub hosts_lost: u32,
    /// The oldest attempts, of which nothing is kept any more.
    pub attempts_forgotten: u32,
    /// The attempts that have ended, oldest first.
    pub attempts: Vec<AttemptStory>,
    /// The attempt that runs.
    pub running: Option<RunningAttempt>,
    /// What keeps it from being started. Empty when it does not wait for its turn, or for nothing but a slot.
    pub holds: Vec<HoldReport>,
    /// Tasks of its queue that come before it, while it is queued.
    pub ahead: Option<u64>,
    /// That somebody asked to cancel it.
    pub cancel: Option<CancelReport>,
    /// What somebody has given as its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<CompletionReport>,
    /// Other tasks that it has to do with.
    pub links: Vec<Link>,
    /// What happens next, or why it has ended as it did; for people.
    pub conclusion: String,
}

/// What was asked for. It is the same for every attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Submission {
    /// When the store had it.
    pub at: String,
    /// The lane in which it waits.
    pub queue: String,
    /// Higher first.
    pub priority: i32,
    /// What it shares the queue's limits for keys by.
    pub key: Option<String>,
    /// The key under which it was submitted.
    pub idempotency_key: Option<String>,
    /// The key of which there should be one task at a time.
    pub unique_key: Option<String>,
    /// It is not started any more after this.
    pub expires_at: Option<String>,
    /// The component that it was submitted for.
    pub component: String,
    /// Failures until it is dead.
    pub max_attempts: u32,
    /// Lost hosts until it is dead.
    pub max_hosts_lost: u32,
    /// How long it waits after a failure.
    pub backoff: String,
    /// The kinds of failure that are retried; null means every kind that is not fatal.
    pub retry_on: Option<Vec<String>>,
    /// The kinds of failure that are not.
    pub never_retry_on: Vec<String>,
    /// No retry begins later than this after the submit.
    pub retry_for_ms: Option<u64>,
    /// What an attempt may use.
    pub limits: LimitsReport,
    /// What an attempt may do.
    pub grants: GrantsReport,
    /// What an attempt is given.
    pub input: InputReport,
}

/// What an attempt may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LimitsReport {
    /// A number of instructions, `exact` or `off`.
    pub fuel: String,
    /// Guest and host time together.
    pub timeout_ms: u64,
    /// Of all memories and tables.
    pub memory_bytes: u64,
    /// The output, or the detail of a failure.
    pub output_bytes: u64,
    /// Kept of standard output.
    pub stdout_bytes: u64,
    /// Kept of standard error.
    pub stderr_bytes: u64,
    /// Kept of `host.log`.
    pub log_bytes: u64,
    /// Kept of all three together.
    pub log_lines: u64,
    /// To one host call.
    pub host_call_bytes: u64,
    /// Between the guest and the host, by all host calls together.
    pub moved_bytes: u64,
    /// Handles that the guest may hold.
    pub resources: u32,
    /// Core instances.
    pub instances: u32,
    /// Of all of them together.
    pub tables: u32,
    /// Files and directories at a time.
    pub open_files: u32,
    /// To files, all together.
    pub written_bytes: u64,
    /// That the guest may ask for.
    pub random_bytes: u64,
    /// Outgoing.
    pub requests: u32,
    /// Outgoing, at a time.
    pub concurrent_requests: u32,
    /// Of all of them and their responses together.
    pub request_bytes: u64,
    /// To artifacts, all together.
    pub artifact_bytes: u64,
}

/// What an attempt may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GrantsReport {
    /// The names of its environment variables. Their values may be secrets, and are not told.
    pub env: Vec<String>,
    /// Its directories, `HOST::GUEST` or `HOST::GUEST:rw`.
    pub dirs: Vec<String>,
    /// Where its requests may go, with the addresses that the operator has named.
    pub http: Vec<String>,
    /// The names of its secrets.
    pub secrets: Vec<String>,
    /// The size of its scratch directory. Null: it has none.
    pub scratch_bytes: Option<u64>,
    /// How exactly it sees time pass.
    pub clock: ClockAccess,
}

impl GrantsReport {
    /// Each grant in a few words, for people.
    pub fn words(&self) -> Vec<String> {
        let named = |what: &'static str, names: &[String]| {
            names.iter().map(|name| format!("{what} {name}")).collect::<Vec<_>>()
        };
        let mut words = named("env", &self.env);
        words.extend(named("dir", &self.dirs));
        words.extend(named("http", &self.http));
        words.extend(named("secret", &self.secrets));
        words.extend(self.scratch_bytes.map(|bytes| format!("scratch {}", format_bytes(bytes))));
        words.extend((self.clock == ClockAccess::Fine).then(|| "fine clock".to_owned()));
        words
    }
}

/// What an attempt is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InputReport {
    /// An IANA media type.
    pub media_type: String,
    /// Its length.
    pub size_bytes: u64,
    /// `sha256:` and its digest; null when nobody has computed it.
    pub sha256: Option<String>,
}

/// An attempt that has ended, and what was done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptStory {
    /// From 1.
    pub number: u32,
    /// Who ran it.
    pub worker: String,
    /// What ran.
    pub component: String,
    /// When it was leased.
    pub started_at: String,
    /// When it was settled.
    pub ended_at: String,
    /// From the one to the other.
    pub took_ms: u64,
    /// How it ended.
    pub outcome: OutcomeReport,
    /// What it used; null when nobody could tell.
    pub receipt: Option<ReceiptReport>,
    /// What was done about it.
    pub decision: DecisionReport,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OutcomeReport {
    /// `completed`, `snoozed`, `failed`, `stopped`, `host-failed`, `host-lost` or `handed-back`.
    pub ending: String,
    /// The host's cause, when it stopped the attempt.
    pub cause: Option<String>,
    /// The word that retry policies go by, when it failed.
    pub kind: Option<String>,
    /// For people.
    pub message: Option<String>,
}

/// What was done about an attempt, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DecisionReport {
    /// What was known when it was decided.
    pub observed: Observed,
    /// By which rule.
    pub policy: PolicyReport,
    /// `succeed`, `retry`, `snooze`, `await`, `requeue`, `give-up` or `cancel`.
    pub verdict: String,
    /// Until the next attempt, where that was decided.
    pub delay_ms: Option<u64>,
    /// Whether the attempt counts against `max_attempts`.
    pub charged: bool,
    /// Why; for people.
    pub reason: String,
    /// What the task's decider was asked and said. Null: none was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<DeciderReport>,
    /// What follows.
    pub changed: Changed,
}

/// What a decider was asked and said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeciderReport {
    /// The package whose policy it is.
    pub package: String,
    /// The component that was asked.
    pub component: String,
    /// What it said, in a few words. Null: it did not decide, and the built-in rules did.
    pub verdict: Option<String>,
    /// Its reason, or why it did not decide.
    pub reason: String,
    /// What it used.
    pub fuel: Option<u64>,
    /// All that it saw; `sunaba handler decide` makes the decision again from it.
    pub situation: Value,
}

/// What was known when something was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Observed {
    /// The kind of the failure, if it was one.
    pub kind: Option<String>,
    /// Failures that had been charged before.
    pub failures_charged: u32,
    /// Hosts that had been lost before.
    pub hosts_lost: u32,
    /// Whether somebody wanted the task cancelled.
    pub cancelled: bool,
}

/// The rule by which something was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyReport {
    /// Its name.
    pub name: String,
    /// What it goes by, as the task has it.
    pub parameters: BTreeMap<String, Value>,
}

/// What an attempt's end made of the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Changed {
    /// Where it stood from then on.
    pub state: StateName,
    /// When the next attempt was to be due.
    pub next_attempt_at: Option<String>,
    /// Failures that had been charged by then.
    pub failures_charged: u32,
    /// Hosts that had been lost by then.
    pub hosts_lost: u32,
}

/// The attempt that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunningAttempt {
    /// From 1.
    pub number: u32,
    /// Who runs it.
    pub worker: String,
    /// When it was leased.
    pub started_at: String,
    /// Since then.
    pub running_ms: u64,
}

/// What keeps a task from being started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HoldReport {
    /// The word for it, such as `queue-paused`.
    pub hold: String,
    /// For people.
    pub message: String,
}

/// That somebody asked to cancel a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CancelReport {
    /// When.
    pub at: String,
    /// Why; for people.
    pub reason: String,
}

/// What somebody has given as a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CompletionReport {
    /// Who it was. Null: they did not say.
    pub by: Option<String>,
    /// Whether they had no other right than the task's token.
    pub with_token: bool,
    /// When.
    pub at: String,
    /// By which rule the task has succeeded with it; null while it has not.
    pub policy: Option<String>,
    /// What that means; for people.
    pub message: String,
}

/// Another task, and what it is to this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Link {
    /// `rerun-of`, `callback-of`, `replaces`, `replaced-by` or `followed-by`.
    pub link: String,
    /// The other task.
    pub task: String,
}
