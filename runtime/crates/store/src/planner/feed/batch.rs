//! How events are written: those that were told together under one key, with what they share written once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sunaba_task::job::{JobEvent, JobHappening, JobId, NodeName};
use sunaba_task::schedule::{ScheduleEvent, ScheduleHappening, ScheduleName};
use sunaba_task::{FeedEvent, HandlerName, Happening, TaskEvent, TaskId, Timestamp};

use crate::EventsOf;

/// Events of one key.
pub(super) const MAX_BATCH: usize = 1_000;

/// What happened in a turn, or a part of it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Comes first, so that it can be read alone.
    at: Timestamp,
    names: Vec<Names>,
    pub(crate) entries: Vec<Entry>,
}

/// What many events have in common.
#[derive(Clone, Serialize, Deserialize)]
struct Names {
    handler: HandlerName,
    queue: String,
    /// Empty where the event has none.
    worker: String,
    job: Option<JobId>,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Entry {
    Task {
        task: TaskId,
        /// Which of the batch's names.
        names: usize,
        /// Its own, in its plan.
        name: Option<NodeName>,
        /// Without its worker.
        what: Happening,
    },
    Job {
        job: JobId,
        name: String,
        what: JobHappening,
    },
    Schedule {
        schedule: ScheduleName,
        what: ScheduleHappening,
    },
}

impl Batch {
    pub(super) fn of<'e>(events: &'e [FeedEvent]) -> Self {
        let (mut names, mut known, mut last) = (Vec::<Names>::new(), HashMap::new(), None);
        let mut entry = |event: &'e TaskEvent| {
            let TaskEvent { handler, queue, job, .. } = event;
            let (what, worker) = match &event.what {
                Happening::Started { attempt, worker } => {
                    (Happening::Started { attempt: *attempt, worker: String::new() }, worker.as_str())
                }
                what => (what.clone(), ""),
            };
            let key = (handler, queue.as_str(), worker, job);
            // Most are of the same as the one before.
            let number = match last {
                Some((before, number)) if before == key => number,
                _ => *known.entry(key).or_insert_with(|| {
                    let (handler, queue, worker) = (handler.clone(), queue.clone(), worker.to_owned());
                    names.push(Names { handler, queue, worker, job: *job });
                    names.len() - 1
                }),
            };
            last = Some((key, number));
            Entry::Task { task: event.task, names: number, name: event.name.clone(), what }
        };
        let entries = events.iter().map(|event| match event {
            FeedEvent::Task(event) => entry(event),
            FeedEvent::Job(JobEvent { job, name, what, .. }) => {
                Entry::Job { job: *job, name: name.clone(), what: what.clone() }
            }
            FeedEvent::Schedule(ScheduleEvent { schedule, what, .. }) => {
                Entry::Schedule { schedule: schedule.clone(), what: what.clone() }
            }
        });
        let entries = entries.collect();
        Self { at: events.first().map_or(Timestamp::from_unix_ms(0), FeedEvent::at), names, entries }
    }

    /// One of its events; none when its names are missing, which the checksum rules out.
    pub(super) fn event(&self, sequence: u64, entry: &Entry) -> Option<FeedEvent> {
        let at = self.at;
        Some(match entry {
            Entry::Task { task, names, name, what } => {
                let Names { handler, queue, worker: who, job } = self.names.get(*names)?.clone();
                let mut what = what.clone();
                if let Happening::Started { worker, .. } = &mut what {
                    *worker = who;
                }
                FeedEvent::Task(TaskEvent { sequence, at, task: *task, handler, queue, job, name: name.clone(), what })
            }
            Entry::Job { job, name, what } => {
                FeedEvent::Job(JobEvent { sequence, at, job: *job, name: name.clone(), what: what.clone() })
            }
            Entry::Schedule { schedule, what } => {
                FeedEvent::Schedule(ScheduleEvent { sequence, at, schedule: schedule.clone(), what: what.clone() })
            }
        })
    }

    /// Whether one of its events is about this.
    pub(super) fn is_of(&self, entry: &Entry, of: EventsOf) -> bool {
        match (entry, of) {
            (Entry::Task { task, .. }, EventsOf::Task(wanted)) => *task == wanted,
            (Entry::Task { names, .. }, EventsOf::Job(wanted)) => {
                self.names.get(*names).is_some_and(|names| names.job == Some(wanted))
            }
            (Entry::Job { job, .. }, EventsOf::Job(wanted)) => *job == wanted,
            (Entry::Job { .. }, EventsOf::Task(_)) | (Entry::Schedule { .. }, _) => false,
        }
    }
}
