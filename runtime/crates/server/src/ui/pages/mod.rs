//! The pages. Each asks the API for what it shows; each form is a request to the API, and a way back.

mod access;
mod confirm;
mod dead;
mod handlers;
mod incidents;
mod jobs;
mod login;
mod overview;
mod queues;
mod schedules;
mod settings;
mod task;
mod tasks;
mod webhooks;
mod workers;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};

use super::frame::Note;
use super::live;
use crate::problem::Problem;

type Answer = Result<Response, Problem>;

/// The pages by their paths. What is asked on a visitor's behalf is checked where it is asked.
pub(super) fn router() -> Router {
    Router::new()
        .route("/ui/login", get(login::form).post(login::enter))
        .route("/ui/logout", post(login::exit))
        .route("/ui/theme", post(login::theme))
        .route("/ui/live", get(live::live))
        .route("/ui/overview", get(overview::show))
        .route("/ui/queues", get(queues::list))
        .route("/ui/queues/{name}", get(queues::one).post(queues::act))
        .route("/ui/tasks", get(tasks::list))
        .route("/ui/tasks/bulk", post(tasks::act))
        .route("/ui/tasks/{id}", get(task::show).post(task::act))
        .route("/ui/tasks/{id}/raw", get(task::raw))
        .route("/ui/tasks/{id}/input", get(task::input))
        .route("/ui/tasks/{id}/output", get(task::output))
        .route("/ui/tasks/{id}/artifacts/{name}", get(task::artifact))
        .route("/ui/jobs", get(jobs::list))
        .route("/ui/jobs/{id}", get(jobs::show).post(jobs::act))
        .route("/ui/jobs/{id}/graph.svg", get(jobs::graph))
        .route("/ui/jobs/{id}/raw", get(jobs::raw))
        .route("/ui/dead", get(dead::list).post(dead::act))
        .route("/ui/schedules", get(schedules::list).post(schedules::create))
        .route("/ui/schedules/{name}", get(schedules::show).post(schedules::act))
        .route("/ui/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/ui/webhooks/{name}", get(webhooks::show).post(webhooks::act))
        .route("/ui/webhooks/{name}/deliveries/{id}", get(webhooks::delivery).post(webhooks::resend))
        .route("/ui/handlers", get(handlers::list))
        .route("/ui/handlers/{package}", get(handlers::package).post(handlers::roll_back))
        .route("/ui/handlers/{package}/{handler}", get(handlers::handler).post(handlers::set))
        .route("/ui/workers", get(workers::list))
        .route("/ui/workers/{id}", post(workers::set))
        .route("/ui/incidents", get(incidents::list))
        .route("/ui/keys", get(access::keys).post(access::create))
        .route("/ui/keys/{id}", post(access::revoke))
        .route("/ui/audit", get(access::audit))
        .route("/ui/settings", get(settings::show).post(settings::set))
        .fallback(async || {
            Problem::not_found("there is no such page\nhint: begin with the overview, at `/ui/overview`")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "this page takes no such request")
        })
}

/// What came of something, for the next page.
fn told(result: Result<String, Problem>) -> Note {
    match result {
        Ok(text) => Note::good(text),
        Err(problem) => refused(&problem),
    }
}

/// Why something was not done, in a line.
fn refused(problem: &Problem) -> Note {
    let hint = problem.hint.as_ref().map(|hint| format!(" \u{2014} {hint}")).unwrap_or_default();
    Note::bad(format!("{}{hint}", problem.detail))
}

/// An action that this page does not have.
fn unknown(action: &str) -> Problem {
    let action: String = action.chars().take(40).collect();
    Problem::invalid(format!("there is no action `{action}` here"))
}
