//! The life of a task: the one function that moves a state.

use crate::{
    AttemptRecord, Awaits, CancelRequest, Completion, Decision, Ending, Lease, MAX_KEPT_ATTEMPTS, PayloadInfo, Policy,
    Receipt, State, StateName, Task, Timestamp, Verdict,
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
        (State::Blocked { waits_for, start }, Event::Released) => {
            next.state = match waits_for.checked_sub(1) {
                Some(left) if left > 0 => State::Blocked { waits_for: left, start: *start },
                _ => due(*start, now),
            };
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
            next.state = match decision.verdict {
                Verdict::Succeed if decision.policy == Policy::Completed => take_completion(&mut next),
                Verdict::Succeed => {
                    next.output = output;
                    State::Succeeded
                }
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
                Verdict::GiveUp => State::Dead,
                Verdict::Cancel => State::Cancelled,
            };
            record(&mut next, lease, now, ending, decision, receipt);
        }
        (State::Running(lease), Event::HostLost) => {
            next.hosts_lost = next.hosts_lost.saturating_add(1);
            next.begun = true;
            let decision = host_lost(&next);
            next.state = after_loss(decision.verdict);
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
            next.state = after_loss(decision.verdict);
            record(&mut next, lease, now, Ending::HandedBack, decision, None);
        }
        (State::Running(_), Event::CancelRequested(request)) => {
            // Again is no change of what was asked first.
            next.cancel = task.cancel.clone().or(Some(request));
        }
        (
            State::Blocked { .. } | State::Scheduled { .. } | State::Queued | State::RetryScheduled { .. },
            Event::CancelRequested(request),
        ) => {
            next.cancel = Some(request);
            next.state = State::Cancelled;
        }
        (_, Event::Completed(completion)) if task.can_be_completed() => {
            next.completion = Some(*completion);
            next.state = take_completion(&mut next);
        }
        // The first stands: whoever gives another is told of it.
        (_, Event::Completed(completion)) if task.keeps_completion() && task.completion.is_none() => {
            next.completion = Some(*completion);
        }
        (State::Blocked { .. } | State::Scheduled { .. } | State::Queued, Event::Expired) if task.is_unstarted() => {
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
    State::Succeeded
}

/// Where a task stands that waits for nothing but its time.
pub(crate) fn due(start: Option<Timestamp>, now: Timestamp) -> State {
    start.filter(|until| *until > now).map_or(State::Queued, |until| State::Scheduled { until })
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

fn after_loss(verdict: Verdict) -> State {
    match verdict {
        Verdict::GiveUp => State::Dead,
        Verdict::Cancel => State::Cancelled,
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
mod tests {
    use super::*;
    use crate::testing;
    use std::time::Duration;

    const NOW: Timestamp = testing::NOW;

    fn settled(verdict: Verdict, charged: bool) -> Event {
        let decision = Decision { verdict, charged, policy: Policy::Retry, reason: "r".into() };
        Event::Settled(Box::new(Settled { ending: Ending::Completed, decision, receipt: None, output: None }))
    }

    fn completed() -> Event {
        Event::Completed(Box::new(testing::completion()))
    }

    fn events() -> Vec<Event> {
        let verdicts = [
            (Verdict::Succeed, false),
            (Verdict::Retry(Duration::from_secs(1)), true),
            (Verdict::Snooze(Duration::from_secs(1)), false),
            (Verdict::Await(Duration::from_secs(1)), false),
            (Verdict::Requeue, false),
            (Verdict::GiveUp, true),
            (Verdict::Cancel, false),
        ];
        let settled = verdicts.map(|(verdict, charged)| settled(verdict, charged));
        let others = [
            Event::Released,
            Event::Due,
            Event::Leased(testing::lease()),
            Event::HostLost,
            Event::HandedBack { begun: true },
            Event::CancelRequested(testing::cancel()),
            Event::Expired,
            completed(),
        ];
        settled.into_iter().chain(others).collect()
    }

    /// A letter for what becomes of each state at each event, in the order of `events`: the state's initial, `-` where
    /// it cannot happen.
    fn letter(state: StateName) -> char {
        match state {
            StateName::Blocked => 'b',
            StateName::Scheduled => 's',
            StateName::Queued => 'q',
            StateName::Running => 'r',
            StateName::RetryScheduled => 't',
            StateName::Succeeded => 'S',
            StateName::Dead => 'D',
            StateName::Cancelled => 'C',
            StateName::Expired => 'E',
        }
    }

    #[test]
    fn every_state_at_every_event() {
        // Settled as succeed, retry, snooze, await, requeue, give-up, cancel; released, due, leased, host-lost, handed-back, cancel-requested,
        // expired, completed.
        let table = [
            (StateName::Blocked, "-------q----CE-"),
            (StateName::Scheduled, "--------q---CE-"),
            (StateName::Queued, "---------r--CE-"),
            (StateName::Running, "StssqDC---qqr-r"),
            (StateName::RetryScheduled, "--------q---C--"),
            (StateName::Succeeded, "---------------"),
            (StateName::Dead, "---------------"),
            (StateName::Cancelled, "---------------"),
            (StateName::Expired, "---------------"),
        ];
        assert_eq!(table.map(|(state, _)| state), StateName::ALL);
        for (state, expected) in table {
            let task = testing::task_in(state);
            let shown: String = events()
                .into_iter()
                .map(|event| transition(&task, event, NOW).map_or('-', |change| letter(change.task.state.name())))
                .collect();
            assert_eq!(shown, expected, "{state}");
        }
    }

    #[test]
    fn every_change_moves_the_revision_and_ends_at_most_once() {
        for state in StateName::ALL {
            let task = testing::task_in(state);
            for event in events() {
                let Ok(change) = transition(&task, event, NOW) else { continue };
                assert_eq!(change.expected_revision, task.revision);
                assert_eq!(change.task.revision, task.revision + 1);
                assert_eq!(change.task.ended_at.is_some(), change.task.state.is_terminal());
            }
        }
    }

    #[test]
    fn blocked_task_waits_for_all_and_then_for_its_time() {
        let until = NOW.after(Duration::from_secs(1));
        let blocked = |waits_for, start| Task { state: State::Blocked { waits_for, start }, ..testing::task() };
        let released = |task: &Task| transition(task, Event::Released, NOW).expect("it is blocked").task;
        let once = released(&blocked(2, Some(until)));
        assert_eq!(once.state, State::Blocked { waits_for: 1, start: Some(until) });
        assert_eq!(released(&once).state, State::Scheduled { until });
        assert_eq!(released(&blocked(1, Some(NOW))).state, State::Queued);
        assert_eq!(released(&blocked(1, None)).state, State::Queued);
    }

    #[test]
    fn three_counters_are_kept_apart() {
        let counts = |event| {
            let task = transition(&testing::task_in(StateName::Running), event, NOW).expect("it runs").task;
            (task.attempts_started, task.failures_charged, task.hosts_lost)
        };
        assert_eq!(counts(settled(Verdict::Retry(Duration::ZERO), true)), (1, 1, 0));
        assert_eq!(counts(settled(Verdict::Snooze(Duration::ZERO), false)), (1, 0, 0));
        assert_eq!(counts(Event::HostLost), (1, 0, 1));
        assert_eq!(counts(Event::HandedBack { begun: true }), (1, 0, 0));
        let leased = transition(&testing::task(), Event::Leased(testing::lease()), NOW).expect("it is queued").task;
        assert_eq!((leased.attempts_started, leased.failures_charged, leased.hosts_lost), (1, 0, 0));
    }

    #[test]
    fn task_that_loses_its_hosts_is_dead_as_poison() {
        let mut task = testing::task();
        for lost in 1..=3 {
            task = transition(&task, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
            task = transition(&task, Event::HostLost, NOW).expect("it runs").task;
            assert_eq!(task.hosts_lost, lost);
        }
        assert_eq!(task.state, State::Dead);
        let last = task.attempts.last().expect("three");
        assert_eq!((last.number, &last.ending), (3, &Ending::HostLost));
        assert_eq!(last.decision.reason, "lost its host 3 times, of at most 3");
    }

    #[test]
    fn cancel_of_a_running_task_wins_when_its_host_is_lost() {
        let running = testing::task_in(StateName::Running);
        let asked = transition(&running, Event::CancelRequested(testing::cancel()), NOW).expect("it runs").task;
        assert_eq!((asked.state.name(), asked.cancel.clone()), (StateName::Running, Some(testing::cancel())));
        for event in [Event::HostLost, Event::HandedBack { begun: true }] {
            let ended = transition(&asked, event, NOW).expect("it runs").task;
            assert_eq!(ended.state, State::Cancelled);
        }
    }

    #[test]
    fn task_that_has_begun_does_not_expire() {
        let begun = Task { begun: true, ..testing::task() };
        assert!(transition(&begun, Event::Expired, NOW).is_err());
    }

    #[test]
    fn attempt_of_which_nothing_was_run_keeps_the_expiry_and_any_other_ends_it() {
        let ended = |ending| {
            let decision = Decision::uncharged(Verdict::Requeue, Policy::HostStop, "r".into());
            Event::Settled(Box::new(Settled { ending, decision, receipt: None, output: None }))
        };
        for (event, expires) in [
            (ended(Ending::HandedBack), true),
            (Event::HandedBack { begun: false }, true),
            (Event::HandedBack { begun: true }, false),
            (Event::HostLost, false),
            (ended(Ending::Completed), false),
            (ended(Ending::HostFailed { message: "m".into() }), false),
        ] {
            let running =
                transition(&testing::task(), Event::Leased(testing::lease()), NOW).expect("it is queued").task;
            assert!(transition(&running, Event::Expired, NOW).is_err(), "it runs");
            let back = transition(&running, event.clone(), NOW).expect("it runs").task;
            assert_eq!((back.is_unstarted(), back.attempts_started), (expires, 1), "{event:?}");
            assert_eq!(transition(&back, Event::Expired, NOW).is_ok(), expires, "{event:?}");
            // Once begun, for ever.
            let again = transition(&back, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
            let again = transition(&again, ended(Ending::HandedBack), NOW).expect("it runs").task;
            assert_eq!(again.is_unstarted(), expires, "{event:?}");
        }
    }

    #[test]
    fn oldest_attempts_are_dropped_first() {
        let mut task = testing::task();
        for _ in 0..MAX_KEPT_ATTEMPTS + 5 {
            task = transition(&task, Event::Leased(testing::lease()), NOW).expect("it is queued").task;
            task = transition(&task, Event::HandedBack { begun: true }, NOW).expect("it runs").task;
        }
        assert_eq!((task.attempts.len(), task.attempts[0].number), (MAX_KEPT_ATTEMPTS, 6));
    }
}
