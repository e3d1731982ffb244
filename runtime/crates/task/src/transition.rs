//! The life of a task: the one function that moves a state.

use crate::job::JobLink;
use crate::{
    AttemptRecord, Awaits, Block, CancelRequest, Completion, Decision, Ending, FailedChild, Lease, MAX_KEPT_ATTEMPTS,
    PayloadInfo, Policy, Receipt, State, StateName, Task, Timestamp, Verdict,
};

/// Something that happens to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One of those for which it waited has ended, and it may go on.
    Released,
    /// The time for which it waited has come.
    Due,
    /// A worker has it.
    Leased(Lease),
    /// Its attempt ended, and this is done about it.
    Settled(Box<Settled>),
    /// It gets its first child while it runs; with its place in the job that was founded for that, if it was of none.
    HasChildren(Option<Box<JobLink>>),
    /// All of its children have ended, and it waits for nothing else.
    ChildrenEnded {
        /// Its output, if its children make it.
        output: Option<PayloadInfo>,
        /// The first of them for which it has failed.
        failed: Option<Box<FailedChild>>,
    },
    /// Its lease ran out.
    HostLost,
    /// It is given back: by a worker that stopped in good order, or because nobody took it.
    HandedBack {
        /// Whether some of it may have run.
        begun: bool,
    },
    /// Somebody wants it cancelled.
    CancelRequested(CancelRequest),
    /// Somebody gave its output.
    Completed(Box<Completion>),
    /// It was not started in time.
    Expired,
}

/// How an attempt ended, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// How it ended.
    pub ending: Ending,
    /// What is done about it.
    pub decision: Decision,
    /// What it used.
    pub receipt: Option<Receipt>,
    /// The task's output, when it succeeded.
    pub output: Option<PayloadInfo>,
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Due => "due",
            Self::Leased(_) => "leased",
            Self::Settled(_) => "settled",
            Self::HasChildren(_) => "given children",
            Self::ChildrenEnded { .. } => "ended by its children",
            Self::HostLost => "host-lost",
            Self::HandedBack { .. } => "handed-back",
            Self::CancelRequested(_) => "cancel-requested",
            Self::Completed(_) => "completed",
            Self::Expired => "expired",
        }
    }
}

/// What an event changes. A store applies all of it or nothing, and only if the record has not moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// The revision that the record must still have.
    pub expected_revision: u64,
    /// The record from then on.
    pub task: Task,
}

/// An event that cannot happen in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// Where the task stands.
    pub state: StateName,
    /// What should have happened.
    pub event: &'static str,
}

/// What `event` makes of `task`. Nobody else assigns a state.
///
/// # Errors
/// The event cannot happen in this state. Nothing changes.
pub fn transition(task: &Task, event: Event, now: Timestamp) -> Result<ChangeSet, IllegalTransition> {
    let illegal = IllegalTransition { state: task.state.name(), event: event.name() };
    let mut next = task.clone();
    match (&task.state, event) {
        (State::Blocked(Block::Others { waits_for, start }), Event::Released) => {
            next.state = match waits_for.checked_sub(1) {
                Some(left) if left > 0 => State::Blocked(Block::Others { waits_for: left, start: *start }),
                _ => due(*start, now),
            };
        }
        (State::Running(_), Event::HasChildren(job)) => {
            next.has_children = true;
            next.job = next.job.or(job.map(|job| *job));
        }
        (State::Blocked(Block::Children), Event::ChildrenEnded { output, failed }) => {
            next.state = end_of_parent(task, failed.is_some());
            match next.state {
                State::Succeeded => next.output = next.output.or(output),
                State::Dead => {
                    // One that was given up is not dead of its children, which were stopped for it.
                    let last = task.attempts.last().map(|last| last.decision.verdict);
                    let failed = failed.filter(|_| last != Some(Verdict::GiveUp));
                    (next.output, next.failed_child) = (None, failed.map(|failed| *failed));
                }
                _ => next.output = None,
            }
            // What somebody gave is not its output after all.
            if let Some(completion) = next.completion.as_mut().filter(|_| next.output.is_none()) {
                completion.taken = false;
            }
        }
        (State::Scheduled { .. } | State::RetryScheduled { .. }, Event::Due) => next.state = State::Queued,
        (State::Queued, Event::Leased(lease)) => {
            next.attempts_started = next.attempts_started.saturating_add(1);
            next.awaits = None;
            next.state = State::Running(lease);
        }
        (State::Running(lease), Event::Settled(settled)) => {
            let Settled { ending, decision, receipt, output } = *settled;
            // An executor that gives an attempt back has run nothing of it.
            next.begun |= ending != Ending::HandedBack;
            next.failures_charged = next.failures_charged.saturating_add(u32::from(decision.charged));
            let fuel = receipt.as_ref().and_then(|receipt| receipt.fuel).unwrap_or(0);
            next.fuel_used = next.fuel_used.saturating_add(fuel);
            next.has_children |= decision.verdict == Verdict::Decompose;
            next.state = match decision.verdict {
                Verdict::Succeed if decision.policy == Policy::Completed => take_completion(&mut next),
                Verdict::Succeed => {
                    next.output = output;
                    ended(&next, State::Succeeded)
                }
                Verdict::Decompose => State::Blocked(Block::Children),
                // Whoever decides by an old record is told that it has moved, so that there is none.
                Verdict::Await(_) if next.completion.is_some() => take_completion(&mut next),
                Verdict::Await(delay) => {
                    let until = now.after(delay);
                    let reason = match &ending {
                        Ending::Snoozed { reason } => reason.clone(),
                        _ => String::new(),
                    };
                    next.awaits = Some(Awaits { since: now, until, reason });
                    next.completion_waits = next.completion_waits.saturating_add(1);
                    State::Scheduled { until }
                }
                Verdict::Retry(delay) => State::RetryScheduled { until: now.after(delay) },
                Verdict::Snooze(delay) => State::Scheduled { until: now.after(delay) },
                Verdict::Requeue => State::Queued,
                Verdict::GiveUp => ended(&next, State::Dead),
                Verdict::Cancel => ended(&next, State::Cancelled),
            };
            record(&mut next, lease, now, ending, decision, receipt);
        }
        (State::Running(lease), Event::HostLost) => {
            next.hosts_lost = next.hosts_lost.saturating_add(1);
            next.begun = true;
            let decision = host_lost(&next);
            next.state = after_loss(&next, decision.verdict);
            record(&mut next, lease, now, Ending::HostLost, decision, None);
        }
        (State::Running(lease), Event::HandedBack { begun }) => {
            next.begun |= begun;
            let decision = match task.cancel {
                Some(_) => cancelled(),
                None => {
                    let reason = "its host was stopped in good order".into();
                    Decision::uncharged(Verdict::Requeue, Policy::HostStop, reason)
                }
            };
            next.state = after_loss(&next, decision.verdict);
            record(&mut next, lease, now, Ending::HandedBack, decision, None);
        }
        (State::Running(_) | State::Blocked(Block::Children), Event::CancelRequested(request)) => {
            // Again is no change of what was asked first.
            next.cancel = task.cancel.clone().or(Some(request));
        }
        (
            State::Blocked(_) | State::Scheduled { .. } | State::Queued | State::RetryScheduled { .. },
            Event::CancelRequested(request),
        ) => {
            next.cancel = Some(request);
            next.state = ended(&next, State::Cancelled);
        }
        (_, Event::Completed(completion)) if task.can_be_completed() => {
            next.completion = Some(*completion);
            next.state = take_completion(&mut next);
        }
        // The first stands: whoever gives another is told of it.
        (_, Event::Completed(completion)) if task.keeps_completion() && task.completion.is_none() => {
            next.completion = Some(*completion);
        }
        (State::Blocked(Block::Others { .. }) | State::Scheduled { .. } | State::Queued, Event::Expired)
            if task.is_unstarted() =>
        {
            next.state = State::Expired;
        }
        _ => return Err(illegal),
    }
    next.revision += 1;
    if next.state.name() != task.state.name() {
        next.since = now;
    }
    if next.state.is_terminal() {
        next.ended_at = Some(now);
        next.awaits = None;
    }
    Ok(ChangeSet { expected_revision: task.revision, task: next })
}

