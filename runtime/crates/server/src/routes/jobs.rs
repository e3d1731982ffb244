//! Jobs: taken on, shown, waited for, and cancelled.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HeaderName;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use sunaba_host::JobRefusal;
use sunaba_host::job_story::first_wait;
use sunaba_store::{SubmitJobError, SubmittedJob};
use sunaba_task::job::{Job, JobId, PlanError};
use tokio::sync::Semaphore;

use super::access::permit_job_in;
use super::{Answer, MAX_WAIT, Shared};
use crate::api::{
    Cancel, JobCancelView, JobFilter, JobOutputsView, JobResultView, JobTaskView, JobView, JobsView, MAX_JOB_BYTES,
    PlanFilter, PlanView, SubmitJob, explain_field,
};
use crate::body::{self, Body, Json, Reply};
use crate::extract::{Asked, At};
use crate::guard;
use crate::problem::Problem;

/// A larger body is a large plan.
const LARGE_BYTES: usize = 1 << 20;

/// Large plans are taken on one after another: each has some kilobytes for every task while it is checked.
static LARGE: Semaphore = Semaphore::const_new(1);

pub(super) async fn submit(State(shared): State<Shared>, request: Request) -> Result<Response, Problem> {
    let key = guard::one(request.headers(), HeaderName::from_static("idempotency-key"))?.map(str::to_owned);
    // The room is given back when all of it is answered: the plan is as large as the body.
    let Body { bytes, room: _room } = body::read(request, "application/json", MAX_JOB_BYTES).await?;
    let is_large = bytes.len() > LARGE_BYTES;
    let _turn = if is_large { LARGE.acquire().await.ok() } else { None };
    let read = move || body::object::<SubmitJob>(&bytes, "body").map_err(explained).and_then(SubmitJob::request);
    let mut job = if is_large {
        // It takes longer than others of this thread should wait.
        let broken = |error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error);
        tokio::task::spawn_blocking(read).await.map_err(broken)??
    } else {
        read()?
    };
    if let Some(key) = key {
        if job.idempotency_key.as_deref().is_some_and(|other| other != key) {
            return Err(Problem::invalid("the Idempotency-Key is not the `idempotency_key` of the body"));
        }
        job.idempotency_key = Some(key);
    }
    shared.permit_nodes(&job)?;
    let (status, job) = match shared.runtime.submit_job(job).await? {
        SubmittedJob::Created(job) => (StatusCode::CREATED, job),
        SubmittedJob::Existing(job) => (StatusCode::OK, job),
    };
    Ok((status, Reply(JobView::from(&*job))).into_response())
}

/// The same problem with what a job has instead.
fn explained(problem: Problem) -> Problem {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    match problem.hint {
        Some(_) => problem,
        None => Problem::new(status, explain_field(&problem.detail)),
    }
}

pub(super) async fn list(State(shared): State<Shared>, Asked(filter): Asked<JobFilter>) -> Answer<JobsView> {
    let page = shared.runtime.jobs(filter.query()?).await?;
    let next = page.next.map(|id| id.to_string());
    Ok(Reply(JobsView { jobs: page.jobs.iter().map(JobView::from).collect(), next }))
}

/// How long to wait for the end of a job.
#[derive(Deserialize, schemars::JsonSchema)]
pub(super) struct Wait {
    /// How long to wait for its end.
    wait_ms: Option<u64>,
}

pub(super) async fn get(
    State(shared): State<Shared>,
    At(id): At<String>,
    Asked(Wait { wait_ms }): Asked<Wait>,
) -> Answer<JobView> {
    let (id, mut job) = shared.find_job(&id).await?;
    if let Some(wait_ms) = wait_ms.filter(|ms| *ms > 0 && !job.state.is_terminal()) {
        let runtime = std::sync::Arc::clone(&shared.runtime);
        let waiting = runtime.wait_job(id, Duration::from_millis(wait_ms).min(MAX_WAIT));
        job = shared.unless_stopping(waiting).await?.transpose()?.flatten().unwrap_or(job);
    }
    let attention = shared.runtime.job_attention(&job).await?;
    let waits = first_wait(&**shared.runtime.store(), &job).await?;
    Ok(Reply(JobView::from(&job).with(&attention).waiting(waits)))
}

