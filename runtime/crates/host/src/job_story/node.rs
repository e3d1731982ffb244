//! A task's record as a node, and the one line that says why it does not succeed.

use std::time::Duration;

use sunaba_task::{Ending, State, StateName, Task, Timestamp};

use super::graph::GraphNode;
use super::pauses::{PauseUntil, longest, pauses, total};
use super::plain::one_line;

/// The longest cause; the task's own story has the whole.
pub(super) const MAX_CAUSE_CHARS: usize = 200;

impl GraphNode {
    /// The node of a task, by what has come of it.
    pub(super) fn of(task: &Task, now: Timestamp) -> Self {
        let link = task.job.as_ref();
        let receipts = || task.attempts.iter().filter_map(|attempt| attempt.receipt.as_ref());
        let running = task.lease();
        let ran = task.attempts.iter().map(|attempt| match &attempt.receipt {
            Some(receipt) => receipt.wall,
            None => attempt.ended_at.since(attempt.started_at),
        });
        let first = task.attempts.first().map(|attempt| attempt.started_at);
        let pauses = pauses(task, now);
        Self {
            name: link.map_or_else(String::new, |link| link.name.to_string()),
            task: Some(task.id.to_string()),
            handler: task.spec.handler.to_string(),
            state: task.state.name(),
            parent: None,
            undoes: link.is_some_and(|link| link.undoes),
            attempts: u64::from(task.attempts_started),
            fuel: receipts().filter_map(|receipt| receipt.fuel).fold(0, u64::saturating_add),
            waited: receipts().filter_map(|receipt| receipt.queue_wait).fold(Duration::ZERO, Duration::saturating_add),
            ran: ran
                .chain(running.map(|lease| now.since(lease.started_at)))
                .fold(Duration::ZERO, Duration::saturating_add),
            between_attempts: total(&pauses, PauseUntil::NextAttempt),
            for_somebody: total(&pauses, PauseUntil::Completion),
            pauses: longest(pauses),
            submitted_at: task.submitted_at,
            started_at: first.or(running.map(|lease| lease.started_at)),
            ran_until: task.attempts.last().map(|attempt| attempt.ended_at),
            ended_at: task.ended_at,
            cause: cause(task).map(|text| one_line(&text, MAX_CAUSE_CHARS)),
            critical: false,
            fold: None,
        }
    }
}

/// Why it has not succeeded, or not yet. None: there is nothing to say but its state.
fn cause(task: &Task) -> Option<String> {
    let cancelled = || task.cancel.as_ref().map(|cancel| cancel.reason.clone()).filter(|reason| !reason.is_empty());
    match &task.state {
        State::Dead => Some(last_failure(task).unwrap_or_else(|| "nothing is known of its attempts".into())),
        State::RetryScheduled { .. } => last_failure(task),
        State::Cancelled => cancelled(),
        State::Expired => task.expires_at.map(|at| format!("not started by {at}")),
        _ => None,
    }
}

/// The last attempt, and what it came to; of a task that is dead of a child, that it is.
pub(super) fn last_failure(task: &Task) -> Option<String> {
    // Its last attempt did well: it made the plan.
    if task.failed_child.is_some() {
        return task.why_dead();
    }
    let last = task.attempts.last()?;
    let number = last.number;
    Some(match &last.ending {
        Ending::Failed { kind, message } => format!("attempt {number}: {kind}: {message}"),
        Ending::Stopped { cause, message } => format!("attempt {number}: {cause}: {message}"),
        Ending::HostFailed { message } => format!("attempt {number}: host: {message}"),
        Ending::HostLost => format!("attempt {number}: its host was lost"),
        Ending::Snoozed { reason } if !reason.is_empty() => format!("attempt {number}: not yet: {reason}"),
        Ending::Completed | Ending::Decomposed { .. } | Ending::Snoozed { .. } | Ending::HandedBack => {
            format!("attempt {number}: {}", last.decision.reason)
        }
    })
}

/// The mark of a state, a column wide.
pub(super) fn mark(state: StateName) -> char {
    match state {
        StateName::Succeeded => '\u{2713}',
        StateName::Dead => '\u{2717}',
        StateName::Cancelled => '\u{2298}',
        StateName::Expired => '!',
        StateName::Running => '\u{25cf}',
        StateName::RetryScheduled => '\u{21bb}',
        StateName::Queued | StateName::Scheduled => '\u{25cb}',
        StateName::Blocked => '\u{b7}',
    }
}
