//! Those who submit, cancel and look. They outlive every crash, and ask again where they had no answer.

mod jobs;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sunaba_runtime::store::{CancelWish, EventQuery, Rerun, Store as _, StoreError, SubmitError};
use sunaba_runtime::task::{Callback, CallbackOn, Digest, NewTask, OnConflict, QueueChange, TaskSpec, Unique};

use super::book::{Book, Paused};
use super::gate::Gate;
use super::journal::{Fault, Journal};
use super::link::Link;
use super::replay::{AFTER, REPLACED, SINGLE};
use super::shapes;

/// What one client does at most.
const ACTIONS: u32 = 16;
/// How often a submit with a key is tried.
const TRIES: u32 = 50;

pub(super) struct Client {
    /// The queue that this one alone pauses.
    pub(super) queue: &'static str,
    pub(super) random: fastrand::Rng,
    pub(super) book: Arc<Book>,
    pub(super) journal: Journal,
    /// The store as long as there is a process.
    pub(super) link: Arc<Gate<Link>>,
    /// Shared by all: the number of the next task.
    pub(super) next: Arc<AtomicU32>,
    /// When nothing new is wanted any more.
    pub(super) until: tokio::time::Instant,
}

impl Client {
    pub(super) async fn run(mut self) {
        for _ in 0..ACTIONS {
            tokio::time::sleep(Duration::from_millis(self.random.u64(..4_000))).await;
            if tokio::time::Instant::now() >= self.until {
                return;
            }
            match self.random.u32(..21) {
                0..7 => self.submit().await,
                7..9 => self.cancel().await,
                9 => self.list().await,
                10 => self.pause().await,
                11..13 => self.rerun().await,
                13..17 => self.submit_job().await,
                17 => self.cancel_job().await,
                18 => self.retry_job().await,
                19 => self.look_at_job().await,
                _ => self.look().await,
            }
        }
    }

    async fn submit(&mut self) {
        let count = if self.random.u32(..4) == 0 { self.random.usize(2..6) } else { 1 };
        let tasks: Vec<_> = (0..count).map(|_| self.new_task()).collect();
        let can_repeat = tasks.iter().all(|task| task.spec.idempotency_key.is_some());
        for _ in 0..TRIES {
            let link = self.link.pass().await;
            match link.submit(tasks.clone()).await {
                Ok(answers) => {
                    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                        match refused {
                            SubmitError::Taken { .. } => self.journal.fired(Fault::Taken),
                            _ => self.journal.problem(format_args!("a submit was refused: {refused}")),
                        }
                    }
                    return;
                }
                // Nobody knows whether it was taken on, and without a key nobody may ask again.
                Err(_) if !can_repeat => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn new_task(&mut self) -> NewTask {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let random = &mut self.random;
        let NewTask { mut spec, input, start, expires, .. } = shapes::work(random, number, 1);
        spec.idempotency_key = (random.u32(..4) > 0).then(|| format!("key-{number}"));
        let unique = match random.u32(..8) {
            0 => Some((SINGLE, [OnConflict::Reject, OnConflict::Existing][random.usize(..2)])),
            1 => Some((REPLACED, OnConflict::Replace)),
            _ => None,
        };
        let unique = unique.map(|(key, on_conflict)| Unique { key: key.into(), window: None, on_conflict });
        // One for either end: exactly one of them follows.
        let after = TaskSpec { attributes: spec.attributes.clone(), queue: spec.queue.clone(), ..after() };
        let callback = |on| Callback { on, spec: after.clone() };
        let callbacks = match random.u32(..4) {
            0 => vec![callback(CallbackOn::Success), callback(CallbackOn::Failure)],
            _ => Vec::new(),
        };
        NewTask { start, expires, unique, callbacks, ..NewTask::new(spec, input) }
    }

    /// Stops a queue for a while. Nobody else does anything about this one meanwhile, so that nothing of it may start.
    async fn pause(&mut self) {
        let Ok(from) = self.set_paused(true).await else { return };
        self.journal.fired(Fault::Pause);
        tokio::time::sleep(Duration::from_millis(self.random.u64(..10_000))).await;
        let until = self.feed_end().await;
        for _ in 0..TRIES {
            if self.set_paused(false).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Ok(until) = until {
            self.book.paused(Paused { queue: self.queue, from, until });
        }
    }

    /// How far the feed is once that is so.
    async fn set_paused(&self, paused: bool) -> Result<u64, StoreError> {
        let link = self.link.pass().await;
        link.set_queue(self.queue.into(), vec![QueueChange::Paused(paused)]).await?;
        self.feed_end().await
    }

    async fn feed_end(&self) -> Result<u64, StoreError> {
        let page = self.link.pass().await.events(EventQuery { limit: 1, ..EventQuery::default() }).await?;
        Ok(page.next)
    }

    async fn rerun(&mut self) {
        let Some(task) = self.book.any_task(&mut self.random) else { return };
        let link = self.link.pass().await;
        if let Ok(answers) = link.rerun(vec![Rerun { task, input: None, checked: None, once: false }]).await
            && let Some(Ok(task)) = answers.first()
        {
            self.journal.fired(Fault::Rerun);
            self.book.made(task.id);
        }
    }

    async fn cancel(&mut self) {
        let Some(id) = self.book.any_task(&mut self.random) else { return };
        let grace = self.random.bool().then(|| Duration::from_millis(self.random.u64(..3_000)));
        let wish = CancelWish { grace, ..CancelWish::default() };
        let link = self.link.pass().await;
        if let Ok(answers) = link.cancel(vec![id], wish).await {
            self.journal.fired(Fault::Cancel);
            if answers.first().is_none_or(Option::is_none) {
                self.journal.problem(format_args!("{id} is gone"));
            }
        }
    }

    /// Whoever looks finds what was acknowledged; the link compares it with what was seen before.
    async fn look(&mut self) {
        let Some(id) = self.book.any_task(&mut self.random) else { return };
        let wait = Duration::from_millis(self.random.u64(..5_000));
        let link = self.link.pass().await;
        if let Ok(None) = link.wait(id, wait).await {
            self.journal.problem(format_args!("{id} is gone"));
        }
    }

    async fn list(&mut self) {
        let link = self.link.pass().await;
        // What fails with the process fails: the next look will see the same.
        let _ = link.tasks(sunaba_runtime::store::TaskQuery { limit: 100, ..Default::default() }).await;
    }
}

/// What follows an end.
fn after() -> TaskSpec {
    TaskSpec::new(AFTER.parse().expect("a name"), Digest::of(b"simulated"))
}
