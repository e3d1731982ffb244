//! What becomes of a request for a task: checked against its handler and against what the operator allows, with every
//! default filled in.

use std::time::Duration;

use serde::Serialize;
use sunaba_store::Package;
use sunaba_task::{
    DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, Digest, DirGrant, EnvGrant, Fuel, GrantError, Grants, HandlerInfo,
    HandlerName, LimitError, Limits, MAX_DELAY, MAX_IDEMPOTENCY_KEY_BYTES, NewTask, Payload, TaskSpec, When,
    format_bytes, format_duration, is_name,
};

use crate::allowed::{Allowance, AllowedDirError};
use crate::input::{self, InputError};
use crate::schema::Schema;

/// A longer input is refused.
pub const MAX_INPUT_BYTES: u64 = 1 << 20;

/// What a submitter asks for. What is none is left to the handler's settings, and then to the defaults.
#[derive(Debug, Clone, Serialize)]
pub struct TaskRequest {
    /// What shall run it.
    pub handler: HandlerName,
    /// What it gets; none is `null` in JSON, or no bytes.
    pub input: Option<Payload>,
    /// The lane in which it waits.
    pub queue: Option<String>,
    /// Higher first.
    pub priority: Option<i32>,
    /// How long it waits before its first attempt.
    pub delay: Option<Duration>,
    /// Failures until it is dead, from 1.
    pub max_attempts: Option<u32>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// Instructions that an attempt may use.
    pub fuel: Option<Fuel>,
    /// Memory that an attempt may use.
    pub memory_bytes: Option<u64>,
    /// A second request with this key gives the same task.
    pub idempotency_key: Option<String>,
    /// Environment variables.
    pub env: Vec<EnvGrant>,
    /// Directories of the host's machine.
    pub dirs: Vec<DirGrant>,
}

impl TaskRequest {
    /// A task for this handler, with nothing else said.
    pub fn new(handler: HandlerName) -> Self {
        Self {
            handler,
            input: None,
            queue: None,
            priority: None,
            delay: None,
            max_attempts: None,
            timeout: None,
            fuel: None,
            memory_bytes: None,
            idempotency_key: None,
            env: Vec::new(),
            dirs: Vec::new(),
        }
    }

    /// The same task with this input.
    #[must_use]
    pub fn input(mut self, input: Payload) -> Self {
        self.input = Some(input);
        self
    }
}

/// What no task of a host may pass, whatever its handler and its submitter say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceilings {
    /// The longest timeout. Default: 600 s.
    pub timeout: Duration,
    /// The most memory of an attempt. Default: 1 GiB.
    pub memory_bytes: u64,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(600), memory_bytes: 1 << 30 }
    }
}

