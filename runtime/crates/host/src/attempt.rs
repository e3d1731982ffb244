//! One attempt outside any queue: the handler's own settings, whatever the caller says instead, and a checked input.

use std::sync::Arc;

use sunaba_sandbox::{ComponentInfo, Sandbox};
use sunaba_store::SystemClock;
use sunaba_task::{
    AttemptContext, AttemptHost, AttemptReport, AttemptRequest, Capture, Clock as _, DEFAULT_QUEUE, Digest,
    ExecuteError, Executor, Grants, HandlerInfo, HttpGrant, LimitCaps, Limits, Payload, Secret, Seed, TaskId,
    Timestamp,
};

use crate::effective::{self, GrantRefusal};
use crate::input::{self, InputError};
use crate::limits::{self, StatedLimits};
use crate::permits;

/// A component has no handler of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the component has no handler `{name}`\nhint: it has {}", shown(.known))]
pub struct UnknownHandler {
    name: String,
    known: Vec<String>,
}

fn shown(known: &[String]) -> String {
    match known {
        [] => "none: it is a decider, which `sunaba handler decide` runs".into(),
        known => known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

/// An attempt to be run once.
#[derive(Debug, Clone)]
pub struct Attempt {
    component: Digest,
    handler: HandlerInfo,
    input: Payload,
    limits: Limits,
    grants: Grants,
    secrets: Vec<Secret>,
    seed: Option<Seed>,
    capture: Capture,
}

impl Attempt {
    /// An attempt of a loaded component's handler, with its settings, no grants, and no input: `null` in JSON.
    ///
    /// # Errors
    /// The component has no such handler.
    pub fn of(component: &ComponentInfo, handler: &str) -> Result<Self, UnknownHandler> {
        let handler = component.handler(handler).ok_or_else(|| UnknownHandler {
            name: handler.to_owned(),
            known: component.handlers.iter().map(|handler| handler.name.clone()).collect(),
        })?;
        Ok(Self {
            component: component.digest,
            limits: limits::effective(&StatedLimits::of(&handler.settings), &StatedLimits::default(), &LimitCaps::NONE),
            input: input::nothing(handler),
            grants: Grants::default(),
            secrets: Vec::new(),
            seed: None,
            capture: handler.settings.capture.unwrap_or_default(),
            handler: handler.clone(),
        })
    }

    /// The same attempt with the smaller of these limits and the handler's own, over the defaults.
    #[must_use]
    pub fn limits(mut self, stated: &StatedLimits) -> Self {
        self.limits = limits::effective(&StatedLimits::of(&self.handler.settings), stated, &LimitCaps::NONE);
        self
    }

    /// The limits: the handler's own over the defaults, until they are changed here.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// The same attempt with these grants. Whoever runs an attempt by hand is operator and submitter in one, so that only
    /// what the handler asks for bounds them: [`run`](Self::run) gives no more than that.
    #[must_use]
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// The same attempt with the secrets that its grants name.
    #[must_use]
    pub fn secrets(mut self, secrets: Vec<Secret>) -> Self {
        self.secrets = secrets;
        self
    }

    /// What it is granted, if it is run.
    ///
    /// # Errors
    /// [`GrantRefusal`]: the handler does not ask for something of it.
    pub fn effective_grants(&self) -> Result<Grants, GrantRefusal> {
        let hosts: Vec<(String, HttpGrant)> =
            self.secrets.iter().map(|secret| (secret.name.clone(), secret.host.clone())).collect();
        let operator = permits::by_hand(&self.grants, &hosts);
        let passed = effective::without_addresses(self.grants.clone());
        effective::effective(&self.handler.name, &self.handler.settings.requests, &operator, &passed)
    }

    /// The same attempt, made from this seed: with the same input it does the same again. What it is told of its task comes
    /// from the seed too.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The same attempt, with these of its output streams kept whole.
    #[must_use]
    pub fn capture(mut self, capture: Capture) -> Self {
        self.capture = capture;
        self
    }

    /// The same attempt with this input.
    ///
    /// # Errors
    /// The handler takes JSON and this is none, or of another shape.
    pub fn input(mut self, input: Payload) -> Result<Self, InputError> {
        let schema = input::schema_of(&self.handler)?;
        input::check(&self.handler.name, schema.as_ref(), &input)?;
        self.input = input;
        Ok(self)
    }

    /// Whether the handler takes JSON; otherwise it takes any bytes.
    pub fn takes_json(&self) -> bool {
        self.handler.input_schema.is_some()
    }

    /// Runs it.
    ///
    /// # Errors
    /// The host could not do its part, or the handler does not ask for what it is granted. Whatever the handler did is in
    /// the report.
    pub async fn run(mut self, sandbox: &Sandbox, host: Arc<dyn AttemptHost>) -> Result<AttemptReport, ExecuteError> {
        self.grants = self.effective_grants().map_err(|error| ExecuteError::NotAllowed(error.to_string()))?;
        for grant in &mut self.grants.dirs {
            // Whoever runs an attempt by hand may name a directory by a link; the sandbox follows none.
            grant.host = grant.host.canonicalize().unwrap_or_else(|_| grant.host.clone());
        }
        let (task_id, started_at) = match self.seed {
            Some(seed) => (task_of(seed), Timestamp::from_unix_ms(seed.clock_ms)),
            // There is no store here, so its clock is the machine's.
            None => (TaskId::new(), SystemClock::new().now()),
        };
        let deterministic = self.handler.settings.deterministic == Some(true);
        let fresh = Seed { random: task_id.seed(), clock_ms: started_at.unix_ms() };
        let seed = self.seed.or(deterministic.then_some(fresh));
        let context = AttemptContext {
            task_id,
            job_id: None,
            queue: self.handler.settings.queue.clone().unwrap_or_else(|| DEFAULT_QUEUE.into()),
            attempt: 1,
            failures: 0,
            max_attempts: 1,
            submitted_at_ms: started_at.unix_ms(),
            started_at_ms: started_at.unix_ms(),
            deadline_ms: Some(started_at.after(self.limits.timeout).unix_ms()),
            idempotency_key: None,
            attributes: Vec::new(),
        };
        let request = AttemptRequest {
            component: self.component,
            handler: self.handler.name,
            context,
            input: self.input,
            limits: self.limits,
            grants: self.grants,
            secrets: self.secrets,
            seed,
            capture: self.capture,
        };
        sandbox.execute(request, host).await
    }
}

/// The id of the task that a seed stands for: a UUID of version 7 with the seed's clock and number in it.
fn task_of(seed: Seed) -> TaskId {
    let bits = u128::from(seed.clock_ms & 0xffff_ffff_ffff) << 80 | 0x7 << 76 | 0b10 << 62;
    TaskId::from_bytes((bits | u128::from(seed.random >> 2)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_stands_for_one_task() {
        let seed = Seed { random: u64::MAX, clock_ms: Seed::DEFAULT_CLOCK_MS };
        assert_eq!(task_of(seed), task_of(seed));
        assert_eq!(task_of(seed).to_string(), "019b76da-a800-7000-bfff-ffffffffffff");
    }
}
