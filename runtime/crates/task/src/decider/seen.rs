//! How an attempt ended, as a decider sees it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Body;
use crate::{
    AttemptReport, AttemptResult, Cause, Child, Dependency, Disposition, Ending, Failure, OCTETS, Outcome, Payload,
    Plan, Snooze,
};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The handler returned an output.
    Completed {
        /// Empty of all attempts but the last.
        output: Body,
    },
    /// The handler returned a plan.
    Decomposed {
        /// Empty of all attempts but the last.
        plan: PlanSeen,
    },
    /// The handler asked to be run again later.
    Snoozed {
        /// Milliseconds until then; 0 of all attempts but the last.
        delay_ms: u64,
        /// For people; may be empty.
        reason: String,
        /// Whether somebody may complete the task meanwhile.
        until_completed: bool,
    },
    /// The handler returned a failure.
    Failed {
        /// The word that policies go by.
        kind: String,
        /// For people.
        message: String,
        /// For programs; none of all attempts but the last.
        detail: Option<Body>,
        /// What the handler asks for; by policy of all attempts but the last.
        disposition: Disposition,
    },
    /// The host stopped it.
    Stopped {
        /// The cause word.
        cause: String,
        /// What the cause has besides.
        detail: Option<String>,
        /// For people.
        message: String,
    },
}

/// A plan with bodies that may have been left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSeen {
    /// In any order.
    pub children: Vec<ChildSeen>,
    /// Children that were left out of what is kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub children_omitted: u64,
    /// The child whose output becomes the parent's.
    pub join: Option<String>,
    /// Rules for the plan as a whole.
    pub settings: Vec<(String, String)>,
}

/// A child of such a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildSeen {
    /// Unique within the parent.
    pub name: String,
    /// `package/handler`, or `handler`.
    pub handler: String,
    /// What it gets.
    pub input: Body,
    /// It starts when these have ended.
    pub after: Vec<Dependency>,
    /// Its options.
    pub settings: Vec<(String, String)>,
}

pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Seen {
    /// What a decider is asked about, if a decider is asked about it: what the handler did, or what it was stopped for by its
    /// own doing.
    pub fn of_report(report: &AttemptReport) -> Option<Self> {
        Some(match &report.result {
            AttemptResult::Returned(Outcome::Complete(output)) => Self::Completed { output: output.clone().into() },
            AttemptResult::Returned(Outcome::Decompose(plan)) => Self::Decomposed { plan: PlanSeen::from(plan) },
            AttemptResult::Returned(Outcome::Snooze(Snooze { delay, reason, until_completed })) => {
                Self::Snoozed { delay_ms: millis(*delay), reason: reason.clone(), until_completed: *until_completed }
            }
            AttemptResult::Failed(Failure { kind, message, detail, disposition }) => Self::Failed {
                kind: kind.clone(),
                message: message.clone(),
                detail: detail.clone().map(Body::from),
                disposition: *disposition,
            },
            AttemptResult::Stopped(stop) => match &stop.cause {
                // Nothing of the task's own.
                Cause::Cancelled | Cause::LeaseLost => return None,
                cause => stopped(cause, &stop.message),
            },
        })
    }

    /// What is still known of an attempt that has ended before.
    pub fn of_ending(ending: &Ending) -> Self {
        let nothing = || Payload::new(OCTETS, "").into();
        let by_host =
            |cause: &str, message: &str| Self::Stopped { cause: cause.into(), detail: None, message: message.into() };
        match ending {
            Ending::Completed => Self::Completed { output: nothing() },
            Ending::Decomposed { .. } => Self::Decomposed { plan: PlanSeen::default() },
            Ending::Snoozed { reason } => Self::Snoozed { delay_ms: 0, reason: reason.clone(), until_completed: false },
            Ending::Failed { kind, message } => Self::Failed {
                kind: kind.clone(),
                message: message.clone(),
                detail: None,
                disposition: Disposition::ByPolicy,
            },
            Ending::Stopped { cause, message } => stopped(cause, message),
            Ending::HostFailed { message } => by_host("host", message),
            Ending::HostLost => by_host("lease-lost", "its host was lost"),
            Ending::HandedBack => by_host("handed-back", "its host gave it back"),
        }
    }

    /// Whether it is a failure.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::Stopped { .. })
    }
}

fn stopped(cause: &Cause, message: &str) -> Seen {
    let (word, whole) = (cause.word().to_owned(), cause.to_string());
    let detail = whole.strip_prefix(&word).map(|rest| rest.trim().to_owned()).filter(|rest| !rest.is_empty());
    Seen::Stopped { cause: word, detail, message: message.to_owned() }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<&Plan> for PlanSeen {
    fn from(plan: &Plan) -> Self {
        let child = |child: &Child| ChildSeen {
            name: child.name.clone(),
            handler: child.handler.clone(),
            input: child.input.clone().into(),
            after: child.after.clone(),
            settings: child.settings.clone(),
        };
        Self {
            children: plan.children.iter().map(child).collect(),
            children_omitted: 0,
            join: plan.join.clone(),
            settings: plan.settings.clone(),
        }
    }
}
