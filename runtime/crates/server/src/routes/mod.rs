//! The routes of the API, each a translation between the wire and the host.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json as Reply, Router, middleware};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sunaba_host::{DeployError, MAX_COMPONENT_BYTES, Runtime, TaskRequest};
use sunaba_store::{CancelWish, Submitted, TaskQuery};
use sunaba_task::{AttemptDetail, EnvGrant, HandlerName, OCTETS, Payload, StateName, Task, TaskId, is_name};
use tokio::sync::watch;

use crate::api::{
    AttemptLogs, HandlerView, HostView, LogsView, PackageView, PackagesView, ResultView, Submit, TaskView, TasksView,
};
use crate::body::{self, Body, Json};
use crate::extract::{Asked, At};
use crate::guard;
use crate::problem::Problem;

/// The longest wait of one request; whoever wants to wait longer asks again.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Tasks of one page, unless asked otherwise.
const DEFAULT_PAGE: usize = 50;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) runtime: Arc<Runtime>,
    /// Turns true when the server stops: nobody waits any more.
    pub(crate) stopping: watch::Receiver<bool>,
}

type Answer<T> = Result<Reply<T>, Problem>;

pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/v1/host", get(host))
        .route("/v1/packages", get(packages))
        .route("/v1/packages/{package}", put(deploy))
        .route("/v1/handlers/{package}/{handler}", get(handler))
        .route("/v1/tasks", post(submit).get(tasks))
        .route("/v1/tasks/{id}", get(task))
        .route("/v1/tasks/{id}/result", get(result))
        .route("/v1/tasks/{id}/logs", get(logs))
        .route("/v1/tasks/{id}/cancel", post(cancel))
        .fallback(async || Problem::not_found("there is nothing here\nhint: the API is under `/v1`"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this path")
        })
        .layer(middleware::from_fn(guard::guard))
        .with_state(shared)
}

/// Ready is a host whose store still works.
async fn ready(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    shared.runtime.store().packages().await?;
    Ok("ok\n")
}

async fn host(State(shared): State<Shared>) -> Reply<HostView> {
    let runtime = &shared.runtime;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Reply(HostView { version, slots: runtime.slots(), running: runtime.running() })
}

async fn packages(State(shared): State<Shared>) -> Reply<PackagesView> {
    let packages = shared.runtime.packages();
    Reply(PackagesView { packages: packages.iter().map(|package| PackageView::from(&**package)).collect() })
}

async fn deploy(State(shared): State<Shared>, At(package): At<String>, request: Request) -> Answer<PackageView> {
    if !is_name(&package) {
        return Err(DeployError::Name(package.chars().take(80).collect()).into());
    }
    let Body { bytes, room } = body::read(request, "application/wasm", MAX_COMPONENT_BYTES).await?;
    // Not given up when the caller goes: what is half done would be done again.
    let deploying = tokio::spawn(async move {
        let _room = room;
        shared.runtime.deploy(&package, bytes).await
    });
    let deployed = deploying.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(Reply(PackageView::from(&*deployed?)))
}

async fn handler(State(shared): State<Shared>, At((package, handler)): At<(String, String)>) -> Answer<HandlerView> {
    let name: HandlerName = format!("{package}/{handler}").parse().map_err(Problem::invalid)?;
    let package = shared.runtime.package(&name)?;
    let handler = package.handler(&name.handler).expect("the package was found by this handler");
    Ok(Reply(HandlerView::new(&name.package, handler)))
}

async fn submit(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(submit): Json<Submit>,
) -> Result<Response, Problem> {
    let mut request = request(submit)?;
    if let Some(key) = guard::one(&headers, HeaderName::from_static("idempotency-key"))? {
        if request.idempotency_key.as_deref().is_some_and(|other| other != key) {
            return Err(Problem::invalid("the Idempotency-Key is not the `idempotency_key` of the body"));
        }
        request.idempotency_key = Some(key.to_owned());
    }
    let (status, task) = match shared.runtime.submit(request).await? {
        Submitted::Created(task) => (StatusCode::CREATED, task),
        Submitted::Existing(task) => (StatusCode::OK, task),
    };
    Ok((status, Reply(TaskView::from(&task))).into_response())
}

