//! Why a job ended so, and its tasks as a graph.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sunaba_host::job_story::{GraphBounds, JobGraph, JobStory, explain_job, read_job};
use sunaba_task::job::JobId;

use super::{Answer, Shared};
use crate::api::{GraphFormat, GraphQuestion};
use crate::body::Reply;
use crate::extract::{Asked, At};
use crate::problem::Problem;

/// A picture runs nothing, fetches nothing, and is in nobody's frame; it has its own styles.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/jobs/{id}/explain", get(explain)).route("/v1/jobs/{id}/graph", get(graph))
}

pub(super) async fn explain(State(shared): State<Shared>, At(id): At<String>) -> Answer<JobStory> {
    let id: JobId = id.parse().map_err(Problem::invalid)?;
    let story = explain_job(&**shared.runtime.store(), id, GraphBounds::default()).await?;
    match story {
        Some(story) => Ok(Reply(story)),
        None => Err(shared.no_job(id).await),
    }
}

pub(super) async fn graph(
    State(shared): State<Shared>,
    At(id): At<String>,
    Asked(GraphQuestion { format, fold }): Asked<GraphQuestion>,
) -> Result<Response, Problem> {
    let id: JobId = id.parse().map_err(Problem::invalid)?;
    let bounds = GraphBounds::default();
    if let Some(fold) = fold.filter(|fold| !(1..=bounds.nodes).contains(fold)) {
        let message = format!("`fold` is {fold}\nhint: it is from 1 to {}", bounds.nodes);
        return Err(Problem::new(StatusCode::BAD_REQUEST, message));
    }
    let bounds = fold.map_or(bounds, |fold| bounds.folding(fold));
    let Some(read) = read_job(&**shared.runtime.store(), id, bounds).await? else {
        return Err(shared.no_job(id).await);
    };
    let graph = read.graph;
    match format.unwrap_or(GraphFormat::Json) {
        GraphFormat::Json => Ok(Reply(graph).into_response()),
        GraphFormat::Text => Ok(drawn("text/plain; charset=utf-8", draw(graph, JobGraph::text).await?)),
        GraphFormat::Dot => Ok(drawn("text/vnd.graphviz; charset=utf-8", draw(graph, JobGraph::dot).await?)),
        GraphFormat::Svg => Ok(drawn("image/svg+xml", draw(graph, JobGraph::svg).await?)),
    }
}

/// Draws a graph where nobody waits for the thread: a large one takes a while.
async fn draw(graph: JobGraph, how: fn(&JobGraph) -> String) -> Result<String, Problem> {
    let drawn = tokio::task::spawn_blocking(move || how(&graph)).await;
    drawn.map_err(|error| {
        tracing::error!(%error, "a job could not be drawn");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the job could not be drawn\nhint: ask for it as JSON")
    })
}

/// A picture, which no browser takes for anything else.
fn drawn(media_type: &'static str, picture: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PICTURE_POLICY)),
    ];
    (headers, picture).into_response()
}
