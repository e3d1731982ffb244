//! Keys and the log of changes; and what a key that is bound to queues may have to do with.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get};
use sunaba_host::{JobRequest, TaskRequest};
use sunaba_store::{AuditQuery, MAX_AUDIT_PAGE, new_key_text};
use sunaba_task::job::{Job, JobId};
use sunaba_task::{KeyId, NewApiKey, OnConflict, TaskId, Unique};

use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{AuditView, AuditsView, CreateKey, CreatedKey, KeyView, KeysView, PageQuestion};
use crate::body::{Json, Reply};
use crate::extract::{Asked, At};
use crate::problem::Problem;

/// Keys or entries of one page, unless asked otherwise.
const DEFAULT_PAGE: usize = 50;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/keys", get(list).post(create))
        .route("/v1/keys/{id}", delete(revoke))
        .route("/v1/audit", get(audit))
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Asked(PageQuestion { after, limit, .. }): Asked<PageQuestion>,
) -> Answer<KeysView> {
    let after = after.map(|id| id.parse::<KeyId>()).transpose().map_err(Problem::invalid)?;
    let known = shared.runtime.store().api_keys().await?;
    let from = after.map_or(Some(0), |after| Some(known.keys.iter().position(|key| key.id == after)? + 1));
    let Some(from) = from else {
        return Err(Problem::invalid(
            "the key that `after` names is not there any more\nhint: begin with the first page",
        ));
    };
    let limit = limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_AUDIT_PAGE);
    let rest = &known.keys[from..];
    let page = &rest[..limit.min(rest.len())];
    let next = page.last().filter(|_| page.len() < rest.len()).map(|key| key.id.to_string());
    Ok(Reply(KeysView { keys: page.iter().map(|key| KeyView::new(key, known.now)).collect(), next }))
}

pub(super) async fn create(State(shared): State<Shared>, Json(create): Json<CreateKey>) -> Result<Response, Problem> {
    let CreateKey { name, scopes, queues, expires_in_ms } = create;
    let text = new_key_text().map_err(|error| {
        let message = format!("there are no random numbers for a key: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })?;
    let expires_in = expires_in_ms.map(Duration::from_millis);
    let new = NewApiKey { name, scopes, queues, digest: text.digest(), expires_in };
    let made = shared.runtime.store().create_key(new).await;
    shared.keys.forget().await;
    let made = made?;
    let view = KeyView::new(&made, made.created_at);
    Ok((StatusCode::CREATED, Reply(CreatedKey { key: text.reveal().to_owned(), view })).into_response())
}

pub(super) async fn revoke(State(shared): State<Shared>, At(id): At<String>) -> Answer<KeyView> {
    let id: KeyId = id.parse().map_err(Problem::invalid)?;
    let revoked = shared.runtime.store().revoke_key(id).await;
    // Whatever came of it, and before it is answered: from then on nobody gets in by it.
    shared.keys.forget().await;
    let revoked = revoked?;
    let none = || Problem::not_found(format!("there is no key {id}\nhint: `sunaba key list` shows what there is"));
    let revoked = revoked.ok_or_else(none)?;
    Ok(Reply(KeyView::new(&revoked, revoked.revoked_at.unwrap_or(revoked.created_at))))
}

pub(super) async fn audit(
    State(shared): State<Shared>,
    Asked(PageQuestion { before, limit, .. }): Asked<PageQuestion>,
) -> Answer<AuditsView> {
    let before = before.map(|number| number.parse::<u64>()).transpose();
    let before =
        before.map_err(|_| Problem::invalid("`before` is no place in the log\nhint: it is the `next` of a page"))?;
    let query = AuditQuery { before, limit: limit.unwrap_or(DEFAULT_PAGE) };
    let page = shared.runtime.store().audit_log(query).await?;
    let next = page.next.map(|next| next.to_string());
    Ok(Reply(AuditsView { entries: page.entries.into_iter().map(AuditView::from).collect(), next }))
}

/// Lets a caller have to do with a job: one whose tasks, of all its plans, are all in queues of theirs. For others it is not there.
pub(super) fn permit_job_in(job: &Job) -> Result<(), Problem> {
    let caller = Caller::now();
    let permits = caller.queues().is_none() || job.queues.are_all(|queue| caller.sees(queue));
    if permits { Ok(()) } else { Err(super::jobs::no_job(job.id)) }
}

impl Shared {
    /// Lets a caller have to do with a task; for one who has not, it is not there.
    pub(super) async fn permit_task(&self, id: TaskId) -> Result<(), Problem> {
        let caller = Caller::now();
        if caller.queues().is_none() {
            return Ok(());
        }
        match self.runtime.store().task(id).await? {
            Some(task) if caller.sees(&task.spec.queue) => Ok(()),
            _ => Err(Problem::no_task(id)),
        }
    }

    /// The same of a job.
    pub(super) async fn permit_job(&self, id: JobId) -> Result<(), Problem> {
        if Caller::now().queues().is_none() {
            return Ok(());
        }
        match self.runtime.job(id).await? {
            Some(job) => permit_job_in(&job),
            None => Err(super::jobs::no_job(id)),
        }
    }

    /// Lets a caller ask for a task, and for those that follow it.
    pub(super) fn permit_request(&self, request: &TaskRequest) -> Result<(), Problem> {
        let caller = Caller::now();
        if caller.queues().is_none() {
            return Ok(());
        }
        // Unique keys are one for all queues: what it would take the place of may be in another.
        let replaces =
            |unique: &Unique| matches!(unique.on_conflict, OnConflict::Replace | OnConflict::Debounce { .. });
        if request.unique.as_ref().is_some_and(replaces) {
            return Err(caller.other_queue("and what this would replace may be elsewhere"));
        }
        // What is not there is told by whoever looks for it.
        if let Some(queue) = self.runtime.queue_of(&request.handler, request.queue.as_deref()) {
            caller.permit_queue(&queue)?;
        }
        let mut follow = request.on_success.iter().chain(&request.on_failure);
        follow.try_for_each(|handler| match self.runtime.queue_of(handler, None) {
            Some(queue) => caller.permit_queue(&queue),
            None => Ok(()),
        })
    }

    /// The same of all tasks of a job.
    pub(super) fn permit_nodes(&self, job: &JobRequest) -> Result<(), Problem> {
        let nodes = || job.nodes.iter().chain(&job.empty_maps);
        nodes()
            .map(|node| &node.task)
            .chain(nodes().filter_map(|node| node.compensation.as_ref()))
            .try_for_each(|request| self.permit_request(request))
    }
}
