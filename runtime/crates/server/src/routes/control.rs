//! What an operator sets while tasks wait and run.

use axum::extract::State;
use serde::Deserialize;
use sunaba_store::{NAMES_PAGE, StoreError};
use sunaba_task::{HandlerName, Retention, is_name};

use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{ControlView, ControlsView, HandlerPatch, QueuePatch, QueueView, QueuesView, RetentionView};
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

/// A queue may be set before anything waits in it.
pub(super) async fn set_queue(
    State(shared): State<Shared>,
    At(name): At<String>,
    Json(patch): Json<QueuePatch>,
) -> Answer<QueueView> {
    if !is_name(&name) {
        let shown: String = name.chars().take(80).collect();
        let message =
            format!("`{shown}` cannot name a queue\nhint: a queue has up to 64 lower-case letters, digits and `-`");
        return Err(Problem::invalid(message));
    }
    Caller::now().permit_queue(&name)?;
    Ok(Reply(shared.runtime.store().set_queue(name, patch.changes()).await?.into()))
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
    Json(patch): Json<HandlerPatch>,
) -> Answer<ControlView> {
    let name: HandlerName = format!("{package}/{handler}").parse().map_err(Problem::invalid)?;
    // What is deployed no more may still have tasks; a name that nobody knows is a mistake.
    if let Err(unknown) = shared.runtime.package(&name)
        && !is_known(&shared, &name).await?
    {
        return Err(unknown.into());
    }
    Ok(Reply(shared.runtime.store().set_handler(name, patch.changes()).await?.into()))
}

async fn is_known(shared: &Shared, name: &HandlerName) -> Result<bool, StoreError> {
    let mut after = None;
    loop {
        let page = shared.runtime.store().handlers(after).await?;
        if page.iter().any(|known| known.name == *name) {
            return Ok(true);
        }
        after = page.last().filter(|last| page.len() == NAMES_PAGE && last.name < *name).map(|last| last.name.clone());
        if after.is_none() {
            return Ok(false);
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
