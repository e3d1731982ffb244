//! The routes of the API, each a translation between the wire and the host.

mod access;
mod artifacts;
mod bulk;
mod complete;
mod control;
mod described;
mod docs;
mod feed;
mod job_bulk;
mod job_retry;
mod job_story;
mod jobs;
mod other_kind;
mod packages;
mod schedules;
mod secrets;
mod standing;
mod submit;
mod tasks;
mod ui;
mod usage;
mod webhooks;
mod workers;

pub(crate) use described::described;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use sunaba_host::Runtime;
use sunaba_task::{Task, TaskId};
use tokio::sync::{Semaphore, watch};

use crate::access::{Admission, Caller, Gate, Keys, admit};
use crate::api::HostView;
use crate::body::Reply;
use crate::envelope::envelope;
use crate::guard::{Hosts, guard};
use crate::problem::Problem;
use crate::ui::{Settings, Ui, problems_as_pages};

/// The longest wait of one request; whoever wants to wait longer asks again.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What the routes share: a pointer, because every request has one of its own.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Common>);

pub(crate) struct Common {
    pub(crate) runtime: Arc<Runtime>,
    /// Turns true when the server stops: nobody waits any more.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Requests that may wait for something at a time: each keeps its connection meanwhile.
    pub(crate) waits: Arc<Semaphore>,
    pub(crate) keys: Arc<Keys>,
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.0
    }
}

impl From<Common> for Shared {
    fn from(common: Common) -> Self {
        Self(Arc::new(common))
    }
}

type Answer<T> = Result<Reply<T>, Problem>;

pub(crate) fn router(shared: Shared, admission: Admission, hosts: Hosts, settings: Settings) -> Router {
    let gate = Gate { admission, keys: Arc::clone(&shared.keys) };
    let api = Router::new()
        .route("/v1/host", get(host))
        .route("/v1/packages", get(packages::list))
        .route("/v1/packages/{package}", put(packages::deploy))
        .route("/v1/packages/{package}/preview", post(packages::preview))
        .route("/v1/packages/{package}/versions", get(packages::versions))
        .route("/v1/packages/{package}/rollback", post(packages::rollback))
        .route("/v1/usage", get(usage::usage))
        .route("/v1/secrets", get(secrets::list))
        .route("/v1/secrets/{name}", put(secrets::set).delete(secrets::remove))
        .route("/v1/handlers", get(control::handlers))
        .route("/v1/handlers/{package}/{handler}", get(packages::handler).patch(control::set_handler))
        .route("/v1/queues", get(control::queues))
        .route("/v1/queues/{name}", get(control::queue).patch(control::set_queue))
        .route("/v1/retention", get(control::retention).put(control::set_retention))
        .route("/v1/events", get(feed::events))
        .route("/v1/jobs", post(jobs::submit).get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::get))
        .route("/v1/jobs/{id}/result", get(jobs::result))
        .route("/v1/jobs/{id}/outputs", get(jobs::outputs))
        .route("/v1/jobs/{id}/tasks", get(jobs::tasks))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/dead/groups", get(bulk::groups))
        .route("/v1/tasks", post(submit::one).get(tasks::list))
        .route("/v1/tasks/bulk", post(submit::many))
        .route("/v1/tasks/cancel", post(bulk::cancel))
        .route("/v1/tasks/run-now", post(bulk::run_now))
        .route("/v1/tasks/rerun", post(bulk::rerun))
        .route("/v1/tasks/delete", post(bulk::delete))
        .route("/v1/tasks/{id}", get(tasks::get).delete(tasks::delete))
        .route("/v1/tasks/{id}/result", get(tasks::result))
        .route("/v1/tasks/{id}/logs", get(tasks::logs))
        .route("/v1/tasks/{id}/artifacts", get(artifacts::list))
        .route("/v1/tasks/{id}/artifacts/{name}", get(artifacts::get))
        .route("/v1/tasks/{id}/explain", get(tasks::explain))
        .route("/v1/tasks/{id}/cancel", post(tasks::cancel))
        .route("/v1/tasks/{id}/complete", post(complete::complete))
        .route("/v1/tasks/{id}/run-now", post(tasks::run_now))
        .route("/v1/tasks/{id}/rerun", post(tasks::rerun))
        .merge(access::routes())
        .merge(docs::routes())
        .merge(job_bulk::routes())
        .merge(job_retry::routes())
        .merge(job_story::routes())
        .merge(workers::routes())
        .merge(schedules::routes())
        .merge(webhooks::routes())
        .merge(standing::routes());
    // The dashboard is one more caller of the API, by the same way in.
    let desk = api.clone().layer(middleware::from_fn_with_state(gate.clone(), admit)).with_state(shared.clone());
    let ui = Arc::new(Ui::new(desk, shared.clone(), admission, settings));
    api.merge(ui::routes(ui))
        .fallback(async || Problem::not_found("there is nothing here\nhint: the API is under `/v1`"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this path")
        })
        .layer(middleware::from_fn_with_state(Door { gate, hosts }, enter))
        .with_state(shared)
}

/// What every request goes through, whatever it asks for.
#[derive(Clone)]
struct Door {
    gate: Gate,
    hosts: Hosts,
}

/// One layer for all of it: each is a copy of every handler below it at every request.
async fn enter(State(Door { gate, hosts }): State<Door>, request: Request, next: Next) -> Response {
    let inner = async |request: Request| match guard(&hosts, &request) {
        Ok(()) => admit(State(gate), request, next).await,
        Err(problem) => problem.into_response(),
    };
    envelope(request, |request| problems_as_pages(request, inner)).await
}

async fn host(State(shared): State<Shared>) -> Reply<HostView> {
    let runtime = &shared.runtime;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let durability = runtime.store().durability().to_string();
    Reply(HostView {
        version,
        slots: runtime.slots(),
        running: runtime.running(),
        memory_budget_bytes: runtime.memory_budget_bytes(),
        memory_held_bytes: runtime.memory_held_bytes(),
        durability,
        follow_active: runtime.follows_active(),
    })
}

impl Shared {
    /// What `waiting` gives; nothing when the server stops before that.
    ///
    /// # Errors
    /// As many wait already as may.
    async fn unless_stopping<T>(&self, waiting: impl Future<Output = T>) -> Result<Option<T>, Problem> {
        let _place = self.waits.try_acquire().map_err(|_| {
            let message = "too many requests wait already\nhint: ask without `wait_ms`, or try again later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, message)
        })?;
        let mut stopping = self.stopping.clone();
        // Who loses: the wait, which the store forgets; or the look at the server's stop.
        tokio::select! {
            given = waiting => Ok(Some(given)),
            () = async { stopping.wait_for(|stopping| *stopping).await.map_or((), |_| ()) } => Ok(None),
        }
    }

    async fn find(&self, id: &str) -> Result<(TaskId, Task), Problem> {
        let id: TaskId = id.parse().map_err(Problem::invalid)?;
        match self.runtime.store().task(id).await? {
            Some(task) if Caller::now().sees(&task.spec.queue) => Ok((id, task)),
            Some(_) => Err(Problem::no_task(id)),
            None => Err(self.no_task(id).await),
        }
    }
}
