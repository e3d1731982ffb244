//! Counts what is planned, for whoever watches: what the feed tells, attempts as they are summed, and how tasks come out of
//! failures. All of it is additions in memory, and nothing is written.

use std::collections::{BTreeMap, VecDeque};

use sunaba_task::{AttemptRecord, FeedEvent, HandlerName, Happening, Origin, State, StateName, Task, Timestamp};

use super::{Planner, Turn};
use crate::{Came, Counts, Fault, MAX_SERIES, MAX_TROUBLES, OTHER, Observations, Series, StoreError, Totals, Trouble};
use crate::{Queues, is_failure, keys};

/// What was seen since the store was opened.
#[derive(Default)]
pub(super) struct Observer {
    /// When that was. Set by the first turn.
    since: Option<Timestamp>,
    /// In the order in which they came; the first is that of all others.
    series: Vec<Series>,
    places: BTreeMap<HandlerName, BTreeMap<String, usize>>,
    /// Where the last one was found: most often the next is the same.
    last: usize,
    totals: Totals,
    dead: u64,
    troubles: VecDeque<Trouble>,
    /// Of the next trouble, from 1.
    next_trouble: u64,
}

impl Observer {
    fn counts(&mut self, queue: &str, handler: &HandlerName) -> &mut Counts {
        let place = self.place(queue, handler);
        self.last = place;
        &mut self.series[place].counts
    }

    fn place(&mut self, queue: &str, handler: &HandlerName) -> usize {
        if self.series.get(self.last).is_some_and(|last| last.queue == queue && is_called(&last.handler, handler)) {
            return self.last;
        }
        if let Some(place) = self.places.get(handler).and_then(|queues| queues.get(queue)) {
            return *place;
        }
        if self.series.is_empty() {
            self.series.push(Series { queue: OTHER.into(), handler: OTHER.into(), counts: Counts::default() });
        }
        // The others have one, too.
        if self.series.len() > MAX_SERIES {
            return 0;
        }
        let place = self.series.len();
        self.series.push(Series { queue: queue.into(), handler: handler.to_string(), counts: Counts::default() });
        self.places.entry(handler.clone()).or_default().insert(queue.into(), place);
        place
    }

    /// What a turn has told.
    pub(super) fn told(&mut self, events: &[FeedEvent]) {
        self.totals.events += events.len() as u64;
        for event in events.iter().filter_map(FeedEvent::task) {
            let count: fn(&mut Counts) -> &mut u64 = match &event.what {
                Happening::Submitted => |counts| &mut counts.submitted,
                Happening::Succeeded => |counts| &mut counts.succeeded,
                Happening::Dead { .. } => |counts| &mut counts.dead,
                Happening::Cancelled => |counts| &mut counts.cancelled,
                Happening::Expired => |counts| &mut counts.expired,
                Happening::RetryScheduled { .. } => |counts| &mut counts.retries,
                _ => continue,
            };
            *count(self.counts(&event.queue, &event.handler)) += 1;
        }
    }

    /// An attempt of this task has ended.
    pub(super) fn attempt(&mut self, task: &Task, attempt: &AttemptRecord) {
        self.counts(&task.spec.queue, &task.spec.handler).add(attempt);
        if let Some(fault) = Fault::of(&attempt.ending) {
            let came = if task.state.is_terminal() { Came::End } else { Came::Retry };
            self.trouble(task, attempt.ended_at, fault, came);
        }
    }

    fn trouble(&mut self, task: &Task, at: Timestamp, fault: Fault, came: Came) {
        self.next_trouble += 1;
        if self.troubles.len() == MAX_TROUBLES {
            self.troubles.pop_front();
        }
        let (sequence, handler) = (self.next_trouble, task.spec.handler.clone());
        self.troubles.push_back(Trouble { sequence, at, task: task.id, handler, fault, came });
    }

    /// A task that had failed has succeeded.
    fn well_again(&mut self, task: &Task, now: Timestamp, fault: Fault, came: Came) {
        let (count, after) = match came {
            Came::Recovered(after) => (&mut self.totals.recovered, after),
            Came::RanAgain { after, .. } => (&mut self.totals.recovered_by_person, after),
            Came::Retry | Came::End => return,
        };
        *count += 1;
        self.totals.recovery = self.totals.recovery.saturating_add(after);
        self.trouble(task, now, fault, came);
    }

    /// The record of a task that had ended is gone.
    pub(super) fn forgotten(&mut self, task: &Task) {
        if task.state == State::Dead {
            self.dead = self.dead.saturating_sub(1);
        }
    }
}

/// Without making a text of it.
fn is_called(name: &str, handler: &HandlerName) -> bool {
    let rest = name.strip_prefix(handler.package.as_str()).and_then(|rest| rest.strip_prefix('/'));
    rest == Some(handler.handler.as_str())
}

/// The first failure of a task, and why the last one failed; none if none has, as far as they are kept.
fn failures(task: &Task) -> Option<(Timestamp, Fault)> {
    let mut failed = task.attempts.iter().filter(|attempt| is_failure(&attempt.ending));
    let first = failed.next()?;
    let last = failed.next_back().unwrap_or(first);
    Some((first.ended_at, Fault::of(&last.ending)?))
}

