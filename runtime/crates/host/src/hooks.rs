//! Hooks: functions of the host's own program that are called when something has happened to a task.
//!
//! They are driven by the store's event feed and see what happens while the host runs, each of it at most once: nothing of
//! what happened before its start, nothing after its stop, and nothing that the feed has dropped before a slow hook came to
//! it. What must not be missed is for a callback task. Hooks run one after another on a thread that may block: a slow one
//! delays the others, and holds up no task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sunaba_store::{EventPage, EventQuery, Store, StoreError};
use sunaba_task::{Cause, Ending, Happening, Task, catch_panic};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Events of one look at the feed, and records that are held for the hooks.
const PAGE: usize = 256;
/// How long one look waits; the next follows at once.
const WAIT: Duration = Duration::from_secs(60);
/// A store that is busy is asked again after this long.
const PAUSE: Duration = Duration::from_millis(200);

type Hook = Box<dyn Fn(&Task) + Send + Sync>;

/// When a hook is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Success,
    Failure,
    Timeout,
    Retry,
}

/// All hooks, in the order in which they were given.
#[derive(Default)]
pub(crate) struct Hooks(Vec<(On, Hook)>);

/// Hooks that are called from now on. Dropped, they are called no more.
pub(crate) struct Hooked {
    /// The other end is dropped when the last hook has been called.
    stop: watch::Sender<bool>,
    calling: AbortHandle,
}

impl Hooks {
    pub(crate) fn add(&mut self, on: On, hook: impl Fn(&Task) + Send + Sync + 'static) {
        self.0.push((on, Box::new(hook)));
    }

    /// Calls hooks for what happens from now on; none when there are no hooks.
    pub(crate) async fn start(self, store: Arc<dyn Store>) -> Result<Option<Hooked>, StoreError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        // Before anything is started, so that nothing happens between this and the first look.
        let place = store.events(EventQuery::default()).await?.next;
        let (stop, stopping) = watch::channel(false);
        let calling = tokio::spawn(run(stopping, Arc::new(self), store, place)).abort_handle();
        Ok(Some(Hooked { stop, calling }))
    }

    fn has(&self, on: On) -> bool {
        self.0.iter().any(|(known, _)| *known == on)
    }

    /// Whether a hook may be called for this.
    fn want(&self, what: &Happening) -> bool {
        match what {
            Happening::Succeeded => self.has(On::Success),
            Happening::Dead { .. } => self.has(On::Failure) || self.has(On::Timeout),
            Happening::Expired => self.has(On::Failure),
            Happening::RetryScheduled { .. } => self.has(On::Retry) || self.has(On::Timeout),
            _ => false,
        }
    }

    /// Blocks. A hook that panics keeps no other from being called.
    fn call(&self, what: &Happening, task: &Task, handle: &Handle) {
        for on in occasions(what, task) {
            for (_, hook) in self.0.iter().filter(|(known, _)| *known == on) {
                if let Err(panic) = handle.block_on(catch_panic(async { hook(task) })) {
                    tracing::error!(task = %task.id, ?on, panic, "a hook panicked");
                }
            }
        }
    }
}

impl Hooked {
    /// Calls hooks for what has happened until now, and ends.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(grace, self.stop.closed()).await.is_err() {
            tracing::warn!("hooks are slow; some that should have been called are not");
            self.calling.abort();
        }
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        self.calling.abort();
    }
}

/// What hooks are called for when this has happened. The record may have moved on since.
fn occasions(what: &Happening, task: &Task) -> Vec<On> {
    let (on, attempt) = match what {
        Happening::Succeeded => (On::Success, None),
        Happening::Dead { .. } => (On::Failure, task.attempts.last()),
        Happening::Expired => (On::Failure, None),
        Happening::RetryScheduled { attempt, .. } => {
            (On::Retry, task.attempts.iter().find(|known| known.number == *attempt))
        }
        _ => return Vec::new(),
    };
    let is_timeout = |ending: &Ending| matches!(ending, Ending::Stopped { cause: Cause::Timeout, .. });
    let timed_out = attempt.is_some_and(|attempt| is_timeout(&attempt.ending));
    timed_out.then_some(On::Timeout).into_iter().chain([on]).collect()
}

