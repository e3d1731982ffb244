//! Where the dashboard is: its pages are found, and answered, in [`crate::ui`].

use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;

use super::Shared;
use crate::ui::{Ui, serve};

pub(super) fn routes(ui: Arc<Ui>) -> Router<Shared> {
    Router::new()
        .route("/", get(home))
        .route("/ui", get(home))
        .route("/ui/{*page}", get(serve).post(serve))
        .with_state(ui)
}

async fn home() -> Redirect {
    Redirect::to("/ui/overview")
}
