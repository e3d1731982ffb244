//! What an operator sets and watches: queues, handlers, retention, events.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use sunaba_server::api::{
    ControlView, ControlsView, EventsView, HandlerPatch, QueuePatch, QueueView, QueuesView, RetentionView,
};
use sunaba_store::{EventsOf, Expected};
use sunaba_task::HandlerName;

use crate::schedules::expecting;
use crate::{Client, ClientError};

/// Which events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventsWanted {
    /// After this one. 0: from the oldest that is kept. None: from now on.
    pub after: Option<u64>,
    /// Of this only. None: of all.
    pub of: Option<EventsOf>,
    /// How many at most; at most 1,000.
    pub limit: usize,
    /// How long to wait for the first; at most 30 s.
    pub wait: Duration,
}

/// Where a page begins.
#[derive(Default, Serialize)]
struct After {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

impl Client {
    /// Every queue that has tasks or settings.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_queues(&self) -> Result<Vec<QueueView>, ClientError> {
        let (mut all, mut after) = (Vec::new(), After::default());
        loop {
            let page: QueuesView = self.ask("/v1/queues", &after).await?;
            all.extend(page.queues);
            after.after = page.next;
            if after.after.is_none() {
                return Ok(all);
            }
        }
    }

    /// A queue that has tasks or settings.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_queue(&self, name: &str) -> Result<QueueView, ClientError> {
        self.send(self.request_at(Method::GET, &["v1", "queues", name])).await
    }

    /// Changes a queue's settings, if they are as they are expected to be ([`QueueView::revision`]); how it stands then.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_queue(
        &self,
        name: &str,
        patch: &QueuePatch,
        expected: Expected,
    ) -> Result<QueueView, ClientError> {
        let request = self.request_at(Method::PATCH, &["v1", "queues", name]);
        self.send(expecting(request, expected).json(patch)).await
    }

    /// Every handler that has run, that has tasks waiting, or that is controlled.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_handlers(&self) -> Result<Vec<ControlView>, ClientError> {
        let (mut all, mut after) = (Vec::new(), After::default());
        loop {
            let page: ControlsView = self.ask("/v1/handlers", &after).await?;
            all.extend(page.handlers);
            after.after = page.next;
            if after.after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Changes what is set for a handler, if that is as it is expected to be ([`ControlView::revision`]); how it stands then.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_handler(
        &self,
        name: &HandlerName,
        patch: &HandlerPatch,
        expected: Expected,
    ) -> Result<ControlView, ClientError> {
        let path = ["v1", "handlers", &name.package, &name.handler];
        self.send(expecting(self.request_at(Method::PATCH, &path), expected).json(patch)).await
    }

    /// How long what has ended is kept.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get_retention(&self) -> Result<RetentionView, ClientError> {
        self.send(self.request(Method::GET, "/v1/retention")).await
    }

    /// Changes that, for what ends from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_retention(&self, retention: &RetentionView) -> Result<RetentionView, ClientError> {
        self.send(self.request(Method::PUT, "/v1/retention").json(retention)).await
    }

    /// Events, oldest first. Waits for the first; dropping the future stops the wait. A host that has none and does not wait is held
    /// for a quarter of a second, so that nobody who asks over and over keeps it busy.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream_events(&self, wanted: EventsWanted) -> Result<EventsView, ClientError> {
        #[derive(Serialize)]
        struct Question {
            after: Option<u64>,
            task: Option<String>,
            job: Option<String>,
            limit: usize,
            wait_ms: u64,
        }
        let wait = wanted.wait.min(self.answer_time / 2);
        let (task, job) = match wanted.of {
            Some(EventsOf::Task(task)) => (Some(task.to_string()), None),
            Some(EventsOf::Job(job)) => (None, Some(job.to_string())),
            None => (None, None),
        };
        let question = Question {
            after: wanted.after,
            task,
            job,
            limit: wanted.limit,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        };
        let shortest = self.shortest_wait();
        let page: EventsView = self.ask("/v1/events", &question).await?;
        // Where the place has moved there were events, though none of these: whoever may see few of many is far behind.
        if !wait.is_zero() && page.events.is_empty() && wanted.after == Some(page.next) {
            // Who loses: the pause, where the wait was shorter.
            drop(tokio::time::timeout(wait, shortest).await);
        }
        Ok(page)
    }
}