/// Why a task is not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedTask {
    /// No such package.
    #[error("no package `{package}` is deployed\nhint: {}", listed(.known, "deploy it with `sunaba handler deploy COMPONENT.wasm`", "deployed are"))]
    UnknownPackage {
        /// What was asked for.
        package: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such handler in the package.
    #[error("the package `{}` has no handler `{}`\nhint: {}", .name.package, .name.handler, listed(.known, "it has none", "it has"))]
    UnknownHandler {
        /// What was asked for.
        name: HandlerName,
        /// What there is.
        known: Vec<String>,
    },
    /// The handler does not take the input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A limit is out of range.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A limit is over what the operator allows.
    #[error("the {what} `{value}` is over this host's ceiling of {ceiling}\nhint: ask for less, or ask its operator")]
    Ceiling {
        /// Which limit.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// What is allowed.
        ceiling: String,
    },
    /// The grants cannot all be given.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// A directory that the operator has not allowed.
    #[error(transparent)]
    Directory(#[from] AllowedDirError),
    /// Something else that cannot be.
    #[error("the {what} cannot be `{value}`\nhint: {reason}")]
    Value {
        /// Which option.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// What may be asked for.
        reason: String,
    },
}

fn listed(names: &[String], without: &str, with: &str) -> String {
    const SHOWN: usize = 10;
    if names.is_empty() {
        return without.to_owned();
    }
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{with} {}{more}", shown.join(", "))
}

/// Fills in and checks everything. `schema` is that of the handler's input.
///
/// # Errors
/// [`RefusedTask`]: what is asked for cannot be, or is not allowed.
pub(crate) fn admit(
    request: TaskRequest,
    package: &Package,
    handler: &HandlerInfo,
    schema: Option<&Schema>,
    ceilings: &Ceilings,
    allowance: &Allowance,
) -> Result<NewTask, RefusedTask> {
    let fingerprint = request.idempotency_key.as_ref().map(|_| fingerprint(&request));
    let limits = limits(&request, handler, ceilings)?;
    let TaskRequest { handler: name, queue, priority, delay, max_attempts, idempotency_key, env, dirs, .. } = request;
    let settings = &handler.settings;

    let input = request.input.unwrap_or_else(|| input::nothing(handler));
    let size_bytes = input.bytes.len() as u64;
    if size_bytes > MAX_INPUT_BYTES {
        return Err(InputError::TooLarge { size_bytes, limit_bytes: MAX_INPUT_BYTES }.into());
    }
    if !Payload::is_media_type(&input.media_type) {
        return Err(wrong("media type", shown(&input.media_type), "write it as `type/subtype`, such as `image/png`"));
    }
    input::check(&handler.name, schema, &input)?;
    let queue = queue.or_else(|| settings.queue.clone()).unwrap_or_else(|| DEFAULT_QUEUE.into());
    if !is_name(&queue) {
        return Err(wrong("queue", shown(&queue), "a queue has up to 64 lower-case letters, digits and `-`"));
    }
    let max_attempts = max_attempts.or(settings.max_attempts).unwrap_or(DEFAULT_MAX_ATTEMPTS);
    if max_attempts == 0 {
        return Err(wrong("number of attempts", max_attempts, "at least one is made"));
    }
    if let Some(delay) = delay.filter(|delay| *delay > MAX_DELAY) {
        let longest = format!("the longest is {}", format_duration(MAX_DELAY));
        return Err(wrong("delay", format_duration(delay), longest));
    }
    if let Some(key) = idempotency_key.as_ref().filter(|key| key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES) {
        return Err(wrong("idempotency key", shown(key), format!("it has 1 to {MAX_IDEMPOTENCY_KEY_BYTES} bytes")));
    }
    // Their number first: each is looked for on the disk.
    let mut grants = Grants { env, dirs };
    grants.check()?;
    grants.dirs = grants.dirs.iter().map(|grant| allowance.check(grant)).collect::<Result<_, _>>()?;
    let spec = TaskSpec {
        queue,
        priority: priority.or(settings.priority).unwrap_or(0),
        max_attempts,
        backoff: settings.backoff.unwrap_or_default(),
        retry_on: settings.retry_on.clone(),
        limits,
        grants,
        idempotency_key,
        ..TaskSpec::new(name, package.component)
    };
    Ok(NewTask { start: delay.map(When::After), fingerprint, ..NewTask::new(spec, input) })
}

fn limits(request: &TaskRequest, handler: &HandlerInfo, ceilings: &Ceilings) -> Result<Limits, RefusedTask> {
    let mut limits = handler.settings.apply(Limits::default());
    limits.timeout = request.timeout.unwrap_or(limits.timeout);
    limits.fuel = request.fuel.unwrap_or(limits.fuel);
    limits.memory_bytes = request.memory_bytes.unwrap_or(limits.memory_bytes);
    limits.check()?;
    let over = |what, value, ceiling| Err(RefusedTask::Ceiling { what, value, ceiling });
    if limits.timeout > ceilings.timeout {
        return over("timeout", format_duration(limits.timeout), format_duration(ceilings.timeout));
    }
    if limits.memory_bytes > ceilings.memory_bytes {
        return over("memory limit", format_bytes(limits.memory_bytes), format_bytes(ceilings.memory_bytes));
    }
    Ok(limits)
}

/// The beginning of a text of unknown length.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

fn wrong(what: &'static str, value: impl ToString, reason: impl ToString) -> RefusedTask {
    RefusedTask::Value { what, value: value.to_string(), reason: reason.to_string() }
}

/// The digest of the request as it was written: a handler that is deployed anew does not make it another.
fn fingerprint(request: &TaskRequest) -> Digest {
    Digest::of(&serde_json::to_vec(request).expect("a request has a JSON form"))
}
