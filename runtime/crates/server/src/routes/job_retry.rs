//! Jobs that are made over again.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use sunaba_host::{JobRefusal, RetryRefusal};
use sunaba_store::RetryJobError;
use sunaba_task::job::JobId;

use super::Shared;
use super::jobs::no_job;
use crate::api::{JobRetry, JobView};
use crate::body::{Json, Reply};
use crate::extract::At;
use crate::problem::Problem;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/jobs/{id}/retry", post(retry))
}

/// The new job.
pub(super) async fn retry(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(retry): Json<JobRetry>,
) -> Result<Response, Problem> {
    let id: JobId = id.parse().map_err(Problem::invalid)?;
    let made = shared.runtime.retry_job(retry.of(id)).await?;
    Ok((StatusCode::CREATED, Reply(JobView::from(&made))).into_response())
}

impl From<RetryRefusal> for Problem {
    fn from(error: RetryRefusal) -> Self {
        match error {
            RetryRefusal::Store(error) => error.into(),
            RetryRefusal::Retry(RetryJobError::Unknown(id)) => no_job(id),
            RetryRefusal::Retry(RetryJobError::Submit(error)) => JobRefusal::Submit(error).into(),
            RetryRefusal::Retry(error @ RetryJobError::NoTask { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error)
            }
            RetryRefusal::Retry(error) => Self::new(StatusCode::CONFLICT, error),
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}