/// Follows the feed until it is stopped, and then to its end. `stop` comes first and is thus dropped last: whoever waits
/// for that may open the store anew.
async fn run(mut stop: watch::Receiver<bool>, hooks: Arc<Hooks>, store: Arc<dyn Store>, mut place: u64) {
    loop {
        let stopping = *stop.borrow_and_update();
        let wait = if stopping { Duration::ZERO } else { WAIT };
        let query = EventQuery { after: Some(place), of: None, limit: PAGE, wait };
        // Who loses: a look at the feed, and the next begins at the same place.
        let page = tokio::select! {
            page = store.events(query) => page,
            _ = stop.wait_for(|stop| *stop), if !stopping => continue,
        };
        match page {
            Ok(page) => {
                if page.missed {
                    tracing::warn!("hooks are slower than the feed, and were not called for all that has happened");
                }
                if stopping && page.next == place {
                    return;
                }
                place = page.next;
                call(&hooks, &store, &page).await;
            }
            Err(error) if error.is_retryable() => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                tracing::error!(%error, "hooks are called no more");
                return;
            }
        }
    }
}

/// Reads the records that hooks want to see, all at once, and calls the hooks in the order of the events.
async fn call(hooks: &Arc<Hooks>, store: &Arc<dyn Store>, page: &EventPage) {
    let mut reads = JoinSet::new();
    for event in page.of_tasks().filter(|event| hooks.want(&event.what)).cloned() {
        let store = Arc::clone(store);
        reads.spawn(async move { (event.sequence, event.what, store.task(event.task).await) });
    }
    let mut seen = BTreeMap::new();
    while let Some(read) = reads.join_next().await {
        match read {
            Ok((sequence, what, Ok(Some(task)))) => drop(seen.insert(sequence, (what, task))),
            Ok((_, _, Ok(None))) => tracing::debug!("a task was deleted before its hooks were called"),
            Ok((_, _, Err(error))) => tracing::warn!(%error, "a task cannot be read, and its hooks are not called"),
            Err(error) => tracing::error!(%error, "a task was not read, and its hooks are not called"),
        }
    }
    if seen.is_empty() {
        return;
    }
    let (hooks, handle) = (Arc::clone(hooks), Handle::current());
    let called = tokio::task::spawn_blocking(move || {
        seen.values().for_each(|(what, task)| hooks.call(what, task, &handle));
    });
    // Only a runtime that ends keeps it from being called.
    let _ = called.await;
}

#[cfg(test)]
mod tests {
    use sunaba_task::{
        AttemptRecord, Decision, Digest, NewTask, Payload, Policy, TaskId, TaskSpec, Timestamp, Verdict,
    };

    use super::*;

    const NOW: u64 = 1_767_225_600_000;

    /// A record whose attempts ended like this.
    fn task(endings: &[Ending]) -> Task {
        let spec = TaskSpec::new("words/word-count".parse().expect("a name"), Digest::of(b"component"));
        let now = Timestamp::from_unix_ms(NOW);
        let mut task = Task::submitted(TaskId::new(), 1, &NewTask::new(spec, Payload::json("{}")), now);
        for (ending, number) in endings.iter().zip(1..) {
            task.attempts.push(AttemptRecord {
                number,
                worker: "w".into(),
                started_at: now,
                ended_at: now,
                ending: ending.clone(),
                decision: Decision::uncharged(Verdict::Requeue, Policy::Retry, "r".into()),
                receipt: None,
            });
        }
        task
    }

    #[test]
    fn each_happening_has_its_occasions() {
        let late = Ending::Stopped { cause: Cause::Timeout, message: "m".into() };
        let fuel = Ending::Stopped { cause: Cause::Fuel, message: "m".into() };
        let retried = |attempt| Happening::RetryScheduled { attempt, until: Timestamp::from_unix_ms(NOW) };
        let dead = || Happening::Dead { reason: "r".into() };
        let cases = [
            (Happening::Succeeded, vec![Ending::Completed], vec![On::Success]),
            (Happening::Expired, vec![], vec![On::Failure]),
            (dead(), vec![fuel.clone()], vec![On::Failure]),
            (dead(), vec![fuel.clone(), late.clone()], vec![On::Timeout, On::Failure]),
            (dead(), vec![late.clone(), fuel.clone()], vec![On::Failure]),
            (retried(1), vec![fuel.clone()], vec![On::Retry]),
            // The record has moved on since.
            (retried(1), vec![late.clone(), fuel.clone()], vec![On::Timeout, On::Retry]),
            (retried(2), vec![late, fuel], vec![On::Retry]),
            (Happening::Submitted, vec![], vec![]),
            (Happening::Cancelled, vec![], vec![]),
        ];
        for (what, endings, expected) in cases {
            assert_eq!(occasions(&what, &task(&endings)), expected, "{what:?}");
        }
    }

    #[test]
    fn records_are_read_only_for_those_who_want_to_see_them() {
        let mut hooks = Hooks::default();
        hooks.add(On::Timeout, |_| {});
        assert!(hooks.want(&Happening::Dead { reason: String::new() }));
        assert!(!hooks.want(&Happening::Succeeded) && !hooks.want(&Happening::Expired));
    }
}
