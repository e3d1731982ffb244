//! Reads what a request brings: within a bound, within a time, and of the one media type that is taken.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use sunaba_host::MAX_INPUT_BYTES;
use sunaba_task::format_bytes;

use crate::problem::Problem;

/// A JSON body may be as large as the largest input in base64, and something around it.
const MAX_JSON_BYTES: usize = 2 * MAX_INPUT_BYTES as usize;
/// How long a body may take to arrive.
const MAX_TIME: Duration = Duration::from_secs(60);

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read(request, "application/json", MAX_JSON_BYTES).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not what is expected here: {error}"))
        })
    }
}

/// The body of a request, if it is of this media type and no larger.
pub(crate) async fn read(request: Request, media_type: &str, limit: usize) -> Result<Bytes, Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let given = given.map(|given| given.split(';').next().unwrap_or_default().trim());
    if given != Some(media_type) {
        let given = given.unwrap_or("nothing");
        let message = format!("the Content-Type is `{given}`\nhint: only `{media_type}` is taken here");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let too_large = || {
        let message = format!("the body is too large\nhint: the limit is {}", format_bytes(limit as u64));
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    match tokio::time::timeout(MAX_TIME, axum::body::to_bytes(request.into_body(), limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}