pub(super) async fn result(State(shared): State<Shared>, At(id): At<String>) -> Answer<JobResultView> {
    let (_, job) = shared.find_job(&id).await?;
    let output = shared.runtime.job_output(&job).await?;
    Ok(Reply(JobResultView::new(&job, output.as_ref())))
}

pub(super) async fn outputs(
    State(shared): State<Shared>,
    At(id): At<String>,
    Asked(filter): Asked<PlanFilter>,
) -> Answer<JobOutputsView> {
    let (id, _) = shared.find_job(&id).await?;
    let page = shared.runtime.job_outputs(filter.query(id)?).await?;
    let next = page.next.map(|name| name.to_string());
    Ok(Reply(JobOutputsView { outputs: page.outputs.iter().map(Into::into).collect(), next }))
}

pub(super) async fn tasks(
    State(shared): State<Shared>,
    At(id): At<String>,
    Asked(filter): Asked<PlanFilter>,
) -> Answer<PlanView> {
    let (id, _) = shared.find_job(&id).await?;
    let page = shared.runtime.plan(filter.query(id)?).await?;
    let next = page.next.map(|name| name.to_string());
    Ok(Reply(PlanView { tasks: page.tasks.iter().filter_map(JobTaskView::of).collect(), next }))
}

pub(super) async fn cancel(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(cancel): Json<Cancel>,
) -> Answer<JobCancelView> {
    let id: JobId = id.parse().map_err(Problem::invalid)?;
    if cancel.grace_ms.is_some() {
        let message = "a job has no `grace_ms`: each of its tasks has its worker's\nhint: leave it out";
        return Err(Problem::invalid(message));
    }
    shared.permit_job(id).await?;
    match shared.runtime.cancel_job(id, cancel.wish()?).await? {
        Some(cancelled) => Ok(Reply(JobCancelView::from(&cancelled))),
        None => Err(shared.no_job(id).await),
    }
}

pub(super) fn no_job(id: JobId) -> Problem {
    Problem::not_found(format!("there is no job {id}\nhint: `sunaba job list` shows what there is"))
}

impl Shared {
    pub(super) async fn find_job(&self, id: &str) -> Result<(JobId, Job), Problem> {
        let id: JobId = id.parse().map_err(Problem::invalid)?;
        match self.runtime.job(id).await? {
            Some(job) => permit_job_in(&job).map(|()| (id, job)),
            None => Err(self.no_job(id).await),
        }
    }
}

impl From<JobRefusal> for Problem {
    fn from(error: JobRefusal) -> Self {
        let message = error.to_string();
        match error {
            // What is wrong with a task alone, with its name before it.
            JobRefusal::Task { problem, .. } | JobRefusal::Compensation { problem, .. } => {
                let status = Self::from(*problem).status;
                Self::new(StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), message)
            }
            JobRefusal::Job(problem) => problem.into(),
            JobRefusal::Store(error) => error.into(),
            JobRefusal::TooHeavy(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, message),
            JobRefusal::Submit(error) => {
                let status = match error {
                    SubmitJobError::Plan(
                        PlanError::TooManyNodes { .. }
                        | PlanError::TooManyEdges { .. }
                        | PlanError::TooManyBytes { .. },
                    ) => StatusCode::PAYLOAD_TOO_LARGE,
                    SubmitJobError::Conflict { .. } | SubmitJobError::Unchecked { .. } => StatusCode::CONFLICT,
                    SubmitJobError::QueueFull { .. } => StatusCode::TOO_MANY_REQUESTS,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                };
                Self::new(status, message)
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}
