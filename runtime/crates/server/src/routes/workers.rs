//! The worker groups, and how many slots each has.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, patch};
use sunaba_host::{Slots, SlotsRefusal};
use sunaba_store::carried;

use super::{Answer, Shared};
use crate::api::{SetWorker, WorkerView, WorkersView};
use crate::body::{Json, Reply};
use crate::extract::At;
use crate::problem::Problem;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/workers", get(list)).route("/v1/workers/{id}", patch(set))
}

pub(super) async fn list(State(shared): State<Shared>) -> Reply<WorkersView> {
    Reply(WorkersView { workers: shared.runtime.workers().into_iter().map(WorkerView::from).collect() })
}

pub(super) async fn set(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(SetWorker { slots }): Json<SetWorker>,
) -> Answer<WorkerView> {
    let slots: Slots = slots.parse().map_err(Problem::invalid)?;
    // Not given up when the caller goes: what is logged is done.
    let setting = tokio::spawn(carried(async move { shared.runtime.set_slots(&id, slots).await }));
    let set = setting.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(Reply(set?.into()))
}

impl From<SlotsRefusal> for Problem {
    fn from(error: SlotsRefusal) -> Self {
        match error {
            SlotsRefusal::Unknown { .. } => Self::not_found(error),
            SlotsRefusal::TooMany { .. } => Self::invalid(error),
            SlotsRefusal::Store(error) => error.into(),
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}
