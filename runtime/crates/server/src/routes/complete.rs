//! Completes a task: an operator by a name of theirs, or whoever has the task's token.

use axum::extract::State;
use axum::http::StatusCode;
use sunaba_host::CompleteRefusal;
use sunaba_store::CompleteError;
use sunaba_task::{Scope, TaskId};

use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{Complete, CompletedView};
use crate::body::{Json, Reply};
use crate::extract::At;
use crate::problem::Problem;

pub(super) async fn complete(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(complete): Json<Complete>,
) -> Answer<CompletedView> {
    let id: TaskId = id.parse().map_err(Problem::invalid)?;
    // Whoever has the task's token needs nothing else.
    if complete.token.is_none() {
        Caller::now().permit(Scope::Operate)?;
        shared.permit_task(id).await?;
    }
    let task = shared.runtime.complete(complete.request(id)?).await?;
    Ok(Reply(CompletedView::from(&task)))
}

impl From<CompleteRefusal> for Problem {
    fn from(error: CompleteRefusal) -> Self {
        let status = match error {
            CompleteRefusal::Store(error) => return error.into(),
            CompleteRefusal::Complete(CompleteError::Unknown(id)) => return Self::no_task(id),
            CompleteRefusal::Complete(CompleteError::Damaged { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
            CompleteRefusal::Complete(_) => StatusCode::CONFLICT,
            CompleteRefusal::Token => StatusCode::FORBIDDEN,
            CompleteRefusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error)
    }
}
