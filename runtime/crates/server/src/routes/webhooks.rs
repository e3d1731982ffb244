//! Webhooks: put, looked at, tried, rotated, deleted; and what has come of their deliveries. A change may say by `If-Match` which
//! revision it is a change of.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use sunaba_host::{WebhookRefusal, WebhookRequest};
use sunaba_store::{TaskQuery, WebhookChangeError};
use sunaba_task::webhook::{DeliveryLink, SigningSecret, WEBHOOK_QUEUE, Webhook, WebhookName, tag_of};
use sunaba_task::{Scope, StateName, Task, TaskId};

use super::schedules::expected;
use super::tasks::Nothing;
use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{
    Answered, ChangedWebhook, DeletedWebhook, DeliveriesView, DeliveryFilter, DeliveryView, MAX_DELIVERIES, PutWebhook,
    RotateWebhook, WebhookView, WebhooksView,
};
use crate::body::{Json, Reply};
use crate::extract::{Asked, At};
use crate::problem::Problem;

/// Deliveries that are shown unless somebody asks for another number.
const DEFAULT_PAGE: usize = 50;
/// How long a secret signs beside its successor unless somebody says otherwise.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/webhooks", get(list))
        .route("/v1/webhooks/{name}", get(one).put(put).delete(delete))
        .route("/v1/webhooks/{name}/rotate", post(rotate))
        .route("/v1/webhooks/{name}/test", post(test))
        .route("/v1/webhooks/{name}/deliveries", get(deliveries))
        .route("/v1/webhooks/{name}/deliveries/{id}", get(delivery))
        .route("/v1/webhooks/{name}/deliveries/{id}/resend", post(resend))
}

pub(super) async fn list(State(shared): State<Shared>) -> Answer<WebhooksView> {
    let webhooks = shared.runtime.store().webhooks().await?;
    Ok(Reply(WebhooksView { webhooks: webhooks.iter().map(seen).collect() }))
}

pub(super) async fn one(State(shared): State<Shared>, At(name): At<String>) -> Result<Response, Problem> {
    Ok(tagged(StatusCode::OK, &find(&shared, named(&name)?).await?, None))
}

pub(super) async fn put(
    State(shared): State<Shared>,
    At(name): At<String>,
    headers: HeaderMap,
    Json(put): Json<PutWebhook>,
) -> Result<Response, Problem> {
    let enabled = put.enabled;
    let request = WebhookRequest { name: named(&name)?, spec: put.spec()?, enabled, expected: expected(&headers)? };
    let (webhook, secret) = shared.runtime.put_webhook(request).await?;
    let status = if secret.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok(tagged(status, &webhook, secret))
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    At(name): At<String>,
    headers: HeaderMap,
) -> Answer<DeletedWebhook> {
    let deleted = shared.runtime.store().delete_webhook(named(&name)?, expected(&headers)?).await??;
    Ok(Reply(DeletedWebhook { deleted: deleted.name.into() }))
}

pub(super) async fn rotate(
    State(shared): State<Shared>,
    At(name): At<String>,
    Json(RotateWebhook { overlap_ms }): Json<RotateWebhook>,
) -> Result<Response, Problem> {
    let overlap = overlap_ms.map_or(DEFAULT_OVERLAP, Duration::from_millis);
    let (webhook, secret) = shared.runtime.rotate_webhook(named(&name)?, overlap).await?;
    Ok(tagged(StatusCode::OK, &webhook, Some(secret)))
}

pub(super) async fn test(
    State(shared): State<Shared>,
    At(name): At<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<DeliveryView> {
    let name = named(&name)?;
    let task = shared.runtime.store().test_webhook(name.clone()).await??;
    shown(&name, &task).map(Reply)
}

pub(super) async fn deliveries(
    State(shared): State<Shared>,
    At(name): At<String>,
    Asked(DeliveryFilter { failed, before, limit }): Asked<DeliveryFilter>,
) -> Answer<DeliveriesView> {
    let name = named(&name)?;
    let before = before.map(|id| id.parse()).transpose().map_err(Problem::invalid)?;
    let not_taken = vec![StateName::RetryScheduled, StateName::Dead];
    let query = TaskQuery {
        states: if failed == Some(true) { not_taken } else { Vec::new() },
        queue: Some(WEBHOOK_QUEUE.into()),
        tag: Some(tag_of(&name)),
        before,
        limit: limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_DELIVERIES),
        ..TaskQuery::default()
    };
    let page = shared.runtime.store().tasks(query).await?;
    if page.tasks.is_empty() {
        // What is left of one that was deleted can still be seen.
        find(&shared, name).await?;
    }
    let mut deliveries = Vec::with_capacity(page.tasks.len());
    for task in &page.tasks {
        let output = answered(&shared, task).await?;
        deliveries.extend(DeliveryView::new(task, output.as_ref()));
    }
    Ok(Reply(DeliveriesView { deliveries, next: page.next.map(|id| id.to_string()) }))
}

