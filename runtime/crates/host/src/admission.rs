//! What becomes of a request for a task: checked against its handler and against what the operator allows, with every
//! default filled in.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sunaba_store::Package;
use sunaba_task::{
    Backoff, Callback, CallbackOn, Capture, ClockAccess, DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_HOSTS_LOST, DEFAULT_QUEUE,
    Digest, DirGrant, EnvGrant, Fuel, Grants, HandlerInfo, HandlerName, HttpGrant, LimitCaps, LimitError, NewTask,
    Payload, TaskSpec, Unique, When, format_bytes,
};

use crate::allowed::AllowedDirError;
use crate::checks::{self, Steps};
use crate::effective::{GrantRefusal, Operator};
use crate::input::{self, InputError};
use crate::limits::{self, StatedLimits};
use crate::options;
use crate::packages::Packages;
use crate::permits::Permits;
use crate::trace;

/// A longer input is refused.
pub const MAX_INPUT_BYTES: u64 = 1 << 20;

/// What a submitter asks for. What is none is left to the handler's settings, and then to the defaults.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskRequest {
    /// What shall run it.
    pub handler: HandlerName,
    /// What it gets; none is `null` in JSON, or no bytes.
    pub input: Option<Payload>,
    /// The lane in which it waits.
    pub queue: Option<String>,
    /// Higher first.
    pub priority: Option<i32>,
    /// When it may run first. None: at once.
    pub start: Option<When>,
    /// It is not started any more after this.
    pub expires: Option<When>,
    /// Tasks of a queue with the same key share what the queue allows each key; 1 to 256 bytes.
    pub key: Option<String>,
    /// Words to find it by: at most 16, each of 1 to 64 bytes without commas.
    pub tags: Vec<String>,
    /// Failures until it is dead, from 1.
    pub max_attempts: Option<u32>,
    /// Hosts that it may lose until it is dead, from 1.
    pub max_hosts_lost: Option<u32>,
    /// How long it waits after a failure.
    pub backoff: Option<Backoff>,
    /// The kinds of failure that are retried. None: the handler's, and then every kind that is not fatal. An empty list: no
    /// kind.
    pub retry_on: Option<Vec<String>>,
    /// The kinds of failure that are not retried. None: the handler's, and then no kind.
    pub never_retry_on: Option<Vec<String>>,
    /// No retry begins later than this after the submit.
    pub retry_for: Option<Duration>,
    /// How long its result can be had after its end. None: as the host has it for all.
    pub keep_result: Option<Duration>,
    /// Whether there may be others like it.
    pub unique: Option<Unique>,
    /// Handlers of which a task follows when it has succeeded.
    pub on_success: Vec<HandlerName>,
    /// Handlers of which a task follows when it has ended in any other way.
    pub on_failure: Vec<HandlerName>,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// Instructions that an attempt may use.
    pub fuel: Option<Fuel>,
    /// Instructions that all attempts may use together, from 1.
    pub fuel_budget: Option<u64>,
    /// Memory that an attempt may use.
    pub memory_bytes: Option<u64>,
    /// Whether each attempt runs what its package has by then; otherwise the task stays with what the package has now. None:
    /// as the host has it for all.
    pub follow: Option<bool>,
    /// A second request with this key gives the same task.
    pub idempotency_key: Option<String>,
    /// The trace that it is a part of, as W3C Trace Context has it; another text is left out. It is no part of what is asked for: a
    /// request with another one is the same request.
    #[serde(skip)]
    pub traceparent: Option<String>,
    /// Environment variables.
    pub env: Vec<EnvGrant>,
    /// Directories of the host's machine.
    pub dirs: Vec<DirGrant>,
    /// Where requests may go; without addresses, which are the operator's to name.
    pub http: Vec<HttpGrant>,
    /// The names of secrets.
    pub secrets: Vec<String>,
    /// The size of a scratch directory.
    pub scratch_bytes: Option<u64>,
    /// How exactly the handler sees time pass.
    pub clock: ClockAccess,
    /// Other limits of an attempt.
    pub limits: LimitCaps,
    /// Which output streams of each attempt are kept whole, as artifacts. None: as the handler has it, and then none.
    pub capture: Option<Capture>,
    /// The package whose policy decides about its attempts; `none` for none. None: the handler's, and then none.
    pub decider: Option<String>,
}

impl TaskRequest {
    pub(crate) fn input_bytes(&self) -> usize {
        self.input.as_ref().map_or(0, |input| input.bytes.len())
    }

