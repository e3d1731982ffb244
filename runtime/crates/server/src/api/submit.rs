//! Submits of one task, and of many.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(feature = "serve")]
use sunaba_host::{TaskRequest, debounce};
use sunaba_task::{
    ClockAccess, EnvGrant, HandlerName, LimitCaps, OCTETS, OnConflict, Payload, StateName, Timestamp, Unique, When,
};

use crate::problem::Problem;

/// Tasks of one bulk submit.
pub const MAX_BULK_TASKS: usize = 10_000;
/// The body of one bulk submit.
pub const MAX_BULK_BYTES: usize = 16 << 20;

/// A task to be submitted. What is left out is up to the handler's settings, and then to the defaults.
#[derive(Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["handler"]))]
pub struct Submit {
    /// `package/handler`.
    pub handler: String,
    /// The input, for a handler that takes JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    /// The input in base64, for a handler that takes bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_base64: Option<String>,
    /// The media type of `input_base64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The lane in which it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Higher first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Before its first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// The instant before which it does not run, in place of `delay_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_at: Option<String>,
    /// It is not started any more so long after the submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// The instant after which it is not started, in place of `expires_in_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Tasks of a queue with the same key share what the queue allows each key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Failures until it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Lost hosts until it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hosts_lost: Option<u32>,
    /// `fixed(5s)`, `linear(5s)` or `exponential(1s, max = 1m)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<String>,
    /// The kinds of failure that are retried; an empty list means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<String>>,
    /// The kinds of failure that are not retried, whatever else is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_retry_on: Option<Vec<String>>,
    /// No retry begins later than this after the submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_for_ms: Option<u64>,
    /// How long the result can be had after the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_result_ms: Option<u64>,
    /// That there should be one such task at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniqueSubmit>,
    /// One task for a burst of submits, in place of `unique` and a delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce: Option<Debounce>,
    /// Handlers, `package/handler`, of which a task follows when this one has succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_success: Vec<String>,
    /// Handlers of which a task follows when this one is dead, has expired or was cancelled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<String>,
    /// Of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// A number of instructions, `exact` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<String>,
    /// Instructions that all attempts may use together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel_budget: Option<u64>,
    /// Of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Whether each attempt runs what the package has by then. Otherwise the task stays with what the package has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// The package whose policy decides about its attempts, or `none`. Null: as the handler has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decider: Option<String>,
    /// A second request with this key gives the same task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Environment variables for the handler.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Directories of the host's machine, `HOST::GUEST` or `HOST::GUEST:rw`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dirs: Vec<String>,
    /// Where the handler may send requests, `https://api.example.com`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// The names of secrets that it may use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The size of a scratch directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch_bytes: Option<u64>,
    /// `coarse` or `fine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<String>,
    /// Other limits of one attempt by their names, `open-files=16,output=4MiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<String>,
    /// Which output streams are kept whole, as artifacts: `stdout`, `stderr`, `stdout,stderr` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<String>,
}

/// That there should be one task of a kind at a time.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniqueSubmit {
    /// What makes two tasks the same.
    pub key: String,
    /// How long a task holds the key, from its submit. Null: until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// What becomes of a second submit: `reject`, `existing` or `replace`. By default it is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<String>,
}

/// One task for a burst of submits: each takes the place of the one before, and is delayed anew.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Debounce {
    /// What makes two tasks the same.
    pub key: String,
    /// From the last submit.
    pub delay_ms: u64,
    /// From the first of the burst. Null: ten delays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_ms: Option<u64>,
}

/// Many tasks to be submitted.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitAll {
    /// Each as [`Submit`] has it; at most [`MAX_BULK_TASKS`]. Each is read by itself, so that one that cannot be read does
    /// not hold back the others.
    #[schemars(with = "Vec<Submit>")]
    pub tasks: Vec<Box<RawValue>>,
}

/// What became of many submits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SubmittedAll {
    /// In the order of the submits.
    pub tasks: Vec<SubmittedView>,
}

/// What became of one of many submits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum SubmittedView {
    /// It was taken on, or had been before.
    Taken {
        /// The task.
        id: String,
        /// Where it stands.
        state: StateName,
        /// Whether it is new.
        created: bool,
    },
    /// It was not.
    Refused {
        /// Why.
        problem: Problem,
    },
}

