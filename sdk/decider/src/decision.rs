//! Decisions in a word each.

use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use crate::{Child, Decision, Payload, Plan, Verdict};

impl Decision {
    /// Let what was observed stand: an outcome succeeds, a failure is final.
    pub fn accept(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Accept, reason: reason.into() }
    }

    /// Run the task again after this long. It counts as a failure; when the attempts are spent, the task is dead all the same.
    pub fn retry_after(delay: Duration, reason: impl Into<String>) -> Self {
        let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self { verdict: Verdict::RetryAfter(ms), reason: reason.into() }
    }

    /// The task is dead.
    pub fn give_up(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::GiveUp, reason: reason.into() }
    }

    /// Do it by these children instead.
    pub fn decompose(plan: Plan, reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Decompose(plan), reason: reason.into() }
    }

    /// Let one other task do it: what that one gives is what the task gives.
    pub fn escalate(child: Child, reason: impl Into<String>) -> Self {
        let join = Some(child.name.clone());
        Self::decompose(Plan { children: vec![child], join, settings: vec![] }, reason)
    }
}

impl Child {
    /// A child of this name for `package/handler`, which gets this JSON.
    pub fn new(name: impl Into<String>, handler: impl Into<String>, json: impl Into<String>) -> Self {
        let input = Payload { media_type: "application/json".into(), bytes: json.into().into_bytes() };
        Self { name: name.into(), handler: handler.into(), input, after: vec![], settings: vec![] }
    }
}
