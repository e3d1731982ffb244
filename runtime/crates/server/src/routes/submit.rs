//! Takes tasks on: one, or many in one commit.

use axum::extract::{Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sunaba_host::{SubmitRefusal, TaskRequest};
use sunaba_store::Submitted;

use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{MAX_BULK_BYTES, MAX_BULK_TASKS, Submit, SubmitAll, SubmittedAll, SubmittedView, TaskView};
use crate::body::{self, Body, Json, Reply};
use crate::guard;
use crate::problem::Problem;

pub(super) async fn one(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(submit): Json<Submit>,
) -> Result<Response, Problem> {
    let mut request = submit.request()?;
    if let Some(key) = guard::one(&headers, HeaderName::from_static("idempotency-key"))? {
        if request.idempotency_key.as_deref().is_some_and(|other| other != key) {
            return Err(Problem::invalid("the Idempotency-Key is not the `idempotency_key` of the body"));
        }
        request.idempotency_key = Some(key.to_owned());
    }
    request.traceparent = traceparent(&headers);
    shared.permit_request(&request)?;
    // In a place of its own: what a handler is made of is copied from layer to layer.
    let (status, task) = match Box::pin(shared.runtime.submit(request)).await? {
        Submitted::Created(task) => (StatusCode::CREATED, task),
        Submitted::Existing(task) => (StatusCode::OK, task),
    };
    // A key may be held by a task of somebody else.
    Caller::now().permit_queue(&task.spec.queue)?;
    Ok((status, Reply(TaskView::from(&task))).into_response())
}

/// The trace that a request is a part of. Who sends it twice, or as no text, has none.
fn traceparent(headers: &HeaderMap) -> Option<String> {
    guard::one(headers, HeaderName::from_static("traceparent")).ok().flatten().map(str::to_owned)
}

pub(super) async fn many(State(shared): State<Shared>, request: Request) -> Answer<SubmittedAll> {
    let traceparent = traceparent(request.headers());
    // The room is given back when all of it is answered: the tasks are as large as the body.
    let Body { bytes, room: _room } = body::read(request, "application/json", MAX_BULK_BYTES).await?;
    let SubmitAll { tasks } = body::object(&bytes, "body")?;
    if tasks.len() > MAX_BULK_TASKS {
        let message =
            format!("there are {} tasks; the limit is {MAX_BULK_TASKS}\nhint: send the rest by itself", tasks.len());
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    let (mut requests, mut unreadable) = (Vec::with_capacity(tasks.len()), Vec::with_capacity(tasks.len()));
    for task in tasks {
        match read(&shared, task.get()) {
            Ok(request) => {
                requests.push(TaskRequest { traceparent: traceparent.clone(), ..request });
                unreadable.push(None);
            }
            Err(problem) => unreadable.push(Some(problem)),
        }
    }
    let mut answers = shared.runtime.submit_all(requests).await?.into_iter();
    let answer = |problem: Option<Problem>| match problem {
        Some(problem) => SubmittedView::Refused { problem },
        None => answers.next().map_or_else(unanswered, view),
    };
    Ok(Reply(SubmittedAll { tasks: unreadable.into_iter().map(answer).collect() }))
}

/// A task that may be asked for.
fn read(shared: &Shared, task: &str) -> Result<TaskRequest, Problem> {
    let request = body::object::<Submit>(task.as_bytes(), "task").and_then(Submit::request)?;
    shared.permit_request(&request).map(|()| request)
}

fn view(answer: Result<Submitted, SubmitRefusal>) -> SubmittedView {
    let taken = |created, task: &sunaba_task::Task| SubmittedView::Taken {
        id: task.id.to_string(),
        state: task.state.name(),
        created,
    };
    match answer {
        Ok(Submitted::Created(task)) => taken(true, &task),
        Ok(Submitted::Existing(task)) => match Caller::now().permit_queue(&task.spec.queue) {
            Ok(()) => taken(false, &task),
            Err(problem) => SubmittedView::Refused { problem },
        },
        Err(error) => SubmittedView::Refused { problem: error.into() },
    }
}

fn unanswered() -> SubmittedView {
    let message = "the store has not answered for this task\nhint: look whether it is there";
    SubmittedView::Refused { problem: Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message) }
}
