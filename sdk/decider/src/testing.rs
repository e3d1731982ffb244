//! Situations for tests on your own machine.
//!
//! ```
//! use sunaba_decider::testing::{failed, situation, stopped};
//!
//! let seen = situation(vec![failed("network", "no route"), stopped("trap", "unreachable")]);
//! assert_eq!((seen.failures, seen.failure_kind()), (2, Some("trap")));
//! ```

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::{AttemptRecord, Budget, Disposition, Failure, Observation, Outcome, Payload, Situation, Stop};

/// Attempts of a situation's task, unless you change it.
const MAX_ATTEMPTS: u32 = 10;

/// The situation after attempts that ended so, the last one under decision. Its fields can be changed.
pub fn situation(observations: Vec<Observation>) -> Situation {
    let attempt = |(number, observation): (u32, Observation)| AttemptRecord {
        number,
        started_at_ms: u64::from(number) * 1_000,
        ended_at_ms: u64::from(number) * 1_000 + 500,
        fuel: Some(1_000),
        peak_memory_bytes: 1 << 20,
        observation,
    };
    let attempts: Vec<_> = (1..).zip(observations).map(attempt).collect();
    let failures = attempts.iter().filter(|attempt| attempt.failure_kind().is_some()).count() as u32;
    let left = MAX_ATTEMPTS.saturating_sub(failures);
    Situation {
        task_id: "00000000-0000-7000-8000-000000000000".into(),
        handler: "package/handler".into(),
        input: Payload { media_type: "application/json".into(), bytes: b"null".to_vec() },
        failures,
        hosts_lost: 0,
        max_attempts: MAX_ATTEMPTS,
        now_ms: attempts.last().map_or(0, |attempt| attempt.ended_at_ms),
        budgets: vec![Budget { name: "attempts".into(), limit: MAX_ATTEMPTS.into(), left: left.into() }],
        attempts,
        settings: vec![],
    }
}

/// The handler returned this JSON.
pub fn completed(json: impl Into<String>) -> Observation {
    let output = Payload { media_type: "application/json".into(), bytes: json.into().into_bytes() };
    Observation::Returned(Ok(Outcome::Complete(output)))
}

/// The handler returned a failure of this kind.
pub fn failed(kind: impl Into<String>, message: impl Into<String>) -> Observation {
    Observation::Returned(Err(Failure {
        kind: kind.into(),
        message: message.into(),
        detail: None,
        disposition: Disposition::ByPolicy,
        settings: vec![],
    }))
}

/// The host stopped it for this cause.
pub fn stopped(cause: impl Into<String>, message: impl Into<String>) -> Observation {
    Observation::Stopped(Stop { cause: cause.into(), detail: None, message: message.into() })
}
