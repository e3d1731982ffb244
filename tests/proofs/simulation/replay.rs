//! What the feed tells when all is over, played again: what was promised about many tasks at a time, in the order of the
//! commits.

use std::collections::{BTreeMap, BTreeSet};

use sunaba_runtime::task::{Ending, FeedEvent, Happening, Origin, StateName, Task, TaskId};

use super::book::Book;
use super::journal::{Fault, Journal};

pub(super) const HANDLER: &str = "simulated/task";
/// What runs callbacks.
pub(super) const AFTER: &str = "simulated/after";
pub(super) const QUEUES: [&str; 3] = ["a", "b", "c"];
/// A unique key that nobody takes from its holder.
pub(super) const SINGLE: &str = "single";
/// A unique key that is taken from whoever holds it.
pub(super) const REPLACED: &str = "replaced";
/// Attempts at a time of the second queue, of each key of the third, and of callbacks.
pub(super) const MAX_IN_QUEUE: u32 = 2;
pub(super) const MAX_OF_KEY: u32 = 1;
pub(super) const MAX_AFTER: u32 = 1;

/// Where a task stands, as far as the feed has told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Has not been started yet.
    New,
    /// Waits for another attempt.
    Waits,
    Runs,
    /// Waits for its children.
    Children,
    Ended,
}

pub(super) fn check(journal: &Journal, book: &Book, events: &[FeedEvent]) {
    let check = |holds: bool, what: std::fmt::Arguments<'_>| {
        if !holds {
            journal.problem(what);
        }
    };
    let (paused, tasks) = book.history();
    let mut stands = BTreeMap::<TaskId, Stand>::new();
    for (sequence, event) in (1..).zip(events) {
        let found = event.sequence();
        check(found == sequence, format_args!("the feed has {found} in the place of {sequence}"));
        // What happens to jobs is looked at in `order`.
        let FeedEvent::Task(event) = event else { continue };
        let (id, word) = (event.task, event.what.word());
        let before = stands.get(&id).copied();
        let after = match &event.what {
            Happening::Submitted => Stand::New,
            Happening::Started { .. } => Stand::Runs,
            Happening::Progress { .. } | Happening::CancelRequested | Happening::Completed => {
                before.unwrap_or(Stand::Runs)
            }
            Happening::Blocked => Stand::Children,
            Happening::Queued if before == Some(Stand::New) => Stand::New,
            Happening::Queued
            | Happening::RetryScheduled { .. }
            | Happening::Snoozed { .. }
            | Happening::Awaiting { .. } => Stand::Waits,
            _ => Stand::Ended,
        };
        let follows = match before {
            None => after == Stand::New,
            Some(Stand::Ended) => false,
            Some(Stand::New) => event.what != Happening::Submitted,
            // Only if nothing of it has run: its attempts were all handed back.
            Some(Stand::Waits) => event.what != Happening::Expired || tasks.get(&id).is_some_and(|task| !has_run(task)),
            Some(Stand::Children) => after == Stand::Ended || event.what == Happening::CancelRequested,
            Some(Stand::Runs) => !matches!(event.what, Happening::Started { .. } | Happening::Expired),
        };
        check(follows, format_args!("the feed tells that {id} was {word} after {before:?}"));
        stands.insert(id, after);
        let Some(task) = tasks.get(&id) else {
            journal.problem(format_args!("the feed tells of {id}, which nobody knows"));
            continue;
        };
        let alike = |is_alike: &dyn Fn(&Task) -> bool, stands_so: &[Stand]| {
            let others = stands.iter().filter(|(_, stand)| stands_so.contains(stand));
            others.filter(|(id, _)| tasks.get(id).is_some_and(is_alike)).count()
        };
        match &event.what {
            Happening::Started { attempt: 1, .. } => {
                let is_late = task.expires_at.is_some_and(|at| at <= event.at);
                check(!is_late, format_args!("{id} was started after it had expired"));
            }
            Happening::Expired => journal.fired(Fault::Expiry),
            _ => {}
        }
        if matches!(event.what, Happening::Started { .. }) {
            let (queue, runs) = (task.spec.queue.as_str(), [Stand::Runs]);
            let is_paused = paused.iter().any(|p| p.queue == queue && p.from < sequence && sequence <= p.until);
            check(!is_paused, format_args!("{id} was started while `{queue}` was paused"));
            let in_queue = alike(&|other| other.spec.queue == queue, &runs);
            let of_key = alike(&|other| other.spec.queue == queue && other.spec.key == task.spec.key, &runs);
            let of_handler = alike(&|other| other.spec.handler == task.spec.handler, &runs);
            let is_within = |running: usize, limit: u32| running <= limit as usize;
            check(
                (queue != QUEUES[1] || is_within(in_queue, MAX_IN_QUEUE))
                    && (queue != QUEUES[2] || task.spec.key.is_none() || is_within(of_key, MAX_OF_KEY))
                    && (task.spec.handler.to_string() != AFTER || is_within(of_handler, MAX_AFTER)),
                format_args!("{id} was started beyond a limit: {in_queue} {of_key} {of_handler}"),
            );
        }
        // Only who has a key gets or loses one.
        if task.unique.is_none() {
            continue;
        }
        let holds = |key: &'static str| move |other: &Task| other.unique.as_deref() == Some(key);
        let singles = alike(&holds(SINGLE), &[Stand::New, Stand::Waits, Stand::Runs, Stand::Children]);
        check(singles <= 1, format_args!("{singles} tasks hold a unique key when {id} is {word}"));
        // Whoever replaces another is there before that one goes.
        let new = alike(&holds(REPLACED), &[Stand::New]);
        let most = 1 + usize::from(event.what == Happening::Submitted);
        check(new <= most, format_args!("{new} tasks hold a replaced key when {id} is {word}"));
    }
    check_ends(journal, &tasks, &stands);
}

/// Whether something of a task has run, by what is kept of its attempts.
fn has_run(task: &Task) -> bool {
    task.begun || task.attempts.iter().any(|attempt| attempt.ending != Ending::HandedBack)
}

/// That the feed is complete, and who follows whom.
fn check_ends(journal: &Journal, tasks: &BTreeMap<TaskId, Task>, stands: &BTreeMap<TaskId, Stand>) {
    let mut followers = BTreeSet::new();
    let replaced: BTreeSet<_> = tasks
        .values()
        .filter_map(|task| match task.origin {
            Some(Origin::Replaces(old)) => Some(old),
            _ => None,
        })
        .collect();
    for (id, task) in tasks {
        if stands.get(id) != Some(&Stand::Ended) {
            journal.problem(format_args!("the feed does not tell of the end of {id}"));
        }
        if task.state.name() == StateName::Expired && has_run(task) {
            journal.problem(format_args!("{id} has expired after it had begun"));
        }
        // Of what was replaced the successor is followed.
        let was_replaced = replaced.contains(id);
        let expected = usize::from(task.callbacks > 0 && !was_replaced);
        if task.followers.len() != expected {
            journal.problem(format_args!("{id} is followed by {:?}, and not by {expected}", task.followers));
        }
        for follower in &task.followers {
            journal.fired(Fault::Callback);
            followers.insert(*follower);
            if tasks.get(follower).is_none_or(|follower| follower.origin != Some(Origin::Callback(*id))) {
                journal.problem(format_args!("{follower} should follow {id}"));
            }
        }
    }
    for (id, task) in tasks {
        if matches!(task.origin, Some(Origin::Callback(_))) != followers.contains(id) {
            journal.problem(format_args!("{id} follows nobody's end, or is not known to"));
        }
    }
}
