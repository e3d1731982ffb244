//! Looks at a host: a few reads, each of bounded size.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sunaba_store::{NAMES_PAGE, Observations, Store, StoreError};
use sunaba_task::{Timestamp, format_duration};
use tokio::time::Instant;

use super::machine;
use super::sample::{HandlerSample, Moment, QueueSample, Sample, WaitingSample};
use crate::workers::Workers;

/// Pages of queues, and of handlers, that are looked at.
const MAX_PAGES: usize = 5;
/// A store that has not answered by then is not waited for any longer.
pub(crate) const LOOK_TIME: Duration = Duration::from_secs(10);

/// What a look needs.
pub(crate) struct Eyes {
    pub(crate) store: Arc<dyn Store>,
    /// Not held: a host that is dropped takes its workers with it.
    pub(crate) workers: Weak<Workers>,
    pub(crate) memory_budget_bytes: Option<u64>,
    pub(crate) lease_time: Duration,
    /// How long the store is waited for.
    pub(crate) look_time: Duration,
    /// Where the store is, if that is a directory.
    pub(crate) data: Option<PathBuf>,
    /// What time it was by the store's clock when it was looked at first: a store that cannot be asked any more is late by our own.
    pub(crate) begun: Option<(Moment, Instant)>,
}

impl Eyes {
    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// How the host stands, and what its store has seen, with the troubles after these. A store that cannot be read is a part of
    /// how it stands.
    pub(super) async fn look(&self, after: u64) -> (Sample, Option<Observations>) {
        let mut sample = self.without_store();
        // What a look that is given up had found so far goes with it: there is all of it, or nothing.
        let mut seen = sample.clone();
        let looked = tokio::time::timeout(self.look_time, self.look_at_store(&mut seen, after)).await;
        let observations = match looked {
            Ok(Ok(observations)) => {
                sample = seen;
                (sample.at, sample.elapsed) = (observations.now, observations.elapsed);
                sample.up = observations.now.since(observations.since);
                (sample.workers, sample.quietest) = (observations.workers, observations.quietest);
                sample.dead = observations.dead;
                (sample.free_bytes, sample.floor_bytes) = (observations.free_bytes, observations.floor_bytes);
                Some(observations)
            }
            Ok(Err(error)) if error.is_retryable() => {
                sample.unseen = Some(format!("the store could not be looked at: {error}"));
                None
            }
            Ok(Err(error)) => {
                sample.failure = Some(error.to_string());
                None
            }
            Err(_) => {
                sample.unseen = Some(format!("the store has not answered for {}", format_duration(self.look_time)));
                None
            }
        };
        if let Some(failure) = self.store.failure() {
            sample.failure = Some(failure.to_string());
            // What counts is gone with what failed.
            return (sample, None);
        }
        (sample, observations)
    }

    fn without_store(&self) -> Sample {
        let workers = self.workers.upgrade();
        let waiting = workers.as_ref().map(|workers| workers.in_host_calls()).unwrap_or_default();
        Sample {
            at: self.begun.map_or(Timestamp::from_unix_ms(0), |(first, begun)| first.at.after(begun.elapsed())),
            elapsed: self.begun.map_or(Duration::ZERO, |(first, begun)| first.elapsed + begun.elapsed()),
            up: Duration::ZERO,
            lease_time: self.lease_time,
            slots: workers.as_ref().map_or(0, |workers| workers.slots()),
            running: workers.as_ref().map_or(0, |workers| workers.running()),
            memory_budget_bytes: self.memory_budget_bytes,
            memory_held_bytes: workers.as_ref().map_or(0, |workers| workers.held_bytes()),
            resident_bytes: machine::resident_bytes(),
            free_bytes: None,
            floor_bytes: 0,
            store_bytes: None,
            failure: None,
            unseen: None,
            workers: 0,
            quietest: None,
            dead: 0,
            queues: Vec::new(),
            handlers: Vec::new(),
            failures: Vec::new(),
            failed_webhooks: Vec::new(),
            waiting: waiting
                .into_iter()
                .map(|(task, host_call, since)| WaitingSample { task, host_call, since })
                .collect(),
        }
    }

    async fn look_at_store(&self, sample: &mut Sample, after: u64) -> Result<Observations, StoreError> {
        let observations = self.store.observe(after).await?;
        let mut from = None;
        for _ in 0..MAX_PAGES {
            let page = self.store.queues(from).await?;
            from = page.last().filter(|_| page.len() == NAMES_PAGE).map(|queue| queue.name.clone());
            sample.queues.extend(page.into_iter().map(|queue| QueueSample {
                name: queue.name,
                paused: queue.settings.paused,
                queued: queue.queued,
                scheduled: queue.scheduled,
                running: queue.running,
                oldest: queue.oldest,
            }));
            if from.is_none() {
                break;
            }
        }
        let mut from = None;
        for _ in 0..MAX_PAGES {
            let page = self.store.handlers(from).await?;
            from = page.last().filter(|_| page.len() == NAMES_PAGE).map(|handler| handler.name.clone());
            let handlers = page.into_iter();
            sample.handlers.extend(
                handlers.map(|handler| HandlerSample { name: handler.name.to_string(), breaker: handler.breaker }),
            );
            if from.is_none() {
                break;
            }
        }
        Ok(observations)
    }

    /// What the store has on its disk.
    pub(super) async fn store_bytes(&self) -> Option<u64> {
        let data = self.data.clone()?;
        let sized = tokio::task::spawn_blocking(move || machine::size_bytes(&data));
        // A disk that does not answer keeps a thread, and not the watch.
        tokio::time::timeout(self.look_time, sized).await.ok()?.ok().flatten()
    }
}