impl Submit {
    /// What is asked for, in the host's words.
    #[cfg(feature = "serve")]
    pub(crate) fn request(self) -> Result<TaskRequest, Problem> {
        let duration = |ms: Option<u64>| ms.map(Duration::from_millis);
        let instant = |text: Option<&String>| text.map(|text| text.parse::<Timestamp>()).transpose();
        let input = self.payload()?;
        let run_at = instant(self.run_at.as_ref()).map_err(Problem::invalid)?;
        let expires_at = instant(self.expires_at.as_ref()).map_err(Problem::invalid)?;
        let expires = either("expires_in_ms", duration(self.expires_in_ms), "expires_at", expires_at)?;
        let mut start = either("delay_ms", duration(self.delay_ms), "run_at", run_at)?;
        let mut unique = self.unique.map(UniqueSubmit::unique).transpose()?;
        if let Some(burst) = self.debounce {
            if unique.is_some() || start.is_some() {
                let message =
                    "`debounce` has a key and a delay of its own\nhint: leave out `unique`, `delay_ms` and `run_at`";
                return Err(Problem::invalid(message));
            }
            let (one, delay) = debounce(burst.key, Duration::from_millis(burst.delay_ms), duration(burst.longest_ms));
            (unique, start) = (Some(one), Some(delay));
        }
        Ok(TaskRequest {
            handler: self.handler.parse().map_err(Problem::invalid)?,
            input,
            queue: self.queue,
            priority: self.priority,
            start,
            expires,
            key: self.key,
            tags: self.tags,
            max_attempts: self.max_attempts,
            max_hosts_lost: self.max_hosts_lost,
            backoff: self.backoff.map(|backoff| backoff.parse()).transpose().map_err(Problem::invalid)?,
            retry_on: self.retry_on,
            never_retry_on: self.never_retry_on,
            retry_for: duration(self.retry_for_ms),
            keep_result: duration(self.keep_result_ms),
            unique,
            on_success: handlers(&self.on_success)?,
            on_failure: handlers(&self.on_failure)?,
            timeout: duration(self.timeout_ms),
            fuel: self.fuel.map(|fuel| fuel.parse()).transpose().map_err(Problem::invalid)?,
            fuel_budget: self.fuel_budget,
            memory_bytes: self.memory_bytes,
            follow: self.follow,
            decider: self.decider,
            idempotency_key: self.idempotency_key,
            traceparent: None,
            env: self.env.into_iter().map(|(key, value)| EnvGrant { key, value }).collect(),
            dirs: self.dirs.iter().map(|dir| dir.parse()).collect::<Result<_, _>>().map_err(Problem::invalid)?,
            http: self.http.iter().map(|place| place.parse()).collect::<Result<_, _>>().map_err(Problem::invalid)?,
            secrets: self.secrets,
            scratch_bytes: self.scratch_bytes,
            clock: self.clock.as_deref().map_or(Ok(ClockAccess::Coarse), clock)?,
            limits: self.limits.map_or(Ok(LimitCaps::NONE), |caps| caps.parse()).map_err(Problem::invalid)?,
            capture: self.capture.map(|streams| streams.parse()).transpose().map_err(Problem::invalid)?,
        })
    }

    fn payload(&self) -> Result<Option<Payload>, Problem> {
        payload(self.input.as_deref(), self.input_base64.as_deref(), self.media_type.as_deref())
    }
}

/// An input as JSON has it: itself JSON, or bytes in base64.
pub(super) fn payload(
    json: Option<&RawValue>,
    base64: Option<&str>,
    media_type: Option<&str>,
) -> Result<Option<Payload>, Problem> {
    match (json, base64) {
        (Some(_), Some(_)) => Err(Problem::invalid("there are `input` and `input_base64`\nhint: leave out one")),
        (Some(_), None) if media_type.is_some() => {
            Err(Problem::invalid("`input` is JSON, and has no other media type\nhint: use `input_base64` for bytes"))
        }
        (Some(json), None) => Ok(Some(Payload::json(json.get().to_owned()))),
        (None, Some(base64)) => {
            let bytes = STANDARD
                .decode(base64)
                .map_err(|error| Problem::invalid(format!("`input_base64` is not base64: {error}")))?;
            Ok(Some(Payload::new(media_type.unwrap_or(OCTETS), bytes)))
        }
        (None, None) => Ok(None),
    }
}

/// One of two ways to say an instant.
fn either(
    in_name: &str,
    duration: Option<Duration>,
    at_name: &str,
    at: Option<Timestamp>,
) -> Result<Option<When>, Problem> {
    match (duration, at) {
        (Some(_), Some(_)) => {
            Err(Problem::invalid(format!("there are `{in_name}` and `{at_name}`\nhint: leave out one")))
        }
        (duration, at) => Ok(duration.map(When::After).or(at.map(When::At))),
    }
}

fn clock(text: &str) -> Result<ClockAccess, Problem> {
    match text {
        "coarse" => Ok(ClockAccess::Coarse),
        "fine" => Ok(ClockAccess::Fine),
        _ => {
            let shown: String = text.chars().take(64).collect();
            Err(Problem::invalid(format!("`{shown}` is not a clock\nhint: write `coarse` or `fine`")))
        }
    }
}

/// Their number is checked where all options are; a name is short.
fn handlers(names: &[String]) -> Result<Vec<HandlerName>, Problem> {
    names.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(Problem::invalid)
}

impl UniqueSubmit {
    fn unique(self) -> Result<Unique, Problem> {
        let on_conflict = match self.on_conflict.as_deref() {
            None | Some("reject") => OnConflict::Reject,
            Some("existing") => OnConflict::Existing,
            Some("replace") => OnConflict::Replace,
            Some(other) => {
                let shown: String = other.chars().take(64).collect();
                let message = format!(
                    "`{shown}` is no answer to a conflict\nhint: write `reject`, `existing` or `replace`; for bursts, use \
                     `debounce`"
                );
                return Err(Problem::invalid(message));
            }
        };
        Ok(Unique { key: self.key, window: self.window_ms.map(Duration::from_millis), on_conflict })
    }
}
