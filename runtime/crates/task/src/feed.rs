//! What happens to tasks, jobs and schedules, in the words of the event feed.

use serde::{Deserialize, Serialize};

use crate::job::{JobEvent, JobId, NodeName};
use crate::schedule::ScheduleEvent;
use crate::{Block, HandlerName, Progress, State, Task, TaskId, Timestamp};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FeedEvent {
    /// To a task.
    Task(TaskEvent),
    /// To a job.
    Job(JobEvent),
    /// To a schedule.
    Schedule(ScheduleEvent),
}

impl FeedEvent {
    /// The store's count of events, from 1: where a reader goes on.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Task(event) => event.sequence,
            Self::Job(event) => event.sequence,
            Self::Schedule(event) => event.sequence,
        }
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Task(event) => event.at,
            Self::Job(event) => event.at,
            Self::Schedule(event) => event.at,
        }
    }

    /// The job that it is about, or that the task is of.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Task(event) => event.job,
            Self::Job(event) => Some(event.job),
            Self::Schedule(_) => None,
        }
    }

    /// What happened to a task, if it did.
    pub fn task(&self) -> Option<&TaskEvent> {
        match self {
            Self::Task(event) => Some(event),
            Self::Job(_) | Self::Schedule(_) => None,
        }
    }
}

/// Something that happened to a task. Of one task, events are in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// The store's count of events, from 1: where a reader goes on.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// To which task.
    pub task: TaskId,
    /// Its handler.
    pub handler: HandlerName,
    /// Its queue.
    pub queue: String,
    /// Its job, if it is of one.
    pub job: Option<JobId>,
    /// Its name there, in its plan.
    pub name: Option<NodeName>,
    /// What.
    pub what: Happening,
}

/// What can happen to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Happening {
    /// It was taken on.
    Submitted,
    /// It waits for a slot again, or its time has come.
    Queued,
    /// An attempt began.
    Started {
        /// From 1.
        attempt: u32,
        /// Who runs it.
        worker: String,
    },
    /// The attempt said how far it is.
    Progress {
        /// From 1.
        attempt: u32,
        /// How far.
        progress: Progress,
    },
    /// An attempt failed, and there will be another.
    RetryScheduled {
        /// The one that failed, from 1.
        attempt: u32,
        /// When the next is due.
        until: Timestamp,
    },
    /// The handler wants to be run later.
    Snoozed {
        /// Until then.
        until: Timestamp,
    },
    /// Its own part is over, and it waits for its children.
    Blocked,
    /// The handler waits for somebody to complete the task.
    Awaiting {
        /// Until then, when it is run again.
        until: Timestamp,
    },
    /// Somebody wants it cancelled while it runs, or while its children do.
    CancelRequested,
    /// Somebody gave its output, which is kept until its handler waits for that.
    Completed,
    /// It succeeded.
    Succeeded,
    /// It is dead.
    Dead {
        /// Why.
        reason: String,
    },
    /// It was cancelled.
    Cancelled,
    /// It was not started in time.
    Expired,
}

impl Happening {
    /// What happened when a record became this one; none when nobody needs to know.
    pub fn between(before: Option<&Task>, after: &Task) -> Option<Self> {
        let Some(before) = before else { return Some(Self::Submitted) };
        let attempt = after.attempts_started;
        Some(match &after.state {
            state if state.name() == before.state.name() => {
                let asked = after.cancel.is_some() && before.cancel.is_none();
                let given = after.completion.is_some() && before.completion.is_none();
                return asked.then_some(Self::CancelRequested).or(given.then_some(Self::Completed));
            }
            State::Blocked(Block::Children) => Self::Blocked,
            // Nothing comes back to that.
            State::Blocked(Block::Others { .. }) => return None,
            State::Queued => Self::Queued,
            State::Running(lease) => Self::Started { attempt, worker: lease.worker.clone() },
            State::RetryScheduled { until } => Self::RetryScheduled { attempt, until: *until },
            State::Scheduled { until } if after.awaits.is_some() => Self::Awaiting { until: *until },
            State::Scheduled { until } => Self::Snoozed { until: *until },
            State::Succeeded => Self::Succeeded,
            State::Dead => Self::Dead { reason: after.why_dead().unwrap_or_default() },
            State::Cancelled => Self::Cancelled,
            State::Expired => Self::Expired,
        })
    }

    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Queued => "queued",
            Self::Started { .. } => "started",
            Self::Progress { .. } => "progress",
            Self::RetryScheduled { .. } => "retry-scheduled",
            Self::Snoozed { .. } => "snoozed",
            Self::Blocked => "blocked",
            Self::Awaiting { .. } => "awaiting-completion",
            Self::CancelRequested => "cancel-requested",
            Self::Completed => "completed",
            Self::Succeeded => "succeeded",
            Self::Dead { .. } => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, StateName, testing, transition};

    #[test]
    fn every_change_of_state_is_told_once() {
        let task = testing::task();
        assert_eq!(Happening::between(None, &task), Some(Happening::Submitted));
        assert_eq!(Happening::between(Some(&task), &task), None);
        let others =
            StateName::ALL.into_iter().filter(|state| !matches!(state, StateName::Queued | StateName::Blocked));
        for state in others {
            let told = Happening::between(Some(&task), &testing::task_in(state)).map(|what| what.word().to_owned());
            let expected = match state {
                StateName::Running => "started".to_owned(),
                StateName::Scheduled => "snoozed".to_owned(),
                other => other.to_string(),
            };
            assert_eq!(told, Some(expected));
        }
    }

    #[test]
    fn task_that_waits_for_its_children_is_told_of_once_and_dies_of_one_of_them() {
        let running = testing::task_in(StateName::Running);
        let waits = Task { state: State::Blocked(Block::Children), ..running.clone() };
        assert_eq!(Happening::between(Some(&running), &waits), Some(Happening::Blocked));
        let failed = crate::FailedChild { name: "part/1".parse().expect("a name"), task: running.id };
        let dead = Task { state: State::Dead, failed_child: Some(failed), ..running };
        let reason = "its child `part/1` did not succeed".to_owned();
        assert_eq!(Happening::between(Some(&waits), &dead), Some(Happening::Dead { reason }));
    }

    #[test]
    fn wait_and_completion_are_told() {
        let running = testing::task_in(StateName::Running);
        let given = || Event::Completed(Box::new(testing::completion()));
        let kept = transition(&running, given(), testing::NOW).expect("it runs").task;
        assert_eq!(Happening::between(Some(&running), &kept), Some(Happening::Completed));
        let until = testing::NOW;
        let awaits = Some(crate::Awaits { since: until, until, reason: String::new() });
        let waiting = Task { awaits, ..testing::task_in(StateName::Scheduled) };
        let told = Happening::between(Some(&running), &waiting).map(|what| what.word());
        assert_eq!(told, Some("awaiting-completion"));
        let ended = transition(&waiting, given(), testing::NOW).expect("it waits").task;
        assert_eq!(Happening::between(Some(&waiting), &ended), Some(Happening::Succeeded));
    }

    #[test]
    fn cancel_of_a_running_task_is_told() {
        let running = testing::task_in(StateName::Running);
        let asked =
            transition(&running, Event::CancelRequested(testing::cancel()), testing::NOW).expect("it runs").task;
        assert_eq!(Happening::between(Some(&running), &asked), Some(Happening::CancelRequested));
    }
}
