//! What an operator sets while tasks wait and run.

use axum::extract::State;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use sunaba_store::{Expected, NAMES_PAGE, StoreError};
use sunaba_task::webhook::WEBHOOK_QUEUE;
use sunaba_task::{HandlerControl, HandlerName, QueueSettings, Retention, is_name};

use super::schedules::expected;
use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{
    ControlView, ControlsView, HandlerPatch, QueuePatch, QueueView, QueuesView, RetentionView, revision_of,
};
use crate::body::{Json, Reply};
use crate::extract::{Asked, At};
use crate::problem::Problem;

/// Where a page begins.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// After this one, by name: `next` of the page before.
    after: Option<String>,
}

pub(super) async fn queues(State(shared): State<Shared>, Asked(After { after }): Asked<After>) -> Answer<QueuesView> {
    let caller = Caller::now();
    let queues = shared.runtime.store().queues(after).await?;
    let next = queues.last().filter(|_| queues.len() == NAMES_PAGE).map(|queue| queue.name.clone());
    Ok(Reply(QueuesView {
        queues: queues.into_iter().filter(|queue| caller.sees(&queue.name)).map(QueueView::from).collect(),
        next,
    }))
}

pub(super) async fn queue(State(shared): State<Shared>, At(name): At<String>) -> Result<Response, Problem> {
    check_queue(&name)?;
    let queue = shared.runtime.store().queue(name).await?;
    let is_empty = queue.queued == 0 && queue.scheduled == 0 && queue.running == 0;
    if is_empty && queue.settings == QueueSettings::default() {
        let message = format!(
            "there is no queue `{}`\nhint: a queue is there while it has tasks or settings; `sunaba queue list` shows them",
            queue.name
        );
        return Err(Problem::not_found(message));
    }
    let queue = QueueView::from(queue);
    Ok(tagged(queue.revision, Reply(queue)))
}

/// A queue may be set before anything waits in it.
pub(super) async fn set_queue(
    State(shared): State<Shared>,
    At(name): At<String>,
    headers: HeaderMap,
    Json(patch): Json<QueuePatch>,
) -> Result<Response, Problem> {
    check_queue(&name)?;
    let (store, changes) = (shared.runtime.store(), patch.changes());
    let queue = match expected(&headers)? {
        Expected::Any => store.set_queue(name, changes).await?,
        expected => {
            let seen = store.queue(name.clone()).await?.settings;
            check_seen(expected, &seen, || format!("the queue `{name}`"))?;
            store.set_queue_if(name, seen, changes).await?
        }
    };
    let queue = QueueView::from(queue);
    Ok(tagged(queue.revision, Reply(queue)))
}

/// Whether it may be one, and its caller may have to do with it.
fn check_queue(name: &str) -> Result<(), Problem> {
    // The host's own queue has limits, too.
    if !is_name(name) && name != WEBHOOK_QUEUE {
        let shown: String = name.chars().take(80).collect();
        let message =
            format!("`{shown}` cannot name a queue\nhint: a queue has up to 64 lower-case letters, digits and `-`");
        return Err(Problem::invalid(message));
    }
    Caller::now().permit_queue(name)
}

/// Whether what is set is what its caller expects. The store looks again, when it changes it.
fn check_seen<T: Serialize + Default + PartialEq>(
    expected: Expected,
    seen: &T,
    what: impl FnOnce() -> String,
) -> Result<(), Problem> {
    let is_expected = match expected {
        Expected::Any => true,
        // What nobody has set is not there.
        Expected::Absent => *seen == T::default(),
        Expected::Revision(revision) => revision == revision_of(seen),
    };
    if is_expected { Ok(()) } else { Err(StoreError::Changed { what: what() }.into()) }
}

/// An answer with the revision of what it is of as its tag.
pub(super) fn tagged<T: Serialize>(revision: u64, reply: Reply<T>) -> Response {
    let mut response = reply.into_response();
    let tag = HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits are a value");
    response.headers_mut().insert(ETAG, tag);
    response
}

pub(super) async fn handlers(
    State(shared): State<Shared>,
    Asked(After { after }): Asked<After>,
) -> Answer<ControlsView> {
    let after = after.map(|name| name.parse()).transpose().map_err(Problem::invalid)?;
    let handlers = shared.runtime.store().handlers(after).await?;
    let next = handlers.last().filter(|_| handlers.len() == NAMES_PAGE).map(|handler| handler.name.to_string());
    Ok(Reply(ControlsView { handlers: handlers.into_iter().map(ControlView::from).collect(), next }))
}

pub(super) async fn set_handler(
    State(shared): State<Shared>,
    At((package, handler)): At<(String, String)>,
    headers: HeaderMap,
    Json(patch): Json<HandlerPatch>,
) -> Result<Response, Problem> {
    let name: HandlerName = format!("{package}/{handler}").parse().map_err(Problem::invalid)?;
    let deployed = shared.runtime.package(&name).map(drop);
    let expected = expected(&headers)?;
    // What is deployed no more may still have tasks; a name that nobody knows is a mistake.
    let seen = match (&deployed, expected) {
        (Ok(()), Expected::Any) => None,
        _ => known(&shared, &name).await?,
    };
    if let (Err(unknown), None) = (deployed, &seen) {
        return Err(unknown.into());
    }
    let (store, changes) = (shared.runtime.store(), patch.changes());
    let handler = if expected == Expected::Any {
        store.set_handler(name, changes).await?
    } else {
        let seen = seen.unwrap_or_default();
        check_seen(expected, &seen, || format!("the handler `{name}`"))?;
        store.set_handler_if(name, seen, changes).await?
    };
    let handler = ControlView::from(handler);
    Ok(tagged(handler.revision, Reply(handler)))
}

/// What is set for a handler; none of one that has not run, waits for nothing and is not controlled.
pub(super) async fn known(shared: &Shared, name: &HandlerName) -> Result<Option<HandlerControl>, StoreError> {
    let mut after = None;
    loop {
        let page = shared.runtime.store().handlers(after).await?;
        after = page.last().filter(|last| page.len() == NAMES_PAGE && last.name < *name).map(|last| last.name.clone());
        if let Some(known) = page.into_iter().find(|known| known.name == *name) {
            return Ok(Some(known.control));
        }
        if after.is_none() {
            return Ok(None);
        }
    }
}

pub(super) async fn retention(State(shared): State<Shared>) -> Answer<RetentionView> {
    Ok(Reply(shared.runtime.store().retention().await?.into()))
}

pub(super) async fn set_retention(
    State(shared): State<Shared>,
    Json(view): Json<RetentionView>,
) -> Answer<RetentionView> {
    let retention = Retention::from(view);
    retention.check().map_err(Problem::invalid)?;
    shared.runtime.store().set_retention(retention.clone()).await?;
    Ok(Reply(retention.into()))
}
