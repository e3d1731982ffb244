//! The dashboard: pages under `/ui`, made here and complete without a script.
//!
//! It is one more caller of the API, in the same process ([`desk::Desk`]): a page is what some routes of `/v1` answer to its visitor,
//! and a form is a request to one. So neither shows or does what the API would refuse, and what is changed is logged by the same
//! row of the table. What is added here is for browsers: who visits ([`visit`]), tokens against forms of other sites, and cookies.
//!
//! All text is escaped by its template, and a page as a whole is made inert ([`show::inert`]): no control character or mark that
//! turns the direction of text gets through, wherever it came from.

mod assets;
mod chart;
mod desk;
mod form;
mod frame;
mod live;
mod pages;
mod sessions;
mod settings;
mod show;
mod visit;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use crate::access::{Admission, Caller, Keys};
use crate::body;
use crate::envelope::RequestId;
use crate::problem::Problem;
use crate::routes::Shared;

use form::Form;
use frame::Frame;
pub use settings::{Setting, Settings};
use visit::Visit;

/// The largest form: an input as large as is taken, percent-encoded, and something around it.
const MAX_FORM_BYTES: usize = 4 << 20;
/// The same of somebody who has not signed in: a key, and the way back.
const MAX_STRANGER_BYTES: usize = 64 << 10;

/// What a page may do: have our own styles and script, and send forms to us.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                           form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The dashboard of a host.
pub(crate) struct Ui {
    /// The API, behind the same gate as for everybody.
    api: Router,
    pages: Router,
    shared: Shared,
    admission: Admission,
    keys: Arc<Keys>,
    settings: Settings,
    sessions: sessions::Sessions,
    streams: Arc<live::Streams>,
}

impl Ui {
    pub(crate) fn new(api: Router, shared: Shared, admission: Admission, settings: Settings) -> Self {
        let keys = Arc::clone(&shared.keys);
        let streams = Arc::default();
        let sessions = sessions::Sessions::default();
        Self { api, pages: pages::router(), shared, admission, keys, settings, sessions, streams }
    }
}

/// Answers whoever visits.
pub(crate) async fn serve(State(ui): State<Arc<Ui>>, request: Request) -> Response {
    if let Some(asset) = assets::find(request.uri().path()) {
        return asset;
    }
    let (parts, body) = request.into_parts();
    if is_link_from_elsewhere(&parts) {
        let here = parts.uri.path_and_query().map_or("/ui/overview", |here| here.as_str());
        let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
        return ([policy], page(&Again { here })).into_response();
    }
    let visit = match Visit::of(&ui, &parts).await {
        Ok(visit) => visit,
        Err(problem) => return problem.into_response(),
    };
    let mut response = match answer(&visit, Request::from_parts(parts, body)).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = problem_page(&visit, &problem).await;
    }
    visit.leave(&mut response);
    let headers = response.headers_mut();
    // With no referrer at all, a form's own origin would be withheld, too.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(PAGE_POLICY));
    response
}

/// A page that asks for itself again.
#[derive(Template)]
#[template(path = "again.html")]
struct Again<'a> {
    here: &'a str,
}

/// Whether a link on another site has led here. Browsers send no cookie then, and would put a new one in the place of who is signed in:
/// the page is asked for again, by itself, which brings the cookie.
fn is_link_from_elsewhere(parts: &Parts) -> bool {
    let site = parts.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    parts.method == Method::GET && matches!(site, Some("cross-site" | "same-site"))
}

async fn answer(visit: &Visit, request: Request) -> Result<Response, Problem> {
    let (uri, method, headers) = (request.uri().clone(), request.method().clone(), request.headers().clone());
    let is_open = matches!(uri.path(), "/ui/login" | "/ui/theme");
    let is_stranger = matches!(visit.caller, Caller::Nobody);
    // Before the body is read: of somebody who may do nothing here, none of it is.
    if is_stranger && !is_open {
        let to = if method == Method::GET { visit.here.as_str() } else { "/ui/overview" };
        return Ok(visit::see_other(&format!("/ui/login?to={}", desk::encoded(to))));
    }
    let form = if method == Method::POST {
        visit.check_cookie()?;
        let limit = if is_stranger { MAX_STRANGER_BYTES } else { MAX_FORM_BYTES };
        let body::Body { bytes, room: _room } = body::read(request, "application/x-www-form-urlencoded", limit).await?;
        let form = Form::read(&bytes)?;
        visit.check(&form)?;
        form
    } else {
        Form::of_query(&uri)?
    };
    // Made anew, so that what the outer router has found in it is not taken for what the inner one will.
    let mut inner = Request::new(Body::empty());
    (*inner.uri_mut(), *inner.method_mut(), *inner.headers_mut()) = (uri, method, headers);
    inner.extensions_mut().insert(visit.clone());
    inner.extensions_mut().insert(Arc::new(form));
    let pages = TowerToHyperService::new(visit.ui.pages.clone());
    Ok(pages.call(inner).await.unwrap_or_else(|never| match never {}))
}

/// A page that says what went wrong.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    problem: &'a Problem,
}

async fn problem_page(visit: &Visit, problem: &Problem) -> Response {
    let frame = visit.frame(&problem.title, "").await;
    (problem.status(), page(&ProblemPage { frame, problem })).into_response()
}

/// A page as it goes out.
fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => {
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            ([(header::CONTENT_TYPE, html)], show::inert(&text).into_owned()).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the page cannot be made: {error}")).into_response(),
    }
}

/// A page that stands for itself: what went wrong before anybody knew who visits.
#[derive(Template)]
#[template(path = "bare.html")]
struct BarePage<'a> {
    problem: &'a Problem,
}

/// Of a browser that asks for a page, what was refused before it came here is told as one, too.
pub(crate) async fn problems_as_pages<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_page = request.uri().path().starts_with("/ui/") && accepts.contains("text/html");
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next(request).await;
    if !is_page {
        return response;
    }
    let Some(mut problem) = response.extensions_mut().remove::<Problem>() else { return response };
    problem.request_id = id.map(|id| id.0.into());
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    let referrer = (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin"));
    (response.status(), [policy, referrer], page(&BarePage { problem: &problem })).into_response()
}
