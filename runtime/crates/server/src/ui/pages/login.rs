//! Coming in by a key, going out, and the theme.

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;

use super::Answer;
use crate::problem::Problem;
use crate::ui::frame::{Frame, Theme};
use crate::ui::visit::{Fields, is_own, see_other, set_theme};
use crate::ui::{Visit, page};

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    to: String,
    problem: Option<Problem>,
}

async fn login(visit: &Visit, to: &str, problem: Option<Problem>) -> Answer {
    let frame = visit.frame("Sign in", "login").await;
    let to = if is_own(to) { to.to_owned() } else { "/ui/overview".to_owned() };
    let status = if problem.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    Ok((status, page(&Login { frame, to, problem })).into_response())
}

pub(super) async fn form(visit: Visit, Fields(fields): Fields) -> Answer {
    login(&visit, fields.text("to"), None).await
}

pub(super) async fn enter(mut visit: Visit, Fields(fields): Fields) -> Answer {
    if let Err(problem) = visit.enter(fields.text("key")).await {
        return match problem.status {
            401 => login(&visit, fields.text("to"), Some(problem)).await,
            _ => Err(problem),
        };
    }
    let mut response = see_other(fields.get("to").filter(|to| is_own(to)).unwrap_or("/ui/overview"));
    visit.keep(&mut response);
    Ok(response)
}

pub(super) async fn exit(mut visit: Visit) -> Answer {
    visit.exit()?;
    let mut response = see_other("/ui/login");
    visit.keep(&mut response);
    Ok(response)
}

pub(super) async fn theme(Fields(fields): Fields) -> Answer {
    let mut response = see_other(fields.get("back").filter(|to| is_own(to)).unwrap_or("/ui/overview"));
    set_theme(&mut response, Theme::read(fields.text("theme")));
    Ok(response)
}