/// The task succeeds with what somebody has given.
fn take_completion(task: &mut Task) -> State {
    if let Some(completion) = &mut task.completion {
        completion.taken = true;
        task.output = Some(completion.output.clone());
    }
    ended(task, State::Succeeded)
}

/// Where a task stands that waits for nothing but its time.
pub(crate) fn due(start: Option<Timestamp>, now: Timestamp) -> State {
    start.filter(|until| *until > now).map_or(State::Queued, |until| State::Scheduled { until })
}

/// Where a task stands whose own part is over in this way: it waits for its children first, if it has some.
fn ended(task: &Task, end: State) -> State {
    if task.has_children { State::Blocked(Block::Children) } else { end }
}

/// How a task ends that has waited for its children. What was decided about its last attempt comes first: one that was given up
/// has not waited to be told anything else.
fn end_of_parent(task: &Task, has_failed: bool) -> State {
    match task.attempts.last().map(|last| last.decision.verdict) {
        Some(Verdict::GiveUp) => State::Dead,
        Some(Verdict::Cancel) => State::Cancelled,
        _ if task.cancel.is_some() => State::Cancelled,
        _ if has_failed => State::Dead,
        _ => State::Succeeded,
    }
}

fn cancelled() -> Decision {
    Decision::uncharged(Verdict::Cancel, Policy::Cancel, "the task was cancelled meanwhile".into())
}

/// What is done about a task that has just lost its host.
fn host_lost(task: &Task) -> Decision {
    let (lost, limit) = (task.hosts_lost, task.spec.max_hosts_lost);
    if task.cancel.is_some() {
        cancelled()
    } else if lost >= limit {
        let reason = format!("lost its host {lost} times, of at most {limit}");
        Decision::uncharged(Verdict::GiveUp, Policy::Poison, reason)
    } else {
        let reason = format!("lost its host, {lost} of at most {limit}");
        Decision::uncharged(Verdict::Requeue, Policy::HostLost, reason)
    }
}

fn after_loss(task: &Task, verdict: Verdict) -> State {
    match verdict {
        Verdict::GiveUp => ended(task, State::Dead),
        Verdict::Cancel => ended(task, State::Cancelled),
        _ => State::Queued,
    }
}

fn record(
    task: &mut Task,
    lease: &Lease,
    now: Timestamp,
    ending: Ending,
    decision: Decision,
    receipt: Option<Receipt>,
) {
    if task.attempts.len() >= MAX_KEPT_ATTEMPTS {
        task.attempts.remove(0);
    }
    task.attempts.push(AttemptRecord {
        number: task.attempts_started,
        worker: lease.worker.clone(),
        started_at: lease.started_at,
        ended_at: now,
        ending,
        decision,
        receipt,
    });
}

#[cfg(test)]
mod tests;