/// What a submit asks for, in the host's words.
fn request(submit: Submit) -> Result<TaskRequest, Problem> {
    let Submit { handler, input, input_base64, media_type, env, dirs, fuel, .. } = &submit;
    let input = match (input, input_base64) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("there are `input` and `input_base64`\nhint: leave out one"));
        }
        (Some(_), None) if media_type.is_some() => {
            return Err(Problem::invalid(
                "`input` is JSON, and has no other media type\nhint: use `input_base64` for bytes",
            ));
        }
        (Some(json), None) => Some(Payload::json(json.get().to_owned())),
        (None, Some(base64)) => {
            let bytes = STANDARD
                .decode(base64)
                .map_err(|error| Problem::invalid(format!("`input_base64` is not base64: {error}")))?;
            Some(Payload::new(media_type.as_deref().unwrap_or(OCTETS), bytes))
        }
        (None, None) => None,
    };
    let env = env.iter().map(|(key, value)| EnvGrant { key: key.clone(), value: value.clone() });
    Ok(TaskRequest {
        handler: handler.parse().map_err(Problem::invalid)?,
        input,
        queue: submit.queue.clone(),
        priority: submit.priority,
        delay: submit.delay_ms.map(Duration::from_millis),
        max_attempts: submit.max_attempts,
        timeout: submit.timeout_ms.map(Duration::from_millis),
        fuel: fuel.as_ref().map(|fuel| fuel.parse()).transpose().map_err(Problem::invalid)?,
        memory_bytes: submit.memory_bytes,
        idempotency_key: submit.idempotency_key.clone(),
        env: env.collect(),
        dirs: dirs.iter().map(|dir| dir.parse()).collect::<Result<_, _>>().map_err(Problem::invalid)?,
    })
}

/// Which tasks a list shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// With commas between them.
    state: Option<String>,
    queue: Option<String>,
    handler: Option<String>,
    before: Option<String>,
    limit: Option<usize>,
}

async fn tasks(State(shared): State<Shared>, Asked(filter): Asked<Filter>) -> Answer<TasksView> {
    let states = filter.state.as_deref().unwrap_or_default();
    let states = states.split(',').filter(|state| !state.is_empty()).map(str::parse::<StateName>);
    let query = TaskQuery {
        states: states.collect::<Result<_, _>>().map_err(Problem::invalid)?,
        queue: filter.queue,
        handler: filter.handler,
        before: filter.before.map(|id| id.parse()).transpose().map_err(Problem::invalid)?,
        limit: filter.limit.unwrap_or(DEFAULT_PAGE),
        ..TaskQuery::default()
    };
    let page = shared.runtime.store().tasks(query).await?;
    let next = page.next.map(|id| id.to_string());
    Ok(Reply(TasksView { tasks: page.tasks.iter().map(TaskView::from).collect(), next }))
}

/// How long to wait for the end of a task.
#[derive(Deserialize)]
struct Wait {
    wait_ms: Option<u64>,
}

async fn task(
    State(mut shared): State<Shared>,
    At(id): At<String>,
    Asked(Wait { wait_ms }): Asked<Wait>,
) -> Answer<TaskView> {
    let (id, found) = find(&shared, &id).await?;
    let Some(wait_ms) = wait_ms.filter(|_| !found.state.is_terminal()) else {
        return Ok(Reply(TaskView::from(&found)));
    };
    // Who loses: the wait, which the store forgets; or the look at the server's stop.
    let ended = tokio::select! {
        ended = shared.runtime.wait(id, Duration::from_millis(wait_ms).min(MAX_WAIT)) => ended?,
        () = async { shared.stopping.wait_for(|stopping| *stopping).await.map_or((), |_| ()) } => None,
    };
    Ok(Reply(TaskView::from(&ended.unwrap_or(found))))
}

async fn result(State(shared): State<Shared>, At(id): At<String>) -> Answer<ResultView> {
    let (id, task) = find(&shared, &id).await?;
    let output = shared.runtime.output(id).await?;
    let detail = match task.attempts.last() {
        Some(last) => shared.runtime.store().attempt_detail(id, last.number).await?.unwrap_or_default(),
        None => AttemptDetail::default(),
    };
    Ok(Reply(ResultView::new(&task, output.as_ref(), detail)))
}

async fn logs(State(shared): State<Shared>, At(id): At<String>) -> Answer<LogsView> {
    let (id, task) = find(&shared, &id).await?;
    let mut attempts = Vec::with_capacity(task.attempts.len());
    for attempt in &task.attempts {
        let detail = shared.runtime.store().attempt_detail(id, attempt.number).await?.unwrap_or_default();
        attempts.push(AttemptLogs { number: attempt.number, logs: detail.logs });
    }
    Ok(Reply(LogsView { id: id.to_string(), state: task.state.name(), attempts }))
}

/// What `cancel` takes: nothing yet, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {}

async fn cancel(State(shared): State<Shared>, At(id): At<String>, Json(Cancel {}): Json<Cancel>) -> Answer<TaskView> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    let cancelled = shared.runtime.store().cancel(vec![id], CancelWish::default()).await?.pop().flatten();
    cancelled.map(|task| Reply(TaskView::from(&task))).ok_or_else(|| unknown(id))
}

async fn find(shared: &Shared, id: &str) -> Result<(TaskId, Task), Problem> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    let task = shared.runtime.store().task(id).await?;
    Ok((id, task.ok_or_else(|| unknown(id))?))
}

fn unknown(id: TaskId) -> Problem {
    Problem::not_found(format!("there is no task {id}\nhint: `sunaba task list` shows what there is"))
}
