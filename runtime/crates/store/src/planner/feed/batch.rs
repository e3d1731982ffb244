//! How events are written: those that were told together under one key, with what they share written once.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sunaba_task::{HandlerName, Happening, TaskEvent, TaskId, Timestamp};

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
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(super) task: TaskId,
    /// Which of the batch's names.
    names: usize,
    /// Without its worker.
    what: Happening,
}

impl Batch {
    pub(super) fn of(events: &[TaskEvent]) -> Self {
        let (mut names, mut known) = (Vec::new(), HashMap::new());
        let entries = events.iter().map(|event| {
            let TaskEvent { handler, queue, .. } = event;
            let (what, worker) = match event.what.clone() {
                Happening::Started { attempt, worker } => {
                    (Happening::Started { attempt, worker: String::new() }, worker)
                }
                what => (what, String::new()),
            };
            let names = *known.entry((handler, queue, worker)).or_insert_with_key(|(_, _, worker)| {
                names.push(Names { handler: handler.clone(), queue: queue.clone(), worker: worker.clone() });
                names.len() - 1
            });
            Entry { task: event.task, names, what }
        });
        let entries = entries.collect();
        Self { at: events.first().map_or(Timestamp::from_unix_ms(0), |event| event.at), names, entries }
    }

    /// One of its events; none when its names are missing, which the checksum rules out.
    pub(super) fn event(&self, sequence: u64, entry: &Entry) -> Option<TaskEvent> {
        let Names { handler, queue, worker: name } = self.names.get(entry.names)?.clone();
        let mut what = entry.what.clone();
        if let Happening::Started { worker, .. } = &mut what {
            *worker = name;
        }
        Some(TaskEvent { sequence, at: self.at, task: entry.task, handler, queue, what })
    }
}
