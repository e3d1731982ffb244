//! What every answer has, whatever it says: the id of its request, and headers by which browsers do nothing with it that it does
//! not ask for itself.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::Response;
use sunaba_task::TaskId;

use crate::problem::Problem;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a request.
const MAX_ID_BYTES: usize = 128;

/// Unless an answer has its own.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// By which a request is found again in logs, answers and the log of changes.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives a request its id, and its answer what every answer has.
pub(crate) async fn envelope<F>(mut request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let id = given(&request).unwrap_or_else(|| TaskId::new().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next(request).await;
    // Neither headers nor what stands behind the question mark: nobody knows what is in there.
    tracing::debug!(%method, path, status = response.status().as_u16(), request = id, "answered");
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = Some(id.as_str().into());
        if let Ok(body) = serde_json::to_vec(&problem) {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from(body);
        }
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The id that whoever sent the request has given it. One that could be taken for something else in a log is none.
fn given(request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    (is_plain && (1..=MAX_ID_BYTES).contains(&id.len())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_of_a_request_obeyed_and_violated() {
        let of = |id: &str| {
            let request = Request::builder().header(REQUEST_ID, id).body(Body::empty()).expect("a request");
            given(&request)
        };
        let longest = "x".repeat(MAX_ID_BYTES);
        for id in ["a", "req-1:2.3_4", &longest] {
            assert_eq!(of(id).as_deref(), Some(id));
        }
        for id in ["", "a b", "a\tb", "{}", &format!("{longest}x")] {
            assert_eq!(of(id), None, "{id}");
        }
    }
}
