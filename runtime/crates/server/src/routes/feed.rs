//! The event feed, by long polls.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use sunaba_store::{EventPage, EventQuery, EventsOf};
use sunaba_task::TaskId;
use sunaba_task::job::JobId;

use super::{Answer, MAX_WAIT, Shared};
use crate::access::Caller;
use crate::api::EventsView;
use crate::body::Reply;
use crate::extract::Asked;
use crate::problem::Problem;

/// Events of one page, unless asked otherwise.
const DEFAULT_PAGE: usize = 100;

/// Which events to show.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// After this one; 0 means from the oldest that is kept, and nothing means from now on.
    after: Option<u64>,
    /// Of this task alone.
    task: Option<String>,
    /// Of this job alone, and its tasks.
    job: Option<String>,
    /// How many at most.
    limit: Option<usize>,
    /// How long to wait for the first, if there is none yet.
    wait_ms: Option<u64>,
}

pub(super) async fn events(State(shared): State<Shared>, Asked(which): Asked<Which>) -> Answer<EventsView> {
    let task = which.task.map(|id| id.parse::<TaskId>()).transpose().map_err(Problem::invalid)?;
    let job = which.job.map(|id| id.parse::<JobId>()).transpose().map_err(Problem::invalid)?;
    let of = match (task, job) {
        (Some(_), Some(_)) => {
            let message = "events are asked for of one task or of one job\nhint: leave `task` or `job` out";
            return Err(Problem::invalid(message));
        }
        (task, job) => task.map(EventsOf::Task).or(job.map(EventsOf::Job)),
    };
    let query = EventQuery {
        after: which.after,
        of,
        limit: which.limit.unwrap_or(DEFAULT_PAGE),
        wait: Duration::from_millis(which.wait_ms.unwrap_or(0)).min(MAX_WAIT),
    };
    if let Some(task) = task {
        shared.permit_task(task).await?;
    }
    if let Some(job) = job {
        shared.permit_job(job).await?;
    }
    let shown = |mut page: EventPage| {
        let caller = Caller::now();
        page.events.retain(|event| caller.sees_event(event, job.is_some()));
        Ok(Reply(page.into()))
    };
    let store = Arc::clone(shared.runtime.store());
    let now = EventQuery { wait: Duration::ZERO, ..query.clone() };
    if query.wait.is_zero() {
        return shown(store.events(query).await?);
    }
    match shared.unless_stopping(store.events(query)).await? {
        Some(page) => shown(page?),
        None => shown(store.events(now).await?),
    }
}
