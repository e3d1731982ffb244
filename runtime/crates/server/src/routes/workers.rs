//! The worker groups, and how many slots each has.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Json as Reply, Router};
use sunaba_host::{Slots, SlotsRefusal};

use super::{Answer, Shared};
use crate::api::{SetWorker, WorkerView, WorkersView};
use crate::body::Json;
use crate::extract::At;
use crate::problem::Problem;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/workers", get(list)).route("/v1/workers/{id}", patch(set))
}

async fn list(State(shared): State<Shared>) -> Reply<WorkersView> {
    Reply(WorkersView { workers: shared.runtime.workers().into_iter().map(WorkerView::from).collect() })
}

async fn set(
    State(shared): State<Shared>,
    At(id): At<String>,
    Json(SetWorker { slots }): Json<SetWorker>,
) -> Answer<WorkerView> {
    let slots: Slots = slots.parse().map_err(Problem::invalid)?;
    Ok(Reply(shared.runtime.set_slots(&id, slots)?.into()))
}

impl From<SlotsRefusal> for Problem {
    fn from(error: SlotsRefusal) -> Self {
        match error {
            SlotsRefusal::Unknown { .. } => Self::not_found(error),
            SlotsRefusal::TooMany { .. } => Self::invalid(error),
            error => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}
