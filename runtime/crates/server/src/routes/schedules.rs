//! Schedules: put, looked at, paused, triggered, deleted. A change may say by `If-Match` which revision it is a change of.

use axum::Router;
use axum::extract::State;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use sunaba_host::ScheduleRefusal;
use sunaba_store::{Expected, NAMES_PAGE, ScheduleChangeError, ScheduleQuery};
use sunaba_task::Scope;
use sunaba_task::schedule::{Schedule, ScheduleName};

use super::tasks::Nothing;
use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{
    DeletedSchedule, FiresView, PutSchedule, ScheduleFilter, ScheduleView, SchedulesView, TaskView, TriggeredView,
};
use crate::body::{Json, Reply};
use crate::extract::{Asked, At};
use crate::guard;
use crate::problem::Problem;

/// Fires that are shown unless somebody asks for another number.
const FIRES: usize = 10;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/schedules", get(list))
        .route("/v1/schedules/{name}", get(one).put(put).delete(delete))
        .route("/v1/schedules/{name}/next", get(next))
        .route("/v1/schedules/{name}/pause", post(pause))
        .route("/v1/schedules/{name}/resume", post(resume))
        .route("/v1/schedules/{name}/trigger", post(trigger))
}

pub(super) async fn list(State(shared): State<Shared>, Asked(filter): Asked<ScheduleFilter>) -> Answer<SchedulesView> {
    let ScheduleFilter { package, after, limit } = filter;
    let after = after.map(|name| name.parse()).transpose().map_err(Problem::invalid)?;
    let query = ScheduleQuery { package, after, limit: limit.unwrap_or(NAMES_PAGE) };
    let page = shared.runtime.store().schedules(query).await?;
    let schedules = page.schedules.iter().map(|schedule| ScheduleView::new(schedule, None)).collect();
    Ok(Reply(SchedulesView { schedules, next: page.next.map(String::from) }))
}

pub(super) async fn one(State(shared): State<Shared>, At(name): At<String>) -> Result<Response, Problem> {
    let schedule = find(&shared, &name).await?;
    tagged(&shared, StatusCode::OK, &schedule).await
}

pub(super) async fn put(
    State(shared): State<Shared>,
    At(name): At<String>,
    headers: HeaderMap,
    Json(put): Json<PutSchedule>,
) -> Result<Response, Problem> {
    // It makes tasks.
    Caller::now().permit(Scope::Submit)?;
    let name = named(&name)?;
    let was_there = shared.runtime.store().schedule(name.clone()).await?.is_some();
    let schedule = shared.runtime.put_schedule(put.request(name)?, expected(&headers)?).await?;
    let status = if was_there { StatusCode::OK } else { StatusCode::CREATED };
    tagged(&shared, status, &schedule).await
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Answer<DeletedSchedule> {
    let deleted = shared.runtime.store().delete_schedule(named(&name)?, expected(&headers)?).await??;
    Ok(Reply(DeletedSchedule { deleted: deleted.name.into() }))
}

/// How many fires to show.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Count {
    /// How many times.
    count: Option<usize>,
}

pub(super) async fn next(
    State(shared): State<Shared>,
    At(name): At<String>,
    Asked(Count { count }): Asked<Count>,
) -> Answer<FiresView> {
    Ok(Reply(FiresView::new(&find(&shared, &name).await?, count.unwrap_or(FIRES))))
}

pub(super) async fn pause(
    State(shared): State<Shared>,
    At(name): At<String>,
    headers: HeaderMap,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Response, Problem> {
    set_paused(&shared, &name, true, &headers).await
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    At(name): At<String>,
    headers: HeaderMap,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Response, Problem> {
    set_paused(&shared, &name, false, &headers).await
}

async fn set_paused(shared: &Shared, name: &str, paused: bool, headers: &HeaderMap) -> Result<Response, Problem> {
    let schedule = shared.runtime.store().pause_schedule(named(name)?, paused, expected(headers)?).await??;
    tagged(shared, StatusCode::OK, &schedule).await
}

pub(super) async fn trigger(
    State(shared): State<Shared>,
    At(name): At<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<TriggeredView> {
    Caller::now().permit(Scope::Submit)?;
    let triggered = shared.runtime.store().trigger_schedule(named(&name)?).await??;
    let schedule = ScheduleView::new(&triggered.schedule, None);
    Ok(Reply(TriggeredView { schedule, task: triggered.task.as_ref().map(TaskView::from) }))
}

fn named(name: &str) -> Result<ScheduleName, Problem> {
    name.parse().map_err(Problem::invalid)
}

async fn find(shared: &Shared, name: &str) -> Result<Schedule, Problem> {
    let name = named(name)?;
    let found = shared.runtime.store().schedule(name.clone()).await?;
    found.ok_or_else(|| ScheduleChangeError::Unknown(name).into())
}

/// A schedule with its input, and its revision as its tag.
async fn tagged(shared: &Shared, status: StatusCode, schedule: &Schedule) -> Result<Response, Problem> {
    let input = shared.runtime.store().schedule_input(schedule.name.clone()).await?;
    let mut response = (status, Reply(ScheduleView::new(schedule, input))).into_response();
    let tag = HeaderValue::from_str(&format!("\"{}\"", schedule.revision)).expect("digits are a value");
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

/// What the headers say that there must be.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let header = |name: HeaderName| guard::one(headers, name);
    let bad = |name: &str, value: &str, hint: &str| {
        let shown: String = value.chars().take(64).collect();
        Problem::new(StatusCode::BAD_REQUEST, format!("the {name} cannot be `{shown}`\nhint: {hint}"))
    };
    match (header(IF_MATCH)?, header(IF_NONE_MATCH)?) {
        (None, None) => Ok(Expected::Any),
        (None, Some("*")) => Ok(Expected::Absent),
        (None, Some(value)) => Err(bad("If-None-Match", value, "write `*`: there must be none of this name yet")),
        (Some(value), None) => {
            let revision = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value).parse();
            let hint = "write the ETag of what this is a change of, such as `\"3\"`";
            revision.map(Expected::Revision).map_err(|_| bad("If-Match", value, hint))
        }
        (Some(value), Some(_)) => Err(bad("If-Match", value, "leave it out, or the If-None-Match")),
    }
}

impl From<ScheduleChangeError> for Problem {
    fn from(error: ScheduleChangeError) -> Self {
        let status = match &error {
            ScheduleChangeError::Unknown(_) => StatusCode::NOT_FOUND,
            ScheduleChangeError::Conflict { .. } => StatusCode::PRECONDITION_FAILED,
            ScheduleChangeError::Schedule(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, error)
    }
}

impl From<ScheduleRefusal> for Problem {
    fn from(error: ScheduleRefusal) -> Self {
        match error {
            ScheduleRefusal::Task(error) => error.into(),
            ScheduleRefusal::Change(error) => error.into(),
            ScheduleRefusal::Store(error) => error.into(),
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}
