//! What an operator sets while tasks wait and run.

use axum::Json as Reply;
use axum::extract::State;
use sunaba_task::{HandlerName, Retention, is_name};

use super::{Answer, Shared};
use crate::api::{ControlView, ControlsView, HandlerPatch, QueuePatch, QueueView, QueuesView, RetentionView};
use crate::body::Json;
use crate::extract::At;
use crate::problem::Problem;

pub(super) async fn queues(State(shared): State<Shared>) -> Answer<QueuesView> {
    let queues = shared.runtime.store().queues().await?;
    Ok(Reply(QueuesView { queues: queues.into_iter().map(QueueView::from).collect() }))
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
    Ok(Reply(shared.runtime.store().set_queue(name, patch.changes()).await?.into()))
}

pub(super) async fn handlers(State(shared): State<Shared>) -> Answer<ControlsView> {
    let handlers = shared.runtime.store().handlers().await?;
    Ok(Reply(ControlsView { handlers: handlers.into_iter().map(ControlView::from).collect() }))
}

pub(super) async fn set_handler(
    State(shared): State<Shared>,
    At((package, handler)): At<(String, String)>,
    Json(patch): Json<HandlerPatch>,
) -> Answer<ControlView> {
    let name: HandlerName = format!("{package}/{handler}").parse().map_err(Problem::invalid)?;
    // What is deployed no more may still have tasks; a name that nobody knows is a mistake.
    if let Err(unknown) = shared.runtime.package(&name)
        && !shared.runtime.store().handlers().await?.iter().any(|known| known.name == name)
    {
        return Err(unknown.into());
    }
    Ok(Reply(shared.runtime.store().set_handler(name, patch.changes()).await?.into()))
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
