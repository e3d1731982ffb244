//! Where the dashboard asks the API: in the same process and on behalf of its visitor, by the routes and the gate that everybody has.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sunaba_task::Digest;

use super::form::Form;
use crate::access::Signed;
use crate::envelope::RequestId;
use crate::problem::Problem;

/// The largest answer that is read whole: a page of tasks with all of their attempts is less.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The API, as a visitor has it.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) api: Router,
    /// Of the visitor's key. None: they have none, and may do what whoever has none may.
    pub(super) signed: Option<Digest>,
    pub(super) request: Option<RequestId>,
}

impl Desk {
    /// What is answered, as it is.
    pub(super) async fn ask(&self, method: &str, target: &str, headers: HeaderMap, body: Vec<u8>) -> Response {
        if has_empty_part(target) {
            let message = "the name or id of what is meant is empty\nhint: go back, and choose or write one";
            return axum::response::IntoResponse::into_response(Problem::new(StatusCode::BAD_REQUEST, message));
        }
        let request = Request::builder().method(method).uri(target).body(Body::from(body));
        let Ok(mut request) = request else {
            let problem = Problem::new(StatusCode::BAD_REQUEST, "the path cannot be read");
            return axum::response::IntoResponse::into_response(problem);
        };
        *request.headers_mut() = headers;
        if let Some(digest) = self.signed {
            request.extensions_mut().insert(Signed(digest));
        }
        if let Some(id) = &self.request {
            request.extensions_mut().insert(id.clone());
        }
        TowerToHyperService::new(self.api.clone()).call(request).await.unwrap_or_else(|never| match never {})
    }

    /// What there is.
    pub(super) async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, Problem> {
        read(self.ask("GET", target, HeaderMap::new(), Vec::new()).await).await
    }

    /// What there is, if the visitor may see it and it is there.
    pub(super) async fn maybe<T: DeserializeOwned>(&self, target: &str) -> Result<Option<T>, Problem> {
        match self.get(target).await {
            Ok(found) => Ok(Some(found)),
            Err(problem) if matches!(problem.status, 403 | 404 | 409) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Changes something.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        target: &str,
        body: &impl Serialize,
    ) -> Result<T, Problem> {
        self.send_if(method, target, None, body).await
    }

    /// Changes something only as it is there: none of it yet (`If-None-Match: *`), or in one revision (`If-Match`).
    pub(super) async fn send_if<T: DeserializeOwned>(
        &self,
        method: &str,
        target: &str,
        condition: Option<(HeaderName, String)>,
        body: &impl Serialize,
    ) -> Result<T, Problem> {
        let body = serde_json::to_vec(body).map_err(Problem::invalid)?;
        let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some((name, value)) = condition {
            headers.insert(name, HeaderValue::from_str(&value).map_err(Problem::invalid)?);
        }
        read(self.ask(method, target, headers, body).await).await
    }
}

/// That there is none of this name yet.
pub(super) fn absent() -> Option<(HeaderName, String)> {
    Some((header::IF_NONE_MATCH, "*".to_owned()))
}

/// That it is still what the form was made of, if that says so.
pub(super) fn unchanged(form: &Form) -> Option<(HeaderName, String)> {
    let revision = form.get("revision").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((header::IF_MATCH, format!("\"{revision}\"")))
}

/// Whether a path has no name where it should have one.
fn has_empty_part(target: &str) -> bool {
    target.split('?').next().unwrap_or_default().split('/').skip(1).any(str::is_empty)
}

async fn read<T: DeserializeOwned>(mut response: Response) -> Result<T, Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Err(problem);
    }
    let status = response.status();
    let broken = |error: &dyn std::fmt::Display| {
        let message = format!("the answer of the API ({status}) cannot be read: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    };
    let bytes = to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.map_err(|error| broken(&error))?;
    serde_json::from_slice(&bytes).map_err(|error| broken(&error))
}

/// A text as a part of a path or of a query.
pub(super) fn encoded(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Names and values as a query, without those that have none.
pub(super) fn query<'a>(fields: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    given.map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_without_a_name_obeyed_and_violated() {
        for target in ["/v1/tasks", "/v1/tasks/a/cancel", "/v1/tasks?limit=50&after=//", "/v1/tasks/%2F"] {
            assert!(!has_empty_part(target), "{target}");
        }
        for target in ["/v1/tasks/", "/v1/tasks//cancel", "/v1/webhooks/?x=1", "//v1/tasks"] {
            assert!(has_empty_part(target), "{target}");
        }
    }
}
