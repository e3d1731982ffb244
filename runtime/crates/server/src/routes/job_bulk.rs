//! Does the same to many jobs, page by page.

use axum::Router;
use axum::extract::State;
use axum::routing::post;

use super::{Answer, Shared};
use crate::api::{Cancel, CancelJobs, CancelledJobs, NotDone};
use crate::body::{Json, Reply};
use crate::problem::Problem;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/jobs/cancel", post(cancel_page))
}

/// One after another: a job may be large, and each is a commit of its own.
pub(super) async fn cancel_page(
    State(shared): State<Shared>,
    Json(mut cancel): Json<CancelJobs>,
) -> Answer<CancelledJobs> {
    let wish = Cancel { reason: cancel.reason.take(), grace_ms: None }.wish()?;
    let page = shared.runtime.jobs(cancel.query()?).await?;
    let mut answer = CancelledJobs { done: Vec::new(), refused: Vec::new(), next: page.next.map(|id| id.to_string()) };
    for job in &page.jobs {
        match shared.runtime.cancel_job(job.id, wish.clone()).await {
            Ok(Some(_)) => answer.done.push(job.id.to_string()),
            // It was deleted meanwhile.
            Ok(None) => {}
            // What has been done is told, whatever becomes of the rest.
            Err(error) => answer.refused.push(NotDone { id: job.id.to_string(), problem: Problem::from(error) }),
        }
    }
    Ok(Reply(answer))
}
