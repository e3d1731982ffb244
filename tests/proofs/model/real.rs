//! What the small numbers of the model stand for in a real store.

use std::time::Duration;

use bytes::Bytes;
use sunaba_runtime::store::NewPackage;
use sunaba_runtime::task::{
    Callback, CallbackOn, Digest, HandlerInfo, HandlerName, HandlerSettings, NewTask, OnConflict, Payload, TaskId,
    TaskSpec, Unique, Verdict as Real, When,
};

use super::reference::MAX_HOSTS_LOST;
use super::step::{Conflict, Verdict, Wish};

/// Of all handlers.
pub(super) const PACKAGE: &str = "model";
/// What tasks may ask for.
pub(super) const COMPONENTS: u32 = 3;

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn new_task(wish: &Wish) -> NewTask {
    let mut spec = TaskSpec::new(handler(wish.handler), digest(wish.component.into()));
    spec.follows = wish.follows;
    spec.key = wish.lane.map(|lane| format!("lane {lane}"));
    spec.queue = queue(wish.queue);
    spec.priority = wish.priority;
    spec.max_hosts_lost = MAX_HOSTS_LOST;
    spec.idempotency_key = wish.key.map(|key| format!("key {key}"));
    let input = input(wish.body);
    let on_conflict = |conflict| match conflict {
        Conflict::Reject => OnConflict::Reject,
        Conflict::Existing => OnConflict::Existing,
        Conflict::Replace => OnConflict::Replace,
    };
    let callback = |succeeds| Callback {
        on: if succeeds { CallbackOn::Success } else { CallbackOn::Failure },
        spec: new_task(&Wish::follower()).spec,
    };
    NewTask {
        start: wish.delay_ms.map(|delay| When::After(ms(delay))),
        expires: wish.expires_ms.map(|expires| When::After(ms(expires))),
        unique: wish.unique.map(|unique| Unique {
            key: format!("unique {}", unique.key),
            window: unique.window_ms.map(ms),
            on_conflict: on_conflict(unique.conflict),
        }),
        callbacks: wish.followed_on_success.map(callback).into_iter().collect(),
        ..NewTask::new(spec, input)
    }
}

pub(super) fn handler(handler: u8) -> HandlerName {
    format!("{PACKAGE}/h{handler}").parse().expect("a name")
}

pub(super) fn component(component: u32) -> Bytes {
    format!("component {component}").into()
}

pub(super) fn digest(of: u32) -> Digest {
    Digest::of(&component(of))
}

pub(super) fn input(body: u16) -> Payload {
    Payload::json(vec![b'7'; usize::from(body) + 1])
}

pub(super) fn queue(queue: u8) -> String {
    format!("q{queue}")
}

pub(super) fn output(task: TaskId, attempt: u32) -> Payload {
    Payload::json(format!("\"{task} {attempt}\""))
}

/// A version with this component; all have the same handlers.
pub(super) fn package(of: u32) -> NewPackage {
    let info = |number| HandlerInfo {
        name: handler(number).handler,
        doc: String::new(),
        input_schema: None,
        output_schema: None,
        settings: HandlerSettings::default(),
    };
    let (name, handlers) = (PACKAGE.into(), [0, 1].map(info).into());
    NewPackage { name, component: digest(of), handlers, decider: None, allow_signature_change: false }
}

pub(super) fn real_verdict(verdict: Verdict) -> Real {
    match verdict {
        Verdict::Succeed => Real::Succeed,
        Verdict::Retry { ms: delay } => Real::Retry(ms(delay)),
        Verdict::Snooze { ms: delay } => Real::Snooze(ms(delay)),
        Verdict::NotReady => Real::Snooze(ms(1_000)),
        Verdict::Requeue => Real::Requeue,
        Verdict::GiveUp => Real::GiveUp,
        Verdict::Cancel => Real::Cancel,
    }
}