impl Planner {
    /// A task has ended.
    pub(super) fn observe_end(&mut self, turn: &Turn<'_>, task: &Task) -> Result<(), StoreError> {
        if task.state == State::Dead {
            self.observer.dead += 1;
        }
        if task.state != State::Succeeded {
            return Ok(());
        }
        if let Some(Origin::Rerun(old)) = task.origin {
            // Only what somebody has run again is worth a read. What cannot be read is told of elsewhere.
            let old = self.stored(turn, old).ok().flatten().map(|stored| stored.task);
            if let Some((first, fault)) = old.as_ref().and_then(failures) {
                let other_version = old.is_some_and(|old| old.spec.component != task.spec.component);
                let came = Came::RanAgain { after: turn.now.since(first), other_version };
                self.observer.well_again(task, turn.now, fault, came);
            }
        } else if let Some((first, fault)) = failures(task) {
            self.observer.well_again(task, turn.now, fault, Came::Recovered(turn.now.since(first)));
        }
        Ok(())
    }

    /// Counts the dead tasks that there are, by their keys.
    pub(super) fn read_dead(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        self.observer.since = Some(turn.now);
        let Some(first) = keys::in_state(StateName::Dead) else { return Ok(()) };
        let end = keys::among(first.clone(), sunaba_task::TaskId::from_bytes([u8::MAX; 16]));
        for pair in turn.txn.scan(&first, &end, false) {
            pair?;
            self.observer.dead += 1;
        }
        Ok(())
    }

    pub(crate) fn observe(&self, turn: &Turn<'_>, after: u64) -> Observations {
        let observer = &self.observer;
        let oldest = observer.troubles.front().map_or(observer.next_trouble + 1, |trouble| trouble.sequence);
        let begun = |session: &super::Session| session.expires.saturating_sub(session.lease_time);
        // A session that sends deliveries runs no tasks.
        let runs_tasks = |session: &&super::Session| !session.queues.as_ref().is_some_and(Queues::is_internal);
        let sessions = || self.sessions.values().filter(runs_tasks);
        let quietest = sessions().map(|session| turn.elapsed.saturating_sub(begun(session))).max();
        let (free_bytes, floor_bytes) = turn.txn.room();
        let has_some = |series: &&Series| series.counts != Counts::default();
        Observations {
            since: observer.since.unwrap_or(turn.now),
            now: turn.now,
            elapsed: turn.elapsed,
            series: observer.series.iter().filter(has_some).cloned().collect(),
            totals: observer.totals,
            workers: sessions().count(),
            quietest,
            dead: observer.dead,
            free_bytes,
            floor_bytes,
            troubles: observer.troubles.iter().filter(|trouble| trouble.sequence > after).cloned().collect(),
            next: observer.next_trouble,
            missed: oldest.saturating_sub(after.saturating_add(1)),
            failed_webhooks: self.failed_webhooks(),
            webhooks: self.webhook_series(),
        }
    }
}

#[cfg(test)]
mod tests {
    use sunaba_task::{Digest, NewTask, Payload, TaskEvent, TaskId, TaskSpec};

    use super::*;

    fn submitted(queue: &str, handler: &str) -> FeedEvent {
        FeedEvent::Task(TaskEvent {
            sequence: 1,
            at: Timestamp::from_unix_ms(1),
            task: TaskId::from_bytes([1; 16]),
            handler: handler.parse().expect("a name"),
            queue: queue.into(),
            job: None,
            name: None,
            what: Happening::Submitted,
        })
    }

    #[test]
    fn each_queue_and_handler_is_counted_apart() {
        let mut observer = Observer::default();
        let pairs = [("a", "p/x"), ("b", "p/x"), ("a", "p/y"), ("a", "p/x"), ("a", "p/xy"), ("a", "p/x")];
        pairs.iter().for_each(|(queue, handler)| observer.told(&[submitted(queue, handler)]));
        let counted: Vec<_> = observer
            .series
            .iter()
            .map(|series| (series.queue.as_str(), series.handler.as_str(), series.counts.submitted))
            .collect();
        let expected = [("other", "other", 0), ("a", "p/x", 3), ("b", "p/x", 1), ("a", "p/y", 1), ("a", "p/xy", 1)];
        assert_eq!(counted, expected);
        assert_eq!(observer.totals.events, 6);
    }

    fn series_of(pairs: usize) -> (usize, u64) {
        let mut observer = Observer::default();
        (0..pairs).for_each(|number| observer.told(&[submitted(&format!("q-{number}"), "p/x")]));
        (observer.series.len(), observer.series[0].counts.submitted)
    }

    #[test]
    fn number_of_series_obeyed() {
        assert_eq!(series_of(MAX_SERIES), (MAX_SERIES + 1, 0));
    }

    #[test]
    fn number_of_series_violated() {
        assert_eq!(series_of(MAX_SERIES + 7), (MAX_SERIES + 1, 7), "all others share one");
    }

    #[test]
    fn troubles_beyond_what_is_kept_push_out_the_oldest() {
        let mut observer = Observer::default();
        let spec = TaskSpec::new("p/x".parse().expect("a name"), Digest::of(b"c"));
        let new = NewTask::new(spec, Payload::json("1"));
        let now = Timestamp::from_unix_ms(1);
        let task = Task::submitted(TaskId::from_bytes([1; 16]), 1, &new, now);
        for _ in 0..MAX_TROUBLES + 3 {
            let fault = Fault { kind: "k".into(), message: "m".into() };
            observer.trouble(&task, now, fault, Came::Retry);
        }
        assert_eq!((observer.troubles.len(), observer.troubles[0].sequence), (MAX_TROUBLES, 4));
    }
}