    /// A task for this handler, with nothing else said.
    pub fn new(handler: HandlerName) -> Self {
        Self {
            handler,
            input: None,
            queue: None,
            priority: None,
            start: None,
            expires: None,
            key: None,
            tags: Vec::new(),
            max_attempts: None,
            max_hosts_lost: None,
            backoff: None,
            retry_on: None,
            never_retry_on: None,
            retry_for: None,
            keep_result: None,
            unique: None,
            on_success: Vec::new(),
            on_failure: Vec::new(),
            timeout: None,
            fuel: None,
            fuel_budget: None,
            memory_bytes: None,
            follow: None,
            idempotency_key: None,
            traceparent: None,
            env: Vec::new(),
            dirs: Vec::new(),
            http: Vec::new(),
            secrets: Vec::new(),
            scratch_bytes: None,
            clock: ClockAccess::Coarse,
            limits: LimitCaps::NONE,
            capture: None,
            decider: None,
        }
    }

    /// The same task with this input.
    #[must_use]
    pub fn input(mut self, input: Payload) -> Self {
        self.input = Some(input);
        self
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
        what: String,
        /// What was asked for.
        value: String,
        /// What is allowed.
        ceiling: String,
    },
    /// It can never fit into what attempts may hold of the machine's memory.
    #[error(
        "the task may hold {} of memory, and this host has {} for all of its attempts\nhint: ask for a smaller memory limit, or \
         start the host with a larger `--memory-budget`", format_bytes(*.needs_bytes), format_bytes(*.budget_bytes)
    )]
    Memory {
        /// What its attempt may hold.
        needs_bytes: u64,
        /// What there is.
        budget_bytes: u64,
    },
    /// A grant that the handler does not ask for, that the operator does not allow, or that cannot be given.
    #[error(transparent)]
    Grant(#[from] GrantRefusal),
    /// A directory that the operator has not allowed.
    #[error(transparent)]
    Directory(#[from] AllowedDirError),
    /// What should decide about its attempts cannot.
    #[error("`{package}` cannot decide: {problem}\nhint: {}", listed(.known, "deploy a decider with `sunaba handler deploy COMPONENT.wasm`", "deciders that are deployed are"))]
    Decider {
        /// What was asked for.
        package: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What there is.
        known: Vec<String>,
    },
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

/// Fills in and checks everything but whether the handler takes such an input, which may take long: `checks` says.
///
/// # Errors
/// [`RefusedTask`]: what is asked for cannot be, or is not allowed.
pub(crate) fn admit(
    request: TaskRequest,
    package: &Package,
    handler: &HandlerInfo,
    permits: &Permits,
    operator: &Operator,
    packages: &Packages,
) -> Result<NewTask, RefusedTask> {
    let fingerprint = request.idempotency_key.as_ref().map(|_| fingerprint(&request));
    options::check(&request)?;
    let stated = StatedLimits {
        timeout: request.timeout,
        fuel: request.fuel,
        memory_bytes: request.memory_bytes,
        others: request.limits,
    };
    stated.check()?;
    stated.below(&permits.ceilings)?;
    let spec = spec(request.handler, package, handler, &stated, &permits.ceilings);

    let input = request.input.unwrap_or_else(|| input::nothing(handler));
    check_payload(&input)?;
    let passed = Grants {
        env: request.env,
        dirs: request.dirs,
        http: request.http,
        secrets: request.secrets,
        scratch_bytes: request.scratch_bytes,
        clock: request.clock,
    };
    let grants = permits.grants(handler, operator, &passed)?;
    let spec = TaskSpec {
        queue: request.queue.unwrap_or(spec.queue),
        priority: request.priority.unwrap_or(spec.priority),
        key: request.key,
        max_attempts: request.max_attempts.unwrap_or(spec.max_attempts),
        max_hosts_lost: request.max_hosts_lost.unwrap_or(DEFAULT_MAX_HOSTS_LOST),
        backoff: request.backoff.unwrap_or(spec.backoff),
        retry_on: request.retry_on.or(spec.retry_on),
        never_retry_on: request.never_retry_on.unwrap_or(spec.never_retry_on),
        retry_for: request.retry_for.or(spec.retry_for),
        capture: request.capture.unwrap_or(spec.capture),
        keep_result: request.keep_result,
        fuel_budget: request.fuel_budget.or(spec.fuel_budget),
        grants,
        follows: request.follow.unwrap_or(permits.follow_active),
        idempotency_key: request.idempotency_key,
        attributes: trace::attributes(request.traceparent),
        tags: request.tags,
        decider: packages.decider(request.decider.as_deref().or(handler.settings.decider.as_deref()))?,
        ..spec
    };
    options::fuel_budget(&spec)?;
    let (start, expires, unique) = (request.start, request.expires, request.unique);
    Ok(NewTask { start, expires, unique, fingerprint, ..NewTask::new(spec, input) })
}

/// What is asked for when a submitter says nothing but these limits: what the handler says, and then the defaults.
fn spec(
    name: HandlerName,
    package: &Package,
    handler: &HandlerInfo,
    stated: &StatedLimits,
    ceilings: &LimitCaps,
) -> TaskSpec {
    let settings = &handler.settings;
    TaskSpec {
        queue: settings.queue.clone().unwrap_or_else(|| DEFAULT_QUEUE.into()),
        priority: settings.priority.unwrap_or(0),
        max_attempts: settings.max_attempts.unwrap_or(DEFAULT_MAX_ATTEMPTS),
        backoff: settings.backoff.unwrap_or_default(),
        retry_on: settings.retry_on.clone(),
        never_retry_on: settings.never_retry_on.clone().unwrap_or_default(),
        retry_for: settings.retry_for,
        fuel_budget: settings.fuel_budget,
        limits: limits::effective(&StatedLimits::of(settings), stated, ceilings),
        deterministic: settings.deterministic.unwrap_or(false),
        capture: settings.capture.unwrap_or_default(),
        ..TaskSpec::new(name, package.component)
    }
}

/// What follows the end of a task: tasks of these handlers, as their own settings have them. Nobody passes grants on to
/// them, so that they have none.
///
/// # Errors
/// [`RefusedTask`]: there is no such handler.
pub(crate) fn callbacks(
    on_success: &[HandlerName],
    on_failure: &[HandlerName],
    packages: &Packages,
    ceilings: &LimitCaps,
) -> Result<Vec<Callback>, RefusedTask> {
    let named = |on, names: &[HandlerName]| {
        let callback = |name: &HandlerName| {
            let package = packages.package(name)?;
            let handler = package.handler(&name.handler).expect("the package was found by this handler");
            let spec = spec(name.clone(), &package, handler, &StatedLimits::default(), ceilings);
            let decider = packages.decider(handler.settings.decider.as_deref())?;
            Ok(Callback { on, spec: TaskSpec { decider, ..spec } })
        };
        names.iter().map(callback).collect::<Result<Vec<_>, RefusedTask>>()
    };
    let mut callbacks = named(CallbackOn::Success, on_success)?;
    callbacks.extend(named(CallbackOn::Failure, on_failure)?);
    Ok(callbacks)
}

/// Whether a task can have this input, whatever its handler takes.
fn check_payload(input: &Payload) -> Result<(), RefusedTask> {
    let size_bytes = input.bytes.len() as u64;
    if size_bytes > MAX_INPUT_BYTES {
        return Err(InputError::TooLarge { size_bytes, limit_bytes: MAX_INPUT_BYTES }.into());
    }
    if !Payload::is_media_type(&input.media_type) {
        let reason = "write it as `type/subtype`, such as `image/png`";
        return Err(RefusedTask::value("media type", &input.media_type, reason));
    }
    Ok(())
}

/// Whether a task of this handler can have this input.
///
/// # Errors
/// [`RefusedTask`]: it is too large, or not what the handler takes.
pub(crate) async fn check_input(
    packages: &Packages,
    component: Digest,
    handler: &HandlerInfo,
    input: &Payload,
    steps: &mut Steps,
) -> Result<(), RefusedTask> {
    check_payload(input)?;
    let schema = packages.schema(component, handler)?;
    Ok(checks::check(&handler.name, schema, input, steps).await?)
}

impl RefusedTask {
    /// An option that cannot be. Of a long value the beginning is shown.
    pub(crate) fn value(what: &'static str, value: impl ToString, reason: impl ToString) -> Self {
        const SHOWN: usize = 64;
        let value = value.to_string();
        let shown = match value.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}...", &value[..end]),
            None => value,
        };
        Self::Value { what, value: shown, reason: reason.to_string() }
    }
}

/// The digest of the request as it was written: a handler that is deployed anew does not make it another.
fn fingerprint(request: &TaskRequest) -> Digest {
    Digest::of(&serde_json::to_vec(request).expect("a request has a JSON form"))
}
