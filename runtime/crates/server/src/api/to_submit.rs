//! A request in the host's words as one that goes over the wire: what a program has built can be sent to a host somewhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use sunaba_host::TaskRequest;
use sunaba_task::{ClockAccess, HandlerName, OnConflict, Payload, Unique, When};

use super::{Debounce, Submit, UniqueSubmit, ms};

impl From<TaskRequest> for Submit {
    fn from(request: TaskRequest) -> Self {
        let (input, input_base64, media_type) = written(request.input);
        let (mut delay_ms, run_at) = when(request.start);
        let (expires_in_ms, expires_at) = when(request.expires);
        let names = |handlers: &[HandlerName]| handlers.iter().map(ToString::to_string).collect();
        let (mut unique, mut debounce) = (None, None);
        match request.unique {
            Some(Unique { key, on_conflict: OnConflict::Debounce { longest }, .. }) => {
                let delay_ms = delay_ms.take().unwrap_or_default();
                debounce = Some(Debounce { key, delay_ms, longest_ms: Some(ms(longest)) });
            }
            Some(other) => unique = Some(UniqueSubmit::from(other)),
            None => {}
        }
        Self {
            handler: request.handler.to_string(),
            input,
            input_base64,
            media_type,
            queue: request.queue,
            priority: request.priority,
            delay_ms,
            run_at,
            expires_in_ms,
            expires_at,
            key: request.key,
            tags: request.tags,
            max_attempts: request.max_attempts,
            max_hosts_lost: request.max_hosts_lost,
            backoff: request.backoff.map(|backoff| backoff.to_string()),
            retry_on: request.retry_on,
            never_retry_on: request.never_retry_on,
            retry_for_ms: request.retry_for.map(ms),
            keep_result_ms: request.keep_result.map(ms),
            unique,
            debounce,
            on_success: names(&request.on_success),
            on_failure: names(&request.on_failure),
            timeout_ms: request.timeout.map(ms),
            fuel: request.fuel.map(|fuel| fuel.to_string()),
            fuel_budget: request.fuel_budget,
            memory_bytes: request.memory_bytes,
            follow: request.follow,
            decider: request.decider,
            idempotency_key: request.idempotency_key,
            env: request.env.into_iter().map(|env| (env.key, env.value)).collect(),
            dirs: request.dirs.iter().map(ToString::to_string).collect(),
            http: request.http.iter().map(ToString::to_string).collect(),
            secrets: request.secrets,
            scratch_bytes: request.scratch_bytes,
            clock: (request.clock == ClockAccess::Fine).then(|| "fine".to_owned()),
            limits: Some(request.limits.to_string()).filter(|limits| !limits.is_empty()),
            capture: request.capture.map(|streams| streams.to_string()),
        }
    }
}

/// JSON as it is; what says that it is JSON and is not, and other bytes, in base64.
fn written(input: Option<Payload>) -> (Option<Box<RawValue>>, Option<String>, Option<String>) {
    let Some(input) = input else { return (None, None, None) };
    let json = input.is_json().then(|| serde_json::from_slice(&input.bytes).ok()).flatten();
    match json {
        Some(json) => (Some(json), None, None),
        None => (None, Some(STANDARD.encode(&input.bytes)), Some(input.media_type)),
    }
}

fn when(when: Option<When>) -> (Option<u64>, Option<String>) {
    match when {
        None => (None, None),
        Some(When::After(duration)) => (Some(ms(duration)), None),
        Some(When::At(at)) => (None, Some(at.to_string())),
    }
}

impl From<Unique> for UniqueSubmit {
    fn from(Unique { key, window, on_conflict }: Unique) -> Self {
        let on_conflict = match on_conflict {
            OnConflict::Existing => "existing",
            OnConflict::Replace => "replace",
            _ => "reject",
        };
        Self { key, window_ms: window.map(ms), on_conflict: Some(on_conflict.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn full() -> TaskRequest {
        TaskRequest {
            input: Some(Payload::json(r#"{"n": 1.0}"#)),
            queue: Some("mail".into()),
            priority: Some(-3),
            start: Some(When::After(Duration::from_secs(5))),
            expires: Some(When::At("2030-01-31T12:00:00Z".parse().expect("an instant"))),
            key: Some("customer".into()),
            tags: vec!["eu".into()],
            max_attempts: Some(2),
            max_hosts_lost: Some(4),
            backoff: Some("exponential(1s, max = 1m)".parse().expect("a backoff")),
            retry_on: Some(vec![]),
            never_retry_on: Some(vec!["fatal".into()]),
            retry_for: Some(Duration::from_secs(60)),
            keep_result: Some(Duration::from_secs(61)),
            unique: Some(Unique { key: "one".into(), window: None, on_conflict: OnConflict::Replace }),
            on_success: vec!["a/b".parse().expect("a name")],
            on_failure: vec!["a/c".parse().expect("a name")],
            timeout: Some(Duration::from_millis(1_500)),
            fuel: Some("1000".parse().expect("fuel")),
            fuel_budget: Some(5_000),
            memory_bytes: Some(1 << 20),
            follow: Some(true),
            decider: Some("calm".into()),
            idempotency_key: Some("key".into()),
            traceparent: None,
            env: vec![sunaba_task::EnvGrant { key: "A".into(), value: "b".into() }],
            dirs: vec!["/tmp::/data:rw".parse().expect("a grant")],
            http: vec!["https://api.example.com".parse().expect("a grant")],
            secrets: vec!["token".into()],
            scratch_bytes: Some(9),
            clock: ClockAccess::Fine,
            limits: "open-files=16,output=4MiB".parse().expect("limits"),
            capture: Some("stdout".parse().expect("a stream")),
            ..TaskRequest::new("words/count".parse().expect("a name"))
        }
    }

    fn read_back(request: TaskRequest) {
        let written = serde_json::to_string(&Submit::from(request.clone())).expect("JSON");
        let read: Submit = serde_json::from_str(&written).expect("it reads back");
        let read = read.request().expect("it can be");
        assert_eq!(format!("{read:?}"), format!("{request:?}"));
    }

    #[test]
    fn request_reads_back_with_all_of_its_fields() {
        read_back(full());
        read_back(TaskRequest::new("words/count".parse().expect("a name")));
        let bytes = Payload::new("image/png", vec![0xff]);
        let burst = OnConflict::Debounce { longest: Duration::from_secs(9) };
        let unique = Some(Unique { key: "burst".into(), window: None, on_conflict: burst });
        read_back(TaskRequest { input: Some(bytes), unique, ..full() });
    }
}