pub(super) async fn delivery(
    State(shared): State<Shared>,
    At((name, id)): At<(String, String)>,
) -> Answer<DeliveryView> {
    let (name, id) = (named(&name)?, id.parse::<TaskId>().map_err(Problem::invalid)?);
    let store = shared.runtime.store();
    let none = || WebhookChangeError::NoDelivery { name: name.clone(), task: id };
    let is_its = |task: &Task| DeliveryLink::of(&task.spec.attributes).is_some_and(|link| link.webhook == name);
    let task = store.task(id).await?.filter(|task| task.spec.queue == WEBHOOK_QUEUE && is_its(task));
    let task = task.ok_or_else(none)?;
    let output = answered(&shared, &task).await?;
    let mut view = DeliveryView::new(&task, output.as_ref()).ok_or_else(none)?;
    for attempt in &task.attempts {
        let detail = store.attempt_detail(id, attempt.number).await?.and_then(|detail| detail.failure_detail);
        if let Some(answered) = detail.as_ref().and_then(Answered::of) {
            view.answer(attempt.number, answered);
        }
    }
    if let (Some(output), Some(last)) = (output, task.attempts.last()) {
        view.answer(last.number, output);
    }
    let body = store.input(id).await?;
    view.body = body.and_then(|body| serde_json::from_slice(&body.bytes).ok());
    Ok(Reply(view))
}

pub(super) async fn resend(
    State(shared): State<Shared>,
    At((name, id)): At<(String, String)>,
    Json(Nothing {}): Json<Nothing>,
) -> Answer<DeliveryView> {
    let (name, id) = (named(&name)?, id.parse().map_err(Problem::invalid)?);
    let task = shared.runtime.store().resend_delivery(name.clone(), id).await??;
    shown(&name, &task).map(Reply)
}

/// What the attempt was answered by which a delivery was taken.
async fn answered(shared: &Shared, task: &Task) -> Result<Option<Answered>, Problem> {
    if task.state.name() != StateName::Succeeded {
        return Ok(None);
    }
    Ok(shared.runtime.store().output(task.id).await?.as_ref().and_then(Answered::of))
}

fn shown(name: &WebhookName, task: &Task) -> Result<DeliveryView, Problem> {
    let none = || WebhookChangeError::NoDelivery { name: name.clone(), task: task.id };
    DeliveryView::new(task, None).ok_or_else(|| none().into())
}

fn named(name: &str) -> Result<WebhookName, Problem> {
    name.parse().map_err(Problem::invalid)
}

async fn find(shared: &Shared, name: WebhookName) -> Result<Webhook, Problem> {
    let found = shared.runtime.store().webhook(name.clone()).await?;
    found.ok_or_else(|| WebhookChangeError::Unknown(name).into())
}

/// A webhook as its caller may see it.
fn seen(webhook: &Webhook) -> WebhookView {
    WebhookView::of(webhook, Caller::now().may(Scope::Admin))
}

/// A webhook with its revision as its tag, and its secret if that is new.
fn tagged(status: StatusCode, webhook: &Webhook, secret: Option<SigningSecret>) -> Response {
    let secret = secret.map(|secret| secret.reveal().clone());
    let changed = ChangedWebhook { secret, webhook: seen(webhook) };
    let mut response = (status, Reply(changed)).into_response();
    let tag = HeaderValue::from_str(&format!("\"{}\"", webhook.revision)).expect("digits are a value");
    response.headers_mut().insert(ETAG, tag);
    response
}

impl From<WebhookChangeError> for Problem {
    fn from(error: WebhookChangeError) -> Self {
        let status = match &error {
            WebhookChangeError::Unknown(_) | WebhookChangeError::NoDelivery { .. } => StatusCode::NOT_FOUND,
            WebhookChangeError::Conflict { .. } => StatusCode::PRECONDITION_FAILED,
            WebhookChangeError::Webhook(_) | WebhookChangeError::Overlap(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, error)
    }
}

impl From<WebhookRefusal> for Problem {
    fn from(error: WebhookRefusal) -> Self {
        match error {
            WebhookRefusal::Url(error) => Self::new(StatusCode::FORBIDDEN, error).code("webhook-url-forbidden"),
            WebhookRefusal::Change(error) => error.into(),
            WebhookRefusal::Store(error) => error.into(),
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}
